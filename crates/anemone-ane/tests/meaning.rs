//! What `legalize` makes of a program computes what the program computes: run on the CPU engine, before and after.

#![allow(clippy::unwrap_used, reason = "test code")]
#![allow(dead_code, reason = "each test file uses a part of what is common")]

#[path = "common/cases.rs"]
mod cases;
mod common;

use anemone_ane::chips::Chip;
use anemone_ane::legalize::legalize;
use anemone_cpu::CpuBackend;
use anemone_runtime::{Backend, CompileOptions, Tensor};
use cases::{CASES, Case};
use mil::{DataType, Verified};

fn run(program: &Verified, inputs: &[Tensor]) -> Vec<Vec<f32>> {
    let backend = CpuBackend::with_threads(1).unwrap();
    let mut executable = backend.compile(program, &CompileOptions::default()).unwrap();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    executable.call(&inputs).unwrap().iter().map(|tensor| tensor.to_f32().unwrap().to_vec()).collect()
}

/// Values between -span and span, halves among them.
fn inputs(case: &Case, dtype: DataType, seed: u64, span: f32) -> Vec<Tensor> {
    let count: usize = case.shape.iter().product();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let unit = (state >> 40) as f32 / (1u64 << 24) as f32;
        let value = (unit * 2.0 - 1.0) * span;
        if state >> 33 & 7 == 0 { (value * 2.0).round() / 2.0 } else { value }
    };
    (0..2)
        .map(|_| {
            let values: Vec<f32> = (0..count).map(|_| next()).collect();
            match dtype {
                DataType::Fp16 => {
                    let values: Vec<half::f16> = values.into_iter().map(half::f16::from_f32).collect();
                    Tensor::new(case.shape, &values).unwrap()
                }
                _ => Tensor::new(case.shape, &values).unwrap(),
            }
        })
        .collect()
}

/// Largest difference, relative to the largest value; infinities and NaN must be the same.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale =
        a.iter().filter(|value| value.is_finite()).fold(1e-3f32, |scale, value| scale.max(value.abs()));
    let one = |(&a, &b): (&f32, &f32)| match (a.is_finite(), b.is_finite()) {
        (true, true) => (a - b).abs() / scale,
        _ if a == b || (a.is_nan() && b.is_nan()) => 0.0,
        _ => f32::INFINITY,
    };
    a.iter().zip(b).map(one).fold(0.0, f32::max)
}

fn agree(dtype: DataType, tolerance: f32, spans: &[f32]) {
    let fixable = CASES.iter().filter(|case| case.fixable);
    for case in fixable.filter(|case| case.shape.iter().product::<usize>() < 100_000) {
        // Masks of infinities are a matter of fp16.
        if dtype == DataType::Fp32 && case.rule == "infinite-constant" {
            continue;
        }
        let chip = Chip::named(case.chip).unwrap();
        let program = case.program(case.hit, dtype);
        let (legal, changes) = legalize(&program, chip).unwrap();
        assert!(!changes.is_empty(), "{}", case.rule);
        for (seed, &span) in spans.iter().enumerate() {
            let inputs = inputs(case, dtype, seed as u64 + 1, span);
            let (before, after) = (run(&program, &inputs), run(&legal, &inputs));
            for (before, after) in before.iter().zip(&after) {
                let difference = difference(before, after);
                assert!(
                    difference <= tolerance,
                    "{} ({dtype}, up to {span}): {difference}, {changes:?}",
                    case.rule
                );
            }
        }
    }
}

#[test]
fn rewrites_mean_the_same_in_single_precision() {
    agree(DataType::Fp32, 2e-5, &[1.0, 8.0]);
}

#[test]
fn rewrites_mean_the_same_in_half_precision() {
    agree(DataType::Fp16, 6e-3, &[1.0, 4.0]);
}

#[test]
fn softplus_is_right_where_the_engine_is_wrong() {
    let case = CASES.iter().find(|case| case.rule == "softplus-overflow").unwrap();
    let (legal, _) = legalize(&case.program(case.hit, DataType::Fp16), Chip::named("M5").unwrap()).unwrap();
    let inputs = inputs(case, DataType::Fp16, 7, 20000.0);
    let x = inputs[0].to_f32().unwrap();
    for (&x, y) in x.iter().zip(&run(&legal, &inputs)[0]) {
        let expected = (x.max(0.0) + (-x.abs()).exp().ln_1p()) * 0.5;
        assert!((y - expected).abs() <= expected.abs() * 2e-3 + 1e-3, "{x}: {y}, {expected}");
    }
}

#[test]
fn rounding_is_to_even_at_any_size() {
    let case = CASES.iter().find(|case| case.rule == "round-large").unwrap();
    let (legal, changes) =
        legalize(&case.program(case.hit, DataType::Fp16), Chip::named("M5").unwrap()).unwrap();
    assert!(changes.iter().any(|change| change.rule == "round-large"), "{changes:?}");
    for span in [1.0, 3.0, 40.0, 1500.0, 60000.0] {
        let inputs = inputs(case, DataType::Fp16, 3, span);
        let x = inputs[0].to_f32().unwrap();
        for (&x, y) in x.iter().zip(&run(&legal, &inputs)[0]) {
            assert_eq!(*y, x.round_ties_even() * 0.5, "{x}");
        }
    }
}
