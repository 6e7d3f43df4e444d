//! Normalizations.

use super::infer::{Inferred, axes, check_rank, check_scalar, check_shape, int_from, same_as_x};
use super::{DefaultValue, Effect, FLOAT, Family, INT32, Infer, OpDecl, Opset, Param};
use crate::{InferError, OpView};

const X: Param = Param::tensor("x", b'T', FLOAT);
const GAMMA: Param = values("gamma").optional();
const BETA: Param = values("beta").optional();

const fn values(name: &'static str) -> Param {
    Param::tensor(name, b'T', FLOAT).constant().widened(Opset::Ios17, b'U', FLOAT)
}

/// A scalar. Not bound to the type of the values around it: coremltools writes `epsilon` of `batch_norm` in `fp32` beside
/// `fp16` values.
const fn number(name: &'static str, default: f32) -> Param {
    let own = Param::tensor(name, b'T', FLOAT).constant().widened(Opset::Ios17, b'V', FLOAT);
    own.or(DefaultValue::Float(default))
}

const fn normalization(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl {
        name,
        family: Family::Normalization,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    normalization(
        "batch_norm",
        "`gamma * (x - mean) / sqrt(variance + epsilon) + beta` per channel of `x` `[N, C, *D]`, with `mean`, `variance`, \
         `gamma` (1 by default) and `beta` (0 by default) of shape `[C]`.",
        &[X, values("mean"), values("variance"), GAMMA, BETA, number("epsilon", 1e-5)],
        batch_norm,
    ),
    normalization(
        "instance_norm",
        "Normalizes each channel of each sample of `x` `[N, C, *D]` to mean 0 and variance 1 over `*D`, then applies \
         `gamma` (1 by default) and `beta` (0 by default) of shape `[C]`.",
        &[X, GAMMA, BETA, number("epsilon", 1e-5)],
        instance_norm,
    ),
    normalization(
        "l2_norm",
        "`x / sqrt(sum(x^2) + epsilon)`, the sum over the last three dimensions.",
        &[X, number("epsilon", 1e-6)],
        l2_norm,
    ),
    normalization(
        "layer_norm",
        "Normalizes `x` to mean 0 and variance 1 over `axes` (all by default), then applies `gamma` (1 by default) and \
         `beta` (0 by default), whose shapes are the dimensions of `x` that are normalized.",
        &[X, Param::tensor("axes", 0, INT32).constant().optional(), GAMMA, BETA, number("epsilon", 1e-5)],
        layer_norm,
    ),
    normalization(
        "local_response_norm",
        "`x / (k + alpha / size * sum(x^2))^beta`, the sum over the `size` nearest channels of `x`, which is `[N, C, H, W]` or \
         `[C, H, W]`: Core ML takes the third dimension from the end for the channels. Of an even `size` one channel more \
         lies before than after.",
        &[X, Param::int("size"), number("alpha", 1e-4), number("beta", 0.75), number("k", 1.0)],
        local_response_norm,
    ),
];

/// The axes that `layer_norm` normalizes over, in rising order.
///
/// # Errors
/// When an axis is not one of `x`; never for a verified operation.
pub fn normalized_axes(op: &OpView<'_>) -> Result<Vec<usize>, InferError> {
    let rank = op.shape("x")?.rank();
    let mut axes = axes(op, "axes", rank)?.unwrap_or_else(|| (0..rank).collect());
    axes.sort_unstable();
    Ok(axes)
}

fn batch_norm(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=5)?;
    for param in ["mean", "variance", "gamma", "beta"] {
        check_shape(op, param, &[x.shape[1]], "the channels of `x`")?;
    }
    check_scalar(op, "epsilon")?;
    same_as_x(op)
}

fn instance_norm(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=4)?;
    check_shape(op, "gamma", &[x.shape[1]], "the channels of `x`")?;
    check_shape(op, "beta", &[x.shape[1]], "the channels of `x`")?;
    check_scalar(op, "epsilon")?;
    same_as_x(op)
}

fn l2_norm(op: &OpView<'_>) -> Inferred {
    check_rank("x", op.tensor("x")?, 3..=usize::MAX)?;
    check_scalar(op, "epsilon")?;
    same_as_x(op)
}

fn layer_norm(op: &OpView<'_>) -> Inferred {
    let x = op.shape("x")?;
    let wanted: Vec<usize> = normalized_axes(op)?.into_iter().map(|axis| x[axis]).collect();
    check_shape(op, "gamma", &wanted, "the dimensions of `x` that are normalized")?;
    check_shape(op, "beta", &wanted, "the dimensions of `x` that are normalized")?;
    check_scalar(op, "epsilon")?;
    same_as_x(op)
}

/// Which channels `local_response_norm` sums over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelWindow {
    /// The axis of the channels.
    pub axis: usize,
    /// Channels before the own one.
    pub before: usize,
    /// Channels after the own one.
    pub after: usize,
}

/// The channels of a `local_response_norm`.
///
/// # Errors
/// When `x` has another rank or `size` is not positive; never for a verified operation.
pub fn channel_window(op: &OpView<'_>) -> Result<ChannelWindow, InferError> {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=4)?;
    let size = int_from(op, "size", 1)?;
    Ok(ChannelWindow { axis: x.shape.rank() - 3, before: size / 2, after: (size - 1) / 2 })
}

fn local_response_norm(op: &OpView<'_>) -> Inferred {
    channel_window(op)?;
    for param in ["alpha", "beta", "k"] {
        check_scalar(op, param)?;
    }
    same_as_x(op)
}
