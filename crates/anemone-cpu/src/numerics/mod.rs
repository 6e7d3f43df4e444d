//! Which numbers an `fp16` program computes: those of IEEE 754, or those of a generation of the Neural Engine.
//!
//! Under [`Numerics::Ane`] every operation runs by itself, with `fp16` between operations, and
//!
//! * products (`conv`, `conv_transpose`, `linear`, `matmul`, `einsum`, attention) are made in the engine's fixed point, see
//!   [`gemm::fixed`](crate::gemm); dense 3x3 convolutions of stride 1 with constant weights by Winograd's algorithm from H17 on;
//! * functions are taken from the engine's own tables of 33 numbers ([`functions`]), reductions and normalizations are made of
//!   rounded sums ([`reduce`]);
//! * everything else of type `fp16` is computed in `fp32` and rounded half away from zero ([`lower`]).
//!
//! The engine has no `fp32`: operations of that type (master weights, optimizers, losses of mixed-precision training) stand
//! for what the host computes beside it, and are those of IEEE 754. So are integers, and what is folded when a program is
//! compiled.
//!
//! How far each of that is known is data: [`provenance`](crate::provenance). Nothing here has been run on an engine by us.

mod functions;
pub(crate) mod lower;
mod provenance;
pub(crate) mod reduce;
pub(crate) mod rounding;
mod table;
mod tables;
mod wide;

pub use provenance::{Grade, OpCase, Provenance, provenance};

use std::fmt;

/// The numbers that `fp16` operations compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numerics {
    /// IEEE 754: `fp16` operations compute and accumulate in `fp32` and round once, to nearest-even.
    #[default]
    Ieee,
    /// As a generation of the engine does, as far as that is known; see [`provenance`](fn@provenance).
    Ane(AneGeneration),
}

/// A generation of the Neural Engine, by the name of its compiler target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AneGeneration {
    /// A14, M1 and the M1 family.
    H13,
    /// A15, M2 and the M2 family.
    H14,
    /// A16, M3 and the M3 family. No measurement of its convolutions is published: taken to be as before, direct.
    H15,
    /// A17 Pro, M4 and the M4 family.
    H16,
    /// A18, A19, M5, M6 and their families: convolutions by Winograd's algorithm.
    H17,
}

impl AneGeneration {
    /// All of them, oldest first.
    pub const ALL: [AneGeneration; 5] =
        [AneGeneration::H13, AneGeneration::H14, AneGeneration::H15, AneGeneration::H16, AneGeneration::H17];

    /// Whether dense 3x3 convolutions of stride 1 go by Winograd's algorithm. Measured: not on M1, M2 and M4; on M5 and M6.
    pub fn has_winograd(self) -> bool {
        self >= AneGeneration::H17
    }

    /// The size beyond which a slice that begins after the first element of the last axis gives infinities (crops go through a
    /// fixed-point path, 65504 / 16 at most). Measured: M1, M1 Max, M2 Pro have it; M4 and later do not. A16 and M3 are not
    /// measured; taken to be without.
    pub fn slice_limit(self) -> Option<f32> {
        (self <= AneGeneration::H14).then_some(4094.0)
    }
}

impl fmt::Display for AneGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AneGeneration::H13 => "h13",
            AneGeneration::H14 => "h14",
            AneGeneration::H15 => "h15",
            AneGeneration::H16 => "h16",
            AneGeneration::H17 => "h17",
        })
    }
}
