//! Tensors made from parameters.

use crate::kernels::narrow::half_from_f64;
use crate::kernels::tensor_transformation::Ints;
use crate::kernels::{Lowered, operand, parallel, unsupported};
use half::f16;
use mil::ops::tensor_operation::one_hot_axis;
use mil::{Constant, DataType, InferError, OpView, TensorType};

/// The bytes of a number in an element type, and how many they are.
fn bytes_of(
    ty: &TensorType,
    constant: Option<&Constant>,
    default: f32,
) -> Result<([u8; 4], usize), InferError> {
    let mut bytes = [0; 4];
    let size = ty.dtype.size();
    let own = match (constant, ty.dtype) {
        (Some(constant), _) => constant.bytes().to_vec(),
        (None, DataType::Fp32) => default.to_ne_bytes().to_vec(),
        (None, DataType::Fp16) => f16::from_f32(default).to_ne_bytes().to_vec(),
        (None, DataType::Int32) => (default as i32).to_ne_bytes().to_vec(),
        (None, DataType::Bool) => vec![u8::from(default != 0.0)],
        _ => return Err(unsupported("value", ty)),
    };
    if own.len() != size || size > 4 {
        return Err(unsupported("value", ty));
    }
    bytes[..size].copy_from_slice(&own);
    Ok((bytes, size))
}

/// Fills memory with one element.
pub(super) fn fill_bytes(memory: &mut [u8], (bytes, size): ([u8; 4], usize)) {
    match size {
        2 => {
            let value = u16::from_ne_bytes([bytes[0], bytes[1]]);
            bytemuck::cast_slice_mut::<u8, u16>(memory).fill(value);
        }
        4 => bytemuck::cast_slice_mut::<u8, u32>(memory).fill(u32::from_ne_bytes(bytes)),
        _ => memory.fill(bytes[0]),
    }
}

/// `fill`. (`fill_like` is elementwise.)
pub(super) fn fill(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let element = bytes_of(op.output(0), op.constant("value"), 0.0)?;
    Ok(Lowered::new(move |call| {
        fill_bytes(call.outputs[0].bytes(), element);
        Ok(())
    }))
}

/// An index outside the new dimension, negative ones included, gives `off_value` everywhere.
pub(super) fn one_hot(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let out = op.output(0);
    let on = bytes_of(out, op.constant("on_value"), 1.0)?;
    let off = bytes_of(out, op.constant("off_value"), 0.0)?;
    let axis = one_hot_axis(op)?;
    let (count, size) = (out.shape[axis], out.dtype.size());
    let inner: usize = out.shape[axis + 1..].iter().product();
    let indices = operand(op, "indices")?;
    Ok(Lowered::new(move |call| {
        let indices = Ints::of(call, indices)?;
        parallel::rows(call.outputs[0].bytes(), count * inner * size, 1, |outer, out| {
            fill_bytes(out, off);
            for position in 0..inner {
                let index = indices.get(outer * inner + position);
                if let Some(index) = usize::try_from(index).ok().filter(|&index| index < count) {
                    out[(index * inner + position) * size..][..size].copy_from_slice(&on.0[..size]);
                }
            }
        });
        Ok(())
    }))
}

/// `start + i * step`, computed in `f64` and rounded once.
pub(super) fn range_1d(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let out = op.output(0);
    let count = out.shape.count();
    match out.dtype {
        DataType::Int32 => {
            let (start, step) = (op.int("start")? as i32, op.int("step")? as i32);
            Ok(Lowered::new(move |call| {
                let out = call.outputs[0].slice::<i32>().iter_mut().enumerate();
                out.for_each(|(i, out)| *out = start.wrapping_add(step.wrapping_mul(i as i32)));
                Ok(())
            }))
        }
        DataType::Fp32 | DataType::Fp16 => {
            let (start, step) = (f64::from(op.float("start")?), f64::from(op.float("step")?));
            let value = move |i: usize| start + i as f64 * step;
            let fp16 = out.dtype == DataType::Fp16;
            Ok(Lowered::new(move |call| {
                for i in 0..count {
                    match fp16 {
                        true => call.outputs[0].slice::<f16>()[i] = half_from_f64(value(i)),
                        false => call.outputs[0].slice::<f32>()[i] = value(i) as f32,
                    }
                }
                Ok(())
            }))
        }
        _ => Err(unsupported("start", out)),
    }
}

pub(super) fn shape(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let dims = op.shape("x")?.to_i32();
    Ok(Lowered::new(move |call| {
        call.outputs[0].slice::<i32>().copy_from_slice(&dims);
        Ok(())
    }))
}

/// `non_zero`: positions in row-major order. The output was made as long as there are any.
pub(super) fn non_zero(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?.clone();
    let at = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        let bytes = call.inputs[at].bytes();
        let size = x.dtype.size();
        // All element types are zero where every bit is, but for the sign of floats.
        let negative_zero: &[u8] = match x.dtype {
            DataType::Fp32 => &[0, 0, 0, 0x80],
            DataType::Fp16 => &[0, 0x80],
            _ => &[],
        };
        let set = |element: &[u8]| element.iter().any(|&byte| byte != 0) && element != negative_zero;
        let strides = x.shape.strides();
        if strides.is_empty() {
            return Ok(());
        }
        let mut positions = call.outputs[0].slice::<i32>().chunks_exact_mut(strides.len());
        for (index, _) in bytes.chunks_exact(size.max(1)).enumerate().filter(|(_, element)| set(element)) {
            let Some(position) = positions.next() else { return Err("`x` changed while it was read".into()) };
            for ((to, &stride), &dim) in position.iter_mut().zip(&strides).zip(x.shape.iter()) {
                *to = (index / stride % dim) as i32;
            }
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};
    use mil::{Constant, DataType};

    #[test]
    fn fills_and_counts() {
        let mut case = Case::new("fill");
        case.ints("shape", &[2, 3]);
        case.constant("value", Constant::scalar(7i32));
        assert_eq!(case.outputs(DataType::Fp32).unwrap()[0].1, [7.0; 6]);
        let mut case = Case::new("range_1d");
        for (param, value) in [("end", 10), ("start", 1), ("step", 4)] {
            case.int(param, value);
        }
        assert_eq!(case.outputs(DataType::Fp32).unwrap()[0].1, [1.0, 5.0, 9.0]);
        let mut case = Case::new("shape");
        case.float("x", &[2, 5]);
        assert_eq!(case.outputs(DataType::Fp32).unwrap()[0].1, [2.0, 5.0]);
    }

    #[test]
    fn one_hot_along_an_inner_axis() {
        let mut case = Case::new("one_hot");
        case.int_operand("indices", &[2, 2], &[0, 2, -1, 1]);
        case.int("one_hot_vector_size", 3);
        case.int("axis", 1);
        case.given("on_value", &[], vec![5.0], true);
        case.given("off_value", &[], vec![-1.0], true);
        let want = [5., -1., -1., -1., -1., 5., -1., -1., -1., 5., -1., -1.];
        case.check(&want, Tolerance::EXACT);
    }
}
