//! Convolutions: the input's gradient is the transposed op with the same weight, the weight's a convolution of input
//! and cotangent with strides and dilations swapped.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::{shapes, window};
use mil::ops::conv::{geometry, transpose_geometry};
use mil::ops::spatial::Spatial;
use mil::{FunctionBuilder, ValueId};

pub(super) static RULES: &[(&str, Rule)] =
    &[("conv", Vjp(conv)), ("conv_quantized", Vjp(conv_quantized)), ("conv_transpose", Vjp(conv_transpose))];

fn conv(g: &mut Gradient<'_>) -> Done {
    let (x, weight, dy) = (g.arg("x")?, g.arg("weight")?, g.dy()?);
    let geometry = geometry(&g.view())?;
    if g.wants("x") {
        let dtype = g.dtype(dy);
        let weight = g.f.cast(weight, dtype)?;
        // `[C_out, C_in / groups, *K]` is the layout that the transposed convolution of `dy` wants.
        let channels = geometry.in_channels;
        let dx = window::transposed(g.f, dy, weight, &geometry.spatial, channels, geometry.groups)?;
        g.give("x", dx)?;
    }
    if g.wants("weight") {
        let dw = weight_gradient(g.f, x, dy, &geometry.spatial, geometry.groups)?;
        g.give("weight", dw)?;
    }
    give_bias(g, dy)
}

/// The input's gradient is that of `conv` with the weight that the levels stand for; levels carry none, and scales are
/// trained as states of a `conv`. (Converting levels takes ios17.)
fn conv_quantized(g: &mut Gradient<'_>) -> Done {
    if let Some(param) = ["quant_scale", "quant_bias"].into_iter().find(|param| g.wants(param)) {
        let message = format!(
            "`{param}` cannot be differentiated by; write the weight as operations on states, and `conv`"
        );
        return Err(RuleError::Unsupported(message));
    }
    if g.view().string("quantization_type")? == "lut" {
        let message = "`quantization_type` is \"lut\", but the op has no parameter that holds the table";
        return Err(RuleError::Unsupported(message.into()));
    }
    if !g.wants("x") {
        return Ok(());
    }
    let (levels, dy) = (g.arg("weight")?, g.dy()?);
    let (geometry, dtype) = (geometry(&g.view())?, g.dtype(dy));
    let mut weight = g.f.cast(levels, dtype)?;
    let mut sides = vec![1; g.shape(levels).rank()];
    for (param, op) in [("quant_scale", "mul"), ("quant_bias", "add")] {
        let mut given = g.arg(param)?;
        sides[0] = g.shape(given).count();
        given = g.f.reshape(given, &sides)?;
        weight = g.f.op(op).arg("x", weight).arg("y", given).one()?;
    }
    let channels = geometry.in_channels;
    let dx = window::transposed(g.f, dy, weight, &geometry.spatial, channels, geometry.groups)?;
    g.give("x", dx)
}

/// `conv_transpose` is the input gradient of a convolution from its output to its input; so its own input gradient is
/// that convolution, and its weight gradient that convolution's with the roles of both tensors exchanged.
fn conv_transpose(g: &mut Gradient<'_>) -> Done {
    let (x, weight, dy) = (g.arg("x")?, g.arg("weight")?, g.dy()?);
    let geometry = transpose_geometry(&g.view())?;
    let spatial = &geometry.spatial;
    if g.wants("x") {
        let dtype = g.dtype(dy);
        let weight = g.f.cast(weight, dtype)?;
        let dx = convolved(g.f, dy, weight, spatial, geometry.groups)?;
        g.give("x", dx)?;
    }
    if g.wants("weight") {
        let dw = weight_gradient(g.f, dy, x, spatial, geometry.groups)?;
        g.give("weight", dw)?;
    }
    give_bias(g, dy)
}

fn give_bias(g: &mut Gradient<'_>, dy: ValueId) -> Done {
    if g.wants("bias") {
        let db = g.sum_to_channels(dy)?;
        g.give("bias", db)?;
    }
    Ok(())
}

fn convolved(
    f: &mut FunctionBuilder,
    x: ValueId,
    weight: ValueId,
    spatial: &Spatial,
    groups: usize,
) -> Result<ValueId, RuleError> {
    let y = f
        .op("conv")
        .arg("x", x)
        .arg("weight", weight)
        .ints("strides", &window::to_i32(&spatial.strides))
        .string("pad_type", "custom")
        .ints("pad", &window::pad_param(spatial))
        .ints("dilations", &window::to_i32(&spatial.dilations))
        .int("groups", groups as i32)
        .one()?;
    Ok(y)
}

/// `dw[m, c, k] = Σ dy[n, m, o] x[n, c, o·stride + k·dilation - pad]`, as a convolution whose batch is the channels of
/// `x` within a group, whose input channels are the samples (group by group), and whose kernel is `dy`: `x` is
/// `[N, G·C, *input]`, `dy` `[N, G·M, *output]`, the result `[G·M, C, *kernel]`.
fn weight_gradient(
    f: &mut FunctionBuilder,
    x: ValueId,
    dy: ValueId,
    spatial: &Spatial,
    groups: usize,
) -> Result<ValueId, RuleError> {
    let (x_shape, rank) = (f.shape(x).to_vec(), spatial.rank());
    let (samples, channels) = (x_shape[0], x_shape[1] / groups);
    let input = if groups == 1 {
        exchanged(f, x)?
    } else {
        let mut dims = vec![samples, groups, channels];
        dims.extend(&x_shape[2..]);
        let split = f.reshape(x, &dims)?;
        let perm: Vec<i32> = [2, 1, 0].into_iter().chain(3..3 + rank as i32).collect();
        let turned = f.transpose(split, &perm)?;
        let mut dims = vec![channels, groups * samples];
        dims.extend(&x_shape[2..]);
        f.reshape(turned, &dims)?
    };
    let kernel = exchanged(f, dy)?;
    let swapped = Spatial {
        kernel: spatial.output.clone(),
        strides: spatial.dilations.clone(),
        dilations: spatial.strides.clone(),
        output: spatial.kernel.clone(),
        ..spatial.clone()
    };
    let dw = convolved(f, input, kernel, &swapped, groups)?;
    // Input beyond the last window would make positions beyond the kernel.
    let mut dw = dw;
    for i in 0..rank {
        dw = shapes::slice_axis(f, dw, 2 + i, 0, spatial.kernel[i])?;
    }
    exchanged(f, dw)
}

/// `[A, B, …]` as `[B, A, …]`.
fn exchanged(f: &mut FunctionBuilder, value: ValueId) -> Result<ValueId, RuleError> {
    let rank = f.shape(value).len() as i32;
    let perm: Vec<i32> = [1, 0].into_iter().chain(2..rank).collect();
    Ok(f.transpose(value, &perm)?)
}
