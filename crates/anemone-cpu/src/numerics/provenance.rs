//! How far the numbers of each operation are known.

use super::AneGeneration;

/// How well the model of an operation is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Reproduces published measurements to the noise of the measure itself.
    Exact,
    /// Chosen to reproduce published measurements, which it does to the accuracy that the note says.
    Fitted,
    /// No measurement covers it: `fp32`, rounded half away from zero to `fp16`.
    Assumed,
}

/// What the model of an operation rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// How well it is supported.
    pub grade: Grade,
    /// What is known, and what is not.
    pub note: &'static str,
    /// Where from.
    pub source: &'static str,
}

/// What the model of the `fp16` op called `op` rests on, for a generation.
pub fn provenance(_op: &str, _generation: AneGeneration) -> Provenance {
    Provenance { grade: Grade::Assumed, note: "", source: "" }
}
