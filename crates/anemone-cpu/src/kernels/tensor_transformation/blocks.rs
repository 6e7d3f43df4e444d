//! Blocks of `[N, C, H, W]` that move between space, channels and batch.

use super::{copy_into, operand};
use crate::kernels::Lowered;
use crate::kernels::copy::{Axis, StridedCopy};
use mil::{InferError, OpView};
use std::ops::Range;

/// How a position in a block stands beside the channel, outermost first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `depth_to_space`: the position, then the channel.
    BlockFirst,
    /// `pixel_shuffle`: the channel, then the position.
    ChannelFirst,
}

/// The loops over `[n, c, h, i, w, j]`: steps in the tensor with deep channels and in the one with wide space, the latter of
/// shape `[n, c, h * b, w * b]`.
fn loops([n, c, h, w]: [usize; 4], b: usize, order: Order) -> [(usize, usize, usize); 6] {
    let plane = h * w;
    let (channel, row, column) = match order {
        Order::BlockFirst => (plane, b * c * plane, c * plane),
        Order::ChannelFirst => (b * b * plane, b * plane, plane),
    };
    let line = w * b;
    [
        (n, c * b * b * plane, c * b * b * plane),
        (c, channel, b * b * plane),
        (h, w, b * line),
        (b, row, line),
        (w, 1, b),
        (b, column, 1),
    ]
}

/// Channels into space.
pub(super) fn spread(op: &OpView<'_>, param: &'static str, order: Order) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, &op.output(0).shape);
    let b = op.int(param)? as usize;
    let axes = loops([out[0], out[1], x.shape[2], x.shape[3]], b, order).map(|(count, deep, wide)| Axis {
        count,
        from: deep as isize,
        to: wide as isize,
    });
    Ok(copy_into(operand(op, "x")?, StridedCopy::new(x.dtype.size(), axes)))
}

/// Space into channels.
pub(super) fn collect(op: &OpView<'_>, param: &'static str, order: Order) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, &op.output(0).shape);
    let b = op.int(param)? as usize;
    let axes = loops([x.shape[0], x.shape[1], out[2], out[3]], b, order).map(|(count, deep, wide)| Axis {
        count,
        from: wide as isize,
        to: deep as isize,
    });
    Ok(copy_into(operand(op, "x")?, StridedCopy::new(x.dtype.size(), axes)))
}

/// One position of the block: a copy between the batch items of that position and every `block`-th place of space.
struct Position {
    copy: StridedCopy,
    /// First element in the tensor with many batch items, and in the one with wide space.
    many: usize,
    wide: usize,
}

/// `h` for which `h * block + position - border` lies in `0..size`, at most `count` of them.
fn inside(block: usize, position: usize, border: usize, size: usize, count: usize) -> Range<usize> {
    let first = border.saturating_sub(position).div_ceil(block);
    let end = (size + border).saturating_sub(position).div_ceil(block).min(count);
    first.min(end)..end
}

/// The positions of a block. `many` is the shape with many batch items, `wide` that with wide space, of which `border`
/// elements at the front of each dimension are missing.
fn positions(
    size: usize,
    many: &[usize],
    wide: &[usize],
    block: [usize; 2],
    border: [usize; 2],
    to_wide: bool,
) -> Vec<Position> {
    let [n, c] = [wide[0], wide[1]];
    let [plane, line] = [wide[2] * wide[3], wide[3]];
    let mut all = Vec::with_capacity(block[0] * block[1]);
    for (i, j) in (0..block[0]).flat_map(|i| (0..block[1]).map(move |j| (i, j))) {
        let rows = inside(block[0], i, border[0], wide[2], many[2]);
        let columns = inside(block[1], j, border[1], wide[3], many[3]);
        if rows.is_empty() || columns.is_empty() {
            continue;
        }
        let axes = [
            (n, c * many[2] * many[3], c * plane),
            (c, many[2] * many[3], plane),
            (rows.len(), many[3], block[0] * line),
            (columns.len(), 1, block[1]),
        ];
        let axes = axes.map(|(count, many, wide)| {
            let (many, wide) = (many as isize, wide as isize);
            if to_wide { Axis { count, from: many, to: wide } } else { Axis { count, from: wide, to: many } }
        });
        let first = (i * block[1] + j) * n * c * many[2] * many[3];
        let (y, x) = (rows.start * block[0] + i - border[0], columns.start * block[1] + j - border[1]);
        all.push(Position {
            copy: StridedCopy::new(size, axes),
            many: first + rows.start * many[3] + columns.start,
            wide: y * line + x,
        });
    }
    all
}

/// `block_shape`, and the first borders of height and width.
fn parameters(op: &OpView<'_>, borders: &'static str) -> Result<([usize; 2], [usize; 2]), InferError> {
    let pair = |param: &'static str, at: [usize; 2]| {
        let values = op.ints(param)?.unwrap_or_default();
        let value = |at: usize| values.get(at).and_then(|&value| usize::try_from(value).ok());
        match (value(at[0]), value(at[1])) {
            (Some(height), Some(width)) => Ok([height, width]),
            _ => Err(InferError::new(param, "does not hold a number for height and width")),
        }
    };
    Ok((pair("block_shape", [0, 1])?, pair(borders, [0, 2])?))
}

pub(super) fn space_to_batch(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, &op.output(0).shape);
    let (block, border) = parameters(op, "paddings")?;
    let positions = positions(x.dtype.size(), out, &x.shape, block, border, false);
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        // Zero is all zero bits in every element type.
        call.outputs[0].bytes().fill(0);
        for Position { copy, many, wide } in &positions {
            copy.run(call.inputs[x].bytes(), *wide, call.outputs[0].bytes(), *many);
        }
        Ok(())
    }))
}

pub(super) fn batch_to_space(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, &op.output(0).shape);
    let (block, border) = parameters(op, "crops")?;
    let positions = positions(x.dtype.size(), &x.shape, out, block, border, true);
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        for Position { copy, many, wide } in &positions {
            copy.run(call.inputs[x].bytes(), *many, call.outputs[0].bytes(), *wide);
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};
    use mil::Constant;

    /// `x[n, c, y, x]` of a tensor.
    fn at(data: &[f64], shape: [usize; 4], [n, c, y, x]: [usize; 4]) -> f64 {
        data[((n * shape[1] + c) * shape[2] + y) * shape[3] + x]
    }

    fn indices(shape: [usize; 4]) -> impl Iterator<Item = [usize; 4]> {
        let [_, c, h, w] = shape;
        (0..shape.iter().product()).map(move |i: usize| [i / (c * h * w), i / (h * w) % c, i / w % h, i % w])
    }

    #[test]
    fn channels_and_space() {
        for (op, inverse, param, block_first) in [
            ("depth_to_space", "space_to_depth", "block_size", true),
            ("pixel_shuffle", "pixel_unshuffle", "upscale_factor", false),
        ] {
            let (n, c, h, w, b) = (2, 3, 4, 5, 2);
            let (deep, wide) = ([n, c * b * b, h, w], [n, c, h * b, w * b]);
            let channel = |ch: usize, i: usize, j: usize| {
                if block_first { (i * b + j) * c + ch } else { (ch * b + i) * b + j }
            };
            let mut case = Case::new(op);
            let x = case.float("x", &deep);
            case.int(param, b as i32);
            let want: Vec<f64> = indices(wide)
                .map(|[n, ch, y, z]| at(&x, deep, [n, channel(ch, y % b, z % b), y / b, z / b]))
                .collect();
            case.check(&want, Tolerance::EXACT);
            // And back.
            let mut case = Case::new(inverse);
            case.given("x", &wide, want, false);
            match block_first {
                true => case.int("block_size", b as i32),
                false => case.constant("downscale_factor", Constant::scalar(b as u32)),
            }
            case.check(&x, Tolerance::EXACT);
        }
    }

    #[test]
    fn batch_and_space() {
        let (n, c, block, border) = (2, 3, [2, 3], [[1, 2], [2, 3]]);
        let wide = [n, c, 5, 4];
        let many = [n * 6, c, 4, 3];
        let mut case = Case::new("space_to_batch");
        let x = case.float("x", &wide);
        case.ints("block_shape", &[2, 3]);
        case.constant("paddings", Constant::new([2, 2], vec![1i32, 2, 2, 3]).unwrap());
        let want: Vec<f64> = indices(many)
            .map(|[item, ch, y, z]| {
                let (position, item) = (item / n, item % n);
                let y = (y * block[0] + position / block[1]).checked_sub(border[0][0]);
                let z = (z * block[1] + position % block[1]).checked_sub(border[1][0]);
                match (y, z) {
                    (Some(y), Some(z)) if y < wide[2] && z < wide[3] => at(&x, wide, [item, ch, y, z]),
                    _ => 0.0,
                }
            })
            .collect();
        case.check(&want, Tolerance::EXACT);
        let mut case = Case::new("batch_to_space");
        case.given("x", &many, want, false);
        case.ints("block_shape", &[2, 3]);
        case.constant("crops", Constant::new([2, 2], vec![1i32, 2, 2, 3]).unwrap());
        case.check(&x, Tolerance::EXACT);
    }
}
