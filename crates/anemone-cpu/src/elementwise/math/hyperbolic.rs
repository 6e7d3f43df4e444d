//! Hyperbolic sine and cosine, in `f64`.

use super::double::exp;
use super::polynomial;

#[inline(always)]
fn exp_of_size(x: f32) -> f64 {
    let size = x.abs() as f64;
    exp(if size > 100.0 { 100.0 } else { size })
}

/// Hyperbolic sine.
#[inline(always)]
pub(crate) fn sinh(x: f32) -> f32 {
    let size = x.abs() as f64;
    let z = size * size;
    let p = polynomial!(z; 1.0 / 6.0, 1.0 / 120.0, 1.0 / 5040.0, 1.0 / 362_880.0, 1.0 / 39_916_800.0,
        1.0 / 6_227_020_800.0);
    let e = exp_of_size(x);
    let y = if size < 1.0 { size + size * (z * p) } else { 0.5 * (e - 1.0 / e) };
    (y as f32).copysign(x)
}

/// Hyperbolic cosine.
#[inline(always)]
pub(crate) fn cosh(x: f32) -> f32 {
    let e = exp_of_size(x);
    (0.5 * (e + 1.0 / e)) as f32
}
