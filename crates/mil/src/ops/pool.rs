//! Pooling over windows of the spatial dimensions.

use super::infer::{Inferred, check_rank, one};
use super::spatial::{PadType, Request, Spatial, custom_pad, pad_type, per_dimension};
use super::{DefaultValue, Effect, FLOAT, Family, INT32, OpDecl, Opset, Param};
use crate::{InferError, OpView, Shape};

const X: Param = Param::tensor("x", b'T', FLOAT);
const KERNEL_SIZES: Param = Param::tensor("kernel_sizes", 0, INT32).constant();
const STRIDES: Param = Param::tensor("strides", 0, INT32).constant().optional();
const PAD_TYPE: Param = Param::string("pad_type");
const PAD: Param = Param::tensor("pad", 0, INT32).constant().optional();
const EXCLUDE: Param = Param::bool("exclude_padding_from_average").or(DefaultValue::Bool(false));
const CEIL_MODE: Param = Param::bool("ceil_mode").or(DefaultValue::Bool(false));

const fn pool(name: &'static str, summary: &'static str, params: &'static [Param]) -> OpDecl {
    OpDecl {
        name,
        family: Family::Pool,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer: infer_pool,
    }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    pool(
        "avg_pool",
        "Average of each window of `x` `[N, C, *D]`, one to three spatial dimensions. Strides are 1 by default; `pad` counts \
         only for `pad_type` \"custom\"; padding counts as zeros unless `exclude_padding_from_average`.",
        &[X, KERNEL_SIZES, STRIDES, PAD_TYPE, PAD, EXCLUDE, CEIL_MODE],
    ),
    pool(
        "l2_pool",
        "Square root of the sum of squares of each window of `x` `[N, C, *D]`, one or two spatial dimensions.",
        &[X, KERNEL_SIZES, STRIDES, PAD_TYPE, PAD, CEIL_MODE],
    ),
    pool(
        "max_pool",
        "Largest element of each window of `x` `[N, C, *D]`, one to three spatial dimensions; padding never wins.",
        &[X, KERNEL_SIZES, STRIDES, PAD_TYPE, PAD, CEIL_MODE],
    ),
];

/// The windows of a pooling operation. With `ceil_mode` the last window may hang over the end of the padded input;
/// every window holds at least one element of `x`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn geometry(op: &OpView<'_>) -> Result<Spatial, InferError> {
    let x = op.tensor("x")?;
    check_rank("x", x, if op.name() == "l2_pool" { 3..=4 } else { 3..=5 })?;
    let rank = x.shape.rank() - 2;
    let kernel = per_dimension(op, "kernel_sizes", rank)?;
    let request = Request {
        input: &x.shape[2..],
        kernel: &kernel,
        strides: per_dimension(op, "strides", rank)?,
        dilations: smallvec::SmallVec::from_elem(1, rank),
        pad_type: pad_type(op, true)?,
        pad: custom_pad(op, rank)?,
        ceil_mode: op.bool("ceil_mode")?,
    };
    if request.ceil_mode {
        check_ceil_mode(&request)?;
    }
    let spatial = request.solve("kernel_sizes")?;
    check_windows(&spatial)?;
    Ok(spatial)
}

fn check_ceil_mode(request: &Request<'_>) -> Result<(), InferError> {
    let fault = if request.input.len() > 2 {
        "is true, which needs one or two spatial dimensions"
    } else if !matches!(request.pad_type, PadType::Valid | PadType::Custom) {
        "is true, which needs `pad_type` \"valid\" or \"custom\""
    } else if request.pad.iter().any(|(before, after)| before != after) {
        "is true, which needs as much padding before as after each dimension"
    } else {
        return Ok(());
    };
    Err(InferError::new("ceil_mode", fault))
}

/// Fails when a window would hold padding only: neither an average nor a maximum of nothing means anything.
fn check_windows(spatial: &Spatial) -> Result<(), InferError> {
    for i in 0..spatial.rank() {
        let last = (spatial.output[i] - 1).saturating_mul(spatial.strides[i]);
        let before = spatial.pad_before[i];
        if before >= spatial.kernel[i] || last >= spatial.input[i].saturating_add(before) {
            return Err(InferError::new(
                "pad_type",
                format!("leaves a window of spatial dimension {i} with padding only; use less padding"),
            ));
        }
    }
    Ok(())
}

fn infer_pool(op: &OpView<'_>) -> Inferred {
    op.bool("exclude_padding_from_average")?;
    let (x, spatial) = (op.tensor("x")?, geometry(op)?);
    one(x.with_shape(x.shape[..2].iter().chain(&spatial.output).copied().collect::<Shape>()))
}
