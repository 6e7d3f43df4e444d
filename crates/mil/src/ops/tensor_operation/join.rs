//! Ops that put tensors together, take them apart or repeat them.

use crate::ops::infer::{
    Inferred, axis, check_axis, dimensions, given_ints, int_from, one, too_large, vector_of,
};
use crate::{InferError, OpView, Shape, TensorType, Type};

/// More outputs than any program has; keeps a hostile `num_splits` from asking for billions of values.
const MAX_SPLITS: usize = 1 << 16;

fn tuple<'a>(op: &OpView<'a>) -> Result<(&'a TensorType, Vec<&'a Shape>), InferError> {
    let values = op.values("values");
    let first = values.first().ok_or_else(|| InferError::new("values", "is an empty tuple"))?;
    Ok((op.function.tensor(*first), values.iter().map(|&value| op.function.shape(value)).collect()))
}

pub(super) fn concat(op: &OpView<'_>) -> Inferred {
    let (first, shapes) = tuple(op)?;
    let interleave = op.bool("interleave")?;
    if first.shape.rank() == 0 && shapes.iter().all(|shape| shape.rank() == 0) {
        axis(op, "axis", 1)?;
        return one(first.with_shape([shapes.len()]));
    }
    let axis = axis(op, "axis", first.shape.rank())?;
    let mut total = 0usize;
    for (index, shape) in shapes.iter().enumerate() {
        let fits = shape.rank() == first.shape.rank()
            && (0..shape.rank()).all(|i| (i == axis && !interleave) || shape[i] == first.shape[i]);
        if !fits {
            let (wanted, rule) = (&first.shape, if interleave { "" } else { " outside the axis" });
            let message = format!("has shape {shape} in place {index}, but must have shape {wanted}{rule}");
            return Err(InferError::new("values", message));
        }
        total = total.checked_add(shape[axis]).ok_or_else(|| too_large("values"))?;
    }
    let mut dims = first.shape.clone();
    dims.dims_mut()[axis] = total;
    one(first.with_shape(dims))
}

pub(super) fn stack(op: &OpView<'_>) -> Inferred {
    let (first, shapes) = tuple(op)?;
    if let Some(index) = shapes.iter().position(|shape| **shape != first.shape) {
        let message =
            format!("has shape {} in place {index}, but must have shape {}", shapes[index], first.shape);
        return Err(InferError::new("values", message));
    }
    let axis = check_axis("axis", op.int("axis")?, first.shape.rank() + 1)?;
    let mut dims = first.shape.clone();
    dims.dims_mut().insert(axis, shapes.len());
    one(first.with_shape(dims))
}

/// The axis that a `split` cuts; the sizes are those of its outputs.
///
/// # Errors
/// When `axis` is not one of `x`; never for a verified operation.
pub fn split_axis(op: &OpView<'_>) -> Result<usize, InferError> {
    axis(op, "axis", op.shape("x")?.rank())
}

pub(super) fn split(op: &OpView<'_>) -> Inferred {
    let (x, axis) = (op.tensor("x")?, split_axis(op)?);
    let part = |size: usize| {
        let mut dims = x.shape.clone();
        dims.dims_mut()[axis] = size;
        Type::Tensor(x.with_shape(dims))
    };
    Ok(split_sizes(op, x.shape[axis])?.into_iter().map(part).collect())
}

fn split_sizes(op: &OpView<'_>, len: usize) -> Result<Vec<usize>, InferError> {
    let count = match op.value("num_splits") {
        Some(_) => Some(int_from(op, "num_splits", 1)?),
        None => None,
    };
    if let Some(count) = count
        && count > MAX_SPLITS
    {
        return Err(InferError::new("num_splits", format!("is {count}, but must be {MAX_SPLITS} or less")));
    }
    if op.value("split_sizes").is_none() {
        let count = count.ok_or_else(|| InferError::new("num_splits", "is missing, as is `split_sizes`"))?;
        if !len.is_multiple_of(count) {
            let message = format!("is {count}, which does not divide the dimension of size {len}");
            return Err(InferError::new("num_splits", message));
        }
        return Ok(vec![len / count; count]);
    }
    let sizes = dimensions(op, "split_sizes")?;
    let total = sizes.iter().try_fold(0usize, |total, &size| total.checked_add(size));
    if sizes.is_empty() || total != Some(len) || count.is_some_and(|count| count != sizes.len()) {
        let parts = count.map_or(String::new(), |count| format!("{count} sizes with "));
        let message = format!("is {sizes}, but must be {parts}a sum of {len}, the size of the dimension");
        return Err(InferError::new("split_sizes", message));
    }
    Ok(sizes.to_vec())
}

pub(super) fn tile(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let len = vector_of(op, "reps")?;
    if len != x.shape.rank() || len == 0 {
        let message =
            format!("has {len} elements, but must have one per dimension of `x` with shape {}", x.shape);
        return Err(InferError::new("reps", message));
    }
    let repeat = |(&dim, reps): (&usize, i64)| match usize::try_from(reps) {
        Ok(reps) if reps > 0 => dim.checked_mul(reps).ok_or_else(|| too_large("reps")),
        _ => Err(InferError::new("reps", format!("holds {reps}, but must be 1 or more everywhere"))),
    };
    let dims: Result<Shape, _> = x.shape.iter().zip(given_ints(op, "reps")?).map(repeat).collect();
    one(x.with_shape(dims?))
}

pub(super) fn flatten2d(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let (rank, axis) = (x.shape.rank(), op.int("axis")?);
    // The end counts as an axis here: everything before it, nothing after it.
    let cut = if axis == rank as i64 { rank } else { check_axis("axis", axis, rank)? };
    let (rows, columns) = x.shape.split_at(cut);
    let product = |dims: &[usize]| Shape::new(dims).checked_len().ok_or_else(|| too_large("x"));
    one(x.with_shape([product(rows)?, product(columns)?]))
}
