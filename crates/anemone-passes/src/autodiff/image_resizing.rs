//! Resizing, cropping, resampling. Resizing a dimension is a product with a constant matrix, so the cotangent is multiplied
//! by its transpose. What reads images at points (`sample`, `boxes`) adds each cotangent to the pixels it came from, and
//! is differentiable by the points as well.
//!
//! At kinks the derivative is PyTorch's: a point on a pixel belongs to the pixels after it; a point that padding moved to
//! the border, or that lies on it, does not move on.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient};
use super::shapes;
use mil::ops::image_resizing::{Resized, crop_amounts, resized_dimensions};
use mil::{BuildError, Constant, FunctionBuilder, ValueId};

mod boxes;
mod points;
mod sample;

pub(super) static RULES: &[(&str, Rule)] = &[
    ("affine", Vjp(points::affine)),
    ("crop", Vjp(crop)),
    ("crop_resize", Vjp(boxes::crop_resize)),
    ("resample", Vjp(points::resample)),
    ("resize", Vjp(resized)),
    ("resize_bilinear", Vjp(resized)),
    ("resize_nearest_neighbor", Vjp(resized)),
    ("upsample_bilinear", Vjp(resized)),
    ("upsample_nearest_neighbor", Vjp(resized)),
];

fn crop(g: &mut Gradient<'_>) -> Done {
    let [height, width] = crop_amounts(&g.view())?;
    let dy = g.dy()?;
    let mut amounts = vec![(0, 0); g.shape(dy).rank() - 2];
    amounts.extend([height, width]);
    let dx = shapes::pad(g.f, dy, &amounts, 0.0)?;
    g.give("x", dx)
}

/// Dimension by dimension.
fn resized(g: &mut Gradient<'_>) -> Done {
    let dimensions = resized_dimensions(&g.view())?;
    let mut dx = g.dy()?;
    if g.shape(dx).count() == 0 {
        return Ok(());
    }
    for dimension in dimensions.iter().filter(|dimension| !dimension.is_identity()) {
        dx = transposed(g.f, dx, dimension)?;
    }
    g.give("x", dx)
}

/// Every element along the dimension goes back to those that it was made of.
fn transposed(f: &mut FunctionBuilder, value: ValueId, dimension: &Resized) -> Result<ValueId, BuildError> {
    let &Resized { axis, input, output, .. } = dimension;
    let mut shape = f.shape(value).to_vec();
    let (outer, inner) =
        (shape[..axis].iter().product::<usize>(), shape[axis + 1..].iter().product::<usize>());
    shape[axis] = input;
    let copies = output / input;
    if dimension
        .taps()
        .enumerate()
        .all(|(i, tap)| tap.weight == 0.0 && Some(tap.low) == i.checked_div(copies))
    {
        let apart = f.reshape(value, &[outer, input, copies, inner])?;
        let sum = f.reduce("reduce_sum", apart, &[2], false)?;
        return f.reshape(sum, &shape);
    }
    let mut matrix = vec![0.0f32; input * output];
    for (i, tap) in dimension.taps().enumerate() {
        matrix[tap.low * output + i] = (1.0 - tap.weight) as f32;
        if tap.weight != 0.0 {
            matrix[tap.high * output + i] = tap.weight as f32;
        }
    }
    let matrix = f.constant(Constant::new([input, output], matrix)?);
    let dtype = f.dtype(value);
    let matrix = f.cast(matrix, dtype)?;
    let product = if inner == 1 {
        let rows = f.reshape(value, &[outer, output])?;
        f.matmul(rows, matrix, false, true)?
    } else {
        let planes = f.reshape(value, &[outer, output, inner])?;
        f.matmul(matrix, planes, false, false)?
    };
    f.reshape(product, &shape)
}
