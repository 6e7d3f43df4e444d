//! The error function, and the three forms of GELU.

use super::exp::{exp, sigmoid, tanh};
use super::polynomial;
use std::f32::consts::FRAC_1_SQRT_2;

/// Error function.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let p = polynomial!(square; 0.128_379_17, -0.376_126_35, 0.112_837_15, -0.026_860_509, 0.005_203_859,
        -0.000_817_563_97, 8.513_105e-5);
    let small = size + size * p;
    // 1 - erf(t) = exp(-t q(t)) for t from 0.88 to 4, from where on erf is 1.
    let t = if size > 4.0 { 4.0 } else { size };
    let q = polynomial!(t; 1.128_625_8, 0.635_245_1, 0.106_079_7, -0.023_624_951, 0.003_576_858_7,
        -0.000_306_491_48, 9.584_893e-6);
    let large = 1.0 - exp(-(t * q));
    (if size < 0.9 { small } else { large }).copysign(x)
}

/// `x / 2 * (1 + erf(x / sqrt(2)))`.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    let y = (0.5 * x) * (1.0 + erf(x * FRAC_1_SQRT_2));
    if x == f32::NEG_INFINITY { 0.0 } else { y }
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
#[inline(always)]
pub(crate) fn gelu_tanh(x: f32) -> f32 {
    const FACTOR: f32 = 0.797_884_6;
    let y = (0.5 * x) * (1.0 + tanh(FACTOR * (x + 0.044_715 * (x * x * x))));
    if x == f32::NEG_INFINITY { 0.0 } else { y }
}

/// `x * sigmoid(1.702 x)`.
#[inline(always)]
pub(crate) fn gelu_sigmoid(x: f32) -> f32 {
    let y = x * sigmoid(1.702 * x);
    if x == f32::NEG_INFINITY { 0.0 } else { y }
}
