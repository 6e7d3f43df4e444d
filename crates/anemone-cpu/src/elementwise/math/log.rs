//! The logarithm, and softplus.

use super::{exp::exp, polynomial};

/// ln 2 in two parts; a multiple of the first by an exponent is exact.
const LN_2_HIGH: f32 = 0.693_145_75;
const LN_2_LOW: f32 = 1.428_606_8e-6;
/// Bits of sqrt(1/2).
const ROOT_HALF: u32 = 0x3f35_04f3;
const ONE: u32 = 0x3f80_0000;

/// Natural logarithm.
#[inline(always)]
pub(crate) fn log(x: f32) -> f32 {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 33_554_432.0 } else { x };
    // x = 2^n m with m from sqrt(1/2) to sqrt(2).
    let bits = scaled.to_bits().wrapping_add(ONE - ROOT_HALF);
    let n = ((bits >> 23) as i32).wrapping_sub(if subnormal { 127 + 25 } else { 127 }) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(ROOT_HALF));
    // log(1 + f) = 2 atanh(s) with s = f / (2 + f), arranged so that the large part, f - f²/2, stays exact.
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let rest = z * polynomial!(z; 0.666_666_6, 0.400_003_4, 0.285_369_2, 0.235_899_9);
    let half = 0.5 * f * f;
    let y = n * LN_2_HIGH - ((half - (s * (half + rest) + n * LN_2_LOW)) - f);
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

/// `log(1 + z)` for `z` from 0 to 1.
#[inline(always)]
fn log1p_unit(z: f32) -> f32 {
    let s = z / (2.0 + z);
    let square = s * s;
    let p = polynomial!(square; 0.666_666_75, 0.399_988_74, 0.286_170_2, 0.214_260_32, 0.243_075_82);
    2.0 * s + s * (square * p)
}

/// `log(1 + exp(x))`.
#[inline(always)]
pub(crate) fn softplus(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    let y = positive + log1p_unit(exp(-x.abs()));
    if x.is_nan() { x } else { y }
}
