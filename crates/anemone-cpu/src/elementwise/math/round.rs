//! Rounding, ordering and signs.

/// 2^23: `f32`s from here on are integers.
const INTEGERS: f32 = 8_388_608.0;

/// Nearest integer, halves to even.
#[inline(always)]
pub(crate) fn round(x: f32) -> f32 {
    let size = x.abs();
    // Adding 2^23 leaves no bits for a fraction, and the sum rounds as we want.
    let near = ((size + INTEGERS) - INTEGERS).copysign(x);
    if size < INTEGERS { near } else { x }
}

/// Largest integer that is not larger.
#[inline(always)]
pub(crate) fn floor(x: f32) -> f32 {
    let near = round(x);
    (if near > x { near - 1.0 } else { near }).copysign(x)
}

/// Smallest integer that is not smaller.
#[inline(always)]
pub(crate) fn ceil(x: f32) -> f32 {
    let near = round(x);
    (if near < x { near + 1.0 } else { near }).copysign(x)
}

/// The larger; `NaN` if either is.
#[inline(always)]
pub(crate) fn maximum(x: f32, y: f32) -> f32 {
    let larger = if x > y { x } else { y };
    if x.is_nan() { x } else { larger }
}

/// The smaller; `NaN` if either is.
#[inline(always)]
pub(crate) fn minimum(x: f32, y: f32) -> f32 {
    let smaller = if x < y { x } else { y };
    if x.is_nan() { x } else { smaller }
}

/// -1, 0 or 1; zeros and `NaN` stay.
#[inline(always)]
pub(crate) fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}
