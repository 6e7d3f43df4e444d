//! Images as inputs: pixels become the tensor that Core ML would hand to the program.
//!
//! An image feature of `width` × `height` reaches the program as `[1, channels, height, width]`, values 0 to 255, planes in the
//! order of its color space (R, G, B or B, G, R; one plane for grayscale). Scaling and bias are operations of the
//! program. Grayscale is the luma of Rec. 709, as the `image` crate computes it; Core ML's own conversion of colored
//! images to gray is not documented.

use super::ModelError;
use anemone_mlpackage::{ColorSpace, FeatureType, ImageFeature, ImageFlexibility};
use anemone_runtime::Tensor;
use half::f16;
use image::{DynamicImage, ImageReader, Limits};
use mil::{DataType, TensorType};
use std::path::Path;

/// More pixels than this in one direction are refused before they are decoded.
const MAX_SIDE: u32 = 1 << 15;
/// Memory that decoding may take.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a PNG or JPEG file for an image input of the given tensor type.
///
/// # Errors
/// When the file is no such image, or its size is none that the input takes.
pub fn read_image(
    path: &Path,
    name: &str,
    feature: &ImageFeature,
    wanted: &TensorType,
) -> Result<Tensor, ModelError> {
    let fault = |message: String| ModelError::Image {
        name: name.into(),
        message: format!("{}: {message}", path.display()),
    };
    let reader = ImageReader::open(path).map_err(|source| ModelError::Io { path: path.into(), source })?;
    let mut reader =
        reader.with_guessed_format().map_err(|source| ModelError::Io { path: path.into(), source })?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let image =
        reader.decode().map_err(|error| fault(format!("this is no image that can be read: {error}")))?;
    let (width, height) = (u64::from(image.width()), u64::from(image.height()));
    let fits = match &feature.flexibility {
        ImageFlexibility::Fixed => (width, height) == (feature.width, feature.height),
        ImageFlexibility::Enumerated(sizes) => sizes.contains(&(width, height)),
        ImageFlexibility::Range { width: w, height: h } => w.contains(width) && h.contains(height),
    };
    if !fits {
        return Err(fault(format!(
            "the image has {width} × {height} pixels, but the input takes {}; resize it first",
            size(feature)
        )));
    }
    let tensor = pixels(&image, feature.color_space, wanted.dtype).map_err(fault)?;
    if !wanted.shape.accepts(tensor.shape()) {
        return Err(fault(format!(
            "the program takes {wanted}, which no image of {} becomes",
            size(feature)
        )));
    }
    Ok(tensor)
}

/// The sizes that an input takes, in words.
fn size(feature: &ImageFeature) -> String {
    FeatureType::Image(feature.clone()).to_string()
}

fn pixels(image: &DynamicImage, space: ColorSpace, dtype: DataType) -> Result<Tensor, String> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let planes: Vec<f32> = match space {
        ColorSpace::Grayscale => image.to_luma8().into_raw().into_iter().map(f32::from).collect(),
        ColorSpace::GrayscaleFloat16 => {
            image.to_luma32f().into_raw().into_iter().map(|value| value * 255.0).collect()
        }
        ColorSpace::Rgb | ColorSpace::Bgr => {
            let raw = image.to_rgb8().into_raw();
            let order = if space == ColorSpace::Rgb { [0, 1, 2] } else { [2, 1, 0] };
            order.iter().flat_map(|&c| raw[c..].iter().step_by(3).copied().map(f32::from)).collect()
        }
    };
    let channels = planes.len() / (width * height).max(1);
    let shape = [1, channels, height, width];
    let made = match dtype {
        DataType::Fp16 => Tensor::new(shape, &planes.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>()),
        DataType::Fp32 => Tensor::new(shape, &planes),
        other => return Err(format!("the program takes elements of {other}, which pixels cannot be")),
    };
    made.map_err(|error| error.to_string())
}
