//! Images at points: `resample`, `affine`, `crop_resize`.
//!
//! The points of an image are the same for all its channels. So a first pass finds for every point its pixels and weights,
//! in scratch memory, and a second one reads them plane by plane.

use super::super::tensor_transformation::Ints;
use super::super::windows::COLUMNS;
use super::super::{Call, Float, Lowered, operand, parallel, unsupported};
use super::positions::{Plane, Sample, Words};
use half::f16;
use mil::ops::image_resizing::{
    BoxForm, CropResize, Padding, Resample, affine_geometry, crop_resize_geometry, resample_geometry,
};
use mil::{DataType, InferError, OpView};

/// An operand of numbers of any type, read as `f32`.
enum Numbers<'a> {
    Single(&'a [f32]),
    Half(&'a [f16]),
    Ints(Ints<'a>),
}

impl<'a> Numbers<'a> {
    fn of(call: &Call<'a>, operand: usize) -> Result<Numbers<'a>, String> {
        let input = &call.inputs[operand];
        Ok(match input.ty().dtype {
            DataType::Fp32 => Numbers::Single(input.slice()),
            DataType::Fp16 => Numbers::Half(input.slice()),
            _ => Numbers::Ints(Ints::of(call, operand)?),
        })
    }

    #[inline]
    fn get(&self, index: usize) -> f32 {
        match self {
            Numbers::Single(values) => values[index],
            Numbers::Half(values) => values[index].to_f32(),
            Numbers::Ints(values) => values.get(index) as f32,
        }
    }
}

/// What is common to the three ops: planes of images, and groups of planes read at the same points.
#[derive(Clone, Copy)]
struct Layout {
    channels: usize,
    /// Elements of a plane of the input.
    plane: usize,
    /// Rows and columns of a plane of the output.
    output: [usize; 2],
}

impl Layout {
    /// Fails for planes whose pixels a sample cannot count.
    fn new(channels: usize, input: [usize; 2], output: [usize; 2]) -> Result<Layout, InferError> {
        let plane = input[0] * input[1];
        if u32::try_from(plane).is_err() {
            return Err(InferError::new(
                "x",
                format!("has images of {plane} pixels; this kernel counts to 2^32 - 1"),
            ));
        }
        Ok(Layout { channels, plane, output })
    }

    fn points(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Bytes for `sets` sets of points.
    fn scratch(&self, sets: usize) -> Result<usize, InferError> {
        sets.checked_mul(self.points())
            .and_then(|count| count.checked_mul(size_of::<Words>()))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or_else(|| InferError::new("x", "is read at more points than memory can hold"))
    }

    /// Fills sets of points: `sample(set, row, column)`.
    fn find(&self, words: &mut [Words], sample: impl Fn(usize, usize, usize) -> Sample + Sync) {
        let [rows, columns] = self.output;
        parallel::rows(words, columns, 32, |row, words| {
            for (column, words) in words.iter_mut().enumerate() {
                *words = sample(row / rows, row % rows, column).to_words();
            }
        });
    }

    /// Reads planes: `group(i)` gives the image and the set of points of the `i`-th group of channels.
    fn read<T: Float>(
        &self,
        words: &[Words],
        input: &[T],
        output: &mut [T],
        group: impl Fn(usize) -> (usize, usize) + Sync,
    ) {
        let [rows, columns] = self.output;
        parallel::rows(output, columns, 16, |row, out| {
            let (plane, row) = (row / rows, row % rows);
            let (image, set) = group(plane / self.channels);
            let plane = &input[(image * self.channels + plane % self.channels) * self.plane..][..self.plane];
            let words = &words[set * self.points() + row * columns..][..columns];
            for (out, words) in out.chunks_mut(COLUMNS).zip(words.chunks(COLUMNS)) {
                let mut buffer = [0.0; COLUMNS];
                T::fill(out, &mut buffer, |values| {
                    for (value, words) in values.iter_mut().zip(words) {
                        *value = Sample::read(words, plane);
                    }
                });
            }
        });
    }
}

/// The kernel of an op without output.
fn nothing() -> Lowered {
    Lowered::new(|_| Ok(()))
}

pub(super) fn resample<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let Resample { images, channels, input, output, bilinear, padding, coordinates } = resample_geometry(op)?;
    if op.output(0).shape.count() == 0 {
        return Ok(nothing());
    }
    let plane = Plane { size: input, padding, value: op.float("padding_value")? };
    let maps = input.map(|size| coordinates.position(size));
    let layout = Layout::new(channels, input, output)?;
    let scratch = layout.scratch(images)?;
    let (x, points) = (operand(op, "x")?, operand(op, "coordinates")?);
    Ok(Lowered::new(move |call| {
        let points = Numbers::of(call, points)?;
        let words = bytemuck::cast_slice_mut::<u8, Words>(call.scratch);
        layout.find(words, |image, row, column| {
            let at = 2 * (image * layout.points() + row * output[1] + column);
            let position = [1, 0].map(|i| points.get(at + i));
            let position = [0, 1].map(|i| maps[i].0 * position[i] + maps[i].1);
            if bilinear { plane.bilinear(position) } else { plane.nearest(position) }
        });
        layout.read(words, call.inputs[x].slice::<T>(), call.outputs[0].slice::<T>(), |image| (image, image));
        Ok(())
    })
    .scratch(scratch))
}

pub(super) fn affine<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let geometry = affine_geometry(op)?;
    let Resample { channels, input, output, padding, coordinates, .. } = geometry;
    let sets = op.shape("transform_matrix")?[0];
    if op.output(0).shape.count() == 0 {
        return Ok(nothing());
    }
    let plane = Plane { size: input, padding, value: 0.0 };
    let maps = input.map(|size| coordinates.position(size));
    let grid = output.map(|count| (0..count).map(|i| geometry.grid(i, count)).collect::<Vec<f32>>());
    let layout = Layout::new(channels, input, output)?;
    let scratch = layout.scratch(sets)?;
    let (x, matrix) = (operand(op, "x")?, operand(op, "transform_matrix")?);
    Ok(Lowered::new(move |call| {
        let matrix = Numbers::of(call, matrix)?;
        let words = bytemuck::cast_slice_mut::<u8, Words>(call.scratch);
        layout.find(words, |set, row, column| {
            let (y, x) = (grid[0][row], grid[1][column]);
            let transformed = |line: usize| {
                let [a, b, c] = [0, 1, 2].map(|i| matrix.get(6 * set + 3 * line + i));
                a * x + b * y + c
            };
            plane.bilinear([0, 1].map(|i| maps[i].0 * transformed(1 - i) + maps[i].1))
        });
        let input = call.inputs[x].slice::<T>();
        layout.read(words, input, call.outputs[0].slice::<T>(), |image| {
            (image, if sets == 1 { 0 } else { image })
        });
        Ok(())
    })
    .scratch(scratch))
}

pub(super) fn crop_resize<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let geometry = crop_resize_geometry(op)?;
    let CropResize { images, channels, input, output, boxes, form, .. } = geometry;
    if op.output(0).shape.count() == 0 {
        return Ok(nothing());
    }
    let plane = Plane { size: input, padding: Padding::Constant, value: op.float("pad_value")? };
    let layout = Layout::new(channels, input, output)?;
    let scratch = layout.scratch(boxes)?;
    let (x, corners) =
        (operand(op, "x")?, operand(op, if form == BoxForm::Boxes { "boxes" } else { "roi" })?);
    let numbers = match op.value("box_indices") {
        Some(_) if !op.dtype("box_indices")?.is_int() => {
            return Err(unsupported("box_indices", op.tensor("box_indices")?));
        }
        Some(_) => Some(operand(op, "box_indices")?),
        None => None,
    };
    Ok(Lowered::new(move |call| {
        let corners = Numbers::of(call, corners)?;
        let numbers = numbers.map(|numbers| Ints::of(call, numbers)).transpose()?;
        let stride = geometry.stride();
        let image_of = |at: usize| match (form, &numbers) {
            // A crop for every image.
            (BoxForm::EveryImage, _) => Some(at % images),
            (BoxForm::NumberedRoi, _) => numbered(corners.get(at * stride)),
            (BoxForm::Boxes, Some(numbers)) => usize::try_from(numbers.get(at)).ok(),
            (BoxForm::Boxes, None) => Some(at),
        };
        if form != BoxForm::EveryImage {
            for at in 0..boxes {
                if image_of(at).is_none_or(|image| image >= images) {
                    return Err(out_of_range(&corners, numbers.as_ref(), at, stride, images));
                }
            }
        }
        let words = bytemuck::cast_slice_mut::<u8, Words>(call.scratch);
        layout.find(words, |set, row, column| {
            let position = |direction: usize, i: usize| {
                let first = set * stride + stride - 4;
                let pair = geometry.coordinates(direction).map(|at| corners.get(first + at));
                geometry.position(direction, pair, i)
            };
            plane.crop([position(0, row), position(1, column)])
        });
        let sets = if form == BoxForm::EveryImage { images } else { 1 };
        layout.read(words, call.inputs[x].slice::<T>(), call.outputs[0].slice::<T>(), |crop| {
            // Checked above.
            (image_of(crop).unwrap_or(0), crop / sets)
        });
        Ok(())
    })
    .scratch(scratch))
}

/// The number of an image that is given as a float.
fn numbered(image: f32) -> Option<usize> {
    (image >= 0.0 && image < u32::MAX as f32).then_some(image as usize)
}

#[cold]
fn out_of_range(
    corners: &Numbers<'_>,
    numbers: Option<&Ints<'_>>,
    at: usize,
    stride: usize,
    images: usize,
) -> String {
    let (operand, found) = match numbers {
        Some(numbers) => ("box_indices", numbers.get(at).to_string()),
        None => ("roi", corners.get(at * stride).to_string()),
    };
    format!("`{operand}` names image {found} for box {at}, but `x` has {images} images, from 0 on")
}
