//! Normalizations. Sums in the order of [`fold`](super::fold); variances are means of squared distances from the mean.

use super::fold::{self, Fold, Sum, SumSquare, SumSquareFrom, TILE};
use super::reduction::Layout;
use super::{Call, Float, KernelResult, Lower, Lowered, for_float, operand, parallel};
use crate::elementwise::math;
use crate::isa::per_isa;
use mil::ops::normalization::{ChannelWindow, channel_window, normalized_axes};
use mil::{InferError, OpView};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("batch_norm", |op| for_float!(op, "x", batch_norm)),
    ("instance_norm", |op| for_float!(op, "x", instance_norm)),
    ("l2_norm", |op| for_float!(op, "x", l2_norm)),
    ("layer_norm", |op| for_float!(op, "x", layer_norm)),
    ("local_response_norm", |op| for_float!(op, "x", local_response_norm)),
];

/// A constant parameter as `f32`, or `default` so many times when it is absent.
fn values(op: &OpView<'_>, param: &'static str, count: usize, default: f32) -> Result<Vec<f32>, InferError> {
    if op.value(param).is_none() {
        return Ok(vec![default; count]);
    }
    let values = op.constant(param).and_then(|constant| Some(constant.to_f32()?.into_owned()));
    values
        .filter(|values| values.len() == count)
        .ok_or_else(|| InferError::new(param, format!("must be a constant of {count} numbers")))
}

per_isa! {
    /// `(x - mean) * scale + shift`.
    fn affine[](values: &mut [f32], mean: f32, scale: f32, shift: f32) -> () {
        for value in values {
            *value = (*value - mean) * scale + shift;
        }
    }
}

per_isa! {
    /// `(x - mean) * scale * gamma + beta`, element by element.
    fn affine_each[](values: &mut [f32], mean: f32, scale: f32, gamma: &[f32], beta: &[f32]) -> () {
        for ((value, gamma), beta) in values.iter_mut().zip(gamma).zip(beta) {
            *value = (*value - mean) * scale * gamma + beta;
        }
    }
}

/// Rows that are computed in place, one after the other, in buffers of [`fold::BLOCK`] elements.
fn blocks<T: Float>(row: &mut [T], mut body: impl FnMut(usize, &mut [f32])) {
    let mut buffer = [0.0; fold::BLOCK];
    for (part, values) in row.chunks_mut(fold::BLOCK).enumerate() {
        T::update(values, &mut buffer, |values| body(part * fold::BLOCK, values));
    }
}

/// A kernel that computes each row of `width` neighbours of `x` in place: `body(row, elements)`.
fn by_row<T: Float>(
    op: &OpView<'_>,
    width: usize,
    body: impl Fn(usize, &mut [T]) + Send + Sync + 'static,
) -> Result<Lowered, InferError> {
    let x = operand(op, "x")?;
    let run = move |call: &mut Call<'_>| -> KernelResult {
        let input = (!call.in_place).then(|| call.inputs[x].slice::<T>());
        parallel::rows(call.outputs[0].slice::<T>(), width, 4, |row, out| {
            if let Some(input) = input {
                out.copy_from_slice(&input[row * width..][..width]);
            }
            body(row, out);
        });
        Ok(())
    };
    Ok(Lowered::new(run).in_place(x))
}

fn batch_norm<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let channels = shape[1];
    let epsilon = op.float("epsilon")?;
    let (mean, variance) = (values(op, "mean", channels, 0.0)?, values(op, "variance", channels, 1.0)?);
    let (gamma, beta) = (values(op, "gamma", channels, 1.0)?, values(op, "beta", channels, 0.0)?);
    let scale: Vec<f32> =
        gamma.iter().zip(variance).map(|(gamma, var)| gamma / (var + epsilon).sqrt()).collect();
    by_row::<T>(op, shape[2..].iter().product(), move |row, out| {
        let channel = row % channels;
        blocks(out, |_, values| affine(values, mean[channel], scale[channel], beta[channel]));
    })
}

/// Mean and `1 / sqrt(variance + epsilon)` of a row.
fn moments<T: Float>(row: &[T], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = fold::run(&Sum, row) / count;
    let variance = fold::run(&SumSquareFrom(mean), row) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

fn instance_norm<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let channels = shape[1];
    let epsilon = op.float("epsilon")?;
    let (gamma, beta) = (values(op, "gamma", channels, 1.0)?, values(op, "beta", channels, 0.0)?);
    by_row::<T>(op, shape[2..].iter().product(), move |row, out| {
        let (mean, scale) = moments(out, epsilon);
        let channel = row % channels;
        blocks(out, |_, values| affine(values, mean, scale * gamma[channel], beta[channel]));
    })
}

fn l2_norm<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let epsilon = op.float("epsilon")?;
    by_row::<T>(op, shape[shape.rank() - 3..].iter().product(), move |_, out| {
        let scale = 1.0 / (fold::run(&SumSquare, out) + epsilon).sqrt();
        blocks(out, |_, values| affine(values, 0.0, scale, 0.0));
    })
}

fn layer_norm<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let axes = normalized_axes(op)?;
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let epsilon = op.float("epsilon")?;
    let (gamma, beta) = (values(op, "gamma", count, 1.0)?, values(op, "beta", count, 0.0)?);
    // Dimensions before the first axis only repeat the computation.
    let first = axes.first().copied().unwrap_or(shape.rank());
    let inner: Vec<usize> = axes.iter().map(|&axis| axis - first).collect();
    let width: usize = shape[first..].iter().product();
    if count == width {
        return by_row::<T>(op, width, move |_, out| {
            let (mean, scale) = moments(out, epsilon);
            blocks(out, |start, values| affine_each(values, mean, scale, &gamma[start..], &beta[start..]));
        });
    }
    let layout = Layout::new(&shape[first..], &inner);
    by_row::<T>(op, width, move |_, out| normalize(out, &layout, [&gamma, &beta], epsilon))
}

/// Normalizes over any dimensions.
fn normalize<T: Float>(values: &mut [T], layout: &Layout, [gamma, beta]: [&[f32]; 2], epsilon: f32) {
    let (runs, inner) = (layout.reduced.count(), layout.inner);
    let offset = |run: usize| layout.reduced.offset(run);
    let count = layout.reduced_count() as f32;
    for start in (0..layout.kept.count()).map(|at| layout.kept.offset(at)) {
        if layout.inner_reduced {
            let mean = fold::runs(&Sum, &values[start..], inner, runs, &offset) / count;
            let variance = fold::runs(&SumSquareFrom(mean), &values[start..], inner, runs, &offset) / count;
            let scale = 1.0 / (variance + epsilon).sqrt();
            for run in 0..runs {
                let [gamma, beta] = [gamma, beta].map(|all| &all[run * inner..]);
                blocks(&mut values[start + offset(run)..][..inner], |first, values| {
                    affine_each(values, mean, scale, &gamma[first..], &beta[first..]);
                });
            }
            continue;
        }
        for first in (0..inner).step_by(TILE) {
            let (start, width) = (start + first, TILE.min(inner - first));
            let mean = fold::columns(&Sum, &values[start..], width, runs, &offset).map(|sum| sum / count);
            let squares = fold::columns(&SumSquareFromColumns(&mean), &values[start..], width, runs, &offset);
            let scale = squares.map(|sum| 1.0 / (sum / count + epsilon).sqrt());
            let mut buffer = [0.0; TILE];
            for run in 0..runs {
                T::update(&mut values[start + offset(run)..][..width], &mut buffer, |values| {
                    for (i, value) in values.iter_mut().enumerate() {
                        *value = (*value - mean[i]) * scale[i] * gamma[run] + beta[run];
                    }
                });
            }
        }
    }
}

/// `Σ (x - mean)²`, each column with its own mean.
struct SumSquareFromColumns<'a>(&'a [f32; TILE]);

impl Fold<f32> for SumSquareFromColumns<'_> {
    #[inline(always)]
    fn start(&self) -> f32 {
        0.0
    }
    #[inline(always)]
    fn map(&self, value: f32, column: usize) -> f32 {
        let distance = value - self.0[column];
        distance * distance
    }
    #[inline(always)]
    fn merge(&self, left: f32, right: f32) -> f32 {
        left + right
    }
}

/// `x / (k + alpha / size * Σ x²)^beta`, the sum over the channels of [`channel_window`], in order.
fn local_response_norm<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let ChannelWindow { axis, before, after } = channel_window(op)?;
    let (channels, plane): (usize, usize) = (shape[axis], shape[axis + 1..].iter().product());
    let size = before + 1 + after;
    let (alpha, beta, k) = (op.float("alpha")?, op.float("beta")?, op.float("k")?);
    let scale = alpha / size as f32;
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        let input = call.inputs[x].slice::<T>();
        parallel::rows(call.outputs[0].slice::<T>(), plane, size * 4 + 32, |row, out| {
            let (item, channel) = (row / channels, row % channels);
            let first = channel.saturating_sub(before);
            let end = (channel + after + 1).min(channels);
            for (position, out) in out.iter_mut().enumerate() {
                let at = |channel: usize| input[(item * channels + channel) * plane + position].to_f32();
                let squares: f32 = (first..end).map(|channel| at(channel) * at(channel)).sum();
                *out = T::from_f32(at(channel) / math::pow(k + scale * squares, beta));
            }
        });
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    /// Normalizes the elements of `x` for which `group` gives the same number.
    fn normalized(x: &[f64], groups: usize, group: impl Fn(usize) -> usize, epsilon: f64) -> Vec<f64> {
        let members: Vec<Vec<usize>> =
            (0..groups).map(|own| (0..x.len()).filter(|&at| group(at) == own).collect()).collect();
        let mut out = vec![0.0; x.len()];
        for own in members {
            let mean = own.iter().map(|&at| x[at]).sum::<f64>() / own.len() as f64;
            let variance = own.iter().map(|&at| (x[at] - mean).powi(2)).sum::<f64>() / own.len() as f64;
            own.into_iter().for_each(|at| out[at] = (x[at] - mean) / (variance + epsilon).sqrt());
        }
        out
    }

    #[test]
    fn layer_norm_over_any_axes() {
        let shape = [3, 4, 5, 70];
        /// Axes, number of groups, the group and the weight of an element.
        type Axes = (&'static [i32], usize, fn(usize) -> usize, fn(usize) -> usize);
        let cases: [Axes; 4] = [
            (&[3], 60, |at| at / 70, |at| at % 70),
            (&[2, 3], 12, |at| at / 350, |at| at % 350),
            (&[1], 1050, |at| at / 1400 * 350 + at % 350, |at| at / 350 % 4),
            (&[1, 3], 15, |at| at / 1400 * 5 + at / 70 % 5, |at| at / 350 % 4 * 70 + at % 70),
        ];
        for (axes, groups, group, weight) in cases {
            let mut case = Case::new("layer_norm");
            let x = case.float("x", &shape);
            case.ints("axes", axes);
            let dims: Vec<usize> = axes.iter().map(|&axis| shape[axis as usize]).collect();
            let gamma = case.float_constant("gamma", &dims);
            let beta = case.float_constant("beta", &dims);
            let want: Vec<f64> = normalized(&x, groups, group, 1e-5)
                .into_iter()
                .enumerate()
                .map(|(at, y)| y * gamma[weight(at)] + beta[weight(at)])
                .collect();
            case.check(&want, Tolerance::SUM);
        }
    }

    #[test]
    fn instance_and_batch_norm() {
        let mut case = Case::new("instance_norm");
        let x = case.float("x", &[2, 3, 4, 50]);
        let gamma = case.float_constant("gamma", &[3]);
        let want: Vec<f64> = normalized(&x, 6, |at| at / 200, 1e-5)
            .into_iter()
            .enumerate()
            .map(|(at, y)| y * gamma[at / 200 % 3])
            .collect();
        case.check(&want, Tolerance::SUM);
        let mut case = Case::new("batch_norm");
        let x = case.float("x", &[2, 3, 40]);
        let mean = case.float_constant("mean", &[3]);
        let variance = vec![0.5, 1.0, 2.0];
        case.given("variance", &[3], variance.clone(), true);
        let beta = case.float_constant("beta", &[3]);
        let want: Vec<f64> = (0..240)
            .map(|at| {
                let c = at / 40 % 3;
                (x[at] - mean[c]) / (variance[c] + 1e-5).sqrt() + beta[c]
            })
            .collect();
        case.check(&want, Tolerance::MATH);
    }
}
