//! Random numbers, from a counter.
//!
//! Element `i` of an operation with a `seed` depends on those two alone: the same program draws the same numbers in every
//! run, on any number of threads. A `seed` of -1, for which Core ML draws other numbers each time, is a seed like any
//! other here, because runs must be reproducible; programs that want new numbers in each call compute them from a state.
//!
//! Logarithm, cosine and exponential are those of the `libm` crate: the system's differ from one platform to the next.

use super::narrow::half_from_f64;
use super::{Float, Lower, Lowered, operand, parallel, unsupported};
use half::f16;
use mil::{DataType, InferError, OpView};

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("random_bernoulli", bernoulli),
    ("random_categorical", categorical),
    ("random_normal", normal),
    ("random_uniform", uniform),
];

/// Operations per number, roughly.
const COST: usize = 32;

/// A generator of independent 64-bit numbers by index: the finalizer of SplitMix64 over an arithmetic sequence.
#[derive(Clone, Copy)]
struct Counter {
    key: u64,
}

impl Counter {
    fn of(op: &OpView<'_>) -> Result<Counter, InferError> {
        Ok(Counter { key: mix(op.int("seed")? as u64) })
    }

    fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// A multiple of 2^-53 in `0..1`.
    fn unit(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * UNIT
    }

    /// A number of the standard normal distribution (Box and Muller).
    fn gauss(self, index: u64) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.unit(2 * index))).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit(2 * index + 1))
    }
}

/// 2^-53.
const UNIT: f64 = 1.0 / (1u64 << 53) as f64;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A kernel that computes each element from its index, in `f64`, rounded once.
fn each(op: &OpView<'_>, value: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Result<Lowered, InferError> {
    let fp16 = match op.output(0).dtype {
        DataType::Fp16 => true,
        DataType::Fp32 => false,
        _ => return Err(unsupported("shape", op.output(0))),
    };
    Ok(Lowered::new(move |call| {
        match fp16 {
            true => parallel::rows(call.outputs[0].slice::<f16>(), 1, COST, |index, out| {
                out[0] = half_from_f64(value(index as u64));
            }),
            false => parallel::rows(call.outputs[0].slice::<f32>(), 1, COST, |index, out| {
                out[0] = value(index as u64) as f32;
            }),
        }
        Ok(())
    }))
}

fn uniform(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let counter = Counter::of(op)?;
    let (low, high) = (op.float("low")?, op.float("high")?);
    // The largest number below `high` that the element type holds: rounding must not reach `high`.
    let top = match op.output(0).dtype {
        DataType::Fp16 => f64::from(below_half(high)),
        _ => f64::from(high.next_down()),
    };
    let (low, high) = (f64::from(low), f64::from(high));
    each(op, move |index| {
        let value = low + counter.unit(index) * (high - low);
        if high > low { value.clamp(low, top.max(low)) } else { value }
    })
}

fn below_half(value: f32) -> f32 {
    let half = f16::from_f32(value);
    if half.to_f32() < value {
        return half.to_f32();
    }
    let bits = half.to_bits();
    let below = match bits {
        // Zero of either sign: the negative number nearest to it.
        0 | 0x8000 => 0x8001,
        _ if bits & 0x8000 == 0 => bits - 1,
        _ => bits + 1,
    };
    f16::from_bits(below).to_f32()
}

fn normal(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let counter = Counter::of(op)?;
    let (mean, deviation) = (f64::from(op.float("mean")?), f64::from(op.float("stddev")?));
    each(op, move |index| mean + deviation * counter.gauss(index))
}

fn bernoulli(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let counter = Counter::of(op)?;
    let prob = f64::from(op.float("prob")?);
    each(op, move |index| if counter.unit(index) < prob { 1.0 } else { 0.0 })
}

fn categorical(op: &OpView<'_>) -> Result<Lowered, InferError> {
    match op.dtype("x")? {
        DataType::Fp32 => draw::<f32>(op),
        DataType::Fp16 => draw::<f16>(op),
        _ => Err(unsupported("x", op.tensor("x")?)),
    }
}

/// The first index up to which the probabilities sum to more than a uniform number of their total.
fn draw<T: Float>(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let counter = Counter::of(op)?;
    let shape = op.shape("x")?;
    let categories = shape[shape.rank() - 1];
    let size = op.int("size")? as usize;
    let logits = op.string("mode")? == "logits";
    let x = operand(op, "x")?;
    Ok(Lowered::new(move |call| {
        let input = call.inputs[x].slice::<T>();
        parallel::rows(call.outputs[0].slice::<T>(), size, categories.saturating_mul(16), |row, out| {
            let line = &input[row * categories..][..categories];
            let max = line.iter().fold(f64::NEG_INFINITY, |max, x| max.max(f64::from(x.to_f32())));
            let weight = |x: &T| {
                let x = f64::from(x.to_f32());
                if logits { libm::exp(x - max) } else { x.max(0.0) }
            };
            let total: f64 = line.iter().map(weight).sum();
            for (draw, out) in out.iter_mut().enumerate() {
                let target = counter.unit((row * size + draw) as u64) * total;
                let mut sum = 0.0;
                let found = line.iter().position(|x| {
                    sum += weight(x);
                    sum > target
                });
                *out = T::from_f32(found.unwrap_or(categories - 1) as f32);
            }
        });
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::Case;
    use mil::DataType;

    fn numbers(case: &Case, dtype: DataType) -> Vec<f64> {
        case.outputs(dtype).unwrap().remove(0).1
    }

    fn moments(x: &[f64]) -> (f64, f64) {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (mean, x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64)
    }

    fn drawn(op: &str, params: &[(&'static str, f64)], seed: i32) -> Case {
        let mut case = Case::new(op);
        case.ints("shape", &[100_000]);
        for &(param, value) in params {
            case.given(param, &[], vec![value], true);
        }
        case.int("seed", seed);
        case
    }

    #[test]
    fn distributions_have_their_moments() {
        for dtype in [DataType::Fp32, DataType::Fp16] {
            let x = numbers(&drawn("random_uniform", &[("low", -1.0), ("high", 3.0)], 7), dtype);
            let (mean, variance) = moments(&x);
            assert!((mean - 1.0).abs() < 0.02 && (variance - 4.0 / 3.0).abs() < 0.02, "{mean} {variance}");
            assert!(x.iter().all(|x| (-1.0..3.0).contains(x)));
            let (mean, variance) =
                moments(&numbers(&drawn("random_normal", &[("mean", 2.0), ("stddev", 3.0)], 7), dtype));
            assert!((mean - 2.0).abs() < 0.05 && (variance - 9.0).abs() < 0.2, "{mean} {variance}");
            let (mean, _) = moments(&numbers(&drawn("random_bernoulli", &[("prob", 0.25)], 7), dtype));
            assert!((mean - 0.25).abs() < 0.01, "{mean}");
        }
    }

    #[test]
    fn seeds_give_their_own_numbers() {
        let x = |seed| numbers(&drawn("random_uniform", &[], seed), DataType::Fp32);
        assert_eq!(x(1), x(1));
        assert!(x(1).iter().zip(x(2)).filter(|(a, b)| **a == *b).count() < 100);
    }

    #[test]
    fn categories_are_drawn_by_their_weight() {
        let mut case = Case::new("random_categorical");
        case.given("x", &[1, 3], vec![0.25, 0.0, 0.75], false);
        case.string("mode", "probs");
        case.int("size", 10_000);
        let x = numbers(&case, DataType::Fp32);
        let share = |category: f64| x.iter().filter(|x| **x == category).count() as f64 / 10_000.0;
        assert_eq!(share(1.0), 0.0);
        assert!((share(0.0) - 0.25).abs() < 0.02);
    }
}
