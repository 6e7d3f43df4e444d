//! Resizing, cropping and resampling of images: the last dimensions of a tensor.
//!
//! Apple's documentation leaves open what its own tests settle (coremltools 9.0, `ops/tests/iOS14` to `iOS17`,
//! `test_image_resizing.py`, and the TensorFlow front end's `test_ops.py`, all of which compare with Core ML):
//!
//! * `resize_nearest_neighbor` and `upsample_nearest_neighbor` take element `floor(i * input / output)`: the scale is that
//!   of the sizes, not the factor given (3 columns by 1.12 are the same 3 columns).
//! * `upsample_bilinear` recomputes its scale from the sizes as well.
//! * `resize` with "NEAREST_NEIGHBOR" and "DEFAULT" takes the element that the middle of the output element falls in,
//!   `floor((i + 0.5) * input / output)`. No rounding of the documented grid point gives what is expected both of 2 rows in
//!   3 (`0, 1, 1`) and of 20 columns in 60 (`0, 0, 0, 1, …`). The other sampling modes round to the nearest element.
//! * Bilinear `resample` takes padding pixel by pixel (half a pixel outside is half padding); `crop_resize` takes it
//!   as a whole: a point outside the image *is* `pad_value`.
//! * `resample`'s "reflection" mirrors about the middle of the border pixels and "symmetric" about their outer edge, whatever
//!   `align_corners` says; "nearest" rounds half to even; "unnormalized" coordinates ignore `align_corners`.
//! * A box of `crop_resize` whose end lies before its start is read backwards.
//!
//! One expected value is not followed: before iOS17 the box `[2, 2, 1, 1]` in normalized coordinates, which lies outside the
//! image, gives the whole image with "UNALIGN_CORNERS". Nothing documented explains it, other boxes that leave the
//! image contradict it, and such coordinates are not allowed; here it gives padding like any other point outside.

use super::infer::{Inferred, check_rank, choice, given_ints, int_from, one, too_large, vector_of};
use super::{DefaultValue, Effect, FLOAT, FP32, Family, INT32, Infer, NUMBER, OpDecl, Opset, Param};
use crate::{DataType, DataTypeSet, InferError, OpView, Shape};
use DataType::{Fp16, Fp32, Int8, Int16, Int32, Uint8, Uint16, Uint32};

mod boxes;
mod points;
mod sampling;

pub use boxes::{BoxForm, CropResize, crop_resize_geometry};
pub use points::{Coordinates, Padding, Resample, affine_geometry, resample_geometry};
pub use sampling::{Points, Resized, Sampling, Tap};

const COORDINATES_15: DataTypeSet = DataTypeSet::of(&[Int32, Fp32]);
const COORDINATES_16: DataTypeSet = DataTypeSet::of(&[Int32, Fp16, Fp32]);
const COORDINATES_17: DataTypeSet = DataTypeSet::of(&[Int8, Uint8, Int16, Uint16, Int32, Fp16, Fp32]);
const BOXES: DataTypeSet = DataTypeSet::of(&[Fp16, Fp32, Uint16]);
const BOX_INDICES: DataTypeSet = DataTypeSet::of(&[Uint16, Int32]);
const SIZES: DataTypeSet = DataTypeSet::of(&[Int32, Int16, Uint16, Uint32]);

const X: Param = Param::tensor("x", b'T', FLOAT);

const fn size_or_one(name: &'static str) -> Param {
    Param::int(name).or(DefaultValue::Int(1))
}

const fn scale_factor(name: &'static str) -> Param {
    Param::tensor(name, b'U', COORDINATES_15).constant().or(DefaultValue::Int(1))
}

const SAMPLING_MODE: Param = Param::string("sampling_mode").or(DefaultValue::Str("DEFAULT"));

const fn declare(
    name: &'static str,
    since: Opset,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl { name, family: Family::ImageResizing, since, summary, params, effect: Effect::Pure, infer }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    declare(
        "affine",
        Opset::Ios15,
        "`x` `[B, C, H, W]` at the points `(a0 x + a1 y + a2, b0 x + b1 y + b2)`, one matrix `[a0, a1, a2, b0, b1, b2]` per \
         image or one for all, where `x` and `y` run from -1 to 1 over the output; bilinear, 0 outside the image.",
        &[
            X,
            Param::tensor("transform_matrix", b'T', FLOAT),
            Param::int("output_height"),
            Param::int("output_width"),
            Param::string("sampling_mode"),
            Param::string("padding_mode"),
            Param::tensor("padding_value", b'T', FLOAT).constant(),
            Param::string("coordinates_mode"),
            Param::bool("align_corners"),
        ],
        infer_affine,
    ),
    declare(
        "crop",
        Opset::Ios15,
        "`x` without the first and last rows and columns that `crop_height` and `crop_width` count.",
        &[
            X,
            Param::tensor("crop_height", 0, INT32).constant(),
            Param::tensor("crop_width", 0, INT32).constant(),
        ],
        infer_crop,
    ),
    declare(
        "crop_resize",
        Opset::Ios15,
        "Boxes of `x` `[B, C, H, W]`, each resized bilinearly. Before iOS17 `roi` `[N, 1, 4, 1, 1]` holds boxes for every image \
         and gives `[N, B, C, h, w]`, or `[N, 1, 5, 1, 1]` with the number of the image before each box gives \
         `[N, 1, C, h, w]`; from iOS17 on `boxes` `[N, 4]` and `box_indices` `[N]` (`0, 1, …` when absent) give `[N, C, h, w]`. \
         Points outside the image are `pad_value`.",
        &[
            X,
            Param::tensor("roi", b'T', FLOAT).optional(),
            Param::tensor("boxes", 0, BOXES).optional().new_in(Opset::Ios17),
            Param::tensor("box_indices", 0, BOX_INDICES).optional().new_in(Opset::Ios17),
            size_or_one("target_height"),
            size_or_one("target_width"),
            Param::bool("normalized_coordinates").or(DefaultValue::Bool(false)),
            Param::tensor("spatial_scale", 0, FP32).constant().or(DefaultValue::Float(1.0)),
            Param::string("box_coordinate_mode").or(DefaultValue::Str("CORNERS_HEIGHT_FIRST")),
            SAMPLING_MODE,
            Param::tensor("pad_value", b'T', FLOAT)
                .constant()
                .or(DefaultValue::Float(0.0))
                .new_in(Opset::Ios16),
        ],
        infer_crop_resize,
    ),
    declare(
        "resample",
        Opset::Ios15,
        "`x` `[B, C, H, W]` at the points `coordinates` `[B, h, w, 2]`, which hold `(x, y)`; what lies outside the image is \
         told by `padding_mode`.",
        &[
            X,
            Param::tensor("coordinates", 0, COORDINATES_15).widened(Opset::Ios16, 0, COORDINATES_16).widened(
                Opset::Ios17,
                0,
                COORDINATES_17,
            ),
            Param::string("sampling_mode"),
            Param::string("padding_mode"),
            Param::tensor("padding_value", b'T', FLOAT).constant(),
            Param::string("coordinates_mode"),
            Param::bool("align_corners"),
        ],
        infer_resample,
    ),
    declare(
        "resize",
        Opset::Ios17,
        "`x` with its last `resized_dims` dimensions resized to the last ones of `shape`, where 0 keeps a dimension; `int32` \
         is interpolated to the nearest integer.",
        &[
            Param::tensor("x", b'T', NUMBER),
            Param::tensor("shape", 0, SIZES),
            Param::tensor("resized_dims", 0, DataTypeSet::of(&[Uint32])).constant(),
            Param::string("interpolation_mode").or(DefaultValue::Str("LINEAR")),
            SAMPLING_MODE,
        ],
        infer_resized,
    ),
    declare(
        "resize_bilinear",
        Opset::Ios15,
        "`x` with its last two dimensions resized by linear interpolation in both.",
        &[X, size_or_one("target_size_height"), size_or_one("target_size_width"), SAMPLING_MODE],
        infer_resized,
    ),
    declare(
        "resize_nearest_neighbor",
        Opset::Ios15,
        "`x` with its last two dimensions resized by repeating and leaving out elements.",
        &[X, Param::int("target_size_height"), Param::int("target_size_width")],
        infer_resized,
    ),
    declare(
        "upsample_bilinear",
        Opset::Ios15,
        "`x` with its last two dimensions scaled (and rounded down) by linear interpolation in both. `half_pixel_centers` is \
         `!align_corners` by default.",
        &[
            X,
            scale_factor("scale_factor_height"),
            scale_factor("scale_factor_width"),
            Param::bool("align_corners").or(DefaultValue::Bool(true)),
            Param::bool("half_pixel_centers").optional().new_in(Opset::Ios16),
        ],
        infer_resized,
    ),
    declare(
        "upsample_nearest_neighbor",
        Opset::Ios15,
        "`x` with its last two dimensions scaled (and rounded down) by repeating and leaving out elements.",
        &[X, scale_factor("scale_factor_height"), scale_factor("scale_factor_width")],
        infer_resized,
    ),
];

/// How many rows and columns `crop` takes away: before and after, of the last two dimensions.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn crop_amounts(op: &OpView<'_>) -> Result<[(usize, usize); 2], InferError> {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=usize::MAX)?;
    let rank = x.shape.rank();
    let amounts = |param: &'static str, size: usize| {
        let given = given_ints(op, param)?;
        let &[before, after] = given.as_slice() else {
            let message = format!("must have 2 elements, before and after, but has {}", given.len());
            return Err(InferError::new(param, message));
        };
        match (usize::try_from(before), usize::try_from(after)) {
            (Ok(before), Ok(after)) if before.saturating_add(after) <= size => Ok((before, after)),
            _ => Err(InferError::new(
                param,
                format!(
                    "is [{before}, {after}], but both must be 0 or more and take at most {size} together"
                ),
            )),
        }
    };
    Ok([amounts("crop_height", x.shape[rank - 2])?, amounts("crop_width", x.shape[rank - 1])?])
}

fn infer_crop(op: &OpView<'_>) -> Inferred {
    let (x, [height, width]) = (op.tensor("x")?, crop_amounts(op)?);
    let mut shape = x.shape.clone();
    let rank = shape.rank();
    shape.dims_mut()[rank - 2] -= height.0 + height.1;
    shape.dims_mut()[rank - 1] -= width.0 + width.1;
    one(x.with_shape(shape))
}

fn infer_crop_resize(op: &OpView<'_>) -> Inferred {
    let (x, geometry) = (op.tensor("x")?, crop_resize_geometry(op)?);
    let CropResize { boxes, images, channels, output: [height, width], .. } = geometry;
    let per_box = match geometry.form {
        BoxForm::EveryImage => Some(images),
        BoxForm::NumberedRoi => Some(1),
        BoxForm::Boxes => None,
    };
    let outer = [boxes].into_iter().chain(per_box);
    one(x.with_shape(outer.chain([channels, height, width]).collect::<Shape>()))
}

fn infer_resample(op: &OpView<'_>) -> Inferred {
    resampled(op, resample_geometry(op)?)
}

fn infer_affine(op: &OpView<'_>) -> Inferred {
    resampled(op, affine_geometry(op)?)
}

fn resampled(op: &OpView<'_>, geometry: Resample) -> Inferred {
    let Resample { images, channels, output: [height, width], .. } = geometry;
    one(op.tensor("x")?.with_shape([images, channels, height, width]))
}

/// The dimensions that `resize`, `resize_*` and `upsample_*` resize, outermost first. They are independent of one another:
/// the whole is one after the other.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn resized_dimensions(op: &OpView<'_>) -> Result<Vec<Resized>, InferError> {
    let resized = match op.name() {
        "resize" => by_shape(op)?,
        "resize_bilinear" => {
            to_size(op, ["target_size_height", "target_size_width"], Points::Linear(Sampling::of(op)?))?
        }
        "resize_nearest_neighbor" => to_size(op, ["target_size_height", "target_size_width"], Points::Floor)?,
        "upsample_bilinear" => by_factor(op, Points::Linear(upsampling(op)?))?,
        _ => by_factor(op, Points::Floor)?,
    };
    match resized.iter().find(|dimension| dimension.input == 0) {
        Some(Resized { axis, .. }) => {
            Err(InferError::new("x", format!("has nothing along axis {axis} to resize")))
        }
        None => Ok(resized),
    }
}

fn infer_resized(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    let mut shape = x.shape.clone();
    for Resized { axis, output, .. } in resized_dimensions(op)? {
        shape.dims_mut()[axis] = output;
    }
    one(x.with_shape(shape))
}

/// The last two dimensions, resized to `sizes`.
fn last_two(op: &OpView<'_>, sizes: [usize; 2], points: Points) -> Result<Vec<Resized>, InferError> {
    let x = op.tensor("x")?;
    let first = x.shape.rank() - 2;
    let one = |i: usize| Resized { axis: first + i, input: x.shape[first + i], output: sizes[i], points };
    Ok(vec![one(0), one(1)])
}

fn to_size(op: &OpView<'_>, params: [&'static str; 2], points: Points) -> Result<Vec<Resized>, InferError> {
    check_rank("x", op.tensor("x")?, 3..=usize::MAX)?;
    last_two(op, [int_from(op, params[0], 1)?, int_from(op, params[1], 1)?], points)
}

fn by_factor(op: &OpView<'_>, points: Points) -> Result<Vec<Resized>, InferError> {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=usize::MAX)?;
    let rank = x.shape.rank();
    let height = scaled(op, "scale_factor_height", x.shape[rank - 2])?;
    let width = scaled(op, "scale_factor_width", x.shape[rank - 1])?;
    last_two(op, [height, width], points)
}

/// `floor(size * factor)`. A fraction is multiplied in `fp32`, as coremltools' inference does: 0.7 of 10 are 7.
fn scaled(op: &OpView<'_>, param: &'static str, size: usize) -> Result<usize, InferError> {
    let nothing = |factor: &dyn std::fmt::Display| {
        let message = format!("is {factor}, which leaves nothing of {size}; the result must be 1 or more");
        InferError::new(param, message)
    };
    if op.constant(param).is_some_and(|factor| factor.ty().dtype == Fp32) {
        let factor = op.float(param)?;
        let scaled = (size as f32 * factor).floor();
        return if scaled >= isize::MAX as f32 {
            Err(too_large(param))
        } else if scaled >= 1.0 {
            Ok(scaled as usize)
        } else {
            Err(nothing(&factor))
        };
    }
    let factor = op.int(param)?;
    match usize::try_from(factor) {
        Ok(given) if given.min(size) > 0 => size.checked_mul(given).ok_or_else(|| too_large(param)),
        _ => Err(nothing(&factor)),
    }
}

/// Both at once would put the corners in two places; Apple's tests call it an invalid configuration.
fn upsampling(op: &OpView<'_>) -> Result<Sampling, InferError> {
    let align_corners = op.bool("align_corners")?;
    let half_pixel_centers = match op.value("half_pixel_centers") {
        Some(_) => op.bool("half_pixel_centers")?,
        None => !align_corners,
    };
    match (align_corners, half_pixel_centers) {
        (true, false) => Ok(Sampling::StrictAlignCorners),
        (false, true) => Ok(Sampling::UnalignCorners),
        (false, false) => Ok(Sampling::Default),
        (true, true) => Err(InferError::new(
            "half_pixel_centers",
            "is true, which contradicts `align_corners`; one of both must be false",
        )),
    }
}

fn by_shape(op: &OpView<'_>) -> Result<Vec<Resized>, InferError> {
    let x = op.tensor("x")?;
    let sampling = Sampling::of(op)?;
    let points = match choice(op, "interpolation_mode", &["LINEAR", "NEAREST_NEIGHBOR"])? {
        "LINEAR" => Points::Linear(sampling),
        _ => Points::Nearest(sampling),
    };
    let (rank, given) = (x.shape.rank(), vector_of(op, "shape")?);
    if given > rank {
        let message = format!("has {given} elements, but `x` has shape {} of rank {rank}", x.shape);
        return Err(InferError::new("shape", message));
    }
    let count = int_from(op, "resized_dims", 0)?;
    if count > given {
        let message = format!("is {count}, but must be at most the length of `shape`, {given}");
        return Err(InferError::new("resized_dims", message));
    }
    let sizes = given_ints(op, "shape")?;
    (0..count)
        .map(|i| {
            let axis = rank - count + i;
            let size = sizes[given - count + i];
            let output = usize::try_from(size).map_err(|_| {
                InferError::new("shape", format!("holds {size}, but sizes are 1 or more, or 0 to keep one"))
            })?;
            let input = x.shape[axis];
            Ok(Resized { axis, input, output: if output == 0 { input } else { output }, points })
        })
        .collect()
}
