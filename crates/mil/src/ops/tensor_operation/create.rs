//! Ops that make tensors of a shape that their parameters give.

use crate::ops::infer::{Inferred, check_axis, check_scalar, dimensions, int_from, one, too_large};
use crate::{DataType, InferError, OpView, TensorType};

pub(super) fn fill(op: &OpView<'_>) -> Inferred {
    check_scalar(op, "value")?;
    one(TensorType::new(filler_dtype(op), dimensions(op, "shape")?))
}

pub(super) fn fill_like(op: &OpView<'_>) -> Inferred {
    check_scalar(op, "value")?;
    one(TensorType::new(filler_dtype(op), op.shape("ref_tensor")?))
}

/// The default `value` is a floating-point zero.
fn filler_dtype(op: &OpView<'_>) -> DataType {
    op.value("value").map_or(DataType::Fp32, |value| op.function.dtype(value))
}

/// The dimension that `one_hot` inserts, as an index into its output.
///
/// # Errors
/// When `axis` is no dimension of the output; never for a verified operation.
pub fn one_hot_axis(op: &OpView<'_>) -> Result<usize, InferError> {
    check_axis("axis", op.int("axis")?, op.shape("indices")?.rank() + 1)
}

pub(super) fn one_hot(op: &OpView<'_>) -> Inferred {
    check_scalar(op, "on_value")?;
    check_scalar(op, "off_value")?;
    let axis = one_hot_axis(op)?;
    let mut dims = op.shape("indices")?.clone();
    dims.dims_mut().insert(axis, int_from(op, "one_hot_vector_size", 0)?);
    let given = op.value("on_value").or(op.value("off_value"));
    one(TensorType::new(given.map_or(DataType::Int32, |value| op.function.dtype(value)), dims))
}

pub(super) fn non_zero(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let Some(constant) = op.constant("x") else {
        return Err(InferError::at_run_time(
            "x",
            "has as many elements that are not zero as only running tells",
        ));
    };
    let count = match (constant.to_f32(), constant.to_i64()) {
        (Some(floats), _) => floats.iter().filter(|&&value| value != 0.0).count(),
        (None, ints) => ints.iter().flatten().filter(|&&value| value != 0).count(),
    };
    one(TensorType::int32([count, x.shape.rank()]))
}

pub(super) fn range_1d(op: &OpView<'_>) -> Inferred {
    one(TensorType::new(op.dtype("start")?, [range_len(op)?]))
}

/// Number of elements of a `range_1d`: `ceil((end - start) / step)`, 0 when `step` points away from `end`.
///
/// # Errors
/// When `step` is 0, a bound is not finite, or there are too many elements; never for a verified operation.
pub fn range_len(op: &OpView<'_>) -> Result<usize, InferError> {
    if op.dtype("start")?.is_float() {
        return float_range(op.float("start")?, op.float("end")?, op.float("step")?);
    }
    let (start, end, step) = (op.int("start")?, op.int("end")?, op.int("step")?);
    if step == 0 {
        return Err(zero_step());
    }
    let span = if step > 0 { end - start } else { start - end };
    let len = span.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
    usize::try_from(len).map_err(|_| too_large("end"))
}

fn float_range(start: f32, end: f32, step: f32) -> Result<usize, InferError> {
    for (param, value) in [("start", start), ("end", end), ("step", step)] {
        if !value.is_finite() {
            return Err(InferError::new(param, format!("is {value}, but must be finite")));
        }
    }
    if step == 0.0 {
        return Err(zero_step());
    }
    let len = ((end as f64 - start as f64) / step as f64).ceil().max(0.0);
    if len > isize::MAX as f64 {
        return Err(too_large("end"));
    }
    Ok(len as usize)
}

fn zero_step() -> InferError {
    InferError::new("step", "is 0, but a range must advance")
}
