//! Initial values of parameters.

use crate::NnError;
use crate::data::rng::{self, Rng};
use anemone_runtime::Tensor;
use mil::TensorType;

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
    /// Whole numbers from 0 to 2^30 - 1, all equally likely; the only random start of `int32`.
    Count,
}

impl Init {
    /// PyTorch's default for `Linear` and convolutions: `kaiming_uniform_(a=sqrt(5))`, which is uniform within
    /// `1 / sqrt(fan_in)`.
    pub fn fan_in(fan_in: usize) -> Init {
        Init::Uniform { bound: 1.0 / (fan_in.max(1) as f32).sqrt() }
    }

    /// PyTorch's `xavier_uniform_`: uniform within `sqrt(6 / (fan_in + fan_out))`.
    pub fn xavier_uniform(fan_in: usize, fan_out: usize) -> Init {
        Init::Uniform { bound: (6.0 / (fan_in + fan_out).max(1) as f32).sqrt() }
    }

    /// The initial tensor. Other types than `fp32` start at zeros or, if `int32`, as [`Init::Count`].
    pub fn tensor(self, ty: &TensorType, seed: u64, name: &str) -> Result<Tensor, NnError> {
        let mut tensor = Tensor::zeros(ty.clone())?;
        let wrong = |_| NnError::config(name, format!("is {ty}, which cannot start as {self:?}"));
        let stream = rng::stream(name);
        match self {
            Init::Zeros => {}
            Init::Count => {
                let mut rng = Rng::new(seed, stream);
                let data = tensor.as_mut_slice::<i32>().map_err(wrong)?;
                data.fill_with(|| (rng.next_u32() >> 2) as i32);
            }
            Init::Ones => tensor.as_mut_slice::<f32>().map_err(wrong)?.fill(1.0),
            Init::Constant(value) => tensor.as_mut_slice::<f32>().map_err(wrong)?.fill(value),
            Init::Uniform { bound } => {
                rng::fill_uniform(seed, stream, tensor.as_mut_slice().map_err(wrong)?, -bound, bound);
            }
            Init::Normal { std } => {
                rng::fill_normal(seed, stream, tensor.as_mut_slice().map_err(wrong)?, 0.0, std);
            }
        }
        Ok(tensor)
    }
}
