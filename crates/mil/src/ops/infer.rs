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

/// The output has the type of `x`; every constant number is a single one.
pub(crate) fn same_as_x_with_scalars(op: &OpView<'_>) -> Inferred {
    for param in op.operation.op.params.iter().filter(|param| param.constant) {
        if param.dtypes.iter().any(DataType::is_float) {
            check_scalar(op, param.name)?;
        }
    }
    same_as_x(op)
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

/// An axis parameter (negative counts from the end) as an index into `rank` dimensions.
///
/// # Errors
/// When the argument is missing, not one integer, or not an axis of a tensor of that rank.
pub fn axis(op: &OpView<'_>, param: &'static str, rank: usize) -> Result<usize, InferError> {
    check_axis(param, op.int(param)?, rank)
}

/// Several distinct axes as indices into `rank` dimensions, in the order given; `None` when the argument is absent.
///
/// # Errors
/// When one is not an axis of a tensor of that rank, or two are the same.
pub fn axes(op: &OpView<'_>, param: &'static str, rank: usize) -> Result<Option<Vec<usize>>, InferError> {
    let Some(given) = op.ints(param)? else { return Ok(None) };
    let mut axes = Vec::with_capacity(given.len().min(rank));
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
    if rank == 0 {
        return Err(InferError::new(param, format!("is {axis}, but a scalar has no axes")));
    }
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
    let (low, high) = (*allowed.start(), *allowed.end());
    let wanted = match high {
        _ if low == high => format!("rank {low}"),
        usize::MAX => format!("rank {low} or more"),
        _ => format!("rank {low} to {high}"),
    };
    Err(InferError::new(param, format!("must have {wanted}, but has shape {}", ty.shape)))
}

/// Fails unless an argument is absent or holds one element.
pub(crate) fn check_scalar(op: &OpView<'_>, param: &'static str) -> Result<(), InferError> {
    match op.value(param) {
        Some(_) if op.shape(param)?.checked_len() != Some(1) => {
            Err(InferError::new(param, format!("must be one number, but has shape {}", op.shape(param)?)))
        }
        _ => Ok(()),
    }
}

/// Fails unless an argument is absent or has exactly this shape; `what` says where the shape comes from.
pub(crate) fn check_shape(
    op: &OpView<'_>,
    param: &'static str,
    wanted: &[usize],
    what: &str,
) -> Result<(), InferError> {
    match op.value(param) {
        Some(_) if **op.shape(param)? != *wanted => Err(InferError::new(
            param,
            format!("has shape {}, but must have shape {} ({what})", op.shape(param)?, Shape::new(wanted)),
        )),
        _ => Ok(()),
    }
}

/// Integers of a parameter that must be given.
pub(crate) fn given_ints(op: &OpView<'_>, param: &'static str) -> Result<Vec<i64>, InferError> {
    op.ints(param)?.ok_or_else(|| InferError::new(param, "is missing"))
}

/// A single integer that is at least `least`.
pub(crate) fn int_from(op: &OpView<'_>, param: &'static str, least: i64) -> Result<usize, InferError> {
    let value = op.int(param)?;
    usize::try_from(value)
        .ok()
        .filter(|_| value >= least)
        .ok_or_else(|| InferError::new(param, format!("is {value}, but must be {least} or more")))
}

/// Dimensions of a shape parameter: none negative.
pub(crate) fn dimensions(op: &OpView<'_>, param: &'static str) -> Result<Shape, InferError> {
    vector_of(op, param)?;
    let dims = given_ints(op, param)?;
    dims.iter()
        .map(|&dim| {
            usize::try_from(dim).map_err(|_| {
                InferError::new(param, format!("holds {dim}, but dimensions must not be negative"))
            })
        })
        .collect()
}

/// Length of a parameter that must be a vector.
pub(crate) fn vector_of(op: &OpView<'_>, param: &'static str) -> Result<usize, InferError> {
    match **op.shape(param)? {
        [len] => Ok(len),
        _ => Err(InferError::new(param, format!("must be a vector, but has shape {}", op.shape(param)?))),
    }
}

/// A string parameter that must be one of `allowed`.
pub(crate) fn choice<'a>(
    op: &OpView<'a>,
    param: &'static str,
    allowed: &[&str],
) -> Result<&'a str, InferError> {
    let found = op.string(param)?;
    if allowed.contains(&found) {
        return Ok(found);
    }
    let found: String = found.chars().take(40).collect();
    Err(InferError::new(param, format!("is \"{found}\", but must be one of: {}", allowed.join(", "))))
}

/// The error for sizes that do not fit in memory.
pub(crate) fn too_large(param: &'static str) -> InferError {
    InferError::new(param, "gives an output with more elements than memory can hold")
}
