//! Convolutions.

use super::infer::{Inferred, check_rank, check_shape, choice, given_ints, int_from, one, vector_of};
use super::spatial::{Dims, PadType, Request, Spatial, custom_pad, pad_type, per_dimension};
use super::{DefaultValue, Effect, FLOAT, Family, INT32, OpDecl, Opset, Param};
use crate::{DataType, DataTypeSet, InferError, OpView, Shape};
use std::ops::Deref;

const UINT8: DataTypeSet = DataTypeSet::of(&[DataType::Uint8]);
const X: Param = Param::tensor("x", b'T', FLOAT);
const WEIGHT: Param = Param::tensor("weight", b'T', FLOAT).widened(Opset::Ios17, b'U', FLOAT);
const BIAS: Param = Param::tensor("bias", b'T', FLOAT)
    .widened(Opset::Ios17, b'U', FLOAT)
    .constant_before(Opset::Ios17)
    .optional();
const STRIDES: Param = Param::tensor("strides", 0, INT32).constant().optional();
const PAD_TYPE: Param = Param::string("pad_type").or(DefaultValue::Str("valid"));
const PAD: Param = Param::tensor("pad", 0, INT32).constant().optional();
const DILATIONS: Param = Param::tensor("dilations", 0, INT32).constant().optional();
const GROUPS: Param = Param::int("groups").or(DefaultValue::Int(1));

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    OpDecl {
        name: "conv",
        family: Family::Conv,
        since: Opset::Ios15,
        summary: "Convolution (cross-correlation) of `x` `[N, C_in, *D]`, one to three spatial dimensions, with `weight` \
                  `[C_out, C_in / groups, *K]`, plus `bias` `[C_out]` (none by default). Strides and dilations are 1 by \
                  default. `pad` counts only for `pad_type` \"custom\"; \"same\" gives `ceil(D / stride)` outputs.",
        params: &[X, WEIGHT, BIAS, STRIDES, PAD_TYPE, PAD, DILATIONS, GROUPS],
        effect: Effect::Pure,
        infer: conv,
    },
    OpDecl {
        name: "conv_quantized",
        family: Family::Conv,
        since: Opset::Ios15,
        summary: "`conv` with the weight `weight * quant_scale + quant_bias`, for `quantization_type` \"linear\"; `quant_scale` and \
                  `quant_bias` are one number each or one per output channel. `weight` has one element to a byte, of `nbits` \
                  bits (1 to 8). `bias` is added as the integers it holds. \"lut\" is a name without a meaning: the op has no \
                  parameter for the table. (Core ML takes the op only in its older neural network format.)",
        params: &[
            X,
            Param::tensor("weight", b'U', UINT8),
            Param::tensor("bias", b'U', UINT8).constant().optional(),
            Param::string("quantization_type"),
            Param::int("nbits").or(DefaultValue::Int(8)),
            Param::tensor("quant_scale", b'T', FLOAT).constant(),
            Param::tensor("quant_bias", b'T', FLOAT).constant(),
            STRIDES,
            PAD_TYPE,
            PAD,
            DILATIONS,
            GROUPS,
        ],
        effect: Effect::Pure,
        infer: conv_quantized,
    },
    OpDecl {
        name: "conv_transpose",
        family: Family::Conv,
        since: Opset::Ios15,
        summary: "Transposed convolution of `x` `[N, C_in, *D]` with `weight` `[C_in, C_out / groups, *K]`: the gradient \
                  of `conv` with respect to its input. `output_shape` chooses among the inputs that `conv` maps to the \
                  shape of `x`.",
        params: &[
            X,
            WEIGHT.constant_before(Opset::Ios17),
            BIAS,
            PAD,
            Param::tensor("output_shape", 0, INT32).constant().optional(),
            PAD_TYPE,
            STRIDES,
            DILATIONS,
            GROUPS,
        ],
        effect: Effect::Pure,
        infer: conv_transpose,
    },
];

/// All sizes of a convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// `N`.
    pub batch: usize,
    /// Channels of `x`.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Groups; divides both numbers of channels.
    pub groups: usize,
    /// Windows. For [`transpose_geometry`] these are the windows of the convolution whose gradient this is: `input`
    /// has the spatial sizes of the output and `output` those of `x`.
    pub spatial: Spatial,
}

impl Deref for ConvGeometry {
    type Target = Spatial;
    fn deref(&self) -> &Spatial {
        &self.spatial
    }
}

impl ConvGeometry {
    /// Input channels that one output channel reads.
    pub fn in_channels_per_group(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Output channels of one group.
    pub fn out_channels_per_group(&self) -> usize {
        self.out_channels / self.groups
    }
}

/// The sizes of a `conv`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn geometry(op: &OpView<'_>) -> Result<ConvGeometry, InferError> {
    let (x, weight) = operands(op)?;
    let rank = x.rank() - 2;
    let groups = int_from(op, "groups", 1)?;
    let (in_channels, out_channels) = (x[1], weight[0]);
    check_groups(groups, &[("C_in", in_channels), ("C_out", out_channels)])?;
    if in_channels / groups != weight[1] {
        let message = format!(
            "has shape {weight}, but its dimension 1 must be {}: the {in_channels} channels of `x` in {groups} groups",
            in_channels / groups
        );
        return Err(InferError::new("weight", message));
    }
    check_shape(op, "bias", &[out_channels], "the output channels")?;
    let request = Request {
        input: &x[2..],
        kernel: &weight[2..],
        strides: per_dimension(op, "strides", rank)?,
        dilations: per_dimension(op, "dilations", rank)?,
        pad_type: pad_type(op, true)?,
        pad: custom_pad(op, rank)?,
        ceil_mode: false,
    };
    Ok(ConvGeometry { batch: x[0], in_channels, out_channels, groups, spatial: request.solve("weight")? })
}

/// The sizes of a `conv_transpose`: element `i` of `x` adds to the output's positions
/// `i * stride + k * dilation - pad_before`, as far as they lie in the output.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn transpose_geometry(op: &OpView<'_>) -> Result<ConvGeometry, InferError> {
    let (x, weight) = operands(op)?;
    let rank = x.rank() - 2;
    let groups = int_from(op, "groups", 1)?;
    let in_channels = x[1];
    if in_channels != weight[0] {
        let message =
            format!("has shape {weight}, but its dimension 0 must be the {in_channels} channels of `x`");
        return Err(InferError::new("weight", message));
    }
    check_groups(groups, &[("C_in", in_channels)])?;
    let out_channels = weight[1].checked_mul(groups).ok_or_else(|| super::infer::too_large("groups"))?;
    check_shape(op, "bias", &[out_channels], "the output channels")?;
    let mut request = Request {
        input: &[],
        kernel: &weight[2..],
        strides: per_dimension(op, "strides", rank)?,
        dilations: per_dimension(op, "dilations", rank)?,
        pad_type: pad_type(op, false)?,
        pad: custom_pad(op, rank)?,
        ceil_mode: false,
    };
    let sizes = match op.value("output_shape") {
        Some(_) => given_output(op, x[0], out_channels, rank)?,
        None => natural_output(&request, &x[2..])?,
    };
    request.input = &sizes;
    let spatial = request.solve("weight")?;
    if spatial.output[..] != x[2..] {
        let message = format!(
            "asks for spatial sizes {}, but a convolution maps those to {}, not to {} of `x`",
            Shape::new(&spatial.input),
            Shape::new(&spatial.output),
            Shape::new(&x[2..])
        );
        return Err(InferError::new("output_shape", message));
    }
    Ok(ConvGeometry { batch: x[0], in_channels, out_channels, groups, spatial })
}

fn operands<'a>(op: &OpView<'a>) -> Result<(&'a Shape, &'a Shape), InferError> {
    let (x, weight) = (op.tensor("x")?, op.tensor("weight")?);
    check_rank("x", x, 3..=5)?;
    check_rank("weight", weight, x.shape.rank()..=x.shape.rank())?;
    Ok((&x.shape, &weight.shape))
}

fn check_groups(groups: usize, channels: &[(&str, usize)]) -> Result<(), InferError> {
    match channels.iter().find(|(_, count)| count % groups != 0) {
        Some((name, count)) => {
            Err(InferError::new("groups", format!("is {groups}, which does not divide {name}, {count}")))
        }
        None => Ok(()),
    }
}

fn given_output(op: &OpView<'_>, batch: usize, channels: usize, rank: usize) -> Result<Dims, InferError> {
    vector_of(op, "output_shape")?;
    let given = given_ints(op, "output_shape")?;
    let sizes: Option<Dims> = given.iter().skip(2).map(|&size| usize::try_from(size).ok()).collect();
    let leads = given.len() == rank + 2
        && usize::try_from(given[0]) == Ok(batch)
        && usize::try_from(given[1]) == Ok(channels);
    match sizes {
        Some(sizes) if leads && !sizes.contains(&0) => Ok(sizes),
        _ => Err(InferError::new(
            "output_shape",
            format!("is {given:?}, but must be [{batch}, {channels}] and {rank} positive sizes"),
        )),
    }
}

fn natural_output(request: &Request<'_>, input: &[usize]) -> Result<Dims, InferError> {
    let size = |i: usize| {
        let (stride, input) = (request.strides[i] as i128, input[i] as i128);
        let span = (request.kernel[i] as i128 - 1) * request.dilations[i] as i128 + 1;
        let full = (input - 1) * stride + span;
        let size = match request.pad_type {
            PadType::Same | PadType::SameLower => input * stride,
            PadType::Valid => full,
            PadType::Custom => full - request.pad[i].0 as i128 - request.pad[i].1 as i128,
        };
        usize::try_from(size).ok().filter(|&size| size > 0 && input > 0).ok_or_else(|| {
            InferError::new(
                "pad",
                format!("leaves {size} positions of spatial dimension {i}; there must be one"),
            )
        })
    };
    (0..input.len()).map(size).collect()
}

fn conv(op: &OpView<'_>) -> Inferred {
    let geometry = geometry(op)?;
    output(op, &geometry, &geometry.output)
}

/// Sizes of scale and bias: `_verify_quantization_arguments` of coremltools' neural network builder, the one place that reads
/// the op's quantization parameters.
fn conv_quantized(op: &OpView<'_>) -> Inferred {
    let geometry = geometry(op)?;
    let kind = choice(op, "quantization_type", &["linear", "lut"])?;
    let bits = op.int("nbits")?;
    if !(1..=8).contains(&bits) {
        return Err(InferError::new("nbits", format!("is {bits}, but must be 1 to 8")));
    }
    let weight = op.constant("weight").and_then(|weight| weight.as_slice::<u8>());
    if let Some(found) = weight.and_then(|weight| weight.iter().find(|&&level| i64::from(level) >> bits != 0))
    {
        return Err(InferError::new(
            "weight",
            format!("holds {found}, which takes more than `nbits`, {bits}"),
        ));
    }
    for param in ["quant_scale", "quant_bias"].into_iter().filter(|_| kind == "linear") {
        let (ty, channels) = (op.tensor(param)?, geometry.out_channels);
        check_rank(param, ty, 0..=1)?;
        if ![1, channels].contains(&ty.shape.count()) {
            let message = format!(
                "has shape {}, but must be one number or one for each of the {channels} output channels",
                ty.shape
            );
            return Err(InferError::new(param, message));
        }
    }
    output(op, &geometry, &geometry.output)
}

fn conv_transpose(op: &OpView<'_>) -> Inferred {
    let geometry = transpose_geometry(op)?;
    output(op, &geometry, &geometry.input)
}

fn output(op: &OpView<'_>, geometry: &ConvGeometry, sizes: &[usize]) -> Inferred {
    let dims = [geometry.batch, geometry.out_channels].into_iter().chain(sizes.iter().copied());
    one(op.tensor("x")?.with_shape(dims.collect::<Shape>()))
}
