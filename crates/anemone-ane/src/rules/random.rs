//! Random numbers.

use super::declare::{OpRule, absent};
use crate::facts::{ANEFORGE, Cite, Conflict};

const WHY: &str = "the compiler reaches no random numbers from MIL";
const WAY_OUT: &str = "draw them outside and give them as an input";
const HAL: &[Conflict] = &[Conflict {
    claim: "the hardware has random numbers from A15 on (HAL field 0x4a9)",
    cite: Cite::of(&ANEFORGE, "family limits"),
}];

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    absent("random_bernoulli", WHY, WAY_OUT).but(HAL),
    absent("random_categorical", WHY, WAY_OUT).but(HAL),
    absent("random_normal", WHY, WAY_OUT).but(HAL),
    absent("random_uniform", WHY, WAY_OUT).but(HAL),
];
