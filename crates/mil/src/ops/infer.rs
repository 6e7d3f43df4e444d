//! Inference functions shared by several families.

use crate::{DataType, InferError, OpView, Shape, TensorType, Type, shape};

pub(crate) type Inferred = Result<Vec<Type>, InferError>;

/// One tensor output.
pub(crate) fn one(ty: TensorType) -> Inferred {
    Ok(vec![Type::Tensor(ty)])
}

/// The output has the type of `x`.
pub(crate) fn same_as_x(op: &OpView<'_>) -> Inferred {
    one(op.tensor("x")?.clone())
}

/// The broadcast shape of `x` and `y`, in their element type.
pub(crate) fn broadcast_xy(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    one(x.with_shape(broadcast(op, "x", "y")?))
}

/// The broadcast shape of `x` and `y`, as `bool`.
pub(crate) fn compare_xy(op: &OpView<'_>) -> Inferred {
    one(TensorType::new(DataType::Bool, broadcast(op, "x", "y")?))
}

/// The broadcast shape of two arguments.
pub(crate) fn broadcast(op: &OpView<'_>, a: &'static str, b: &'static str) -> Result<Shape, InferError> {
    let (left, right) = (op.shape(a)?, op.shape(b)?);
    shape::broadcast(left, right).ok_or_else(|| {
        InferError::new(b, format!("has shape {right}, which does not broadcast with {left} of `{a}`"))
    })
}

/// An axis parameter as an index into `rank` dimensions.
pub(crate) fn axis(op: &OpView<'_>, param: &'static str, rank: usize) -> Result<usize, InferError> {
    check_axis(param, op.int(param)?, rank)
}

/// Several distinct axes as indices into `rank` dimensions; `None` when the argument is absent.
pub(crate) fn axes(
    op: &OpView<'_>,
    param: &'static str,
    rank: usize,
) -> Result<Option<Vec<usize>>, InferError> {
    let Some(given) = op.ints(param)? else { return Ok(None) };
    let mut axes = Vec::with_capacity(given.len());
    for axis in given {
        let axis = check_axis(param, axis, rank)?;
        if axes.contains(&axis) {
            return Err(InferError::new(param, format!("names axis {axis} twice")));
        }
        axes.push(axis);
    }
    Ok(Some(axes))
}

/// One axis as an index into `rank` dimensions.
pub(crate) fn check_axis(param: &'static str, axis: i64, rank: usize) -> Result<usize, InferError> {
    shape::normalize_axis(axis, rank).ok_or_else(|| {
        let lowest = -(rank as i64);
        InferError::new(
            param,
            format!("is {axis}, but a tensor of rank {rank} has axes {lowest} to {}", rank as i64 - 1),
        )
    })
}

/// Fails unless the rank is one of `allowed`.
pub(crate) fn check_rank(
    param: &'static str,
    ty: &TensorType,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<(), InferError> {
    if allowed.contains(&ty.shape.rank()) {
        return Ok(());
    }
    let (low, high) = (allowed.start(), allowed.end());
    let wanted = if low == high { format!("rank {low}") } else { format!("rank {low} to {high}") };
    Err(InferError::new(param, format!("must have {wanted}, but has shape {}", ty.shape)))
}
