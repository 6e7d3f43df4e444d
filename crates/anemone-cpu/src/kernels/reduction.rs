//! Reductions along axes. Orders of summation: see [`fold`](super::fold).

use super::fold::{
    self, Fold, Max, Min, Number, Product, Sum, SumAbs, SumExp, SumExpColumns, SumSquare, TILE,
};
use super::{Call, Float, KernelResult, Lower, Lowered, for_float, parallel, unsupported};
use crate::elementwise::math;
use half::f16;
use mil::ops::reduction::reduced_axes;
use mil::{DataType, Element, InferError, OpView};
use smallvec::SmallVec;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("reduce_argmax", |op| arg_reduce(op, |new, best| new > best)),
    ("reduce_argmin", |op| arg_reduce(op, |new, best| new < best)),
    ("reduce_l1_norm", |op| any(op, SumAbs, SumAbs, |x, _| x, |x, _| x)),
    ("reduce_l2_norm", |op| {
        any(op, SumSquare, SumSquare, |x, _| x.sqrt(), |x, _| f64::from(x).sqrt() as i32)
    }),
    ("reduce_log_sum", |op| any(op, Sum, Sum, |x, _| math::log(x), |x, _| libm::log(f64::from(x)) as i32)),
    ("reduce_log_sum_exp", |op| match op.dtype("x")? {
        DataType::Int32 => int_log_sum_exp(op),
        _ => for_float!(op, "x", log_sum_exp),
    }),
    ("reduce_max", |op| any(op, Max, Max, |x, _| x, |x, _| x)),
    ("reduce_mean", |op| {
        any(op, Sum, Sum, |x, count| x / count as f32, |x, count| (i64::from(x) / count.max(1) as i64) as i32)
    }),
    ("reduce_min", |op| any(op, Min, Min, |x, _| x, |x, _| x)),
    ("reduce_prod", |op| any(op, Product, Product, |x, _| x, |x, _| x)),
    ("reduce_sum", |op| any(op, Sum, Sum, |x, _| x, |x, _| x)),
    ("reduce_sum_square", |op| any(op, SumSquare, SumSquare, |x, _| x, |x, _| x)),
];

/// Some dimensions of a row-major tensor: sizes and strides, outermost first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dims(SmallVec<[(usize, usize); 4]>);

impl Dims {
    /// Number of positions.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|&(count, _)| count).product()
    }

    /// Where position `index` lies.
    #[inline]
    pub(crate) fn offset(&self, mut index: usize) -> usize {
        if let [(_, stride)] = self.0[..] {
            return index * stride;
        }
        let mut offset = 0;
        for &(count, stride) in self.0.iter().rev() {
            offset += index % count * stride;
            index /= count;
        }
        offset
    }
}

/// A reduction's dimensions, with neighbours of one kind joined.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) kept: Dims,
    pub(crate) reduced: Dims,
    /// Size of the innermost joined dimension, which is in neither list.
    pub(crate) inner: usize,
    /// Whether that one is reduced.
    pub(crate) inner_reduced: bool,
}

impl Layout {
    pub(crate) fn new(shape: &[usize], axes: &[usize]) -> Layout {
        let mut joined: SmallVec<[(bool, usize); 6]> = SmallVec::new();
        for (axis, &count) in shape.iter().enumerate().filter(|&(_, &count)| count != 1) {
            let reduced = axes.contains(&axis);
            match joined.last_mut() {
                Some((kind, joined)) if *kind == reduced => *joined *= count,
                _ => joined.push((reduced, count)),
            }
        }
        let (inner_reduced, inner) = joined.pop().unwrap_or((false, 1));
        let mut layout = Layout { kept: Dims::default(), reduced: Dims::default(), inner, inner_reduced };
        let mut stride = inner;
        for (reduced, count) in joined.into_iter().rev() {
            let dims = if reduced { &mut layout.reduced } else { &mut layout.kept };
            dims.0.insert(0, (count, stride));
            stride *= count;
        }
        layout
    }

    /// Elements that go into one output.
    pub(crate) fn reduced_count(&self) -> usize {
        self.reduced.count() * if self.inner_reduced { self.inner } else { 1 }
    }

    /// Folds every output: `finish` rounds accumulators into it.
    fn fold<N: Number, F: Fold<N::Wide>>(
        &self,
        fold: &F,
        input: &[N],
        output: &mut [N],
        finish: impl Fn(N::Wide) -> N + Sync,
    ) {
        let (runs, offset) = (self.reduced.count(), |run| self.reduced.offset(run));
        if self.inner_reduced {
            return parallel::rows(output, 1, self.reduced_count(), |at, out| {
                let input = input.get(self.kept.offset(at)..).unwrap_or_default();
                out[0] = finish(fold::runs(fold, input, self.inner, runs, &offset));
            });
        }
        let width = self.inner;
        parallel::rows(output, width, runs, |row, out| {
            parallel::rows(out, TILE, runs, |tile, out| {
                let input = input.get(self.kept.offset(row) + tile * TILE..).unwrap_or_default();
                let columns = fold::columns(fold, input, out.len(), runs, &offset);
                for (out, column) in out.iter_mut().zip(columns) {
                    *out = finish(column);
                }
            });
        });
    }
}

fn layout(op: &OpView<'_>) -> Result<Layout, InferError> {
    Ok(Layout::new(op.shape("x")?, &reduced_axes(op)?))
}

/// A fold in the element type of `x`, and what is done to it at the end given the number of elements folded.
fn any<F: Fold<f32> + Send + 'static, I: Fold<i32> + Send + 'static>(
    op: &OpView<'_>,
    float: F,
    int: I,
    finish: fn(f32, usize) -> f32,
    finish_int: fn(i32, usize) -> i32,
) -> Result<Lowered, InferError> {
    fn lowered<N: Number, F: Fold<N::Wide> + Send + 'static>(
        layout: Layout,
        fold: F,
        finish: fn(N::Wide, usize) -> N::Wide,
    ) -> Lowered {
        let count = layout.reduced_count();
        Lowered::new(move |call| {
            let input = call.inputs[0].slice::<N>();
            layout.fold(&fold, input, call.outputs[0].slice::<N>(), |value| N::narrow(finish(value, count)));
            Ok(())
        })
    }
    let layout = layout(op)?;
    match op.dtype("x")? {
        DataType::Fp32 => Ok(lowered::<f32, F>(layout, float, finish)),
        DataType::Fp16 => Ok(lowered::<f16, F>(layout, float, finish)),
        DataType::Int32 => Ok(lowered::<i32, I>(layout, int, finish_int)),
        _ => Err(unsupported("x", op.tensor("x")?)),
    }
}

/// `max + ln Σ exp(x - max)`; where the maximum is infinite that infinity, where it is NaN, NaN.
fn log_sum_exp<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let layout = layout(op)?;
    let finish = |max: f32, sum: f32| T::from_f32(if max.is_infinite() { max } else { max + math::log(sum) });
    Ok(Lowered::new(move |call| {
        let (input, output) = (call.inputs[0].slice::<T>(), call.outputs[0].slice::<T>());
        let (runs, offset) = (layout.reduced.count(), |run| layout.reduced.offset(run));
        if layout.inner_reduced {
            parallel::rows(output, 1, layout.reduced_count() * 8, |at, out| {
                let input = input.get(layout.kept.offset(at)..).unwrap_or_default();
                let max = fold::runs(&Max, input, layout.inner, runs, &offset);
                out[0] = finish(max, fold::runs(&SumExp(max), input, layout.inner, runs, &offset));
            });
            return Ok(());
        }
        parallel::rows(output, layout.inner, runs * 8, |row, out| {
            parallel::rows(out, TILE, runs * 8, |tile, out| {
                let input = input.get(layout.kept.offset(row) + tile * TILE..).unwrap_or_default();
                let max = fold::columns(&Max, input, out.len(), runs, &offset);
                let sum = fold::columns(&SumExpColumns(&max), input, out.len(), runs, &offset);
                for (out, (max, sum)) in out.iter_mut().zip(max.into_iter().zip(sum)) {
                    *out = finish(max, sum);
                }
            });
        });
        Ok(())
    }))
}

/// The same of integers, computed in `f64` in order and rounded towards zero, as `reduce_log_sum` does.
fn int_log_sum_exp(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let layout = layout(op)?;
    let columns = if layout.inner_reduced { 1 } else { layout.inner };
    let run = if layout.inner_reduced { layout.inner } else { 1 };
    Ok(Lowered::new(move |call| {
        let (input, output) = (call.inputs[0].slice::<i32>(), call.outputs[0].slice::<i32>());
        parallel::rows(output, 1, layout.reduced_count().saturating_mul(32), |at, out| {
            let start = layout.kept.offset(at / columns) + at % columns;
            let runs = (0..layout.reduced.count()).map(|run| start + layout.reduced.offset(run));
            let values = || runs.clone().flat_map(|start| &input[start..start + run]).map(|&x| f64::from(x));
            let max = values().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = values().map(|x| libm::exp(x - max)).sum();
            out[0] = (max + libm::log(sum)) as i32;
        });
        Ok(())
    }))
}

/// Index of the best element along one axis: the first of equal ones, or the first NaN.
fn arg_reduce(op: &OpView<'_>, better: fn(f32, f32) -> bool) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let axis = reduced_axes(op)?.first().copied().unwrap_or(0);
    let inner = shape.iter().skip(axis + 1).product();
    let count = shape.get(axis).copied().unwrap_or(1);
    let x = op.tensor("x")?;
    let lower = match (x.dtype, op.output(0).dtype) {
        (DataType::Fp32, DataType::Int32) => arg_lowered::<f32, i32>,
        (DataType::Fp16, DataType::Int32) => arg_lowered::<f16, i32>,
        (DataType::Int32, DataType::Int32) => arg_lowered::<i32, i32>,
        (DataType::Fp32, DataType::Uint16) => arg_lowered::<f32, u16>,
        (DataType::Fp16, DataType::Uint16) => arg_lowered::<f16, u16>,
        (DataType::Int32, DataType::Uint16) => arg_lowered::<i32, u16>,
        _ => return Err(unsupported("x", x)),
    };
    Ok(lower(count, inner, better(1.0, 0.0)))
}

/// An integer type of indices.
pub(crate) trait Index: Element {
    /// The index; wraps when it does not fit, which type inference rules out where it can.
    fn from_index(index: usize) -> Self;
}

impl Index for i32 {
    fn from_index(index: usize) -> i32 {
        index as i32
    }
}

impl Index for u16 {
    fn from_index(index: usize) -> u16 {
        index as u16
    }
}

fn arg_lowered<N: Number, I: Index>(count: usize, inner: usize, largest: bool) -> Lowered {
    Lowered::new(move |call: &mut Call<'_>| -> KernelResult {
        let input = call.inputs[0].slice::<N>();
        parallel::rows(call.outputs[0].slice::<I>(), 1, count, |at, out| {
            let start = at / inner * count * inner + at % inner;
            let line = input[start..].iter().step_by(inner).take(count).map(|value| value.wide());
            out[0] = I::from_index(best(line, largest));
        });
        Ok(())
    })
}

fn best<W: PartialOrd + Copy>(line: impl Iterator<Item = W>, largest: bool) -> usize {
    let mut best: Option<(usize, W)> = None;
    for (index, value) in line.enumerate() {
        // A NaN compares with nothing, not even with itself.
        let is_nan = value.partial_cmp(&value).is_none();
        let wins = match best {
            None => true,
            Some((_, best)) => is_nan || if largest { value > best } else { value < best },
        };
        if wins {
            best = Some((index, value));
        }
        if is_nan {
            break;
        }
    }
    best.map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Case, Tolerance};

    const SHAPES: &[(&[usize], &[usize])] = &[
        (&[3, 40], &[1]),
        (&[40, 3], &[0]),
        (&[500, 70], &[0]),
        (&[4, 5, 6, 7], &[0, 2, 3]),
        (&[4, 5, 6, 7], &[1, 3]),
        (&[4, 5, 6, 7], &[1]),
        (&[4, 5, 6, 7], &[0, 2]),
        (&[2, 3, 2, 3, 70], &[0, 2]),
        (&[5000], &[0]),
        (&[2, 100_000], &[1]),
        (&[1, 1], &[0, 1]),
    ];

    /// The reduction of one output's elements, in `f64`.
    fn check(name: &str, reduce: fn(&[f64]) -> f64) {
        for &(shape, axes) in SHAPES {
            let axes_arg: Vec<i32> = axes.iter().map(|&axis| axis as i32).collect();
            let mut case = Case::new(name);
            let x = case.float("x", shape);
            case.ints("axes", &axes_arg);
            let layout = Layout::new(shape, axes);
            let reduced: Vec<usize> = (0..layout.reduced.count())
                .flat_map(|run| {
                    let (start, len) = (layout.reduced.offset(run), layout.inner);
                    (0..if layout.inner_reduced { len } else { 1 }).map(move |i| start + i)
                })
                .collect();
            let columns = if layout.inner_reduced { 1 } else { layout.inner };
            let want: Vec<f64> = (0..layout.kept.count() * columns)
                .map(|at| {
                    let start = layout.kept.offset(at / columns) + at % columns;
                    reduce(&reduced.iter().map(|offset| x[start + offset]).collect::<Vec<_>>())
                })
                .collect();
            case.check(&want, Tolerance::SUM);
        }
    }

    #[test]
    fn reductions_agree_with_f64() {
        check("reduce_sum", |x| x.iter().sum());
        check("reduce_mean", |x| x.iter().sum::<f64>() / x.len() as f64);
        check("reduce_l1_norm", |x| x.iter().map(|x| x.abs()).sum());
        check("reduce_l2_norm", |x| x.iter().map(|x| x * x).sum::<f64>().sqrt());
        check("reduce_sum_square", |x| x.iter().map(|x| x * x).sum());
        check("reduce_max", |x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        check("reduce_min", |x| x.iter().copied().fold(f64::INFINITY, f64::min));
        check("reduce_log_sum_exp", |x| x.iter().map(|x| x.exp()).sum::<f64>().ln());
    }

    #[test]
    fn integers_are_reduced_in_f64_where_floats_would_be_needed() {
        for axes in [[0], [1], [2]] {
            let mut case = Case::new("reduce_log_sum_exp");
            let data: Vec<i32> = (0..24).map(|i| i * 7 % 13 - 3).collect();
            case.int_operand("x", &[2, 3, 4], &data);
            case.ints("axes", &axes);
            let step = [12, 4, 1][axes[0] as usize];
            let count = [2, 3, 4][axes[0] as usize];
            let want: Vec<f64> = (0..24 / count)
                .map(|at| {
                    let start = at / step * step * count + at % step;
                    let sum: f64 = (0..count).map(|i| f64::from(data[start + i * step]).exp()).sum();
                    sum.ln().trunc()
                })
                .collect();
            assert_eq!(case.outputs(DataType::Fp32).unwrap()[0].1, want);
        }
    }
}
