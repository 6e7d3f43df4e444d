//! Softmax. (The other activations are elementwise.)

use super::fold::{self, Max, Sum, SumExp, SumExpColumns, TILE};
use super::{Call, Float, Lower, Lowered, for_float, parallel};
use crate::elementwise::math::exp;
use crate::isa::per_isa;
use mil::ops::axis;
use mil::{InferError, OpView};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[("softmax", |op| for_float!(op, "x", softmax))];

/// `exp(x - max) / Σ exp(x - max)` along one axis; sums in the order of [`fold`].
fn softmax<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let shape = op.shape("x")?;
    let axis = axis(op, "axis", shape.rank())?;
    let (count, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let run = move |call: &mut Call<'_>| {
        let input = (!call.in_place).then(|| call.inputs[0].slice::<T>());
        let output = call.outputs[0].slice::<T>();
        parallel::rows(output, count * inner, 16, |outer, out| {
            if let Some(input) = input {
                out.copy_from_slice(&input[outer * count * inner..][..count * inner]);
            }
            if inner == 1 {
                softmax_run(out);
            } else {
                softmax_columns(out, count, inner);
            }
        });
        Ok(())
    };
    Ok(Lowered::new(run).in_place(0))
}

/// Softmax of neighbours, in place.
pub(crate) fn softmax_run<T: Float>(line: &mut [T]) {
    let max = fold::run(&Max, line);
    if T::IS_WIDE {
        // The exponentials are kept; elsewhere rounding them would show, so that they are computed twice.
        T::update(line, &mut [], |line| exp_of(line, max));
        let sum = fold::run(&Sum, line);
        return T::update(line, &mut [], |line| divide(line, sum));
    }
    let sum = fold::run(&SumExp(max), line);
    let mut buffer = [0.0; fold::BLOCK];
    for part in line.chunks_mut(fold::BLOCK) {
        T::update(part, &mut buffer, |values| {
            exp_of(values, max);
            divide(values, sum);
        });
    }
}

per_isa! {
    /// `exp(x - max)`.
    pub(super) fn exp_of[](values: &mut [f32], max: f32) -> () {
        for value in values {
            *value = exp(*value - max);
        }
    }
}

per_isa! {
    /// `x / by`.
    pub(super) fn divide[](values: &mut [f32], by: f32) -> () {
        for value in values {
            *value /= by;
        }
    }
}

/// Softmax of `inner` columns over `count` rows, in place.
fn softmax_columns<T: Float>(values: &mut [T], count: usize, inner: usize) {
    for start in (0..inner).step_by(TILE) {
        let width = TILE.min(inner - start);
        let offset = |row: usize| row * inner;
        let max = fold::columns(&Max, &values[start..], width, count, &offset);
        let sum = fold::columns(&SumExpColumns(&max), &values[start..], width, count, &offset);
        let mut buffer = [0.0; TILE];
        for row in 0..count {
            let part = &mut values[row * inner + start..][..width];
            T::update(part, &mut buffer, |values| exp_over_columns(values, &max, &sum));
        }
    }
}

per_isa! {
    fn exp_over_columns[](values: &mut [f32], max: &[f32], sum: &[f32]) -> () {
        for (value, (max, sum)) in values.iter_mut().zip(max.iter().zip(sum)) {
            *value = exp(*value - max) / sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Case, Tolerance};

    #[test]
    fn softmax_agrees_with_f64() {
        let cases: &[(&[usize], usize)] =
            &[(&[3, 40], 1), (&[40, 3], 0), (&[2, 5, 70], 1), (&[2, 3, 4, 5], 2), (&[7, 3000], 1), (&[1], 0)];
        for &(shape, axis) in cases {
            let mut case = Case::new("softmax");
            let x = case.float("x", shape);
            case.int("axis", axis as i32);
            let (count, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
            let sum = |at: usize| -> f64 {
                let start = at / (count * inner) * count * inner + at % inner;
                (0..count).map(|i| x[start + i * inner].exp()).sum()
            };
            let want: Vec<f64> = (0..x.len()).map(|at| x[at].exp() / sum(at)).collect();
            case.check(&want, Tolerance::MATH);
        }
    }
}
