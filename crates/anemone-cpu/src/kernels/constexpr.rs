//! What compressed constants stand for.
//!
//! [`decompress`] is called once, when compiling, before anything is lowered that wants its constants. The result is
//! bit for bit what coremltools' `materialized_val_inference` gives (NumPy), rounded to the declared type where NumPy
//! computed in a wider one: with an fp16 scale, every step of `constexpr_blockwise_shift_scale` rounds to fp16, unless
//! the offset is fp32.

use super::blocks::{BlockWalk, CHUNK, chunks};
use super::quantization::{Affine, constant, numbers};
use super::{Float, Lower, Lowered, parallel, unsupported};
use half::f16;
use mil::ops::constexpr::{Palette, palette, scale_blocks};
use mil::{Constant, DataType, Element, InferError, OpView, PackedReader, TensorType};
use std::sync::Arc;

type Decompressed = Result<Constant, InferError>;

/// The family's kernels: they give what was decompressed when they were made.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("constexpr_affine_dequantize", lower),
    ("constexpr_blockwise_shift_scale", lower),
    ("constexpr_cast", lower),
    ("constexpr_lut_to_dense", lower),
    ("constexpr_lut_to_sparse", lower),
    ("constexpr_sparse_blockwise_shift_scale", lower),
    ("constexpr_sparse_to_dense", lower),
];

fn lower(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let results = decompress(op)?;
    Ok(Lowered::new(move |call| {
        for (output, result) in call.outputs.iter_mut().zip(&results) {
            output.bytes().copy_from_slice(result.bytes());
        }
        Ok(())
    }))
}

/// The outputs of a `constexpr` operation, whose arguments are all constants by now.
///
/// # Errors
/// When a mask that another operation gave has another number of ones than there are values, or memory does not suffice.
pub(crate) fn decompress(op: &OpView<'_>) -> Result<Vec<Constant>, InferError> {
    match op.name() {
        "constexpr_affine_dequantize" => affine_dequantize(op).map(|result| vec![result]),
        "constexpr_blockwise_shift_scale" => blockwise_shift_scale(op).map(|result| vec![result]),
        "constexpr_cast" => cast(op).map(|result| vec![result]),
        "constexpr_lut_to_dense" => lut_to_dense(op).map(|result| vec![result]),
        "constexpr_lut_to_sparse" => lut_to_sparse(op),
        "constexpr_sparse_blockwise_shift_scale" => sparse_blockwise_shift_scale(op),
        _ => sparse_to_dense(op).map(|result| vec![result]),
    }
}

/// Runs `$body` with `$get`, which reads an element of the constant as `f32`; one copy of the code for each storage.
macro_rules! reading {
    ($param:literal, $constant:expr, |$get:ident| $body:expr) => {{
        let constant: &Constant = $constant;
        if let Some(packed) = PackedReader::new(constant.ty().dtype, constant.bytes()) {
            let $get = |at: usize| f32::from(packed.get(at));
            $body
        } else if let Some(values) = constant.as_slice::<i8>() {
            let $get = |at: usize| f32::from(values[at]);
            $body
        } else if let Some(values) = constant.as_slice::<u8>() {
            let $get = |at: usize| f32::from(values[at]);
            $body
        } else if let Some(values) = constant.as_slice::<f16>() {
            let $get = |at: usize| values[at].to_f32();
            $body
        } else if let Some(values) = constant.as_slice::<f32>() {
            let $get = |at: usize| values[at];
            $body
        } else {
            Err(unsupported($param, constant.ty()))
        }
    }};
}

/// Makes a float tensor of output type `ty`: `fill` computes it in its element type.
macro_rules! floats {
    ($ty:expr, |$output:ident| $fill:expr) => {{
        let ty: &TensorType = $ty;
        match ty.dtype {
            DataType::Fp16 => made(ty, |$output: &mut [f16]| $fill),
            _ => made(ty, |$output: &mut [f32]| $fill),
        }
    }};
}

/// A constant of type `ty` whose elements, zeros before, `fill` sets.
fn made<T: Element>(ty: &TensorType, fill: impl FnOnce(&mut [T])) -> Decompressed {
    let mut data = zeros::<T>(ty, ty.shape.count())?;
    fill(&mut data);
    Constant::new(ty.shape.clone(), data).map_err(|error| InferError::new("output", error.to_string()))
}

fn zeros<T: Element>(ty: &TensorType, count: usize) -> Result<Vec<T>, InferError> {
    let mut data: Vec<T> = Vec::new();
    data.try_reserve_exact(count).map_err(|_| {
        InferError::new("output", format!("is {ty}, for which this machine has not the memory"))
    })?;
    data.resize(count, T::zeroed());
    Ok(data)
}

fn affine_dequantize(op: &OpView<'_>) -> Decompressed {
    let ty = op.output(0);
    let axis = mil::ops::axis(op, "axis", ty.shape.rank())?;
    let affine = Affine::new(op, &ty.shape, Some(axis))?;
    reading!("quantized_data", constant(op, "quantized_data")?, |level| {
        floats!(ty, |output| affine.dequantize(level, output))
    })
}

fn cast(op: &OpView<'_>) -> Decompressed {
    let source = constant(op, "source_val")?;
    let halves = source.as_slice::<f16>().ok_or_else(|| unsupported("source_val", source.ty()))?;
    made(op.output(0), |output: &mut [f32]| {
        chunks(output, |start, part| crate::gemm::widen(&halves[start..][..part.len()], part));
    })
}

/// `(value - offset) * scale` by blocks.
struct ShiftScale {
    walk: BlockWalk,
    scale: Vec<f32>,
    offset: Option<Vec<f32>>,
    /// The value is rounded to fp16 first.
    narrow_value: bool,
    /// The difference is rounded to fp16.
    narrow_difference: bool,
}

impl ShiftScale {
    fn new(op: &OpView<'_>, data: DataType) -> Result<ShiftScale, InferError> {
        let half = op.dtype("scale")? == DataType::Fp16;
        let (offset, type_of_offset) = match op.value("offset") {
            Some(_) => (Some(numbers(op, "offset")?), Some(op.dtype("offset")?)),
            None => (None, None),
        };
        // Differences of integers of eight bits are exact in fp16.
        let floats = data.is_float() || type_of_offset.is_some_and(DataType::is_float);
        Ok(ShiftScale {
            walk: BlockWalk::new(&scale_blocks(op)?),
            scale: numbers(op, "scale")?,
            offset,
            narrow_value: half && data == DataType::Fp32,
            narrow_difference: half && floats && type_of_offset != Some(DataType::Fp32),
        })
    }

    /// The product, not yet rounded to the type of the result.
    #[inline]
    fn apply(&self, block: usize, value: f32) -> f32 {
        let value = if self.narrow_value { narrowed(value) } else { value };
        let difference = match &self.offset {
            Some(offset) if self.narrow_difference => narrowed(value - offset[block]),
            Some(offset) => value - offset[block],
            None => value,
        };
        self.scale[block] * difference
    }
}

fn narrowed(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}

fn blockwise_shift_scale(op: &OpView<'_>) -> Decompressed {
    let data = constant(op, "data")?;
    let map = ShiftScale::new(op, data.ty().dtype)?;
    reading!("data", data, |value| floats!(op.output(0), |output| dense(&map, value, output)))
}

fn dense<T: Float + Element>(map: &ShiftScale, value: impl Fn(usize) -> f32 + Sync, output: &mut [T]) {
    chunks(output, |start, part| {
        T::fill(part, &mut [0.0; CHUNK], |wide| {
            map.walk.runs(start, wide, |block, position, elements| {
                for (at, element) in elements.iter_mut().enumerate() {
                    *element = map.apply(block, value(position + at));
                }
            });
        });
    });
}

fn sparse_blockwise_shift_scale(op: &OpView<'_>) -> Result<Vec<Constant>, InferError> {
    let (mask, data) = (Mask::of(op, "data_mask", "nonzero_data")?, constant(op, "nonzero_data")?);
    let map = ShiftScale::new(op, data.ty().dtype)?;
    let values = reading!("nonzero_data", data, |value| floats!(op.output(1), |output| {
        for ((at, output), position) in output.iter_mut().enumerate().zip(mask.ones()) {
            *output = Float::from_f32(map.apply(map.walk.locate(position).0, value(at)));
        }
    }))?;
    Ok(vec![constant(op, "data_mask")?.clone(), values])
}

/// The bits of a mask.
#[derive(Clone, Copy)]
struct Mask<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Mask<'a> {
    /// A mask that has as many ones as there are values.
    fn of(op: &OpView<'a>, param: &'static str, values: &'static str) -> Result<Mask<'a>, InferError> {
        let constant = constant(op, param)?;
        // Before ios18 a mask is a vector of bytes for a tensor of the shape of the result.
        let flat = constant.ty().dtype == DataType::Uint8;
        let shape = if flat { &op.output(0).shape } else { &constant.ty().shape };
        let mask = Mask { bytes: constant.bytes(), count: shape.count() };
        let (ones, found) = (mask.ones().count(), op.shape(values)?.count());
        if ones == found {
            return Ok(mask);
        }
        Err(InferError::new(values, format!("has {found} elements, but `{param}` has {ones} ones")))
    }

    /// Positions of the ones, rising.
    fn ones(self) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
        let bits = bytes.flat_map(|(at, &byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 != 0).map(move |bit| 8 * at + bit)
        });
        bits.take_while(move |&at| at < self.count)
    }
}

fn sparse_to_dense(op: &OpView<'_>) -> Decompressed {
    fn scattered<T: Element>(ty: &TensorType, mask: Mask<'_>, values: &[T]) -> Decompressed {
        made(ty, |output| mask.ones().zip(values).for_each(|(at, &value)| output[at] = value))
    }
    let (mask, ty) = (Mask::of(op, "mask", "nonzero_data")?, op.output(0));
    let values = constant(op, "nonzero_data")?;
    match ty.dtype {
        DataType::Int8 => scattered::<i8>(ty, mask, elements(values)?),
        DataType::Uint8 => scattered::<u8>(ty, mask, elements(values)?),
        DataType::Fp16 => scattered::<f16>(ty, mask, elements(values)?),
        DataType::Fp32 => scattered::<f32>(ty, mask, elements(values)?),
        _ => {
            let mut dense = zeros::<i64>(ty, ty.shape.count())?;
            let values = values.to_i64().unwrap_or_default();
            mask.ones().zip(values).for_each(|(at, value)| dense[at] = value);
            Constant::packed(ty.dtype, ty.shape.clone(), &dense)
                .map_err(|error| InferError::new("nonzero_data", error.to_string()))
        }
    }
}

fn elements<T: Element>(constant: &Constant) -> Result<&[T], InferError> {
    constant.as_slice().ok_or_else(|| unsupported("nonzero_data", constant.ty()))
}

/// Indices of one to eight bits.
fn indices<'a>(op: &OpView<'a>, param: &'static str, bits: usize) -> Result<PackedReader<'a>, InferError> {
    Ok(PackedReader::of_bits(bits, constant(op, param)?.bytes()))
}

/// Runs `$body` with the elements of `lut`; one copy of the code for each element type.
macro_rules! for_lut {
    ($op:expr, |$lut:ident| $body:expr) => {{
        let lut = constant($op, "lut")?;
        if let Some($lut) = lut.as_slice::<i8>() {
            $body
        } else if let Some($lut) = lut.as_slice::<u8>() {
            $body
        } else if let Some($lut) = lut.as_slice::<f16>() {
            $body
        } else if let Some($lut) = lut.as_slice::<f32>() {
            $body
        } else {
            Err(unsupported("lut", lut.ty()))
        }
    }};
}

/// A palette and how its tables lie.
struct Tables<'a> {
    palette: Palette,
    walk: BlockWalk,
    indices: PackedReader<'a>,
    /// Indices along the dimensions after the axis of the vectors.
    inner: usize,
}

impl<'a> Tables<'a> {
    fn new(op: &OpView<'a>, param: &'static str) -> Result<Tables<'a>, InferError> {
        let palette = palette(op)?;
        let inner = palette.tables.shape.iter().skip(palette.axis + 1).product();
        let walk = BlockWalk::new(&palette.tables);
        Ok(Tables { indices: indices(op, param, palette.bits)?, palette, walk, inner })
    }

    /// The entry for index number `at` of those given, which stands at `position`.
    fn entry<'l, T>(&self, lut: &'l [T], at: usize, position: usize) -> &'l [T] {
        let table = self.walk.locate(position).0 << self.palette.bits;
        let vector = self.palette.vector;
        &lut[(table + self.indices.get(at) as usize) * vector..][..vector]
    }

    fn dense<T: Element>(&self, lut: &[T], output: &mut [T]) {
        let (vector, inner) = (self.palette.vector, self.inner);
        if vector == 1 {
            return chunks(output, |start, part| {
                self.walk.runs(start, part, |table, position, elements| {
                    let lut = &lut[table << self.palette.bits..];
                    for (at, element) in elements.iter_mut().enumerate() {
                        *element = lut[self.indices.get(position + at) as usize];
                    }
                });
            });
        }
        parallel::rows(output, vector * inner, 2, |row, elements| {
            for at in 0..inner {
                let position = row * inner + at;
                for (i, &value) in self.entry(lut, position, position).iter().enumerate() {
                    elements[i * inner + at] = value;
                }
            }
        });
    }

    /// The values where the mask is one, in the order of the result: the vectors of a group of indices lie next to each
    /// other in rows.
    fn sparse<T: Element>(&self, mask: Mask<'_>, lut: &[T], output: &mut [T]) {
        let (vector, inner) = (self.palette.vector, self.inner.max(1));
        let ones: Vec<usize> = mask.ones().collect();
        let mut begin = 0;
        for group in ones.chunk_by(|a, b| a / inner == b / inner) {
            for (k, &position) in group.iter().enumerate() {
                for (i, &value) in self.entry(lut, begin + k, position).iter().enumerate() {
                    output[begin * vector + i * group.len() + k] = value;
                }
            }
            begin += group.len();
        }
    }

    /// The mask of the result: every row of the mask of the indices as often as a vector has elements.
    fn mask(&self, mask: Mask<'_>, ty: &TensorType) -> Decompressed {
        let mut bytes = zeros::<u8>(ty, ty.bytes())?;
        let (vector, inner) = (self.palette.vector, self.inner.max(1));
        for position in mask.ones() {
            let (row, at) = (position / inner, position % inner);
            for i in 0..vector {
                let bit = (row * vector + i) * inner + at;
                bytes[bit / 8] |= 1 << (bit % 8);
            }
        }
        Constant::from_storage(ty.clone(), Arc::new(bytes))
            .map_err(|error| InferError::new("indices_mask", error.to_string()))
    }
}

fn lut_to_dense(op: &OpView<'_>) -> Decompressed {
    let tables = Tables::new(op, "indices")?;
    for_lut!(op, |lut| made(op.output(0), |output| tables.dense(lut, output)))
}

fn lut_to_sparse(op: &OpView<'_>) -> Result<Vec<Constant>, InferError> {
    let mask = Mask::of(op, "indices_mask", "indices_nonzero_data")?;
    let tables = Tables::new(op, "indices_nonzero_data")?;
    let values: Constant = for_lut!(op, |lut| made(op.output(1), |output| tables.sparse(mask, lut, output)))?;
    Ok(vec![tables.mask(mask, op.output(0))?, values])
}
