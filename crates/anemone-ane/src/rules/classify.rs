//! The answer of a classifier.

use super::declare::{OpRule, walled};

/// Placements.
pub(super) static OPS: &[OpRule] = &[walled(
    "classify",
    "it makes strings and a dictionary, which Core ML does outside of the engine",
    "let the program end with the scores, and pick the class outside",
)];
