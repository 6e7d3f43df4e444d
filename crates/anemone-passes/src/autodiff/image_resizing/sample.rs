//! Images read at points, backwards: a list of points, each with its image and its position in pixels.
//!
//! Positions and indices are computed in `fp32` and `int32` whatever the images are: `fp16` does not count pixels.

use super::super::context::{Done, Gradient, RuleError};
use super::super::shapes;
use mil::{BuildError, Constant, DataType, FunctionBuilder, TensorType, ValueId};

/// What a point takes outside its image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outside {
    /// This number, pixel by pixel.
    Pixels(f32),
    /// Nothing stands there: positions lie inside.
    Nothing,
}

/// Points in images.
pub(super) struct Points {
    /// Height and width of an image.
    pub(super) size: [usize; 2],
    /// For every point where its image begins, counted in pixels of all images: `int32`, `[M]`.
    pub(super) image: ValueId,
    /// Vertical and horizontal positions in pixels: `fp32`, `[M]`.
    pub(super) position: [ValueId; 2],
    /// Outside the image.
    pub(super) outside: Outside,
    /// Whether points between pixels are interpolated; else they take the nearest pixel.
    pub(super) bilinear: bool,
}

/// One of the pixels around each point.
struct Corner {
    /// Its index among the pixels of all images.
    index: ValueId,
    /// Whether it is inside, if it may not be.
    inside: Option<ValueId>,
    /// Its share.
    weight: Option<ValueId>,
}

/// `[N, C, ...]` as `fp32` rows `[N ..., C]`.
pub(super) fn rows(f: &mut FunctionBuilder, value: ValueId) -> Result<ValueId, BuildError> {
    let shape = f.shape(value).to_vec();
    let inner = shape[2..].iter().product::<usize>();
    let planes = f.cast(value, DataType::Fp32)?;
    let planes = f.reshape(planes, &[shape[0], shape[1], inner])?;
    let last = f.transpose(planes, &[0, 2, 1])?;
    f.reshape(last, &[shape[0] * inner, shape[1]])
}

/// A constant of `fp32`.
pub(super) fn constant(
    f: &mut FunctionBuilder,
    dims: &[usize],
    values: Vec<f32>,
) -> Result<ValueId, BuildError> {
    Ok(f.constant(Constant::new(dims, values)?))
}

/// 1 where `cond` holds, 0 elsewhere.
pub(super) fn ones_where(f: &mut FunctionBuilder, cond: ValueId) -> Result<ValueId, BuildError> {
    f.cast(cond, DataType::Fp32)
}

impl Points {
    /// Where the image of each of so many points begins, when each image has as many of them.
    pub(super) fn images(
        f: &mut FunctionBuilder,
        images: usize,
        points: usize,
        pixels: usize,
    ) -> Result<ValueId, RuleError> {
        check_count(images, pixels)?;
        let starts = (0..images).flat_map(|image| std::iter::repeat_n((image * pixels) as i32, points));
        Ok(f.constant(Constant::ints(&starts.collect::<Vec<i32>>())))
    }

    /// Gives `x` `[B, C, H, W]` its gradient, and returns those of the positions (`fp32`, `[M]`) if they have any.
    /// `dy` holds a row of `C` channels for every point, `fp32`.
    pub(super) fn differentiate(
        &self,
        g: &mut Gradient<'_>,
        dy: ValueId,
        positions: bool,
    ) -> Result<Option<[ValueId; 2]>, RuleError> {
        let x = g.arg("x")?;
        let mut fractions = None;
        let corners = if self.bilinear {
            let low = [self.floor(g, 0)?, self.floor(g, 1)?];
            let part = [g.f.sub(self.position[0], low[0])?, g.f.sub(self.position[1], low[1])?];
            let rest = [g.f.sub(1.0, part[0])?, g.f.sub(1.0, part[1])?];
            fractions = Some((part, rest));
            let mut corners = Vec::with_capacity(4);
            for (down, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let y = if down == 0 { low[0] } else { g.f.add(low[0], 1.0)? };
                let x = if right == 0 { low[1] } else { g.f.add(low[1], 1.0)? };
                let share = |i: usize, high: usize| if high == 1 { part[i] } else { rest[i] };
                let weight = g.f.mul(share(0, down), share(1, right))?;
                corners.push(self.corner(g, y, x, Some(weight))?);
            }
            corners
        } else {
            let (y, x) = (g.f.unary("round", self.position[0])?, g.f.unary("round", self.position[1])?);
            vec![self.corner(g, y, x, None)?]
        };
        if g.wants("x") {
            self.give_x(g, x, dy, &corners)?;
        }
        match fractions.filter(|_| positions) {
            Some((part, rest)) => self.slopes(g, x, dy, &corners, part, rest).map(Some),
            None => Ok(None),
        }
    }

    fn floor(&self, g: &mut Gradient<'_>, i: usize) -> Result<ValueId, BuildError> {
        g.f.unary("floor", self.position[i])
    }

    /// The pixel at a whole position.
    fn corner(
        &self,
        g: &mut Gradient<'_>,
        y: ValueId,
        x: ValueId,
        weight: Option<ValueId>,
    ) -> Result<Corner, RuleError> {
        let f = &mut *g.f;
        let mut inside = None;
        let mut whole = [y, x];
        for (i, position) in whole.iter_mut().enumerate() {
            let last = (self.size[i] - 1) as f32;
            if self.outside != Outside::Nothing {
                let (from, to) = (f.greater_equal(*position, 0.0)?, f.less_equal(*position, last)?);
                let here = f.logical_and(from, to)?;
                inside = Some(match inside {
                    Some(other) => f.logical_and(other, here)?,
                    None => here,
                });
            }
            // An index for every point; outside it counts for nothing, and next to the last pixel it has no share.
            let limited = f.maximum(*position, 0.0)?;
            let limited = f.minimum(limited, last)?;
            *position = f.cast(limited, DataType::Int32)?;
        }
        let width = f.int(self.size[1] as i32);
        let row = f.mul(whole[0], width)?;
        let pixel = f.add(row, whole[1])?;
        let index = f.add(pixel, self.image)?;
        Ok(Corner { index, inside, weight })
    }

    /// Adds to every pixel its shares of the cotangents.
    fn give_x(&self, g: &mut Gradient<'_>, x: ValueId, dy: ValueId, corners: &[Corner]) -> Done {
        let shape = g.shape(x);
        let (pixels, channels) = (shape[0] * self.size[0] * self.size[1], shape[1]);
        let (mut updates, mut indices) = (Vec::new(), Vec::new());
        for corner in corners {
            let mut update = dy;
            if let Some(weight) = corner.weight {
                let weight = column(g.f, weight)?;
                update = g.f.mul(update, weight)?;
            }
            if let Some(inside) = corner.inside {
                let inside = column(g.f, inside)?;
                update = g.keep_where(inside, update)?;
            }
            updates.push(update);
            indices.push(corner.index);
        }
        let updates = g.f.op("concat").args("values", &updates).int("axis", 0).one()?;
        let indices = g.f.op("concat").args("values", &indices).int("axis", 0).one()?;
        let zeros = shapes::zeros(g.f, &TensorType::fp32([pixels, channels]))?;
        let scatter = g.f.op("scatter").arg("data", zeros).arg("indices", indices).arg("updates", updates);
        let sum = scatter.int("axis", 0).string("mode", "add").one()?;
        let sum = g.f.reshape(sum, &[shape[0], self.size[0] * self.size[1], channels])?;
        let sum = g.f.transpose(sum, &[0, 2, 1])?;
        let dx = g.f.reshape(sum, &shape)?;
        g.give("x", dx)
    }

    /// How the sum of cotangents times values changes with the positions.
    fn slopes(
        &self,
        g: &mut Gradient<'_>,
        x: ValueId,
        dy: ValueId,
        corners: &[Corner],
        part: [ValueId; 2],
        rest: [ValueId; 2],
    ) -> Result<[ValueId; 2], RuleError> {
        let pixels = rows(g.f, x)?;
        let mut sums = Vec::with_capacity(4);
        for corner in corners {
            let gather = g.f.op("gather").arg("x", pixels).arg("indices", corner.index);
            let mut value = gather.int("axis", 0).one()?;
            if let (Some(inside), Outside::Pixels(padding)) = (corner.inside, self.outside) {
                let inside = column(g.f, inside)?;
                let padding = g.f.float(DataType::Fp32, padding);
                value = g.f.select(inside, value, padding)?;
            }
            let product = g.f.mul(dy, value)?;
            sums.push(g.f.reduce("reduce_sum", product, &[1], false)?);
        }
        let [top_left, top_right, bottom_left, bottom_right] = sums[..] else {
            return Err(RuleError::Unsupported(
                "points have four corners; this is a fault of the rule".into(),
            ));
        };
        let mut slope =
            |low: [ValueId; 2], high: [ValueId; 2], across: usize| -> Result<ValueId, BuildError> {
                let (first, second) = (g.f.sub(high[0], low[0])?, g.f.sub(high[1], low[1])?);
                let (first, second) = (g.f.mul(first, rest[across])?, g.f.mul(second, part[across])?);
                g.f.add(first, second)
            };
        let vertical = slope([top_left, top_right], [bottom_left, bottom_right], 1)?;
        let horizontal = slope([top_left, bottom_left], [top_right, bottom_right], 0)?;
        Ok([vertical, horizontal])
    }
}

/// `[M]` as `[M, 1]`.
fn column(f: &mut FunctionBuilder, value: ValueId) -> Result<ValueId, BuildError> {
    let count = f.shape(value)[0];
    f.reshape(value, &[count, 1])
}

/// Fails when the pixels of all images are more than `int32` counts.
pub(super) fn check_count(images: usize, pixels: usize) -> Done {
    match images.checked_mul(pixels) {
        Some(count) if i32::try_from(count).is_ok() => Ok(()),
        _ => Err(RuleError::Unsupported(format!(
            "{images} images of {pixels} pixels are more than int32 indices reach; use smaller batches"
        ))),
    }
}
