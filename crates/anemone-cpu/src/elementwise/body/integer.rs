//! Functions of 32-bit integers. They wrap on overflow and never trap: a quotient by zero is 0.

use super::{Attributes, Binary, Unary};
use crate::elementwise::math;

macro_rules! unary {
    ($($name:ident: |$x:ident| $y:expr;)*) => {$(
        pub(super) struct $name;
        impl Unary for $name {
            #[inline(always)]
            fn at(x: u32, _: Attributes) -> u32 {
                let $x = x as i32;
                let y: i32 = $y;
                y as u32
            }
        }
    )*};
}

macro_rules! binary {
    ($long:literal $($name:ident: |$x:ident, $y:ident| $z:expr;)*) => {$(
        pub(super) struct $name;
        impl Binary for $name {
            const LONG: bool = $long;
            #[inline(always)]
            fn at(x: u32, y: u32) -> u32 {
                let ($x, $y) = (x as i32, y as i32);
                let z: i32 = $z;
                z as u32
            }
        }
    )*};
}

unary! {
    Abs: |x| x.wrapping_abs();
    // 0 below 1 and from 2^32 on, as `Pow` has it.
    Exp2: |x| if (0..32).contains(&x) { 1i32 << x } else { 0 };
    Sign: |x| x.signum();
    Square: |x| x.wrapping_mul(x);
}

binary! {
    false
    Add: |x, y| x.wrapping_add(y);
    Sub: |x, y| x.wrapping_sub(y);
    Mul: |x, y| x.wrapping_mul(y);
    Maximum: |x, y| x.max(y);
    Minimum: |x, y| x.min(y);
}

binary! {
    true
    RealDiv: |x, y| quotient(x, y);
    FloorDiv: |x, y| floor_div(x, y);
    // NumPy's remainder by zero.
    Mod: |x, y| if y == 0 { 0 } else { x.wrapping_sub(floor_div(x, y).wrapping_mul(y)) };
    Pow: |x, y| math::pow_int(x, y);
}

pub(super) struct Threshold;

impl Unary for Threshold {
    #[inline(always)]
    fn at(x: u32, attributes: Attributes) -> u32 {
        (x as i32).max(attributes.alpha.to_bits() as i32) as u32
    }
}

/// Rounded towards zero.
#[inline(always)]
fn quotient(x: i32, y: i32) -> i32 {
    // There are no vector instructions for this, but `f64` holds every `i32`, and the rounded quotient of two of them
    // never reaches an integer that the exact one does not.
    let exact = x as f64 / if y == 0 { 1.0 } else { y as f64 };
    // -2^31 / -1 wraps, as the other operations do.
    let whole = if exact >= 2_147_483_648.0 { i32::MIN } else { exact as i32 };
    if y == 0 { 0 } else { whole }
}

/// Rounded towards minus infinity.
#[inline(always)]
fn floor_div(x: i32, y: i32) -> i32 {
    let whole = quotient(x, y);
    let inexact = whole.wrapping_mul(y) != x;
    if y != 0 && inexact && (x < 0) != (y < 0) { whole - 1 } else { whole }
}
