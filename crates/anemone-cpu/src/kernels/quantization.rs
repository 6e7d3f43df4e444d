//! `quantize` and `dequantize`, and the affine map that compressed weights share with them.
//!
//! Exactly what NumPy gives in coremltools' value inference: `(q - zero_point) * scale` in fp32, rounded once to the
//! type of `scale`; `round(x / scale) + zero_point` with the quotient in the type of `x` (so an fp16 quotient is rounded
//! before it is rounded to an integer), halves to the even integer, limited to the range of the result. What is not a
//! number (0 / 0) becomes 0.

use super::blocks::{BlockWalk, CHUNK, chunks};
use super::{Call, Float, KernelResult, Lower, Lowered, operand};
use half::f16;
use mil::ops::quantization::scale_axis;
use mil::{Constant, DataType, Element, InferError, OpView};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[("dequantize", dequantize), ("quantize", quantize)];

/// Scales and zero points, one each or one per index of an axis.
pub(crate) struct Affine {
    walk: BlockWalk,
    scale: Vec<f32>,
    zero_point: Vec<f32>,
}

impl Affine {
    /// Those of an operation for a tensor of `shape`; a zero point that is absent is 0.
    pub(crate) fn new(op: &OpView<'_>, shape: &[usize], axis: Option<usize>) -> Result<Affine, InferError> {
        let zero_point = match op.value("zero_point") {
            Some(_) => numbers(op, "zero_point")?,
            None => vec![0.0],
        };
        Ok(Affine { walk: BlockWalk::along(shape, axis), scale: numbers(op, "scale")?, zero_point })
    }

    /// Scale and zero point of a block.
    fn of(&self, block: usize) -> (f32, f32) {
        let pick = |values: &[f32]| if values.len() == 1 { values[0] } else { values[block] };
        (pick(&self.scale), pick(&self.zero_point))
    }

    /// `(level(i) - zero_point) * scale`.
    pub(crate) fn dequantize<T: Float + Send>(&self, level: impl Fn(usize) -> f32 + Sync, output: &mut [T]) {
        chunks(output, |start, part| {
            T::fill(part, &mut [0.0; CHUNK], |wide| {
                self.walk.runs(start, wide, |block, position, elements| {
                    let (scale, zero_point) = self.of(block);
                    for (at, element) in elements.iter_mut().enumerate() {
                        *element = (level(position + at) - zero_point) * scale;
                    }
                });
            });
        });
    }

    /// `round(value / scale) + zero_point` within `least..=most`.
    fn quantize<T: Float + Sync, Q: Send>(
        &self,
        values: &[T],
        output: &mut [Q],
        [least, most]: [f32; 2],
        store: impl Fn(f32) -> Q + Sync,
    ) {
        chunks(output, |start, part| {
            self.walk.runs(start, part, |block, position, levels| {
                let (scale, zero_point) = self.of(block);
                for (level, value) in levels.iter_mut().zip(&values[position..]) {
                    let quotient = T::from_f32(value.to_f32() / scale).to_f32();
                    *level = store((quotient.round_ties_even() + zero_point).clamp(least, most));
                }
            });
        });
    }
}

/// The elements of a constant argument as fp32, which holds those of every type that scales, offsets and zero points have.
pub(crate) fn numbers(op: &OpView<'_>, param: &'static str) -> Result<Vec<f32>, InferError> {
    let constant = constant(op, param)?;
    match constant.to_f32() {
        Some(floats) => Ok(floats.into_owned()),
        None => {
            let ints = constant.to_i64().ok_or_else(|| super::unsupported(param, constant.ty()))?;
            Ok(ints.into_iter().map(|value| value as f32).collect())
        }
    }
}

/// A constant argument.
pub(crate) fn constant<'a>(op: &OpView<'a>, param: &'static str) -> Result<&'a Constant, InferError> {
    op.constant(param).ok_or_else(|| InferError::new(param, "must be a constant"))
}

fn dequantize(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let affine = Affine::new(op, op.shape("input")?, scale_axis(op)?)?;
    match (op.dtype("input")?, op.dtype("scale")?) {
        (DataType::Int8, DataType::Fp32) => dequantized::<i8, f32>(op, affine),
        (DataType::Int8, DataType::Fp16) => dequantized::<i8, f16>(op, affine),
        (DataType::Uint8, DataType::Fp32) => dequantized::<u8, f32>(op, affine),
        (DataType::Uint8, DataType::Fp16) => dequantized::<u8, f16>(op, affine),
        _ => Err(super::unsupported("input", op.tensor("input")?)),
    }
}

fn dequantized<Q: Element + Into<f32>, T: Float + Element>(
    op: &OpView<'_>,
    affine: Affine,
) -> Result<Lowered, InferError> {
    let input = operand(op, "input")?;
    Ok(Lowered::new(move |call: &mut Call<'_>| -> KernelResult {
        let levels = call.inputs[input].slice::<Q>();
        affine.dequantize(|at| levels[at].into(), call.outputs[0].slice::<T>());
        Ok(())
    }))
}

fn quantize(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let affine = Affine::new(op, op.shape("input")?, scale_axis(op)?)?;
    match op.dtype("input")? {
        DataType::Fp32 => quantized::<f32>(op, affine),
        DataType::Fp16 => quantized::<f16>(op, affine),
        _ => Err(super::unsupported("input", op.tensor("input")?)),
    }
}

fn quantized<T: Float + Element>(op: &OpView<'_>, affine: Affine) -> Result<Lowered, InferError> {
    let (input, signed) = (operand(op, "input")?, op.output(0).dtype == DataType::Int8);
    Ok(Lowered::new(move |call: &mut Call<'_>| -> KernelResult {
        let values = call.inputs[input].slice::<T>();
        match signed {
            true => {
                let output = call.outputs[0].slice::<i8>();
                affine.quantize(values, output, [-128.0, 127.0], |value| value as i8);
            }
            false => {
                let output = call.outputs[0].slice::<u8>();
                affine.quantize(values, output, [0.0, 255.0], |value| value as u8);
            }
        }
        Ok(())
    }))
}
