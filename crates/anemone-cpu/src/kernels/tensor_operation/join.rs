//! Joining, cutting and repeating.

use crate::kernels::copy::{Axis, StridedCopy};
use crate::kernels::{Lowered, operand};
use mil::ops::tensor_operation::split_axis;
use mil::{InferError, OpView, Shape, shape};

/// Copies every operand of `values` to its place in the output.
fn join(
    op: &OpView<'_>,
    place: impl Fn(usize, &Shape) -> (StridedCopy, usize),
) -> Result<Lowered, InferError> {
    let first = operand(op, "values")?;
    let parts: Vec<(StridedCopy, usize)> = op
        .values("values")
        .iter()
        .enumerate()
        .map(|(index, &value)| place(index, op.function.shape(value)))
        .collect();
    Ok(Lowered::new(move |call| {
        for (index, (copy, start)) in parts.iter().enumerate() {
            copy.run(call.inputs[first + index].bytes(), 0, call.outputs[0].bytes(), *start);
        }
        Ok(())
    }))
}

/// An axis parameter that may count from the end.
fn axis_of(op: &OpView<'_>, rank: usize) -> Result<usize, InferError> {
    let given = op.int("axis")?;
    shape::normalize_axis(given, rank).ok_or_else(|| InferError::new("axis", format!("is {given}")))
}

pub(super) fn concat(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let out = op.output(0);
    let size = out.dtype.size();
    let axis = axis_of(op, out.shape.rank())?;
    let inner: usize = out.shape[axis + 1..].iter().product();
    let outer: usize = out.shape[..axis].iter().product();
    let (total, parts) = (out.shape[axis], op.values("values").len());
    if op.bool("interleave")? {
        return join(op, |index, own| {
            let count = own.get(axis).copied().unwrap_or(1);
            let axes = [
                Axis { count: outer, from: (count * inner) as isize, to: (total * inner) as isize },
                Axis { count, from: inner as isize, to: (parts * inner) as isize },
                Axis { count: inner, from: 1, to: 1 },
            ];
            (StridedCopy::new(size, axes), index * inner)
        });
    }
    let mut starts = Vec::with_capacity(parts);
    let mut start = 0;
    for &value in op.values("values") {
        starts.push(start);
        start += op.function.shape(value).get(axis).copied().unwrap_or(1) * inner;
    }
    join(op, |index, own| {
        let run = own.get(axis).copied().unwrap_or(1) * inner;
        let axes = [
            Axis { count: outer, from: run as isize, to: (total * inner) as isize },
            Axis { count: run, from: 1, to: 1 },
        ];
        (StridedCopy::new(size, axes), starts[index])
    })
}

pub(super) fn stack(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let out = op.output(0);
    let axis = axis_of(op, out.shape.rank())?;
    let inner: usize = out.shape[axis + 1..].iter().product();
    let outer: usize = out.shape[..axis].iter().product();
    join(op, |index, _| {
        let axes = [
            Axis { count: outer, from: inner as isize, to: (out.shape[axis] * inner) as isize },
            Axis { count: inner, from: 1, to: 1 },
        ];
        (StridedCopy::new(out.dtype.size(), axes), index * inner)
    })
}

pub(super) fn split(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let axis = split_axis(op)?;
    let inner: usize = x.shape[axis + 1..].iter().product();
    let outer: usize = x.shape[..axis].iter().product();
    let mut start = 0;
    let parts: Vec<(StridedCopy, usize)> = (0..op.operation.outputs.len())
        .map(|index| {
            let run = op.output(index).shape[axis] * inner;
            let axes = [
                Axis { count: outer, from: (x.shape[axis] * inner) as isize, to: run as isize },
                Axis { count: run, from: 1, to: 1 },
            ];
            let part = (StridedCopy::new(x.dtype.size(), axes), start);
            start += run;
            part
        })
        .collect();
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        for ((copy, start), output) in parts.iter().zip(call.outputs.iter_mut()) {
            copy.run(call.inputs[x].bytes(), *start, output.bytes(), 0);
        }
        Ok(())
    }))
}

pub(super) fn tile(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let (x, out) = (op.tensor("x")?, &op.output(0).shape);
    let (from, to) = (x.shape.strides(), out.strides());
    let axes = (0..x.shape.rank()).flat_map(|i| {
        let (count, step) = (x.shape[i], to[i] as isize);
        let repeats =
            Axis { count: out[i].checked_div(count).unwrap_or(0), from: 0, to: step * count as isize };
        [repeats, Axis { count, from: from[i] as isize, to: step }]
    });
    let copy = StridedCopy::new(x.dtype.size(), axes);
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        copy.run(call.inputs[x].bytes(), 0, call.outputs[0].bytes(), 0);
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    #[test]
    fn concatenates_along_any_axis() {
        let mut case = Case::new("concat");
        let a = case.float("values", &[2, 3, 4]);
        let b = case.float("values", &[2, 1, 4]);
        case.int("axis", -2);
        let want: Vec<f64> = [&a[..12], &b[..4], &a[12..], &b[4..]].concat();
        case.check(&want, Tolerance::EXACT);
        let mut case = Case::new("concat");
        let a = case.float("values", &[2, 3]);
        let b = case.float("values", &[2, 3]);
        case.int("axis", 1);
        case.bool("interleave", true);
        let want: Vec<f64> = (0..12).map(|at| if at % 2 == 0 { a[at / 2] } else { b[at / 2] }).collect();
        case.check(&want, Tolerance::EXACT);
    }

    #[test]
    fn stacks_and_splits() {
        let mut case = Case::new("stack");
        let a = case.float("values", &[2, 3]);
        let b = case.float("values", &[2, 3]);
        case.int("axis", 1);
        case.check(&[&a[..3], &b[..3], &a[3..], &b[3..]].concat(), Tolerance::EXACT);
        let mut case = Case::new("split");
        let x = case.float("x", &[2, 5]);
        case.ints("split_sizes", &[2, 3]);
        case.int("axis", 1);
        let want = [[&x[..2], &x[5..7]].concat(), [&x[2..5], &x[7..]].concat()];
        case.check_all(&want, Tolerance::EXACT);
    }

    #[test]
    fn tiles() {
        let mut case = Case::new("tile");
        let x = case.float("x", &[2, 3]);
        case.ints("reps", &[2, 3]);
        let want: Vec<f64> = (0..36).map(|at| x[at / 9 % 2 * 3 + at % 3]).collect();
        case.check(&want, Tolerance::EXACT);
    }
}
