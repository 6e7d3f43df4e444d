//! `resample` and `affine`.

use super::super::context::{Done, Gradient, RuleError};
use super::super::shapes;
use super::sample::{Outside, Points, constant, ones_where, rows};
use mil::ops::image_resizing::{Padding, Resample, affine_geometry, resample_geometry};
use mil::{BuildError, DataType, FunctionBuilder, ValueId};

/// `coordinates` `[B, h, w, 2]` hold `(x, y)`.
pub(super) fn resample(g: &mut Gradient<'_>) -> Done {
    let geometry = resample_geometry(&g.view())?;
    let padding = g.float("padding_value")?;
    let coordinates = g.arg("coordinates")?;
    let shape = g.shape(coordinates);
    let dy = g.dy()?;
    if g.shape(dy).count() == 0 {
        return Ok(());
    }
    let count = shape.count() / 2;
    let pairs = g.f.cast(coordinates, DataType::Fp32)?;
    let pairs = g.f.reshape(pairs, &[count, 2])?;
    let mut given = Vec::with_capacity(2);
    for axis in [1, 0] {
        let one = shapes::slice_axis(g.f, pairs, 1, axis, 1)?;
        given.push(g.f.reshape(one, &[count])?);
    }
    let wanted = g.wants("coordinates");
    let Some([vertical, horizontal]) = sampled(g, &geometry, [given[0], given[1]], padding, dy, wanted)?
    else {
        return Ok(());
    };
    let pairs = g.f.op("stack").args("values", &[horizontal, vertical]).int("axis", 1).one()?;
    let gradient = g.f.reshape(pairs, &shape)?;
    g.give("coordinates", gradient)
}

/// The points are products of the matrices with a constant grid.
pub(super) fn affine(g: &mut Gradient<'_>) -> Done {
    let geometry = affine_geometry(&g.view())?;
    let Resample { images, output: [height, width], .. } = geometry;
    let matrix = g.arg("transform_matrix")?;
    let sets = g.shape(matrix)[0];
    let dy = g.dy()?;
    if g.shape(dy).count() == 0 {
        return Ok(());
    }
    let points = height * width;
    let grid = (0..height)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .flat_map(|(row, column)| [geometry.grid(column, width), geometry.grid(row, height), 1.0]);
    let grid = constant(g.f, &[points, 3], grid.collect())?;
    let lines = g.f.cast(matrix, DataType::Fp32)?;
    let lines = g.f.reshape(lines, &[sets, 2, 3])?;
    let both = g.f.matmul(lines, grid, false, true)?;
    let mut given = Vec::with_capacity(2);
    for line in [1, 0] {
        let one = shapes::slice_axis(g.f, both, 1, line, 1)?;
        let one = shapes::stretch(g.f, one, &[images, 1, points].into())?;
        given.push(g.f.reshape(one, &[images * points])?);
    }
    let wanted = g.wants("transform_matrix");
    let Some([vertical, horizontal]) = sampled(g, &geometry, [given[0], given[1]], 0.0, dy, wanted)? else {
        return Ok(());
    };
    let mut parts = Vec::with_capacity(2);
    for slope in [horizontal, vertical] {
        let slope = g.f.reshape(slope, &[images, points])?;
        parts.push(g.f.matmul(slope, grid, false, false)?);
    }
    let mut gradient = g.f.op("concat").args("values", &parts).int("axis", 1).one()?;
    if sets != images {
        gradient = g.f.reduce("reduce_sum", gradient, &[0], true)?;
    }
    g.give("transform_matrix", gradient)
}

/// Gives `x` its gradient and returns those of vertical and horizontal coordinates (`fp32`, one per point, as they are).
fn sampled(
    g: &mut Gradient<'_>,
    geometry: &Resample,
    given: [ValueId; 2],
    padding: f32,
    dy: ValueId,
    wanted: bool,
) -> Result<Option<[ValueId; 2]>, RuleError> {
    let &Resample { images, input, output, bilinear, .. } = geometry;
    let mut position = given;
    let mut slopes = [None, None];
    let mut scales = [1.0, 1.0];
    for i in 0..2 {
        let (scale, offset) = geometry.coordinates.position(input[i]);
        let scaled = g.f.mul(given[i], scale)?;
        let raw = g.f.add(scaled, offset)?;
        scales[i] = scale;
        (position[i], slopes[i]) = inside(g.f, raw, input[i], geometry.padding)?;
    }
    let outside = match geometry.padding {
        Padding::Constant => Outside::Pixels(padding),
        Padding::Border | Padding::Reflection | Padding::Symmetric => Outside::Nothing,
    };
    let image = Points::images(g.f, images, output[0] * output[1], input[0] * input[1])?;
    let dy = rows(g.f, dy)?;
    let points = Points { size: input, image, position, outside, bilinear };
    let Some(mut found) = points.differentiate(g, dy, wanted)? else { return Ok(None) };
    for i in 0..2 {
        if let Some(slope) = slopes[i] {
            found[i] = g.f.mul(found[i], slope)?;
        }
        found[i] = g.f.mul(found[i], scales[i])?;
    }
    Ok(Some(found))
}

/// A position moved to where padding takes its value from, and how it moves with the position (`None` for 1).
fn inside(
    f: &mut FunctionBuilder,
    raw: ValueId,
    size: usize,
    padding: Padding,
) -> Result<(ValueId, Option<ValueId>), BuildError> {
    let last = (size - 1) as f32;
    let (mirrored, turn) = match padding {
        Padding::Constant => return Ok((raw, None)),
        Padding::Border => (raw, None),
        Padding::Reflection if size == 1 => (raw, None),
        Padding::Reflection => mirror(f, raw, 0.0, last)?,
        Padding::Symmetric => mirror(f, raw, -0.5, size as f32)?,
    };
    let limited = f.maximum(mirrored, 0.0)?;
    let limited = f.minimum(limited, last)?;
    let (after, before) = (f.greater(mirrored, 0.0)?, f.less(mirrored, last)?);
    let free = f.logical_and(after, before)?;
    let free = ones_where(f, free)?;
    let slope = match turn {
        Some(turn) => f.mul(free, turn)?,
        None => free,
    };
    Ok((limited, Some(slope)))
}

/// The position between `low` and `low + span` to which mirrors at both ends bring it, and in which direction it moves.
fn mirror(
    f: &mut FunctionBuilder,
    raw: ValueId,
    low: f32,
    span: f32,
) -> Result<(ValueId, Option<ValueId>), BuildError> {
    let from_low = f.sub(raw, low)?;
    let distance = f.unary("abs", from_low)?;
    let turns = f.real_div(distance, span)?;
    let turns = f.unary("floor", turns)?;
    let whole = f.mul(turns, span)?;
    let rest = f.sub(distance, whole)?;
    let two = f.float(DataType::Fp32, 2.0);
    let odd = f.op("mod").arg("x", turns).arg("y", two).one()?;
    // 1 on the way up, -1 on the way back.
    let odd_twice = f.mul(odd, 2.0)?;
    let way = f.sub(1.0, odd_twice)?;
    // Up: low + rest. Back: low + span - rest.
    let back = f.mul(odd, span)?;
    let moved = f.mul(rest, way)?;
    let moved = f.add(moved, back)?;
    let mirrored = f.add(moved, low)?;
    let below = f.less(raw, low)?;
    let below = ones_where(f, below)?;
    let below_twice = f.mul(below, 2.0)?;
    let side = f.sub(1.0, below_twice)?;
    let direction = f.mul(way, side)?;
    Ok((mirrored, Some(direction)))
}
