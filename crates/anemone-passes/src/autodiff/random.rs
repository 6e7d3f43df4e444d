//! Random numbers do not depend on anything in a way that has a derivative.

use super::Rule::{self, NoGradient};

const DRAWN: Rule = NoGradient("random draws have no derivative");

pub(super) static RULES: &[(&str, Rule)] = &[
    ("random_bernoulli", DRAWN),
    ("random_categorical", DRAWN),
    ("random_normal", DRAWN),
    ("random_uniform", DRAWN),
];
