//! Ops that walk along an axis.

use crate::kernels::fold::{Arithmetic, Number, TILE};
use crate::kernels::reduction::Index;
use crate::kernels::tensor_transformation::copy_all;
use crate::kernels::{Call, KernelResult, Lowered, operand, parallel, unsupported};
use half::f16;
use mil::ops::axis;
use mil::ops::tensor_operation::topk_geometry;
use mil::{DataType, Element, InferError, OpView};
use std::cmp::Ordering;

/// A dimension of a row-major tensor: sizes before it, its own, and after it.
#[derive(Clone, Copy)]
struct Lines {
    outer: usize,
    count: usize,
    inner: usize,
}

impl Lines {
    fn of(shape: &[usize], axis: usize) -> Lines {
        let product = |dims: &[usize]| dims.iter().product();
        let count = shape.get(axis).copied().unwrap_or(1);
        Lines {
            outer: product(&shape[..axis]),
            count,
            inner: product(shape.get(axis + 1..).unwrap_or_default()),
        }
    }

    /// Number of lines along the dimension.
    fn lines(self) -> usize {
        self.outer * self.inner
    }

    /// The first element of a line; the others follow in steps of `inner`.
    fn start(self, line: usize) -> usize {
        line / self.inner * self.count * self.inner + line % self.inner
    }
}

/// Running sums, in order along the axis.
pub(super) fn cumsum(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let lines = Lines::of(&x.shape, axis(op, "axis", x.shape.rank())?);
    let (exclusive, reverse) = (op.bool("exclusive")?, op.bool("reverse")?);
    match x.dtype {
        DataType::Fp32 => Ok(running_sum::<f32>(lines, exclusive, reverse)),
        DataType::Fp16 => Ok(running_sum::<f16>(lines, exclusive, reverse)),
        DataType::Int32 => Ok(running_sum::<i32>(lines, exclusive, reverse)),
        _ => Err(unsupported("x", x)),
    }
}

fn running_sum<N: Number>(lines: Lines, exclusive: bool, reverse: bool) -> Lowered
where
    N::Wide: Arithmetic,
{
    let Lines { count, inner, .. } = lines;
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let input = (!call.in_place).then(|| call.inputs[0].slice::<N>());
        parallel::rows(call.outputs[0].slice::<N>(), count * inner, 2, |outer, out| {
            if let Some(input) = input {
                out.copy_from_slice(&input[outer * count * inner..][..count * inner]);
            }
            for start in (0..inner).step_by(TILE) {
                let width = TILE.min(inner - start);
                let mut sums = [N::Wide::ZERO; TILE];
                for position in 0..count {
                    let position = if reverse { count - 1 - position } else { position };
                    let values = &mut out[position * inner + start..][..width];
                    for (sum, value) in sums.iter_mut().zip(values) {
                        let next = sum.plus(value.wide());
                        *value = N::narrow(if exclusive { *sum } else { next });
                        *sum = next;
                    }
                }
            }
        });
        Ok(())
    };
    Lowered::new(run).in_place(0)
}

/// Zeros outside a band of the last two dimensions.
pub(super) fn band_part(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let (lower, upper) = (op.int("lower")?, op.int("upper")?);
    let rank = x.shape.rank();
    let (rows, columns, size) = (x.shape[rank - 2], x.shape[rank - 1], x.dtype.size());
    let whole = copy_all(x.bytes());
    let operand = operand(op, "x")?;
    let run = move |call: &mut Call<'_>| -> KernelResult {
        if !call.in_place {
            whole.run(call.inputs[operand].bytes(), 0, call.outputs[0].bytes(), 0);
        }
        parallel::rows(call.outputs[0].bytes(), columns * size, 1, |row, out| {
            let row = (row % rows) as i64;
            let bound = |at: i64| at.clamp(0, columns as i64) as usize;
            let first = if lower < 0 { 0 } else { bound(row.saturating_sub(lower)) };
            let end = if upper < 0 { columns } else { bound(row.saturating_add(upper).saturating_add(1)) };
            // Zero is all zero bits in every element type.
            out[..first * size].fill(0);
            out[end.max(first) * size..].fill(0);
        });
        Ok(())
    };
    Ok(Lowered::new(run).in_place(operand))
}

/// What is selected along an axis, and in which order.
#[derive(Clone, Copy)]
struct Selection {
    lines: Lines,
    k: usize,
    ascending: bool,
}

/// Indices that sort, equal elements in their order.
pub(super) fn argsort(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let lines = Lines::of(&x.shape, axis(op, "axis", x.shape.rank())?);
    let selection = Selection { lines, k: lines.count, ascending: op.bool("ascending")? };
    match x.dtype {
        DataType::Fp32 => Ok(indices_only::<f32>(selection)),
        DataType::Fp16 => Ok(indices_only::<f16>(selection)),
        DataType::Int32 => Ok(indices_only::<i32>(selection)),
        _ => Err(unsupported("x", x)),
    }
}

fn indices_only<N: Element + PartialOrd>(selection: Selection) -> Lowered {
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let input = call.inputs[0].slice::<N>();
        let order: &mut [u32] = bytemuck::cast_slice_mut(call.scratch);
        select(input, order, selection);
        spread(order, selection, call.outputs[0].slice::<i32>(), |_, index| index as i32);
        Ok(())
    };
    Lowered::new(run).scratch(selection.lines.lines() * selection.lines.count * 4)
}

/// The best elements, in order (also where the order does not matter), and their indices.
pub(super) fn topk(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let x = op.tensor("x")?;
    let top = topk_geometry(op)?;
    let selection = Selection { lines: Lines::of(&x.shape, top.axis), k: top.k, ascending: top.ascending };
    let short = top.return_indices && op.output(1).dtype == DataType::Uint16;
    let lower = match x.dtype {
        DataType::Fp32 => best::<f32>,
        DataType::Fp16 => best::<f16>,
        DataType::Int32 => best::<i32>,
        DataType::Int16 => best::<i16>,
        DataType::Uint16 => best::<u16>,
        DataType::Int8 => best::<i8>,
        DataType::Uint8 => best::<u8>,
        _ => return Err(unsupported("x", x)),
    };
    Ok(lower(selection, top.return_indices, short))
}

fn best<N: Element + PartialOrd>(selection: Selection, indices: bool, short: bool) -> Lowered {
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let input = call.inputs[0].slice::<N>();
        let order: &mut [u32] = bytemuck::cast_slice_mut(call.scratch);
        select(input, order, selection);
        let inner = selection.lines.inner;
        spread(order, selection, call.outputs[0].slice::<N>(), |start, index| input[start + index * inner]);
        match (indices, short) {
            (true, true) => {
                spread(order, selection, call.outputs[1].slice(), |_, index| u16::from_index(index))
            }
            (true, false) => {
                spread(order, selection, call.outputs[1].slice(), |_, index| i32::from_index(index))
            }
            (false, _) => {}
        }
        Ok(())
    };
    Lowered::new(run).scratch(selection.lines.lines() * selection.lines.count * 4)
}

/// Puts the indices of each line's best elements at the front of its part of `order`.
fn select<N: Element + PartialOrd>(input: &[N], order: &mut [u32], selection: Selection) {
    let Selection { lines, k, ascending } = selection;
    let count = lines.count;
    // Sorting costs about `log2(count)` comparisons of some operations each.
    parallel::rows(order, count, 4 * (count.max(1).ilog2() as usize + 1), |line, order| {
        let start = lines.start(line);
        let value = |index: u32| input[start + index as usize * lines.inner];
        let compare = |a: &u32, b: &u32| {
            let order = compare(value(*a), value(*b));
            (if ascending { order } else { order.reverse() }).then(a.cmp(b))
        };
        for (index, order) in order.iter_mut().enumerate() {
            *order = index as u32;
        }
        if k < count {
            order.select_nth_unstable_by(k - 1, compare);
        }
        order[..k].sort_unstable_by(compare);
    });
}

/// NaN stands above everything.
fn compare<N: PartialOrd>(a: N, b: N) -> Ordering {
    // A NaN compares with nothing, not even with itself.
    let is_nan = |value: &N| value.partial_cmp(value).is_none();
    a.partial_cmp(&b).unwrap_or_else(|| is_nan(&a).cmp(&is_nan(&b)))
}

/// Writes `value(start of the line, index)` for the best `k` of each line.
fn spread<T: Send>(
    order: &[u32],
    selection: Selection,
    output: &mut [T],
    value: impl Fn(usize, usize) -> T + Sync,
) {
    let Selection { lines: Lines { count, inner, .. }, k, .. } = selection;
    parallel::rows(output, inner, 4, |row, out| {
        let (outer, rank) = (row / k, row % k);
        for (position, out) in out.iter_mut().enumerate() {
            let index = order[(outer * inner + position) * count + rank] as usize;
            *out = value(outer * count * inner + position, index);
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};
    use mil::DataType;

    #[test]
    fn running_sums() {
        for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut case = Case::new("cumsum");
            let x = case.float("x", &[2, 7, 70]);
            case.int("axis", 1);
            case.bool("exclusive", exclusive);
            case.bool("reverse", reverse);
            let want: Vec<f64> = (0..x.len())
                .map(|at| {
                    let (position, line) = (at / 70 % 7, at / 490 * 490 + at % 70);
                    let counts = |i: &usize| match (exclusive, reverse) {
                        (false, false) => *i <= position,
                        (true, false) => *i < position,
                        (false, true) => *i >= position,
                        (true, true) => *i > position,
                    };
                    (0..7).filter(counts).map(|i| x[line + i * 70]).sum()
                })
                .collect();
            case.check(&want, Tolerance::SUM);
        }
    }

    #[test]
    fn bands() {
        let mut case = Case::new("band_part");
        let x = case.float("x", &[2, 4, 5]);
        case.int("lower", 1);
        case.int("upper", 2);
        let keeps = |at: usize| {
            (at / 5 % 4) as i64 - (at % 5) as i64 <= 1 && (at % 5) as i64 - (at / 5 % 4) as i64 <= 2
        };
        let want: Vec<f64> = (0..40).map(|at| if keeps(at) { x[at] } else { 0.0 }).collect();
        case.check(&want, Tolerance::EXACT);
    }

    #[test]
    fn sorts_and_selects() {
        let data = vec![3., 1., 3., -2., 5., 1., 0., 7.];
        let mut case = Case::new("argsort");
        case.given("x", &[2, 4], data.clone(), false);
        case.check(&[0., 2., 1., 3., 3., 0., 1., 2.], Tolerance::EXACT);
        let mut case = Case::new("topk");
        case.given("x", &[2, 4], data.clone(), false);
        case.int("k", 2);
        case.bool("ascending", true);
        case.check_all(&[vec![-2., 1., 0., 1.], vec![3., 1., 2., 1.]], Tolerance::EXACT);
        let mut case = Case::new("topk");
        case.given("x", &[4, 2], data, false);
        case.int("axis", 0);
        let got = case.outputs(DataType::Fp32).unwrap();
        assert_eq!((&got[0].1[..], &got[1].1[..]), (&[5., 7.][..], &[2., 3.][..]));
    }
}
