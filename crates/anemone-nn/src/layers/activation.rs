//! Activation functions as layers.

use crate::{Graph, Module, NnError};
use mil::ValueId;

macro_rules! plain {
    ($($name:ident $op:literal: $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name;

        impl Module for $name {
            fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
                Ok(g.unary($op, x)?)
            }
        }
    )*};
}

plain! {
    ReLU "relu": "`max(x, 0)`.";
    SiLU "silu": "`x * sigmoid(x)`.";
    Sigmoid "sigmoid": "`1 / (1 + exp(-x))`.";
    Tanh "tanh": "Hyperbolic tangent.";
    Softplus "softplus": "`log(1 + exp(x))`, computed without overflow.";
}

/// `x` where positive, `negative_slope * x` elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakyReLU {
    /// Slope below zero.
    pub negative_slope: f32,
}

impl Default for LeakyReLU {
    fn default() -> LeakyReLU {
        LeakyReLU { negative_slope: 0.01 }
    }
}

impl Module for LeakyReLU {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        Ok(g.op("leaky_relu").arg("x", x).float("alpha", self.negative_slope).one()?)
    }
}

/// Gaussian error linear unit: `x * Phi(x)`, exactly or by the tanh approximation (Hendrycks and Gimpel, 2016).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum GELU {
    /// With the error function.
    #[default]
    Exact,
    /// With tanh.
    Tanh,
}

impl Module for GELU {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let mode = match self {
            GELU::Exact => "EXACT",
            GELU::Tanh => "TANH_APPROXIMATION",
        };
        Ok(g.op("gelu").arg("x", x).string("mode", mode).one()?)
    }
}

/// `exp(x) / sum(exp(x))` along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// The axis.
    pub dim: i32,
}

impl Module for Softmax {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        Ok(g.op("softmax").arg("x", x).int("axis", self.dim).one()?)
    }
}
