//! Recurrent networks.

use super::declare::{OpRule, STUDY_OPS, absent};
use crate::facts::{Cite, Grade, HOLLANCE};

const WHY: &str = "the engine has no recurrence";
const WAY_OUT: &str = "unroll it into matmul, sigmoid and tanh, or step outside";

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    absent("gru", WHY, WAY_OUT).newest(Grade::Measured, STUDY_OPS),
    absent("lstm", WHY, WAY_OUT).newest(Grade::Measured, STUDY_OPS),
    absent("rnn", WHY, WAY_OUT).newest(Grade::Measured, Cite::of(&HOLLANCE, "unsupported layers")),
];
