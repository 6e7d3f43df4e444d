//! Compressed constants do not depend on anything. To train a weight, make it a state.

use super::Rule::{self, NoGradient};

const CONSTANT: Rule = NoGradient("the result is a constant in compressed form");

pub(super) static RULES: &[(&str, Rule)] = &[
    ("constexpr_affine_dequantize", CONSTANT),
    ("constexpr_blockwise_shift_scale", CONSTANT),
    ("constexpr_cast", CONSTANT),
    ("constexpr_lut_to_dense", CONSTANT),
    ("constexpr_lut_to_sparse", CONSTANT),
    ("constexpr_sparse_blockwise_shift_scale", CONSTANT),
    ("constexpr_sparse_to_dense", CONSTANT),
];
