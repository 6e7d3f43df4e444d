//! Quantization of tensors at run time.
//!
//! Source: `iOS17/quantization_ops.py` of coremltools 9.0.

use super::infer::{Inferred, check_axis, check_rank, check_shape, choice, one};
use super::{Effect, FLOAT, Family, INT32, OpDecl, Opset, Param};
use crate::{DataType, DataTypeSet, InferError, OpView, Shape};

const BYTES: DataTypeSet = DataTypeSet::of(&[DataType::Int8, DataType::Uint8]);
const AXIS: Param = Param::tensor("axis", 0, INT32).constant().optional();

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    OpDecl {
        name: "dequantize",
        family: Family::Quantization,
        since: Opset::Ios17,
        summary: "`(input - zero_point) * scale`, computed in fp32 and rounded to the type of `scale`. `scale` and `zero_point` \
                  (0 by default) are one number each, or one per index of `axis`, which is given then and only then.",
        params: &[
            Param::tensor("input", b'S', BYTES),
            Param::tensor("zero_point", b'S', BYTES).constant().optional(),
            Param::tensor("scale", 0, FLOAT).constant(),
            AXIS,
        ],
        effect: Effect::Pure,
        infer: dequantize,
    },
    OpDecl {
        name: "quantize",
        family: Family::Quantization,
        since: Opset::Ios17,
        summary: "`round(input / scale) + zero_point`, limited to what `output_dtype` (\"int8\" or \"uint8\") holds. The quotient \
                  is rounded to the type of `input` first, then to the nearest integer, halves to the even one. `scale` and \
                  `zero_point` (0 by default) are one number each, or one per index of `axis`, which is given then and only then.",
        params: &[
            Param::tensor("input", b'S', FLOAT),
            Param::tensor("zero_point", 0, BYTES).constant().optional(),
            Param::tensor("scale", b'S', FLOAT).constant(),
            AXIS,
            Param::string("output_dtype"),
        ],
        effect: Effect::Pure,
        infer: quantize,
    },
];

/// The axis along which scales and zero points vary; `None` when there is one of each.
///
/// # Errors
/// When their shapes do not fit the input; never for a verified operation.
pub fn scale_axis(op: &OpView<'_>) -> Result<Option<usize>, InferError> {
    let (input, scale) = (op.shape("input")?, op.tensor("scale")?);
    check_rank("scale", scale, 0..=1)?;
    if scale.shape.is_empty() {
        if op.value("axis").is_some() {
            let message =
                "is given, but `scale` is one number for everything; leave it out, or give a vector";
            return Err(InferError::new("axis", message));
        }
        check_shape(op, "zero_point", &[], "as `scale`")?;
        return Ok(None);
    }
    if op.value("axis").is_none() {
        let message =
            format!("is missing, but `scale` has shape {}; it says which dimension that is", scale.shape);
        return Err(InferError::new("axis", message));
    }
    let axis = check_axis("axis", op.int("axis")?, input.rank())?;
    for param in ["scale", "zero_point"] {
        check_shape(
            op,
            param,
            &[input[axis]],
            &format!("dimension {axis} of `input`, {}", Shape::new(input)),
        )?;
    }
    Ok(Some(axis))
}

fn dequantize(op: &OpView<'_>) -> Inferred {
    scale_axis(op)?;
    one(op.tensor("input")?.with_dtype(op.dtype("scale")?))
}

fn quantize(op: &OpView<'_>) -> Inferred {
    let name = choice(op, "output_dtype", &["int8", "uint8"])?;
    let dtype = if name == "int8" { DataType::Int8 } else { DataType::Uint8 };
    if op.value("zero_point").is_some() && op.dtype("zero_point")? != dtype {
        let message = format!("is {}, but must be {dtype} as `output_dtype` says", op.dtype("zero_point")?);
        return Err(InferError::new("zero_point", message));
    }
    scale_axis(op)?;
    let scale = op.constant("scale").and_then(|scale| scale.to_f32());
    if scale.is_some_and(|scale| !scale.is_empty() && scale.iter().all(|&value| value == 0.0)) {
        return Err(InferError::new("scale", "is 0, by which nothing can be divided"));
    }
    one(op.tensor("input")?.with_dtype(dtype))
}
