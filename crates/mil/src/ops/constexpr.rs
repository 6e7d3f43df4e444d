//! Constants in compressed form, and what they decompress to.
//!
//! There are two generations. That of ios16 holds packed elements as flat `uint8` vectors beside a `shape`; its
//! parameters are attributes ([`in_attributes`]). That of ios18 has element types of less than a byte, blocks, vectors and
//! sparse operations that feed each other; its parameters are inputs. `constexpr_lut_to_dense`,
//! `constexpr_sparse_to_dense` and `constexpr_cast` are in both, and the opset of the function says which one is meant.
//!
//! The geometry that inference finds is what decompression works with: [`Palette`], [`Blocks`].
//!
//! Source: `iOS16/constexpr_ops.py` and `iOS18/compression.py` of coremltools 9.0. Beyond what they check, sizes of 0
//! where they would divide by them are refused.

use super::infer::{Inferred, check_axis, check_rank, choice, dimensions, one, too_large, vector_of};
use super::{Effect, FLOAT, Family, INT32, Infer, Op, OpDecl, Opset, Param, UINT32};
use crate::DataType::{Fp16, Fp32, Int4, Int8, Uint1, Uint2, Uint3, Uint4, Uint6, Uint8};
use crate::{DataType, DataTypeSet, InferError, OpView, Shape, TensorType, Type, packed};

const BYTES: DataTypeSet = DataTypeSet::of(&[Int8, Uint8]);
const UINT8: DataTypeSet = DataTypeSet::of(&[Uint8]);
const BITS: DataTypeSet = DataTypeSet::of(&[Uint1]);
/// What a palette or the values beside a mask are made of.
const VALUES: DataTypeSet = DataTypeSet::of(&[Int8, Uint8, Fp16, Fp32]);
/// The same with what ios18 adds: what scales and offsets apply to.
const LEVELS: DataTypeSet = DataTypeSet::of(&[Int4, Uint4, Int8, Uint8, Fp16, Fp32]);
const INDICES: DataTypeSet = DataTypeSet::of(&[Uint1, Uint2, Uint3, Uint4, Uint6, Uint8]);

const fn given(name: &'static str, dtypes: DataTypeSet) -> Param {
    Param::tensor(name, 0, dtypes).constant()
}

const SHAPE: Param = given("shape", UINT32).dropped_in(Opset::Ios18);
const VECTOR_AXIS: Param = given("vector_axis", INT32).optional();
const SCALE: Param = given("scale", FLOAT);
const OFFSET: Param = given("offset", LEVELS).optional();

const fn constexpr(
    name: &'static str,
    since: Opset,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl { name, family: Family::Constexpr, since, summary, params, effect: Effect::Pure, infer }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    constexpr(
        "constexpr_affine_dequantize",
        Opset::Ios16,
        "`(quantized_data - zero_point) * scale`, computed in fp32 and rounded to the type of `scale`. `scale` and \
         `zero_point` are one number each or one per index of `axis`.",
        &[
            given("quantized_data", BYTES),
            given("zero_point", DataTypeSet::of(&[Int8, Uint8, Fp32])),
            SCALE,
            Param::int("axis"),
        ],
        affine_dequantize,
    ),
    constexpr(
        "constexpr_blockwise_shift_scale",
        Opset::Ios18,
        "`(data - offset) * scale` in blocks: each dimension of `scale` (and of `offset`, 0 by default) divides that of \
         `data`, and the quotient is the size of the block that shares a scale. Everything is converted to the type of \
         `scale` first; every step rounds, the difference in fp32 where `offset` is fp32.",
        &[given("data", LEVELS), SCALE, OFFSET],
        blockwise_shift_scale,
    ),
    constexpr(
        "constexpr_cast",
        Opset::Ios16,
        "The fp16 constant `source_val` as `output_dtype`, which must be \"fp32\".",
        &[given("source_val", DataTypeSet::of(&[Fp16])), Param::string("output_dtype")],
        cast,
    ),
    constexpr(
        "constexpr_lut_to_dense",
        Opset::Ios16,
        "Each index of `indices` replaced by what `lut` has there. Before ios18: `lut` is a vector of 2, 4, 16, 64 or 256 \
         values, and `indices` holds those of a tensor of `shape` packed, lowest bit first. From ios18 on: the element \
         type of `indices` tells the number of entries, `lut` has the shape `[*blocks, entries, vector]`, where each \
         dimension of `blocks` divides that of `indices`; each entry is a vector laid along `vector_axis`, which may be \
         absent when vectors have one element.",
        &[
            given("indices", UINT8).widened(Opset::Ios18, 0, INDICES),
            given("lut", VALUES),
            SHAPE,
            VECTOR_AXIS.new_in(Opset::Ios18),
        ],
        lut_to_dense,
    ),
    constexpr(
        "constexpr_lut_to_sparse",
        Opset::Ios18,
        "`constexpr_lut_to_dense` of the indices where `indices_mask` is 1; gives the mask of the result (that of the \
         indices, every element repeated for the vector) and its values where that is 1, in row-major order.",
        &[
            given("indices_mask", BITS),
            given("indices_nonzero_data", INDICES),
            given("lut", VALUES),
            VECTOR_AXIS,
        ],
        lut_to_sparse,
    ),
    constexpr(
        "constexpr_sparse_blockwise_shift_scale",
        Opset::Ios18,
        "`constexpr_blockwise_shift_scale` of the values that stand where `data_mask` is 1; gives the mask and those values.",
        &[given("data_mask", BITS), given("nonzero_data", LEVELS), SCALE, OFFSET],
        sparse_blockwise_shift_scale,
    ),
    constexpr(
        "constexpr_sparse_to_dense",
        Opset::Ios16,
        "The elements of `nonzero_data` in row-major order where `mask` is 1, and 0 elsewhere. Before ios18: `mask` holds \
         the bits of a tensor of `shape` packed, lowest bit first. From ios18 on it has the shape of the result.",
        &[
            given("nonzero_data", VALUES).widened(Opset::Ios18, 0, LEVELS),
            given("mask", UINT8).widened(Opset::Ios18, 0, BITS),
            SHAPE,
        ],
        sparse_to_dense,
    ),
];

/// Whether the op's parameters are attributes under `opset` (the generation of ios16), which hold written-out constants only;
/// otherwise they are inputs, and results of other `constexpr` operations may stand there. Source:
/// `MILProtoExporter.translate_constexpr` of coremltools 9.0.
pub fn in_attributes(op: Op, opset: Opset) -> bool {
    op.family == Family::Constexpr
        && (opset < Opset::Ios18 || op.declaration().name == "constexpr_affine_dequantize")
}

/// Blocks of a tensor that share one entry of a smaller one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Dimensions of the tensor.
    pub shape: Shape,
    /// Number of blocks along each; divides the dimension.
    pub blocks: Shape,
}

impl Blocks {
    /// The blocks of a tensor of `shape`, as the first dimensions of `param` have them.
    fn new(shape: &Shape, blocks: &[usize], param: &'static str, of: &str) -> Result<Blocks, InferError> {
        match shape.iter().zip(blocks).position(|(&size, &count)| count == 0 || size % count != 0) {
            Some(at) => Err(InferError::new(
                param,
                format!(
                    "has {} blocks along dimension {at}, which do not divide the {} elements of {of}",
                    blocks[at], shape[at]
                ),
            )),
            None => Ok(Blocks { shape: shape.clone(), blocks: Shape::new(blocks) }),
        }
    }

    /// The same blocks in as few dimensions as can be, as pairs of size and number of blocks, outermost first: a dimension
    /// that is one block joins the one before it, and so does one whose predecessor has blocks of one element.
    pub fn merged(&self) -> Vec<(usize, usize)> {
        let mut merged: Vec<(usize, usize)> = Vec::with_capacity(self.shape.rank());
        for (&size, &blocks) in self.shape.iter().zip(self.blocks.iter()) {
            match merged.last_mut() {
                Some((outer, count)) if blocks == 1 || outer == count => {
                    *outer *= size;
                    *count *= blocks;
                }
                _ => merged.push((size, blocks)),
            }
        }
        merged
    }
}

/// A look-up table and the indices that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Bits of an index.
    pub bits: usize,
    /// Shape of the indices, and the number of tables along each dimension.
    pub tables: Blocks,
    /// Elements of an entry.
    pub vector: usize,
    /// The dimension along which entries lie; the last when they have one element and none is named.
    pub axis: usize,
    /// Shape of the result.
    pub output: Shape,
}

/// The table of a `constexpr_lut_to_dense` or `constexpr_lut_to_sparse`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn palette(op: &OpView<'_>) -> Result<Palette, InferError> {
    if op.operation.op.name == "constexpr_lut_to_sparse" {
        return tables(op, "indices_mask", op.dtype("indices_nonzero_data")?);
    }
    if op.function.opset < Opset::Ios18 {
        return flat_palette(op);
    }
    tables(op, "indices", op.dtype("indices")?)
}

/// The generation of ios16: one table, indices packed in bytes.
fn flat_palette(op: &OpView<'_>) -> Result<Palette, InferError> {
    let entries = vector_of(op, "lut")?;
    if ![2, 4, 16, 64, 256].contains(&entries) {
        let message = format!("has {entries} entries, but must have 2, 4, 16, 64 or 256");
        return Err(InferError::new("lut", message));
    }
    let bits = entries.ilog2() as usize;
    let shape = dimensions(op, "shape")?;
    check_packed(op, "indices", &shape, bits)?;
    let blocks = Shape::new(&vec![1; shape.rank()]);
    let axis = shape.rank().saturating_sub(1);
    Ok(Palette { bits, tables: Blocks { shape: shape.clone(), blocks }, vector: 1, axis, output: shape })
}

/// Fails unless a vector of bytes is as long as `bits` for each element of `shape` take.
fn check_packed(op: &OpView<'_>, param: &'static str, shape: &Shape, bits: usize) -> Result<(), InferError> {
    let found = vector_of(op, param)?;
    let needed =
        shape.checked_len().and_then(|len| len.checked_mul(bits)).ok_or_else(|| too_large("shape"))?;
    if found == needed.div_ceil(8) {
        return Ok(());
    }
    let message = format!(
        "has {found} bytes, but {bits} bits for each element of shape {shape} take {}",
        needed.div_ceil(8)
    );
    Err(InferError::new(param, message))
}

/// The generation of ios18: tables for indices of the shape of `param`.
fn tables(op: &OpView<'_>, param: &'static str, indices: DataType) -> Result<Palette, InferError> {
    let (ty, lut) = (op.tensor(param)?, op.tensor("lut")?);
    check_rank(param, ty, 1..=usize::MAX)?;
    let rank = ty.shape.rank();
    check_rank("lut", lut, rank + 2..=rank + 2)?;
    let (blocks, entry) = lut.shape.split_at(rank);
    let tables = Blocks::new(&ty.shape, blocks, "lut", &format!("`{param}`"))?;
    let (entries, vector) = (entry[0], entry[1]);
    if entries != 1 << indices.bits() {
        let message = format!(
            "has shape {}, so {entries} entries to a table, but indices of {indices} need {}",
            lut.shape,
            1 << indices.bits()
        );
        return Err(InferError::new("lut", message));
    }
    if vector == 0 {
        let message = format!("has shape {}, but an entry must have an element", lut.shape);
        return Err(InferError::new("lut", message));
    }
    let axis = match op.value("vector_axis") {
        Some(_) => {
            check_rank("vector_axis", op.tensor("vector_axis")?, 0..=0)?;
            check_axis("vector_axis", op.int("vector_axis")?, rank)?
        }
        None if vector > 1 => {
            let message = format!("is missing, but the entries of `lut` have {vector} elements");
            return Err(InferError::new("vector_axis", message));
        }
        None => rank - 1,
    };
    let mut output = ty.shape.to_vec();
    output[axis] = output[axis].checked_mul(vector).ok_or_else(|| too_large("lut"))?;
    Ok(Palette { bits: indices.bits(), tables, vector, axis, output: Shape::new(&output) })
}

/// The blocks of a `constexpr_blockwise_shift_scale` or `constexpr_sparse_blockwise_shift_scale`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn scale_blocks(op: &OpView<'_>) -> Result<Blocks, InferError> {
    let (shaped, data) = match op.value("data_mask") {
        Some(_) => ("data_mask", "nonzero_data"),
        None => ("data", "data"),
    };
    let (ty, scale) = (op.tensor(shaped)?, op.tensor("scale")?);
    check_rank(shaped, ty, 1..=usize::MAX)?;
    check_rank("scale", scale, ty.shape.rank()..=ty.shape.rank())?;
    if op.value("offset").is_some() {
        let (offset, data) = (op.tensor("offset")?, op.dtype(data)?);
        if offset.shape != scale.shape {
            let message =
                format!("has shape {}, but must have that of `scale`, {}", offset.shape, scale.shape);
            return Err(InferError::new("offset", message));
        }
        if !offset.dtype.is_float() && offset.dtype != data {
            let message = format!("is {}, but must be fp16, fp32 or {data} as the data", offset.dtype);
            return Err(InferError::new("offset", message));
        }
    }
    Blocks::new(&ty.shape, &scale.shape, "scale", &format!("`{shaped}`"))
}

/// Fails unless a mask, where its elements are at hand, has as many ones as there are values.
fn check_ones(op: &OpView<'_>, mask: &'static str, values: &'static str) -> Result<(), InferError> {
    let found = vector_of(op, values)?;
    let Some(constant) = op.constant(mask) else { return Ok(()) };
    let bits = match op.value("shape") {
        Some(_) => dimensions(op, "shape")?.count(),
        None => constant.ty().shape.count(),
    };
    let ones = packed::ones(constant.bytes(), bits);
    if ones == found {
        return Ok(());
    }
    Err(InferError::new(values, format!("has {found} elements, but `{mask}` has {ones} ones")))
}

fn affine_dequantize(op: &OpView<'_>) -> Inferred {
    let (data, scale) = (op.tensor("quantized_data")?, op.tensor("scale")?);
    let axis = check_axis("axis", op.int("axis")?, data.shape.rank())?;
    for param in ["scale", "zero_point"] {
        let ty = op.tensor(param)?;
        check_rank(param, ty, 0..=1)?;
        if ty.shape.first().is_some_and(|&len| len != data.shape[axis]) {
            let message = format!(
                "has {} elements, but must have one, or {} as dimension {axis} of `quantized_data`",
                ty.shape[0], data.shape[axis]
            );
            return Err(InferError::new(param, message));
        }
    }
    one(data.with_dtype(scale.dtype))
}

fn blockwise_shift_scale(op: &OpView<'_>) -> Inferred {
    let blocks = scale_blocks(op)?;
    one(TensorType::new(op.dtype("scale")?, blocks.shape))
}

fn cast(op: &OpView<'_>) -> Inferred {
    choice(op, "output_dtype", &["fp32"])?;
    one(op.tensor("source_val")?.with_dtype(Fp32))
}

fn lut_to_dense(op: &OpView<'_>) -> Inferred {
    one(TensorType::new(op.dtype("lut")?, palette(op)?.output))
}

fn lut_to_sparse(op: &OpView<'_>) -> Inferred {
    check_ones(op, "indices_mask", "indices_nonzero_data")?;
    let palette = palette(op)?;
    let values = vector_of(op, "indices_nonzero_data")?;
    let values = values.checked_mul(palette.vector).ok_or_else(|| too_large("lut"))?;
    Ok(vec![
        Type::Tensor(TensorType::new(Uint1, palette.output)),
        Type::Tensor(TensorType::new(op.dtype("lut")?, [values])),
    ])
}

fn sparse_blockwise_shift_scale(op: &OpView<'_>) -> Inferred {
    check_ones(op, "data_mask", "nonzero_data")?;
    scale_blocks(op)?;
    Ok(vec![
        Type::Tensor(op.tensor("data_mask")?.clone()),
        Type::Tensor(op.tensor("nonzero_data")?.with_dtype(op.dtype("scale")?)),
    ])
}

fn sparse_to_dense(op: &OpView<'_>) -> Inferred {
    let dtype = op.dtype("nonzero_data")?;
    if op.function.opset >= Opset::Ios18 {
        check_ones(op, "mask", "nonzero_data")?;
        return one(TensorType::new(dtype, op.shape("mask")?.clone()));
    }
    let shape = dimensions(op, "shape")?;
    check_packed(op, "mask", &shape, 1)?;
    if let Some(mask) = op.constant("mask") {
        let (bytes, bits) = (mask.bytes(), shape.count());
        if packed::ones(bytes, bytes.len() * 8) != packed::ones(bytes, bits) {
            let message =
                format!("has ones beyond the {bits} elements of shape {shape}; those bits must be 0");
            return Err(InferError::new("mask", message));
        }
    }
    check_ones(op, "mask", "nonzero_data")?;
    one(TensorType::new(dtype, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_merge_where_their_order_allows() {
        let merged = |shape: &[usize], blocks: &[usize]| {
            Blocks { shape: Shape::new(shape), blocks: Shape::new(blocks) }.merged()
        };
        // One scale per output channel; per row and group of columns; for everything.
        assert_eq!(merged(&[8, 4, 3, 3], &[8, 1, 1, 1]), [(288, 8)]);
        assert_eq!(merged(&[8, 64], &[8, 2]), [(512, 16)]);
        assert_eq!(merged(&[8, 64], &[1, 1]), [(512, 1)]);
        // Blocks of two rows and of two columns stay apart.
        assert_eq!(merged(&[8, 64], &[4, 32]), [(8, 4), (64, 32)]);
        assert_eq!(merged(&[6, 4, 2, 5], &[1, 2, 2, 1]), [(6, 1), (4, 2), (10, 2)]);
    }
}
