//! Resizing, cropping and resampling of images.
//!
//! What resizes dimensions one by one is in `resize`; what reads images at points that may be computed at run time is
//! in `sample`. Both compute in `f32` and round once.

use super::copy::{Axis, StridedCopy};
use super::tensor_transformation::copy_from;
use super::{Lower, Lowered, for_float, operand};
use mil::ops::image_resizing::crop_amounts;
use mil::{InferError, OpView};

mod positions;
mod resize;
mod sample;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("affine", |op| for_float!(op, "x", affine)),
    ("crop", crop),
    ("crop_resize", |op| for_float!(op, "x", crop_resize)),
    ("resample", |op| for_float!(op, "x", resample)),
    ("resize", resize::resize),
    ("resize_bilinear", resize::resize),
    ("resize_nearest_neighbor", resize::resize),
    ("upsample_bilinear", resize::resize),
    ("upsample_nearest_neighbor", resize::resize),
];

use sample::{affine, crop_resize, resample};

fn crop(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let [(top, bottom), (left, right)] = crop_amounts(op)?;
    let rank = x.shape.rank();
    let (height, width) = (x.shape[rank - 2], x.shape[rank - 1]);
    let (rows, columns) = (height - top - bottom, width - left - right);
    let axis = |count, from: usize, to: usize| Axis { count, from: from as isize, to: to as isize };
    let planes: usize = x.shape[..rank - 2].iter().product();
    let axes =
        [axis(planes, height * width, rows * columns), axis(rows, width, columns), axis(columns, 1, 1)];
    Ok(copy_from(operand(op, "x")?, top * width + left, StridedCopy::new(x.dtype.size(), axes)))
}

#[cfg(test)]
mod tests;
