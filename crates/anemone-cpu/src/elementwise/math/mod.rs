//! Functions of one and two `f32`s, written so that loops over them vectorise.
//!
//! No branches, no tables, no fused multiply-add: only operations that IEEE 754 fixes, so every instruction set gives
//! the same bits (a fused operation would be a slow library call on machines without it). Hot functions compute in `f32`;
//! the others compute in `f64` and round once, which makes them correctly rounded but for rare near-ties. The polynomials
//! are minimax fits of our own over the ranges that the comments give.
//!
//! Largest errors measured against `f64` (see the tests), in units of the last place: `exp` 1.0, `exp2` 1.0, `expm1` 1.5,
//! `log` 1.0, `tanh` 1.5, `sigmoid` 2.1, `erf` 1.1, `softplus` 3.0; all others 0.51. At the edges of their domains they
//! behave as C's functions do, subnormal results included.
//!
//! `sin`, `cos`, `tan` and `modulo` are exact for any argument; beyond a limit they leave the straight line of code, so
//! loops call [`trig::is_far`] and the `_near` forms and redo the rare far elements one by one.

mod double;
mod erf;
mod exp;
mod hyperbolic;
mod inverse;
mod log;
pub(crate) mod modulo;
mod pow;
mod round;
pub(crate) mod trig;

pub(crate) use erf::{erf, gelu, gelu_sigmoid, gelu_tanh};
pub(crate) use exp::{exp, exp2, expm1, sigmoid, silu, tanh};
pub(crate) use hyperbolic::{cosh, sinh};
pub(crate) use inverse::{acos, asin, atan, atanh};
pub(crate) use log::{log, softplus};
pub(crate) use pow::{pow, pow_int};
pub(crate) use round::{ceil, floor, maximum, minimum, round, sign};

#[cfg(test)]
mod tests;

/// Horner's rule, lowest coefficient first.
macro_rules! polynomial {
    ($x:expr; $last:expr) => { $last };
    ($x:expr; $first:expr, $($rest:expr),+ $(,)?) => { $first + $x * $crate::elementwise::math::polynomial!($x; $($rest),+) };
}
use polynomial;
