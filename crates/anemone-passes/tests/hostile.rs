//! Passes withstand anything that verifies: of random programs they make programs that verify, or say why not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// The generator, with its own tests of type inference.
#[path = "../../mil/tests/ops/hostile.rs"]
mod programs;

use anemone_passes::autodiff::gradients_from;
use anemone_passes::{PrecisionOptions, simplify, states_to_io, to_fp16};
use mil::{Def, Function, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify};
use proptest::prelude::*;

/// Some rules make constants as large as tensors, so that only small ones are let through.
const LARGEST: usize = 1 << 22;

fn extent(ty: &TensorType) -> usize {
    let dims = ty.shape.iter().filter(|&&dim| dim != 0);
    dims.fold(ty.dtype.size().max(1), |bytes, &dim| bytes.saturating_mul(dim))
}

/// A random program of tensors that fit, with every result as output.
fn sample(seed: u64) -> Option<Verified> {
    let (function, _) = programs::program(seed);
    let results: Vec<ValueId> = (0..function.values.len())
        .map(ValueId::from_index)
        .filter(|&id| function.value(id).def == Def::Op)
        .collect();
    let function = FunctionBuilder::resume(function).finish(&results).unwrap();
    let fits = function.values.iter().all(|value| extent(value.ty.tensor()) <= LARGEST);
    verify(Program::single(function)).ok().filter(|_| fits)
}

fn verifies(function: Function, what: &str) -> Result<(), TestCaseError> {
    match verify(Program::single(function)) {
        Ok(_) => Ok(()),
        Err(faults) => Err(TestCaseError::fail(format!("{what}: {}", faults[0]))),
    }
}

/// Differentiates every float output; gives how many had gradients. (A rule may not cover what it is given, but then
/// it says so.)
fn differentiated(function: &Function) -> Result<usize, TestCaseError> {
    let is_float = |id: &ValueId| function.ty(*id).as_tensor().is_some_and(|ty| ty.dtype.is_float());
    let wrt: Vec<ValueId> = function.inputs.iter().copied().filter(is_float).collect();
    let mut count = 0;
    for &output in function.body.outputs.iter().filter(|id| is_float(id)) {
        let mut f = FunctionBuilder::resume(function.clone());
        let seed = f.input("cotangent", function.tensor(output).clone()).unwrap();
        let Ok(mut outputs) = gradients_from(&mut f, output, Some(seed), &wrt) else { continue };
        for (&wrt, &gradient) in wrt.iter().zip(&outputs) {
            prop_assert_eq!(f.ty(wrt), f.ty(gradient));
        }
        outputs.push(output);
        verifies(f.finish(&outputs).unwrap(), "gradients")?;
        count += 1;
    }
    Ok(count)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // A seed has no smaller neighbours.
        max_shrink_iters: 0,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn passes_withstand_random_programs(seed in any::<u64>()) {
        let Some(program) = sample(seed) else { return Ok(()) };
        let function = &program.functions[0];
        if let Ok(half) = to_fp16(function, &PrecisionOptions::default()) {
            verifies(half, "to_fp16")?;
        }
        // The others refuse what is not static, such as a classifier's dictionary.
        if !function.is_static() {
            return Ok(());
        }
        differentiated(function)?;
        let mut simple = function.clone();
        simplify(&mut simple);
        verifies(simple, "simplify")?;
        let flat = states_to_io(&program).map_err(|error| TestCaseError::fail(error.to_string()))?;
        verifies(flat.functions[0].clone(), "states_to_io")?;
    }
}

#[test]
fn most_random_programs_have_gradients() {
    let count: usize = (0..100)
        .filter_map(sample)
        .filter(|program| program.functions[0].is_static())
        .map(|program| differentiated(&program.functions[0]).unwrap())
        .sum();
    assert!(count > 500, "{count}");
}

#[test]
fn gradients_that_would_fill_the_memory_are_refused() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([1, 1 << 13, 1, 1])).unwrap();
    let y = f.op("local_response_norm").arg("x", x).int("size", 3).one().unwrap();
    let error = gradients_from(&mut f, y, Some(x), &[x]).unwrap_err().to_string();
    assert!(error.contains("8192 channels are too many"), "{error}");
    let pool = f.op("max_pool").arg("x", x).ints("kernel_sizes", &[100, 100]).string("pad_type", "custom");
    let y = pool.ints("pad", &[99, 0, 99, 0]).one().unwrap();
    let error = gradients_from(&mut f, y, Some(x), &[x]).unwrap_err().to_string();
    assert!(error.contains("a window of [100, 100] is too large"), "{error}");
}
