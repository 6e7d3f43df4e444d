//! Normalizations.

use super::linear::check_last;
use crate::{Graph, Init, Mode, Module, NnError};
use mil::{TensorType, ValueId};

/// Zero mean and unit variance over the last dimension, then `* weight + bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Size of the last dimension.
    pub normalized_shape: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm {
    /// With PyTorch's `eps`.
    pub fn new(normalized_shape: usize) -> LayerNorm {
        LayerNorm { normalized_shape, eps: 1e-5 }
    }
}

impl Module for LayerNorm {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        check_last(g, "LayerNorm", x, self.normalized_shape)?;
        let normalized =
            g.op("layer_norm").arg("x", x).ints("axes", &[-1]).float("epsilon", self.eps).one()?;
        affine(g, normalized, &[self.normalized_shape])
    }
}

/// `x * weight + bias`, both vectors seen as tensors of this shape. They start as one and zero.
fn affine(g: &mut Graph, x: ValueId, shape: &[usize]) -> Result<ValueId, NnError> {
    let size = shape.iter().product();
    let weight = g.parameter("weight", &[size], Init::Ones)?;
    let bias = g.parameter("bias", &[size], Init::Zeros)?;
    let (weight, bias) = (g.reshape(weight, shape)?, g.reshape(bias, shape)?);
    let scaled = g.mul(x, weight)?;
    Ok(g.add(scaled, bias)?)
}

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension (Zhang and Sennrich, 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RMSNorm {
    /// Size of the last dimension.
    pub normalized_shape: usize,
    /// Added to the mean square.
    pub eps: f32,
}

impl RMSNorm {
    /// With PyTorch's `eps`, the distance from 1 to the next `fp32` number.
    pub fn new(normalized_shape: usize) -> RMSNorm {
        RMSNorm { normalized_shape, eps: f32::EPSILON }
    }

    /// Another `eps`.
    pub fn eps(mut self, eps: f32) -> RMSNorm {
        self.eps = eps;
        self
    }
}

impl Module for RMSNorm {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        check_last(g, "RMSNorm", x, self.normalized_shape)?;
        let weight = g.parameter("weight", &[self.normalized_shape], Init::Ones)?;
        let squares = g.mul(x, x)?;
        let mean = g.reduce("reduce_mean", squares, &[-1], true)?;
        let factor = g.op("rsqrt").arg("x", mean).float("epsilon", self.eps).one()?;
        let normalized = g.mul(x, factor)?;
        Ok(g.mul(normalized, weight)?)
    }
}

/// Zero mean and unit variance per channel of `[N, C, H, W]`, over the batch in training and by the running
/// statistics in evaluation, then `* weight + bias`.
///
/// Buffers: `running_mean`, `running_var` `[C]`, updated with `momentum` (the variance unbiased, as in PyTorch).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm2d {
    /// Channels.
    pub num_features: usize,
    /// Added to the variance.
    pub eps: f32,
    /// Weight of the newest batch in the running statistics.
    pub momentum: f32,
}

impl BatchNorm2d {
    /// With PyTorch's `eps` and `momentum`.
    pub fn new(num_features: usize) -> BatchNorm2d {
        BatchNorm2d { num_features, eps: 1e-5, momentum: 0.1 }
    }

    /// Mean and variance of the batch, `[1, C, 1, 1]`; hands the running statistics on.
    fn batch_statistics(
        &self,
        g: &mut Graph,
        x: ValueId,
        running: [(crate::Buffer, ValueId); 2],
    ) -> Result<(ValueId, ValueId, ValueId), NnError> {
        let mean = g.reduce("reduce_mean", x, &[0, 2, 3], true)?;
        let centered = g.sub(x, mean)?;
        let squares = g.mul(centered, centered)?;
        let variance = g.reduce("reduce_mean", squares, &[0, 2, 3], true)?;
        let count: usize = g.shape(x).iter().product::<usize>() / self.num_features.max(1);
        let unbiased = g.mul(variance, count as f32 / count.saturating_sub(1).max(1) as f32)?;
        for ((buffer, old), new) in running.into_iter().zip([mean, unbiased]) {
            let new = g.reshape(new, &[self.num_features])?;
            let share = g.mul(new, self.momentum)?;
            let kept = g.mul(old, 1.0 - self.momentum)?;
            let next = g.add(kept, share)?;
            g.update_buffer(buffer, next);
        }
        Ok((mean, variance, centered))
    }
}

impl Module for BatchNorm2d {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let channels = self.num_features;
        if g.shape(x).len() != 4 || g.shape(x)[1] != channels {
            let found = g.function().shape(x);
            return Err(NnError::config(
                "BatchNorm2d",
                format!("takes [N, {channels}, H, W], but x has shape {found}"),
            ));
        }
        let per_channel = [1, channels, 1, 1];
        let weight = g.parameter("weight", &[channels], Init::Ones)?;
        let bias = g.parameter("bias", &[channels], Init::Zeros)?;
        let (weight, bias) = (g.reshape(weight, &per_channel)?, g.reshape(bias, &per_channel)?);
        let running_mean = g.buffer("running_mean", TensorType::fp32([channels]), Init::Zeros)?;
        let running_var = g.buffer("running_var", TensorType::fp32([channels]), Init::Ones)?;
        let (variance, centered) = match g.mode() {
            Mode::Train => {
                let (_, variance, centered) = self.batch_statistics(g, x, [running_mean, running_var])?;
                (variance, centered)
            }
            Mode::Eval => {
                let mean = g.reshape(running_mean.1, &per_channel)?;
                (g.reshape(running_var.1, &per_channel)?, g.sub(x, mean)?)
            }
        };
        let factor = g.op("rsqrt").arg("x", variance).float("epsilon", self.eps).one()?;
        let scale = g.mul(factor, weight)?;
        let scaled = g.mul(centered, scale)?;
        Ok(g.add(scaled, bias)?)
    }
}

/// Zero mean and unit variance per group of channels of `[N, C, H, W]`, then `* weight + bias` per channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups; must divide the channels.
    pub num_groups: usize,
    /// Channels.
    pub num_channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

impl GroupNorm {
    /// With PyTorch's `eps`.
    pub fn new(num_groups: usize, num_channels: usize) -> GroupNorm {
        GroupNorm { num_groups, num_channels, eps: 1e-5 }
    }
}

impl Module for GroupNorm {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let (groups, channels) = (self.num_groups, self.num_channels);
        let shape = g.shape(x).to_vec();
        if shape.len() < 2 || shape[1] != channels || groups == 0 || !channels.is_multiple_of(groups) {
            let message =
                format!("takes [N, {channels}, …] in {groups} equal groups, but x has shape {shape:?}");
            return Err(NnError::config("GroupNorm", message));
        }
        let in_group = shape[1..].iter().product::<usize>() / groups;
        let grouped = g.reshape(x, &[shape[0], groups, in_group])?;
        let normalized =
            g.op("layer_norm").arg("x", grouped).ints("axes", &[-1]).float("epsilon", self.eps).one()?;
        let normalized = g.reshape(normalized, &shape)?;
        let mut per_channel = vec![1; shape.len()];
        per_channel[1] = channels;
        affine(g, normalized, &per_channel)
    }
}
