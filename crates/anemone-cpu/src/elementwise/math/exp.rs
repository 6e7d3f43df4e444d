//! The exponential function and what is made of it.

use super::polynomial;
use std::f32::consts::{LN_2, LOG2_E};

/// 1.5 · 2^23: adding it rounds to an integer, which then stands in the low bits of the sum.
const TO_INT: f32 = 12_582_912.0;
/// ln 2 in two parts; a multiple of the first by an exponent is exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;

/// 2^n as far as `f32` has it as a normal number: `n` from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `y * 2^n` with one rounding, for `n` from -252 to 254.
#[inline(always)]
fn scale(y: f32, n: i32) -> f32 {
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `x` limited to `low..=high`; `NaN` stays.
#[inline(always)]
fn limit(x: f32, low: f32, high: f32) -> f32 {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}

/// `exp(r) - 1` for |r| <= ln 2 / 2.
#[inline(always)]
fn expm1_reduced(r: f32) -> f32 {
    let p = polynomial!(r; 0.499_999_94, 0.166_665_21, 0.041_668_39, 0.008_368_745, 0.001_381_453_9);
    r + r * r * p
}

/// `x = n ln 2 + r`: `n` and `r`.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let shifted = x * LOG2_E + TO_INT;
    let n = shifted - TO_INT;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    (integer(shifted), r)
}

#[inline(always)]
fn integer(shifted: f32) -> i32 {
    (shifted.to_bits() as i32).wrapping_sub(TO_INT.to_bits() as i32)
}

/// e^x.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (n, r) = reduce(limit(x, -104.0, 89.0));
    scale(1.0 + expm1_reduced(r), n)
}

/// 2^x.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    let x = limit(x, -151.0, 129.0);
    let shifted = x + TO_INT;
    let r = (x - (shifted - TO_INT)) * LN_2;
    scale(1.0 + expm1_reduced(r), integer(shifted))
}

/// e^x - 1, accurate near 0 too.
#[inline(always)]
pub(crate) fn expm1(x: f32) -> f32 {
    let (n, r) = reduce(limit(x, -30.0, 89.0));
    // Half the power, so that the largest finite results do not overflow on the way.
    let power = power_of_two(n.wrapping_sub(1));
    let y = 2.0 * (power * expm1_reduced(r) + (power - 0.5));
    // Keeps the sign of zero and subnormal arguments.
    if x.abs() < 1e-30 { x } else { y }
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    // exp(-|x|) never overflows, so results stay accurate down to the subnormal ones.
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    let e = exp(-x.abs());
    let y = x * ((if x < 0.0 { e } else { 1.0 }) / (1.0 + e));
    if x == f32::NEG_INFINITY { 0.0 } else { y }
}

/// Hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let square = x * x;
    let p = polynomial!(square; -0.333_332_8, 0.133_314_42, -0.053_739_715, 0.020_639_086, -0.005_704_987);
    let small = size + size * (square * p);
    let large = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
    (if size < 0.625 { small } else { large }).copysign(x)
}
