//! Sine, cosine, tangent.

use super::double::TO_INT;
use super::polynomial;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// From here on the two-part reduction by pi / 2 is no longer exact.
const FAR: f32 = 1_048_576.0;
/// pi / 2 in two parts: 33 bits, so that multiples up to 2^20 are exact, and the rest.
const PI_2_HIGH: f64 = 1.570_796_326_734_125_6;
const PI_2_LOW: f64 = 6.077_100_506_506_192e-11;

/// The bits of 2 / pi after the binary point, behind 64 zero bits.
const TWO_OVER_PI: [u64; 5] =
    [0, 0xa2f9_836e_4e44_1529, 0xfc27_57d1_f534_ddc0, 0xdb62_9599_3c43_9041, 0xfe51_63ab_debb_c561];

/// Whether the `_near` functions do not hold for `x`.
#[inline(always)]
pub(crate) fn is_far(x: f32) -> bool {
    x.abs() >= FAR
}

/// `x = k pi / 2 + r` with |r| <= pi / 4: `k` modulo 4 (in the low bits) and `r`.
#[inline(always)]
fn reduce(x: f32) -> (u64, f64) {
    let x = x as f64;
    let shifted = x * FRAC_2_PI + TO_INT;
    let n = shifted - TO_INT;
    (shifted.to_bits(), (x - n * PI_2_HIGH) - n * PI_2_LOW)
}

/// [`reduce`] for |x| from [`FAR`] to infinity: x · 2/pi modulo 4 in integers, from the bits of 2/pi that matter.
fn reduce_far(x: f32) -> (u64, f64) {
    if !x.is_finite() {
        return (0, f64::NAN);
    }
    let exponent = (x.to_bits() >> 23 & 0xff) as usize - 127 - 20;
    let mantissa = (x.to_bits() & 0x007f_ffff | 0x0080_0000) as u128;
    // |x| = mantissa · 2^(exponent - 3). Bits of 2 / pi that give multiples of 4 are left out; the first one kept
    // stands for 2^1 after that shift.
    let first = 64 + exponent - 5;
    let (word, bit) = (first / 64, first % 64);
    let high = (TWO_OVER_PI[word] as u128) << 64 | TWO_OVER_PI[word + 1] as u128;
    let low = if bit == 0 { 0 } else { TWO_OVER_PI[word + 2] as u128 >> (64 - bit) };
    let turns = (high << bit | low).wrapping_mul(mantissa);
    let quadrant = turns.wrapping_add(1 << 125) >> 126;
    let rest = turns.wrapping_sub(quadrant << 126) as i128 as f64;
    // 2^-126.
    let r = rest * f64::from_bits((1023 - 126) << 52) * FRAC_PI_2;
    if x < 0.0 { ((quadrant as u64).wrapping_neg(), -r) } else { (quadrant as u64, r) }
}

/// sin(r) for |r| <= pi / 4.
#[inline(always)]
fn sin_reduced(r: f64) -> f64 {
    let z = r * r;
    let p = polynomial!(z; -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362_880.0, -1.0 / 39_916_800.0);
    r + r * (z * p)
}

/// cos(r) for |r| <= pi / 4.
#[inline(always)]
fn cos_reduced(r: f64) -> f64 {
    let z = r * r;
    let p = polynomial!(z; -0.5, 1.0 / 24.0, -1.0 / 720.0, 1.0 / 40_320.0, -1.0 / 3_628_800.0, 1.0 / 479_001_600.0);
    1.0 + z * p
}

/// sin(r + k pi / 2).
#[inline(always)]
fn sin_quadrant(k: u64, r: f64) -> f64 {
    let y = if k & 1 == 0 { sin_reduced(r) } else { cos_reduced(r) };
    // The second bit of k is the sign.
    f64::from_bits(y.to_bits() ^ ((k & 2) << 62))
}

#[inline(always)]
fn tan_quadrant(k: u64, r: f64) -> f64 {
    let (sin, cos) = (sin_reduced(r), cos_reduced(r));
    let odd = k & 1 == 1;
    (if odd { -cos } else { sin }) / (if odd { sin } else { cos })
}

/// Sine where [`is_far`] is false.
#[inline(always)]
pub(crate) fn sin_near(x: f32) -> f32 {
    let (k, r) = reduce(x);
    let y = sin_quadrant(k, r) as f32;
    // Keeps the sign of zero.
    if x == 0.0 { x } else { y }
}

/// Cosine where [`is_far`] is false.
#[inline(always)]
pub(crate) fn cos_near(x: f32) -> f32 {
    let (k, r) = reduce(x);
    sin_quadrant(k.wrapping_add(1), r) as f32
}

/// Tangent where [`is_far`] is false.
#[inline(always)]
pub(crate) fn tan_near(x: f32) -> f32 {
    let (k, r) = reduce(x);
    let y = tan_quadrant(k, r) as f32;
    if x == 0.0 { x } else { y }
}

/// Sine where [`is_far`] is true.
#[cold]
pub(crate) fn sin_far(x: f32) -> f32 {
    let (k, r) = reduce_far(x);
    sin_quadrant(k, r) as f32
}

/// Cosine where [`is_far`] is true.
#[cold]
pub(crate) fn cos_far(x: f32) -> f32 {
    let (k, r) = reduce_far(x);
    sin_quadrant(k.wrapping_add(1), r) as f32
}

/// Tangent where [`is_far`] is true.
#[cold]
pub(crate) fn tan_far(x: f32) -> f32 {
    let (k, r) = reduce_far(x);
    tan_quadrant(k, r) as f32
}

/// Sine.
#[cfg(test)]
pub(crate) fn sin(x: f32) -> f32 {
    if is_far(x) { sin_far(x) } else { sin_near(x) }
}

/// Cosine.
#[cfg(test)]
pub(crate) fn cos(x: f32) -> f32 {
    if is_far(x) { cos_far(x) } else { cos_near(x) }
}

/// Tangent.
#[cfg(test)]
pub(crate) fn tan(x: f32) -> f32 {
    if is_far(x) { tan_far(x) } else { tan_near(x) }
}
