//! Products as the engine's convolution units make them: fixed point instead of floats.
//!
//! For `fp16` operands `x` and `w`, with `e(v) = max(floor(log2 |v|), -14)`:
//!
//! ```text
//! p    = 0                                     where e(x) + e(w) < -16
//!      = x · w, half away from zero to 2^-16   elsewhere
//! sum  = bias + Σ p                            exact: the order does not matter
//! c    = ±∞                                    where |sum| >= 2^15
//!      = sum, half away from zero to fp16      elsewhere (subnormal numbers kept)
//! ```
//!
//! That is the model of `docs/engine-numerics.md`, with its evidence and what it does not cover. Three choices are ours: a
//! number whose exponent field is full (infinity, NaN) counts as the next power of two, as probes of the M4 and the M6 found
//! ("NaN decoded as a large number"); a sum is judged when it is complete, not while it grows; operands in `fp32` are
//! rounded to `fp16` first, as a host does.
//!
//! # How it is fast
//!
//! A product of two `fp16` numbers is exact in `f32`. Both operands are scaled by 2^8, so that the quantum is 1. Then
//!
//! * flushing is a comparison of `|x|` with a number that depends on `w` alone and is made when `w` is packed ([`prepare`]);
//! * rounding is `trunc(x · w ± 1/2)`, the sign of the half being that of the product: one multiply-add, exact, and one
//!   conversion to an integer ([`lanes`]);
//! * integers of 32 bits sum up as many products as cannot overflow them, known from the largest operands of the panels,
//!   then go to sums of 64 bits ([`tile`]). Where one product alone may overflow, `f64` is used, and where that is not exact
//!   either, integers of 64 bits.

mod drive;
mod lanes;
mod prepare;
mod tile;

#[cfg(test)]
mod tests;

pub(super) use drive::run;
pub(crate) use drive::sums;
pub(super) use tile::{FixedTile, fixed_tile};
