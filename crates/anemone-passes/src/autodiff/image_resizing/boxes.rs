//! `crop_resize`: by the images, and by the coordinates of the boxes.

use super::super::context::{Done, Gradient, RuleError};
use super::super::shapes;
use super::sample::{Outside, Points, check_count, constant, ones_where, rows};
use mil::ops::image_resizing::{BoxForm, CropResize, Sampling, crop_resize_geometry};
use mil::{BuildError, Constant, DataType, FunctionBuilder, ValueId};

pub(super) fn crop_resize(g: &mut Gradient<'_>) -> Done {
    let geometry = crop_resize_geometry(&g.view())?;
    let CropResize { images, channels, input, output: [height, width], boxes, form, .. } = geometry;
    let param = if form == BoxForm::Boxes { "boxes" } else { "roi" };
    let dy = g.dy()?;
    if g.shape(dy).count() == 0 {
        return Ok(());
    }
    check_count(images, input[0] * input[1])?;
    let given = g.arg(param)?;
    let given_shape = g.shape(given);
    let corners = g.f.cast(given, DataType::Fp32)?;
    let corners = g.f.reshape(corners, &[boxes, geometry.stride()])?;

    // Crops of one box are side by side: one, or one per image.
    let per_box = geometry.crops() / boxes;
    let crops = [boxes, per_box, height, width];
    let lines = [Line::new(g.f, &geometry, corners, 0)?, Line::new(g.f, &geometry, corners, 1)?];
    let mut position = [corners; 2];
    for (i, line) in lines.iter().enumerate() {
        let dims = if i == 0 { [boxes, 1, height, 1] } else { [boxes, 1, 1, width] };
        let spread = g.f.reshape(line.position, &dims)?;
        let spread = shapes::stretch(g.f, spread, &crops.into())?;
        position[i] = g.f.reshape(spread, &[crops.iter().product()])?;
    }
    let image = image_starts(g, &geometry, corners, crops)?;
    let planes = g.f.reshape(dy, &[boxes * per_box, channels, height, width])?;
    let dy = rows(g.f, planes)?;
    let (dy, position) = kept_inside(g, dy, position, input)?;
    let points = Points { size: input, image, position, outside: Outside::Nothing, bilinear: true };
    let wanted = g.wants(param);
    let Some(slopes) = points.differentiate(g, dy, wanted)? else { return Ok(()) };

    let mut columns: [Option<ValueId>; 4] = [None; 4];
    for (i, (line, slope)) in lines.iter().zip(slopes).enumerate() {
        let slope = g.f.reshape(slope, &crops)?;
        let across = if i == 0 { [1, 3] } else { [1, 2] };
        let slope = g.f.reduce("reduce_sum", slope, &across, false)?;
        let pair = line.coordinates(g.f, &geometry, slope, i)?;
        for (at, gradient) in geometry.coordinates(i).into_iter().zip(pair) {
            columns[at] = Some(gradient);
        }
    }
    let columns: Vec<ValueId> = columns.into_iter().flatten().collect();
    let gradient = g.f.op("concat").args("values", &columns).int("axis", 1).one()?;
    // The number of an image is no quantity.
    let gradient = shapes::pad(g.f, gradient, &[(0, 0), (geometry.stride() - 4, 0)], 0.0)?;
    let gradient = g.f.reshape(gradient, &given_shape)?;
    g.give(param, gradient)
}

/// Where the image of every point begins: `[M]`.
fn image_starts(
    g: &mut Gradient<'_>,
    geometry: &CropResize,
    corners: ValueId,
    crops: [usize; 4],
) -> Result<ValueId, RuleError> {
    let &CropResize { images, input, boxes, form, .. } = geometry;
    let indices = match (form, g.view().value("box_indices")) {
        (BoxForm::EveryImage, _) => {
            let all: Vec<i32> = (0..boxes).flat_map(|_| 0..images as i32).collect();
            g.f.constant(Constant::ints(&all))
        }
        (BoxForm::NumberedRoi, _) => {
            let numbers = shapes::slice_axis(g.f, corners, 1, 0, 1)?;
            g.f.cast(numbers, DataType::Int32)?
        }
        (BoxForm::Boxes, Some(indices)) => g.f.cast(indices, DataType::Int32)?,
        (BoxForm::Boxes, None) => {
            let all: Vec<i32> = (0..boxes as i32).collect();
            g.f.constant(Constant::ints(&all))
        }
    };
    let pixels = g.f.int((input[0] * input[1]) as i32);
    let starts = g.f.mul(indices, pixels)?;
    let starts = g.f.reshape(starts, &[crops[0], crops[1], 1, 1])?;
    let starts = shapes::stretch(g.f, starts, &crops.into())?;
    Ok(g.f.reshape(starts, &[crops.iter().product()])?)
}

/// Drops the cotangents of points outside, which are `pad_value` alone, and moves those points inside.
fn kept_inside(
    g: &mut Gradient<'_>,
    dy: ValueId,
    mut position: [ValueId; 2],
    input: [usize; 2],
) -> Result<(ValueId, [ValueId; 2]), RuleError> {
    let mut dy = dy;
    for (i, position) in position.iter_mut().enumerate() {
        let last = (input[i] - 1) as f32;
        let (from, to) = (g.f.greater_equal(*position, 0.0)?, g.f.less_equal(*position, last)?);
        let inside = g.f.logical_and(from, to)?;
        let count = g.shape(inside)[0];
        let inside = g.f.reshape(inside, &[count, 1])?;
        dy = g.keep_where(inside, dy)?;
        let limited = g.f.maximum(*position, 0.0)?;
        *position = g.f.minimum(limited, last)?;
    }
    Ok((dy, position))
}

/// One direction of every box: where its points are, and how they move with its ends.
struct Line {
    /// Positions in pixels, `[N, points]`.
    position: ValueId,
    /// How far a point moves with the end of the box, `[N, points]`; with the start it moves the rest.
    with_end: ValueId,
}

impl Line {
    /// The arithmetic of [`CropResize::position`].
    fn new(
        f: &mut FunctionBuilder,
        geometry: &CropResize,
        corners: ValueId,
        direction: usize,
    ) -> Result<Line, BuildError> {
        let first = geometry.stride() - 4;
        let [a, b] = geometry.coordinates(direction);
        let a = shapes::slice_axis(f, corners, 1, first + a, 1)?;
        let b = shapes::slice_axis(f, corners, 1, first + b, 1)?;
        let (a, b) = (f.mul(a, geometry.factor[direction])?, f.mul(b, geometry.factor[direction])?);
        let (start, end) = if geometry.centered {
            let half = f.mul(b, 0.5)?;
            (f.sub(a, half)?, f.add(a, half)?)
        } else {
            (a, b)
        };
        let difference = f.sub(end, start)?;
        let length = f.unary("abs", difference)?;

        let sampling = geometry.sampling;
        let points = geometry.output[direction];
        let shares = (0..points).map(|i| sampling.share(i, points).0).collect();
        let shares = constant(f, &[1, points], shares)?;
        let extent = match sampling {
            Sampling::StrictAlignCorners | Sampling::AlignCorners => length,
            Sampling::UnalignCorners | Sampling::Default => f.add(length, 1.0)?,
            Sampling::OffsetCorners => f.maximum(length, 1.0)?,
        };
        let raw = f.mul(extent, shares)?;
        let raw = f.sub(raw, sampling.share(0, points).1)?;
        let way = f.maximum(raw, 0.0)?;
        let way = f.minimum(way, length)?;
        let backwards = f.less(end, start)?;
        let backwards = ones_where(f, backwards)?;
        let twice = f.mul(backwards, 2.0)?;
        let sign = f.sub(1.0, twice)?;
        let step = f.mul(way, sign)?;
        let position = f.add(start, step)?;
        // No rounding puts a point beyond the end.
        let (low, high) = (f.minimum(start, end)?, f.maximum(start, end)?);
        let position = f.maximum(position, low)?;
        let position = f.minimum(position, high)?;

        // A point held at the start moves with that, one held at the end with that, others by their share of the extent.
        let free = match sampling {
            Sampling::OffsetCorners => {
                let grows = f.greater(length, 1.0)?;
                let grows = ones_where(f, grows)?;
                f.mul(shares, grows)?
            }
            _ => shares,
        };
        let moving = f.greater(raw, 0.0)?;
        let moving = ones_where(f, moving)?;
        let free = f.mul(moving, free)?;
        let held = f.greater_equal(raw, length)?;
        let held = ones_where(f, held)?;
        let with_end = f.maximum(free, held)?;
        Ok(Line { position, with_end })
    }

    /// Gradients `[N, 1]` of the two coordinates of the direction from those of the positions, `[N, points]`.
    fn coordinates(
        &self,
        f: &mut FunctionBuilder,
        geometry: &CropResize,
        slope: ValueId,
        direction: usize,
    ) -> Result<[ValueId; 2], BuildError> {
        let end = f.mul(slope, self.with_end)?;
        let end = f.reduce("reduce_sum", end, &[1], true)?;
        let all = f.reduce("reduce_sum", slope, &[1], true)?;
        let start = f.sub(all, end)?;
        let [a, b] = if geometry.centered {
            let half = f.sub(end, start)?;
            [all, f.mul(half, 0.5)?]
        } else {
            [start, end]
        };
        Ok([f.mul(a, geometry.factor[direction])?, f.mul(b, geometry.factor[direction])?])
    }
}
