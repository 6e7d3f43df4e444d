//! `crop_resize`: which boxes of which images, and how coordinates become positions.

use super::super::infer::{check_rank, check_shape, choice, int_from};
use super::Sampling;
use crate::{InferError, OpView, Opset, TensorType};

/// How boxes are given, which decides the shape of the output as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxForm {
    /// `roi` `[N, 1, 4, 1, 1]`: every box for every image.
    EveryImage,
    /// `roi` `[N, 1, 5, 1, 1]`: each box with the number of its image before it. (The output is `[N, 1, C, h, w]` as
    /// documented; coremltools infers `[N, B, C, h, w]`, which its own TensorFlow front end does not count on.)
    NumberedRoi,
    /// `boxes` `[N, 4]`, and the numbers of their images apart, from iOS17 on.
    Boxes,
}

/// A `crop_resize`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CropResize {
    /// Images, `B`.
    pub images: usize,
    /// Channels, `C`.
    pub channels: usize,
    /// Height and width of the images.
    pub input: [usize; 2],
    /// Height and width of the crops.
    pub output: [usize; 2],
    /// Boxes, `N`.
    pub boxes: usize,
    /// How they are given.
    pub form: BoxForm,
    /// Whether coordinates are centers and sizes instead of starts and ends. The start is the center less half the
    /// size, the end half the size further.
    pub centered: bool,
    /// Whether the vertical coordinate of a pair comes first.
    pub height_first: bool,
    /// Where the points lie in a box.
    pub sampling: Sampling,
    /// What a vertical and a horizontal coordinate is multiplied by to give a position in pixels.
    pub factor: [f32; 2],
}

impl CropResize {
    /// Number of crops: one per box, or one per box and image.
    pub fn crops(&self) -> usize {
        if self.form == BoxForm::EveryImage { self.boxes.saturating_mul(self.images) } else { self.boxes }
    }

    /// Coordinates per box, the number of the image included.
    pub fn stride(&self) -> usize {
        if self.form == BoxForm::NumberedRoi { 5 } else { 4 }
    }

    /// Which two of a box's four coordinates belong to the vertical (0) or horizontal (1) direction.
    pub fn coordinates(&self, direction: usize) -> [usize; 2] {
        if (direction == 0) == self.height_first { [0, 2] } else { [1, 3] }
    }

    /// The position of point `i` of the vertical (0) or horizontal (1) direction, in pixels; `pair` holds the box's
    /// [`coordinates`](CropResize::coordinates). A box whose end lies before its start is walked backwards.
    pub fn position(&self, direction: usize, pair: [f32; 2], i: usize) -> f32 {
        let [a, b] = pair.map(|coordinate| coordinate * self.factor[direction]);
        let (start, end) = if self.centered { (a - b * 0.5, a + b * 0.5) } else { (a, b) };
        let length = (end - start).abs();
        let way = self.sampling.in_box(length, i, self.output[direction]);
        // The end itself, so that no rounding puts it outside the image.
        if way >= length {
            end
        } else if end < start {
            start - way
        } else {
            start + way
        }
    }
}

const BOX_MODES: [(&str, bool, bool); 4] = [
    ("CORNERS_HEIGHT_FIRST", false, true),
    ("CORNERS_WIDTH_FIRST", false, false),
    ("CENTER_SIZE_HEIGHT_FIRST", true, true),
    ("CENTER_SIZE_WIDTH_FIRST", true, false),
];

/// The geometry of a `crop_resize`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn crop_resize_geometry(op: &OpView<'_>) -> Result<CropResize, InferError> {
    let x = op.tensor("x")?;
    let [images, channels, height, width] = image(x)?;
    let (form, boxes) = form(op, images)?;
    let name = choice(op, "box_coordinate_mode", &BOX_MODES.map(|(name, ..)| name))?;
    let (centered, height_first) = BOX_MODES
        .iter()
        .find(|(known, ..)| *known == name)
        .map_or((false, true), |&(_, centered, height_first)| (centered, height_first));
    let normalized = op.bool("normalized_coordinates")?;
    if normalized && form == BoxForm::Boxes && !op.dtype("boxes")?.is_float() {
        let message =
            format!("is true, which needs fp16 or fp32 `boxes`, but they are {}", op.dtype("boxes")?);
        return Err(InferError::new("normalized_coordinates", message));
    }
    let scale = op.float("spatial_scale")?;
    let factor = [height, width].map(|size| if normalized { (size - 1) as f32 * scale } else { scale });
    check_number(op, "pad_value")?;
    Ok(CropResize {
        images,
        channels,
        input: [height, width],
        output: [int_from(op, "target_height", 1)?, int_from(op, "target_width", 1)?],
        boxes,
        form,
        centered,
        height_first,
        sampling: Sampling::of(op)?,
        factor,
    })
}

/// `[B, C, H, W]` with pixels in it.
pub(super) fn image(x: &TensorType) -> Result<[usize; 4], InferError> {
    check_rank("x", x, 4..=4)?;
    let dims = [x.shape[0], x.shape[1], x.shape[2], x.shape[3]];
    if dims[2] == 0 || dims[3] == 0 {
        return Err(InferError::new("x", format!("has shape {}: images without pixels", x.shape)));
    }
    Ok(dims)
}

/// Fails unless a constant is absent or one number.
pub(super) fn check_number(op: &OpView<'_>, param: &'static str) -> Result<(), InferError> {
    if op.value(param).is_some() {
        op.float(param)?;
    }
    Ok(())
}

/// How boxes are given, and how many.
fn form(op: &OpView<'_>, images: usize) -> Result<(BoxForm, usize), InferError> {
    if op.function.opset < Opset::Ios17 {
        let roi = op.shape("roi")?;
        return match **roi {
            [boxes, 1, 4, 1, 1] => Ok((BoxForm::EveryImage, boxes)),
            [boxes, 1, 5, 1, 1] => Ok((BoxForm::NumberedRoi, boxes)),
            _ => Err(InferError::new(
                "roi",
                format!(
                    "has shape {roi}, but must have shape [N, 1, 4, 1, 1], or [N, 1, 5, 1, 1] with image numbers"
                ),
            )),
        };
    }
    if op.value("roi").is_some() {
        return Err(InferError::new("roi", "is no parameter from ios17 on; use `boxes` and `box_indices`"));
    }
    let shape = op.shape("boxes")?;
    let [boxes, 4] = **shape else {
        return Err(InferError::new("boxes", format!("has shape {shape}, but must have shape [N, 4]")));
    };
    check_shape(op, "box_indices", &[boxes], "one number per box")?;
    if op.value("box_indices").is_none() && boxes > images {
        let message = format!("are missing, but {boxes} boxes need them for the {images} images of `x`");
        return Err(InferError::new("box_indices", message));
    }
    let indices = op.constant("box_indices").and_then(|indices| indices.to_i64()).unwrap_or_default();
    if let Some(index) =
        indices.iter().find(|&&index| usize::try_from(index).is_ok_and(|i| i >= images) || index < 0)
    {
        let message = format!("holds {index}, but `x` has {images} images, from 0 on");
        return Err(InferError::new("box_indices", message));
    }
    Ok((BoxForm::Boxes, boxes))
}
