//! The exponential and the logarithm in `f64`, to about 12 digits: enough to round to `f32` correctly.

use super::polynomial;
use std::f64::consts::{LN_2, LOG2_E};

/// 1.5 · 2^52: adding it rounds to an integer, which then stands in the low bits of the sum.
pub(super) const TO_INT: f64 = 6_755_399_441_055_744.0;
/// Bits of sqrt(1/2).
const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
const ONE: u64 = 0x3ff0_0000_0000_0000;

/// 2^n e^r, where `n` stands in the low bits of `shifted` (-1022 to 1023) and |r| <= ln 2 / 2.
#[inline(always)]
fn assemble(shifted: f64, r: f64) -> f64 {
    let p = polynomial!(r; 0.500_000_000_042_851_5, 0.166_666_667_847_940_96, 0.041_666_664_398_311_3,
        0.008_333_281_705_315_687, 0.001_388_919_774_220_838_9, 0.000_199_090_064_507_165_8, 2.470_819_847_237_168_7e-5);
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    (1.0 + (r + r * r * p)) * power
}

/// e^x for |x| <= 700.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let shifted = x * LOG2_E + TO_INT;
    assemble(shifted, x - (shifted - TO_INT) * LN_2)
}

/// 2^x for |x| <= 1000.
#[inline(always)]
pub(super) fn exp2(x: f64) -> f64 {
    let shifted = x + TO_INT;
    assemble(shifted, (x - (shifted - TO_INT)) * LN_2)
}

/// `2 atanh(s)` for |s| <= 0.172.
#[inline(always)]
pub(super) fn twice_atanh(s: f64) -> f64 {
    let z = s * s;
    let p = polynomial!(z; 0.666_666_666_665_845_5, 0.400_000_000_537_466_3, 0.285_714_168_707_483_1,
        0.222_233_913_288_127_55, 0.181_229_729_136_580_5, 0.168_282_408_126_667_64);
    2.0 * s + s * (z * p)
}

/// `x = 2^n m` with `m` from sqrt(1/2) to sqrt(2), for finite normal `x > 0`: `n` and `log(m)`.
#[inline(always)]
pub(super) fn log_parts(x: f64) -> (f64, f64) {
    let bits = x.to_bits().wrapping_add(ONE - ROOT_HALF);
    // The exponent as the low bits of 2^52, which makes it a number.
    let n = f64::from_bits(0x4330_0000_0000_0000 | (bits >> 52)) - 4_503_599_627_371_519.0;
    let m = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
    (n, twice_atanh((m - 1.0) / (m + 1.0)))
}
