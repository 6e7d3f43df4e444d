//! Comparisons, logic, and choice by a truth value.

use super::{Attributes, Binary, Ternary, Unary};

macro_rules! compare {
    ($($float:ident $integer:ident $op:tt;)*) => {$(
        pub(super) struct $float;
        impl Binary for $float {
            #[inline(always)]
            fn at(x: u32, y: u32) -> u32 {
                u32::from(f32::from_bits(x) $op f32::from_bits(y))
            }
        }
        pub(super) struct $integer;
        impl Binary for $integer {
            #[inline(always)]
            fn at(x: u32, y: u32) -> u32 {
                u32::from((x as i32) $op (y as i32))
            }
        }
    )*};
}

compare! {
    EqualFloat EqualInt ==;
    NotEqualFloat NotEqualInt !=;
    GreaterFloat GreaterInt >;
    GreaterEqualFloat GreaterEqualInt >=;
    LessFloat LessInt <;
    LessEqualFloat LessEqualInt <=;
}

macro_rules! logic {
    ($($name:ident $op:tt;)*) => {$(
        pub(super) struct $name;
        impl Binary for $name {
            #[inline(always)]
            fn at(x: u32, y: u32) -> u32 {
                x $op y
            }
        }
    )*};
}

logic! {
    And &;
    Or |;
    Xor ^;
}

pub(super) struct Not;

impl Unary for Not {
    #[inline(always)]
    fn at(x: u32, _: Attributes) -> u32 {
        x ^ 1
    }
}

pub(super) struct Identity;

impl Unary for Identity {
    #[inline(always)]
    fn at(x: u32, _: Attributes) -> u32 {
        x
    }
}

pub(super) struct Select;

impl Ternary for Select {
    #[inline(always)]
    fn at(condition: u32, a: u32, b: u32) -> u32 {
        if condition != 0 { a } else { b }
    }
}
