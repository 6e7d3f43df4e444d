//! Functions of floats.

use super::{Attributes, Binary, Unary};
use crate::elementwise::math;

macro_rules! unary {
    ($long:literal $($name:ident: |$x:ident, $p:ident| $y:expr;)*) => {$(
        pub(super) struct $name;
        impl Unary for $name {
            const LONG: bool = $long;
            #[inline(always)]
            fn at(x: u32, $p: Attributes) -> u32 {
                let $x = f32::from_bits(x);
                let y: f32 = $y;
                y.to_bits()
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
                let ($x, $y) = (f32::from_bits(x), f32::from_bits(y));
                let z: f32 = $z;
                z.to_bits()
            }
        }
    )*};
}

/// Functions that need another way for large arguments.
macro_rules! circular {
    ($($name:ident: $near:ident, $far:ident;)*) => {$(
        pub(super) struct $name;
        impl Unary for $name {
            const LONG: bool = true;
            #[inline(always)]
            fn at(x: u32, _: Attributes) -> u32 {
                math::trig::$near(f32::from_bits(x)).to_bits()
            }
            #[inline(always)]
            fn is_far(x: u32) -> bool {
                math::trig::is_far(f32::from_bits(x))
            }
            #[inline(always)]
            fn at_far(x: u32) -> u32 {
                math::trig::$far(f32::from_bits(x)).to_bits()
            }
        }
    )*};
}

// Short functions.
unary! {
    false
    Abs: |x, _p| x.abs();
    Ceil: |x, _p| math::ceil(x);
    Clip: |x, p| math::minimum(math::maximum(x, p.alpha), p.beta);
    Floor: |x, _p| math::floor(x);
    Inverse: |x, p| 1.0 / (x + p.alpha);
    Round: |x, _p| math::round(x);
    Rsqrt: |x, p| 1.0 / (x + p.alpha).sqrt();
    Sign: |x, _p| math::sign(x);
    Sqrt: |x, _p| x.sqrt();
    Square: |x, _p| x * x;
    Threshold: |x, p| math::maximum(x, p.alpha);
    ClampedRelu: |x, p| math::minimum(if x >= 0.0 { x } else { p.alpha * x }, p.beta);
    LeakyRelu: |x, p| if x >= 0.0 { x } else { p.alpha * x };
    LinearActivation: |x, p| p.alpha * x + p.beta;
    Relu: |x, _p| math::maximum(x, 0.0);
    Relu6: |x, _p| math::minimum(math::maximum(x, 0.0), 6.0);
    SigmoidHard: |x, p| math::minimum(math::maximum(p.alpha * x + p.beta, 0.0), 1.0);
    Softsign: |x, _p| x / (1.0 + x.abs());
    ThresholdedRelu: |x, p| if x < p.alpha { 0.0 } else { x };
}

// Long ones.
unary! {
    true
    Acos: |x, _p| math::acos(x);
    Asin: |x, _p| math::asin(x);
    Atan: |x, _p| math::atan(x);
    Atanh: |x, _p| math::atanh(x);
    Cosh: |x, _p| math::cosh(x);
    Erf: |x, _p| math::erf(x);
    Exp: |x, _p| math::exp(x);
    Exp2: |x, _p| math::exp2(x);
    Log: |x, p| math::log(x + p.alpha);
    Sinh: |x, _p| math::sinh(x);
    Tanh: |x, _p| math::tanh(x);
    Elu: |x, p| if x > 0.0 { x } else { p.alpha * math::expm1(x) };
    GeluExact: |x, _p| math::gelu(x);
    GeluSigmoid: |x, _p| math::gelu_sigmoid(x);
    GeluTanh: |x, _p| math::gelu_tanh(x);
    ScaledTanh: |x, p| p.alpha * math::tanh(p.beta * x);
    Sigmoid: |x, _p| math::sigmoid(x);
    Silu: |x, _p| math::silu(x);
    Softplus: |x, _p| math::softplus(x);
}

circular! {
    Cos: cos_near, cos_far;
    Sin: sin_near, sin_far;
    Tan: tan_near, tan_far;
}

binary! {
    false
    Add: |x, y| x + y;
    Sub: |x, y| x - y;
    Mul: |x, y| x * y;
    RealDiv: |x, y| x / y;
    Maximum: |x, y| math::maximum(x, y);
    Minimum: |x, y| math::minimum(x, y);
    Prelu: |x, alpha| if x >= 0.0 { x } else { alpha * x };
}

binary! {
    true
    FloorDiv: |x, y| math::modulo::floor_div(x, y);
    Pow: |x, y| math::pow(x, y);
}

pub(super) struct Mod;

impl Binary for Mod {
    const LONG: bool = true;
    #[inline(always)]
    fn at(x: u32, y: u32) -> u32 {
        math::modulo::modulo_near(f32::from_bits(x), f32::from_bits(y)).to_bits()
    }
    #[inline(always)]
    fn is_far(x: u32, y: u32) -> bool {
        math::modulo::is_far(f32::from_bits(x), f32::from_bits(y))
    }
    #[inline(always)]
    fn at_far(x: u32, y: u32) -> u32 {
        math::modulo::modulo_far(f32::from_bits(x), f32::from_bits(y)).to_bits()
    }
}

pub(super) struct SoftplusParametric;

impl super::Ternary for SoftplusParametric {
    const LONG: bool = true;
    #[inline(always)]
    fn at(x: u32, alpha: u32, beta: u32) -> u32 {
        let (x, alpha, beta) = (f32::from_bits(x), f32::from_bits(alpha), f32::from_bits(beta));
        (alpha * math::softplus(beta * x)).to_bits()
    }
}
