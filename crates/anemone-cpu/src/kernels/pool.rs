//! Pooling: windows in row-major order, tap after tap, in `f32`.

use super::windows::{COLUMNS, Tap, Windows};
use super::{Float, Lower, Lowered, for_float, parallel};
use crate::isa::per_isa;
use mil::ops::pool::geometry;
use mil::{InferError, OpView};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("avg_pool", |op| for_float!(op, "x", average)),
    ("l2_pool", |op| for_float!(op, "x", l2)),
    ("max_pool", |op| for_float!(op, "x", max)),
];

fn max<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let larger = |a: f32, x: f32| if (x > a) | x.is_nan() { x } else { a };
    pool::<T>(op, f32::NEG_INFINITY, larger, |_, _, _| {})
}

fn l2<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    pool::<T>(op, 0.0, |a, x| a + x * x, |_, _, sums| sums.iter_mut().for_each(|sum| *sum = sum.sqrt()))
}

/// The sum over the number of elements: those in the input, or those in input and padding. (A window that hangs over the
/// padded input, as `ceil_mode` allows, does not count what lies beyond.)
fn average<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let inside_only = op.bool("exclude_padding_from_average")?;
    let windows = Windows::new(&geometry(op)?);
    let counts: [Vec<f32>; 3] = std::array::from_fn(|i| {
        let covered = (0..windows.output[i]).map(|output| windows.covered(i, output));
        covered.map(|(inside, padded)| if inside_only { inside as f32 } else { padded as f32 }).collect()
    });
    pool::<T>(
        op,
        0.0,
        |a, x| a + x,
        move |row, first, sums| {
            let rows = counts[0][row / counts[1].len()] * counts[1][row % counts[1].len()];
            for (sum, columns) in sums.iter_mut().zip(&counts[2][first..]) {
                *sum /= rows * columns;
            }
        },
    )
}

/// Folds every window; `finish(row, first column, values)` ends it.
fn pool<T: Float>(
    op: &OpView<'_>,
    start: f32,
    fold: impl Fn(f32, f32) -> f32 + Copy + Send + Sync + 'static,
    finish: impl Fn(usize, usize, &mut [f32]) + Send + Sync + 'static,
) -> Result<Lowered, InferError> {
    let windows = Windows::new(&geometry(op)?);
    let (width, rows, channel) = (windows.output[2], windows.rows(), windows.input_count());
    Ok(Lowered::new(move |call| {
        let input = call.inputs[0].slice::<T>();
        parallel::rows(call.outputs[0].slice::<T>(), width, windows.taps(), |row, out| {
            let channel = &input[row / rows * channel..][..channel];
            for (part, out) in out.chunks_mut(COLUMNS).enumerate() {
                let mut buffer = [0.0; COLUMNS];
                T::fill(out, &mut buffer, |values| {
                    values.fill(start);
                    let columns = part * COLUMNS..part * COLUMNS + values.len();
                    windows.for_each_tap(row % rows, columns, |Tap { outputs, start, .. }| {
                        fold_line(&mut values[outputs], &channel[start..], windows.strides[2], fold);
                    });
                    finish(row % rows, part * COLUMNS, values);
                });
            }
        });
        Ok(())
    }))
}

/// Folds every `stride`-th element into `values`.
fn fold_line<T: Float, F: Fn(f32, f32) -> f32 + Copy>(
    values: &mut [f32],
    line: &[T],
    stride: usize,
    fold: F,
) {
    if !T::IS_WIDE || values.len() < 8 {
        for (value, x) in values.iter_mut().zip(line.iter().step_by(stride)) {
            *value = fold(*value, x.to_f32());
        }
        return;
    }
    let line = T::widen(line, &mut []);
    match stride {
        1 => fold_steps([(); 1], values, line, fold),
        2 => fold_steps([(); 2], values, line, fold),
        _ => {
            for (value, x) in values.iter_mut().zip(line.iter().step_by(stride)) {
                *value = fold(*value, *x);
            }
        }
    }
}

per_isa! {
    /// A constant stride lets the loop vectorise.
    fn fold_steps[const STRIDE: usize, F: Fn(f32, f32) -> f32 + Copy](
        _stride: [(); STRIDE],
        values: &mut [f32],
        line: &[f32],
        fold: F,
    ) -> () {
        // All but the last step over a whole stride of elements.
        let whole = values.len().min(line.len() / STRIDE);
        let (front, back) = values.split_at_mut(whole);
        for (value, x) in front.iter_mut().zip(line.chunks_exact(STRIDE)) {
            *value = fold(*value, x[0]);
        }
        for (value, x) in back.iter_mut().zip(line[whole * STRIDE..].iter().step_by(STRIDE)) {
            *value = fold(*value, *x);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    fn check(op: &str, reduce: fn(&[f64]) -> f64) {
        // [N * C, H, W], kernel, strides, pad.
        for ([h, w], [kh, kw], [sh, sw], [top, bottom, left, right]) in [
            ([8, 20], [2, 2], [2, 2], [0, 0, 0, 0]),
            ([9, 33], [3, 3], [1, 1], [1, 1, 1, 1]),
            ([9, 31], [3, 2], [2, 3], [1, 0, 0, 1]),
            ([5, 600], [1, 3], [1, 2], [0, 0, 1, 1]),
        ] {
            let mut case = Case::new(op);
            let x = case.float("x", &[2, 3, h, w]);
            case.ints("kernel_sizes", &[kh as i32, kw as i32]);
            case.ints("strides", &[sh as i32, sw as i32]);
            case.string("pad_type", "custom");
            case.ints("pad", &[top, bottom, left, right].map(|pad: usize| pad as i32));
            if op == "avg_pool" {
                case.bool("exclude_padding_from_average", true);
            }
            let (out_h, out_w) = ((h + top + bottom - kh) / sh + 1, (w + left + right - kw) / sw + 1);
            let want: Vec<f64> = (0..6 * out_h * out_w)
                .map(|at| {
                    let (channel, y, z) = (at / (out_h * out_w), at / out_w % out_h, at % out_w);
                    let taps = (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j)));
                    let inside = taps.filter_map(|(i, j)| {
                        let y = (y * sh + i).checked_sub(top).filter(|&y| y < h)?;
                        let z = (z * sw + j).checked_sub(left).filter(|&z| z < w)?;
                        Some(x[(channel * h + y) * w + z])
                    });
                    reduce(&inside.collect::<Vec<_>>())
                })
                .collect();
            case.check(&want, Tolerance::MATH);
        }
    }

    #[test]
    fn pools_agree_with_f64() {
        check("max_pool", |x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        check("avg_pool", |x| x.iter().sum::<f64>() / x.len() as f64);
        check("l2_pool", |x| x.iter().map(|x| x * x).sum::<f64>().sqrt());
    }
}
