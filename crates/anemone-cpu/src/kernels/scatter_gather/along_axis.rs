//! `gather_along_axis` and `scatter_along_axis`: an index for every element.

use super::{Combine, Mode, check_indices, from_start};
use crate::kernels::fold::Number;
use crate::kernels::tensor_transformation::Ints;
use crate::kernels::{Call, KernelResult, Lowered, operand, parallel, unsupported};
use half::f16;
use mil::ops::axis;
use mil::{DataType, InferError, OpView};
use rayon::prelude::*;

pub(super) fn gather(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, indices) = (op.tensor("x")?, op.shape("indices")?);
    let axis = axis(op, "axis", x.shape.rank())?;
    let inner: usize = x.shape[axis + 1..].iter().product();
    let (size, count, bytes) = (x.shape[axis], indices[axis], x.dtype.size());
    let (x, indices) = (operand(op, "x")?, operand(op, "indices")?);
    Ok(Lowered::new(move |call| {
        let indices = Ints::of(call, indices)?;
        check_indices(&indices, |_| (axis, size))?;
        let from = call.inputs[x].bytes();
        parallel::rows(call.outputs[0].bytes(), inner * bytes, 2, |row, out| {
            let start = row / count * size * inner;
            for (position, out) in out.chunks_exact_mut(bytes).enumerate() {
                let index = from_start(indices.get(row * inner + position), size);
                out.copy_from_slice(&from[(start + index * inner + position) * bytes..][..bytes]);
            }
        });
        Ok(())
    }))
}

/// Sizes of a scatter: `data` is `[outer, size, inner]`, `indices` and `updates` are `[outer, count, inner]`.
#[derive(Clone, Copy)]
struct Along {
    axis: usize,
    size: usize,
    count: usize,
    inner: usize,
    mode: Mode,
}

pub(super) fn scatter(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (data, indices) = (op.tensor("data")?, op.shape("indices")?);
    let axis = axis(op, "axis", data.shape.rank())?;
    let along = Along {
        axis,
        size: data.shape[axis],
        count: indices[axis],
        inner: data.shape[axis + 1..].iter().product(),
        mode: Mode::of(op)?,
    };
    match data.dtype {
        DataType::Fp32 => scatter_typed::<f32>(op, along),
        DataType::Fp16 => scatter_typed::<f16>(op, along),
        DataType::Int32 => scatter_typed::<i32>(op, along),
        _ => Err(unsupported("data", data)),
    }
}

/// Accumulates in the wide type, in order of `indices`, and rounds once.
fn scatter_typed<N: Number>(op: &OpView<'_>, along: Along) -> Result<Lowered, InferError>
where
    N::Wide: Combine + bytemuck::Pod,
{
    let Along { axis, size, count, inner, mode } = along;
    let elements = op.shape("data")?.count();
    let (data, indices, updates) = (operand(op, "data")?, operand(op, "indices")?, operand(op, "updates")?);
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let indices = Ints::of(call, indices)?;
        check_indices(&indices, |_| (axis, size))?;
        let updates = call.inputs[updates].slice::<N>();
        let data = (!call.in_place).then(|| call.inputs[data].slice::<N>());
        let sums = bytemuck::cast_slice_mut::<u8, N::Wide>(call.scratch);
        let output = call.outputs[0].slice::<N>();
        let block = (size * inner).max(1);
        let step = (parallel::GRAIN / block).max(1);
        output.par_chunks_mut(block * step).zip(sums.par_chunks_mut(block * step)).enumerate().for_each(
            |(chunk, (output, sums))| {
                for (at, (output, sums)) in output.chunks_mut(block).zip(sums.chunks_mut(block)).enumerate() {
                    let outer = chunk * step + at;
                    match data {
                        Some(data) => widen(&data[outer * block..][..block], sums),
                        None => widen(output, sums),
                    }
                    let first = outer * count * inner;
                    for (place, update) in updates[first..][..count * inner].iter().enumerate() {
                        let to = from_start(indices.get(first + place), size) * inner + place % inner;
                        sums[to] = sums[to].combined(mode, update.wide());
                    }
                    for (value, sum) in output.iter_mut().zip(sums) {
                        *value = N::narrow(*sum);
                    }
                }
            },
        );
        Ok(())
    };
    Ok(Lowered::new(run).scratch(elements * 4).in_place(data))
}

fn widen<N: Number>(values: &[N], sums: &mut [N::Wide]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum = value.wide();
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    #[test]
    fn gathers_and_scatters_elements() {
        let places = [0, 2, -1, 1, 0, 0, 1, 1, 2, -3, 2, 2];
        let slot = |at: usize| (places[at] + 3) as usize % 3;
        let mut case = Case::new("gather_along_axis");
        let x = case.float("x", &[2, 3, 2]);
        case.int_operand("indices", &[2, 3, 2], &places);
        case.int("axis", 1);
        let want: Vec<f64> = (0..12).map(|at| x[at / 6 * 6 + slot(at) * 2 + at % 2]).collect();
        case.check(&want, Tolerance::EXACT);
        let mut case = Case::new("scatter_along_axis");
        let mut want = case.float("data", &[2, 3, 2]);
        case.int_operand("indices", &[2, 3, 2], &places);
        let updates = case.float("updates", &[2, 3, 2]);
        case.int("axis", 1);
        for (at, update) in updates.into_iter().enumerate() {
            want[at / 6 * 6 + slot(at) * 2 + at % 2] += update;
        }
        case.check(&want, Tolerance::MATH);
    }
}
