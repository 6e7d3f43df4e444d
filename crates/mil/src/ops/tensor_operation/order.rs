//! Ops that walk along an axis: sorting, running sums, bands, best boxes.

use crate::ops::Opset;
use crate::ops::infer::{Inferred, axis, check_rank, check_scalar, choice, int_from, one, same_as_x};
use crate::{DataType, InferError, OpView, TensorType, Type};

pub(super) fn argsort(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    axis(op, "axis", x.shape.rank())?;
    op.bool("ascending")?;
    one(x.with_dtype(DataType::Int32))
}

pub(super) fn band_part(op: &OpView<'_>) -> Inferred {
    check_rank("x", op.tensor("x")?, 2..=usize::MAX)?;
    op.int("lower")?;
    op.int("upper")?;
    same_as_x(op)
}

pub(super) fn cumsum(op: &OpView<'_>) -> Inferred {
    let (rank, given) = (op.shape("x")?.rank(), op.int("axis")?);
    let axis = axis(op, "axis", rank)?;
    if given < -1 {
        return Err(InferError::new("axis", format!("is {given}, but of negative axes only -1; use {axis}")));
    }
    op.bool("exclusive")?;
    op.bool("reverse")?;
    same_as_x(op)
}

/// What a `topk` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    /// Number of elements.
    pub k: usize,
    /// Axis along which they are selected.
    pub axis: usize,
    /// Whether the smallest are selected.
    pub ascending: bool,
    /// Whether they come in order.
    pub sort: bool,
    /// Whether the second output, the indices, exists.
    pub return_indices: bool,
}

/// Reads the parameters of a `topk`.
///
/// # Errors
/// When `k` does not fit the axis; never for a verified operation.
pub fn topk_geometry(op: &OpView<'_>) -> Result<TopK, InferError> {
    let x = op.shape("x")?;
    let axis = axis(op, "axis", x.rank())?;
    let k = int_from(op, "k", 1)?;
    if k > x[axis] {
        return Err(InferError::new("k", format!("is {k}, but axis {axis} of `x` has size {}", x[axis])));
    }
    Ok(TopK {
        k,
        axis,
        ascending: op.bool("ascending")?,
        sort: op.bool("sort")?,
        return_indices: op.bool("return_indices")?,
    })
}

pub(super) fn topk(op: &OpView<'_>) -> Inferred {
    let (x, top) = (op.tensor("x")?, topk_geometry(op)?);
    let dtype = match choice(op, "output_indices_dtype", &["int32", "uint16"])? {
        "uint16" => DataType::Uint16,
        _ => DataType::Int32,
    };
    let mut dims = x.shape.clone();
    dims.dims_mut()[top.axis] = top.k;
    let values = x.with_shape(dims);
    if top.return_indices {
        let indices = values.with_dtype(dtype);
        return Ok(vec![Type::Tensor(values), Type::Tensor(indices)]);
    }
    if op.value("output_indices_dtype").is_some() {
        return Err(InferError::new("output_indices_dtype", "is given, but `return_indices` is false"));
    }
    one(values)
}

pub(super) fn non_maximum_suppression(op: &OpView<'_>) -> Inferred {
    let (boxes, scores) = (op.tensor("boxes")?, op.tensor("scores")?);
    check_rank("boxes", boxes, 3..=3)?;
    check_rank("scores", scores, 3..=3)?;
    check_scalar(op, "iou_threshold")?;
    check_scalar(op, "score_threshold")?;
    op.bool("per_class_suppression")?;
    let max_boxes = int_from(op, "max_boxes", 1)?;
    let late = op.function.opset >= Opset::Ios17;
    if late == op.value("score_threshold").is_some() {
        let fault = if late { "is gone from ios17 on" } else { "is missing" };
        return Err(InferError::new("score_threshold", fault));
    }
    let (coordinates, count, classes) = if late { (1, 2, 1) } else { (2, 1, 2) };
    let batch = boxes.shape[0];
    if boxes.shape[coordinates] != 4 {
        let message = format!("has shape {}, but dimension {coordinates} holds 4 coordinates", boxes.shape);
        return Err(InferError::new("boxes", message));
    }
    if scores.shape[0] != batch || scores.shape[count] != boxes.shape[count] {
        let message = format!(
            "has shape {}, which does not hold scores for `boxes` of shape {}",
            scores.shape, boxes.shape
        );
        return Err(InferError::new("scores", message));
    }
    let classes = scores.shape[classes];
    let shaped =
        |per_box: usize| if late { [batch, per_box, max_boxes] } else { [batch, max_boxes, per_box] };
    let mut outputs = vec![
        Type::Tensor(boxes.with_shape(shaped(4))),
        Type::Tensor(scores.with_shape(shaped(classes))),
        Type::Tensor(TensorType::int32([batch, max_boxes])),
    ];
    if !late {
        outputs.push(Type::Tensor(TensorType::int32([batch])));
    }
    Ok(outputs)
}
