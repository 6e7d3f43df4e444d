//! Initial values of parameters.

use crate::NnError;
use crate::data::rng;
use anemone_runtime::Tensor;
use mil::{DataType, TensorType};

/// How a parameter starts. Every element depends only on the seed, the parameter's name and its index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// One value everywhere.
    Constant(f32),
    /// Uniform between `-bound` and `bound`.
    Uniform {
        /// Bound.
        bound: f32,
    },
    /// Normal with mean zero.
    Normal {
        /// Standard deviation.
        std: f32,
    },
}

impl Init {
    /// PyTorch's default for `Linear` and convolutions: `kaiming_uniform_(a=sqrt(5))`, which is uniform within
    /// `1 / sqrt(fan_in)`.
    pub fn fan_in(fan_in: usize) -> Init {
        Init::Uniform { bound: 1.0 / (fan_in.max(1) as f32).sqrt() }
    }

    /// The initial tensor. Only `fp32` takes other than zeros.
    pub fn tensor(self, ty: &TensorType, seed: u64, name: &str) -> Result<Tensor, NnError> {
        let mut tensor = Tensor::zeros(ty.clone())?;
        if ty.dtype != DataType::Fp32 {
            return match self {
                Init::Zeros => Ok(tensor),
                _ => Err(NnError::config(
                    name,
                    format!("only fp32 parameters start at {self:?}, this is {ty}"),
                )),
            };
        }
        let data = tensor.as_mut_slice::<f32>()?;
        match self {
            Init::Zeros => {}
            Init::Ones => data.fill(1.0),
            Init::Constant(value) => data.fill(value),
            Init::Uniform { bound } => rng::fill_uniform(seed, rng::stream(name), data, -bound, bound),
            Init::Normal { std } => rng::fill_normal(seed, rng::stream(name), data, 0.0, std),
        }
        Ok(tensor)
    }
}
