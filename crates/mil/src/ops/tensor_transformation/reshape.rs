//! Other shapes and other orders of the same elements.

use crate::ops::Opset;
use crate::ops::infer::{Inferred, axes, check_axis, given_ints, one, too_large, vector_of};
use crate::{InferError, OpView, Shape};

pub(super) fn reshape(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    vector_of(op, "shape")?;
    let given = given_ints(op, "shape")?;
    let mut rest = None;
    let mut dims = Shape::scalar();
    for (i, &dim) in given.iter().enumerate() {
        dims.dims_mut().push(match dim {
            0 => copied_dimension(op, &x.shape, i, given.len())?,
            -1 if rest.replace(i).is_none() => 1,
            -1 => {
                return Err(InferError::new("shape", "holds -1 twice; only one dimension can be left open"));
            }
            _ => usize::try_from(dim).map_err(|_| {
                InferError::new("shape", format!("holds {dim}, but dimensions are positive, 0 or -1"))
            })?,
        });
    }
    let (have, known) = (x.shape.checked_len(), dims.checked_len());
    let (Some(have), Some(known)) = (have, known) else { return Err(too_large("shape")) };
    match rest {
        Some(i) if known != 0 && have % known == 0 => dims.dims_mut()[i] = have / known,
        None if have == known => {}
        _ => {
            let message = format!(
                "is {given:?}, which does not hold the {have} elements of `x` with shape {}",
                x.shape
            );
            return Err(InferError::new("shape", message));
        }
    }
    one(x.with_shape(dims))
}

/// What a 0 in place `i` of `len` stands for.
fn copied_dimension(op: &OpView<'_>, x: &Shape, i: usize, len: usize) -> Result<usize, InferError> {
    if op.function.opset >= Opset::Ios17 {
        let from_end = len - i;
        return Ok(x.rank().checked_sub(from_end).map_or(1, |at| x[at]));
    }
    if x.rank() != len {
        let message =
            format!("holds 0, for which it needs as many elements as `x` with shape {x} has dimensions");
        return Err(InferError::new("shape", message));
    }
    Ok(x[i])
}

pub(super) fn reshape_like(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let references = op.values("ref_tensors");
    let (begins, ends, masks) = (scalars(op, "begins")?, scalars(op, "ends")?, scalars(op, "end_masks")?);
    let mut dims = Shape::scalar();
    for (i, &reference) in references.iter().enumerate() {
        let shape = op.function.shape(reference);
        let rank = shape.rank() as i64;
        // Python's slices: negative counts from the end, bounds beyond the ends move to them.
        let bound = |value: i64| (if value < 0 { value + rank } else { value }).clamp(0, rank) as usize;
        let begin = bound(begins[i]);
        let end = if masks[i] != 0 { shape.rank() } else { bound(ends[i]) };
        dims.dims_mut().extend(shape.iter().take(end).skip(begin).copied());
    }
    if x.shape.checked_len().is_none() || x.shape.checked_len() != dims.checked_len() {
        let message =
            format!("give shape {dims}, which does not hold the elements of `x` with shape {}", x.shape);
        return Err(InferError::new("ref_tensors", message));
    }
    one(x.with_shape(dims))
}

/// A tuple of constant scalars, one for each reference.
fn scalars(op: &OpView<'_>, param: &'static str) -> Result<Vec<i64>, InferError> {
    let (values, wanted) = (op.values(param), op.values("ref_tensors").len());
    if values.len() != wanted {
        let message = format!("has {} elements, but must have one per reference: {wanted}", values.len());
        return Err(InferError::new(param, message));
    }
    let scalar = |&value| match op.function.constant(value).and_then(|constant| constant.to_i64()).as_deref()
    {
        Some(&[scalar]) => Ok(scalar),
        _ => Err(InferError::new(param, "must hold constant scalars")),
    };
    values.iter().map(scalar).collect()
}

pub(super) fn expand_dims(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let rank = x.shape.rank() + given_ints(op, "axes")?.len();
    let mut axes = axes(op, "axes", rank)?.unwrap_or_default();
    axes.sort_unstable();
    let mut shape = x.shape.clone();
    for axis in axes {
        shape.dims_mut().insert(axis, 1);
    }
    one(x.with_shape(shape))
}

pub(super) fn squeeze(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let named = axes(op, "axes", x.shape.rank())?;
    let goes = |i: usize, dim: usize| dim == 1 && named.as_ref().is_none_or(|axes| axes.contains(&i));
    let kept = x.shape.iter().enumerate().filter(|&(i, &dim)| !goes(i, dim));
    one(x.with_shape(kept.map(|(_, &dim)| dim).collect::<Shape>()))
}

/// The permutation of a `transpose`: dimension `i` of the result is dimension `permutation[i]` of `x`.
///
/// # Errors
/// When `perm` is no permutation of the dimensions of `x`; never for a verified operation.
pub fn permutation(op: &OpView<'_>) -> Result<Vec<usize>, InferError> {
    let rank = op.shape("x")?.rank();
    let given = given_ints(op, "perm")?;
    if given.len() != rank {
        let message = format!("is {given:?}, but must have one element per dimension of `x`: {rank}");
        return Err(InferError::new("perm", message));
    }
    let mut seen = vec![false; rank];
    for &axis in &given {
        if std::mem::replace(&mut seen[check_axis("perm", axis, rank)?], true) {
            return Err(InferError::new("perm", format!("is {given:?}, which names a dimension twice")));
        }
    }
    given.into_iter().map(|axis| check_axis("perm", axis, rank)).collect()
}

pub(super) fn transpose(op: &OpView<'_>) -> Inferred {
    let (x, permutation) = (op.tensor("x")?, permutation(op)?);
    one(x.with_shape(permutation.into_iter().map(|axis| x.shape[axis]).collect::<Shape>()))
}
