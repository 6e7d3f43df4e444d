//! Powers.

use super::double::{exp2, log_parts};
use super::round::round;
use std::f64::consts::LOG2_E;

/// `x` to the power of `y`, with the special cases of C's `pow`. `pow(x, 2)` is `x * x`.
#[inline(always)]
pub(crate) fn pow(x: f32, y: f32) -> f32 {
    let size = x.abs();
    let (n, rest) = log_parts(size as f64);
    let log2 = n + rest * LOG2_E;
    let log2 = if size == 0.0 { f64::NEG_INFINITY } else { log2 };
    let log2 = if size == f32::INFINITY { f64::INFINITY } else { log2 };
    let exponent = y as f64 * log2;
    // 1 to any power, infinite ones included.
    let exponent = if size == 1.0 { 0.0 } else { exponent };
    let exponent = if exponent > 200.0 { 200.0 } else { exponent };
    let exponent = if exponent < -200.0 { -200.0 } else { exponent };
    let power = exp2(exponent) as f32;

    let whole = round(y) == y;
    let odd = whole && round(y * 0.5) != y * 0.5;
    let negative = x.is_sign_negative();
    let signed = if negative && odd { -power } else { power };
    let undefined = negative && !whole && size != 0.0 && size != f32::INFINITY;
    let result = if undefined || x.is_nan() || y.is_nan() { f32::NAN } else { signed };
    let result = if y == 2.0 { x * x } else { result };
    if y == 0.0 || x == 1.0 { 1.0 } else { result }
}

/// `x` to the power of `y`, modulo 2^32. A negative power is the exact quotient rounded towards zero (0 for `x = 0`).
#[inline(always)]
pub(crate) fn pow_int(x: i32, y: i32) -> i32 {
    let (mut power, mut square, mut left) = (1i32, x, y);
    let mut step = 0;
    while step < 31 {
        power = if left & 1 == 1 { power.wrapping_mul(square) } else { power };
        square = square.wrapping_mul(square);
        left >>= 1;
        step += 1;
    }
    let unit = if y & 1 == 1 { x } else { 1 };
    let reciprocal = if x == 1 || x == -1 { unit } else { 0 };
    if y < 0 { reciprocal } else { power }
}
