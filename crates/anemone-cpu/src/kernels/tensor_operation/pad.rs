//! `pad`.

use super::create::fill_bytes;
use crate::kernels::copy::StridedCopy;
use crate::kernels::{Lowered, operand, parallel};
use half::f16;
use mil::ops::tensor_operation::padding;
use mil::{DataType, InferError, OpView};

pub(super) fn pad(op: &OpView<'_>) -> Result<Lowered, InferError> {
    match op.string("mode")? {
        "constant" => constant(op),
        "reflect" => mapped(op, |position, size| {
            // `before` and `after` are below `size`, so that one turn is enough.
            let position = position.unsigned_abs();
            if position < size { position } else { 2 * (size - 1) - position }
        }),
        _ => mapped(op, |position, size| position.clamp(0, size as isize - 1) as usize),
    }
}

/// The whole output is filled, then `x` copied into its middle.
fn constant(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, op.output(0));
    let value = op.float("constant_val")?;
    let mut element = [0; 4];
    match x.dtype {
        DataType::Fp16 => element[..2].copy_from_slice(&f16::from_f32(value).to_ne_bytes()),
        _ => element = value.to_ne_bytes(),
    }
    let size = x.dtype.size();
    let to = out.shape.strides();
    let start = padding(op)?.into_iter().zip(&to).map(|((before, _), stride)| before * stride).sum();
    let copy = StridedCopy::between(size, &x.shape, &x.shape.strides(), &to);
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        fill_bytes(call.outputs[0].bytes(), (element, size));
        copy.run(call.inputs[x].bytes(), 0, call.outputs[0].bytes(), start);
        Ok(())
    }))
}

/// Every output position stands for one of `x`, dimension by dimension.
fn mapped(op: &OpView<'_>, map: fn(isize, usize) -> usize) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, op.output(0));
    let size = x.dtype.size();
    let (shape, strides) = (&x.shape, x.shape.strides());
    // Where each position of each output dimension lies in `x`, in elements.
    let mut tables: Vec<Vec<usize>> = padding(op)?
        .into_iter()
        .enumerate()
        .map(|(i, (before, _))| {
            let place = |at: usize| map(at as isize - before as isize, shape[i]) * strides[i];
            (0..out.shape[i]).map(place).collect()
        })
        .collect();
    let last = tables.pop().unwrap_or_else(|| vec![0]);
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        let from = call.inputs[x].bytes();
        parallel::rows(call.outputs[0].bytes(), last.len() * size, 1, |mut row, out| {
            let mut start = 0;
            for table in tables.iter().rev() {
                start += table[row % table.len()];
                row /= table.len();
            }
            for (out, offset) in out.chunks_exact_mut(size).zip(&last) {
                out.copy_from_slice(&from[(start + offset) * size..][..size]);
            }
        });
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    #[test]
    fn pads_in_every_mode() {
        for mode in ["constant", "reflect", "replicate"] {
            let mut case = Case::new("pad");
            let x = case.float("x", &[2, 3, 4]);
            case.ints("pad", &[1, 2, 3, 0]);
            case.string("mode", mode);
            case.given("constant_val", &[], vec![0.5], true);
            let source = |at: usize, before: usize, size: usize| -> Option<usize> {
                let at = at as i64 - before as i64;
                let size = size as i64;
                let at = match mode {
                    "reflect" if at < 0 => -at,
                    "reflect" if at >= size => 2 * (size - 1) - at,
                    "replicate" => at.clamp(0, size - 1),
                    _ => at,
                };
                (0..size).contains(&at).then_some(at as usize)
            };
            let want: Vec<f64> = (0..2 * 6 * 7)
                .map(|at| match (source(at / 7 % 6, 1, 3), source(at % 7, 3, 4)) {
                    (Some(row), Some(column)) => x[at / 42 * 12 + row * 4 + column],
                    _ => 0.5,
                })
                .collect();
            case.check(&want, Tolerance::EXACT);
        }
    }
}
