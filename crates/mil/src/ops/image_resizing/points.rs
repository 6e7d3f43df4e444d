//! `resample` and `affine`: images at any points.

use super::super::infer::{check_rank, check_shape, choice, int_from};
use super::boxes::{check_number, image};
use crate::{InferError, OpView};

/// What stands outside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// `padding_value`.
    Constant,
    /// The pixels of the border, repeated: `1 1 [1 2 3] 3 3`.
    Border,
    /// The image mirrored about the middle of its border pixels: `3 2 [1 2 3] 2 1`.
    Reflection,
    /// The image mirrored about its edge: `2 1 [1 2 3] 3 2`.
    Symmetric,
}

/// How coordinates become positions in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// They are positions.
    Pixels,
    /// -1 and 1 are the middles (`align_corners`) or the outer edges of the border pixels.
    MinusOneToOne {
        /// Middles.
        align_corners: bool,
    },
    /// 0 and 1 are the middles (`align_corners`) or the outer edges of the border pixels.
    ZeroToOne {
        /// Middles.
        align_corners: bool,
    },
}

impl Coordinates {
    /// `(a, b)` where a coordinate `c` along `size` pixels is the position `a c + b`.
    pub fn position(self, size: usize) -> (f32, f32) {
        let (pixels, last) = (size as f32, (size - 1) as f32);
        match self {
            Coordinates::Pixels => (1.0, 0.0),
            Coordinates::MinusOneToOne { align_corners: true } => (last / 2.0, last / 2.0),
            Coordinates::MinusOneToOne { align_corners: false } => (pixels / 2.0, last / 2.0),
            Coordinates::ZeroToOne { align_corners: true } => (last, 0.0),
            Coordinates::ZeroToOne { align_corners: false } => (pixels, -0.5),
        }
    }
}

/// A `resample` or `affine`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resample {
    /// Images, `B`.
    pub images: usize,
    /// Channels, `C`.
    pub channels: usize,
    /// Height and width of the images.
    pub input: [usize; 2],
    /// Height and width of the result.
    pub output: [usize; 2],
    /// Whether points between pixels are interpolated; else they take the nearest pixel.
    pub bilinear: bool,
    /// What stands outside.
    pub padding: Padding,
    /// What coordinates mean.
    pub coordinates: Coordinates,
}

impl Resample {
    /// Where column or row `i` of `count` stands on the grid that `affine` transforms: from -1 to 1 over the middles or
    /// the edges of the output's pixels; 0 when there is one only, as in PyTorch's `affine_grid`.
    pub fn grid(&self, i: usize, count: usize) -> f32 {
        if count == 1 {
            return 0.0;
        }
        let (i, count) = (i as f64, count as f64);
        let from_edge = match self.coordinates {
            Coordinates::MinusOneToOne { align_corners: false } => (2.0 * i + 1.0) / count,
            _ => 2.0 * i / (count - 1.0),
        };
        (from_edge - 1.0) as f32
    }
}

/// The geometry of a `resample`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn resample_geometry(op: &OpView<'_>) -> Result<Resample, InferError> {
    let [images, channels, height, width] = image(op.tensor("x")?)?;
    let coordinates = op.tensor("coordinates")?;
    check_rank("coordinates", coordinates, 4..=4)?;
    let [batch, rows, columns, pair] = [0, 1, 2, 3].map(|i| coordinates.shape[i]);
    if (batch, pair) != (images, 2) {
        return Err(InferError::new(
            "coordinates",
            format!("has shape {}, but must have shape [{images}, h, w, 2]", coordinates.shape),
        ));
    }
    let align_corners = op.bool("align_corners")?;
    check_number(op, "padding_value")?;
    Ok(Resample {
        images,
        channels,
        input: [height, width],
        output: [rows, columns],
        bilinear: choice(op, "sampling_mode", &["bilinear", "nearest"])? == "bilinear",
        padding: match choice(op, "padding_mode", &["constant", "border", "reflection", "symmetric"])? {
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            "symmetric" => Padding::Symmetric,
            _ => Padding::Constant,
        },
        coordinates: match choice(
            op,
            "coordinates_mode",
            &["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"],
        )? {
            "normalized_minus_one_to_one" => Coordinates::MinusOneToOne { align_corners },
            "normalized_zero_to_one" => Coordinates::ZeroToOne { align_corners },
            _ => Coordinates::Pixels,
        },
    })
}

/// The geometry of an `affine`. Its modes are the only ones that the op has, in any case of letters.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn affine_geometry(op: &OpView<'_>) -> Result<Resample, InferError> {
    let [images, channels, height, width] = image(op.tensor("x")?)?;
    let matrix = op.tensor("transform_matrix")?;
    check_rank("transform_matrix", matrix, 2..=2)?;
    if matrix.shape[0] != 1 {
        check_shape(op, "transform_matrix", &[images, 6], "one matrix per image, or [1, 6] for all")?;
    } else {
        check_shape(op, "transform_matrix", &[1, 6], "one matrix for all images")?;
    }
    for (param, only) in [
        ("sampling_mode", "bilinear"),
        ("padding_mode", "constant"),
        ("coordinates_mode", "normalized_minus_one_to_one"),
    ] {
        if !op.string(param)?.eq_ignore_ascii_case(only) {
            choice(op, param, &[only])?;
        }
    }
    let padding = op.float("padding_value")?;
    if padding != 0.0 {
        let message = format!("is {padding}, but this op pads with 0 only; use `resample` for other values");
        return Err(InferError::new("padding_value", message));
    }
    Ok(Resample {
        images,
        channels,
        input: [height, width],
        output: [int_from(op, "output_height", 1)?, int_from(op, "output_width", 1)?],
        bilinear: true,
        padding: Padding::Constant,
        coordinates: Coordinates::MinusOneToOne { align_corners: op.bool("align_corners")? },
    })
}
