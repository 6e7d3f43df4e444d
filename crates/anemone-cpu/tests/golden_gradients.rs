//! Gradients of every op against PyTorch's, on random shapes, broadcasts, edges and kinks. Parameters that an op takes as
//! constants only are differentiated by as well: the rules know no difference.

#![allow(clippy::unwrap_used, reason = "test helpers")]

mod golden;

use anemone_cpu::{CpuBackend, Mode};
use anemone_passes::autodiff::gradients;
use anemone_runtime::{Backend, CompileOptions, Tensor};
use golden::{Case, cases, numbers};
use mil::{Constant, DataType, Program, verify};

/// Runs every differentiable case of a family in both modes and fails with a list of those that disagree.
fn check(family: &str, floor: usize) {
    let backend = CpuBackend::with_threads(1).unwrap();
    let mut failures = Vec::new();
    let mut checked = 0;
    for case in cases(family) {
        // A case without a cotangent has nothing to say about gradients.
        if !case.inputs.iter().any(|input| input.grad) || case.cotangents.iter().all(Option::is_none) {
            continue;
        }
        checked += 1;
        for mode in [Mode::Strict, Mode::Fused] {
            if let Err(fault) = run(&case, &backend.clone().mode(mode)) {
                failures.push(format!("{} {} ({mode:?}): {fault}", case.op, case.name));
            }
        }
    }
    assert!(checked >= floor, "only {checked} cases of {family} have gradients, {floor} were there once");
    let shown = failures.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {checked} cases:\n{shown}", failures.len());
}

/// Differentiates `Σ cotangent · output` and compares each gradient.
fn run(case: &Case, backend: &CpuBackend) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut built = case.build().map_err(|error| text(&error))?;
    let f = &mut built.f;
    let mut loss = f.float(DataType::Fp32, 0.0);
    for (&output, cotangent) in built.outputs.iter().zip(&case.cotangents) {
        let Some(cotangent) = cotangent else { continue };
        let weights = Constant::new(f.function().shape(output).clone(), numbers(cotangent)).unwrap();
        let weights = f.constant(weights);
        let product = f.mul(output, weights).unwrap();
        let sum = f.op("reduce_sum").arg("x", product).one().unwrap();
        loss = f.add(loss, sum).unwrap();
    }
    let wanted: Vec<usize> = (0..case.inputs.len()).filter(|&index| case.inputs[index].grad).collect();
    let wrt: Vec<_> = wanted.iter().map(|&index| built.operands[index]).collect();
    let grads = gradients(f, loss, &wrt).map_err(|error| text(&error))?;
    let function = built.f.finish(&grads).map_err(|error| text(&error))?;
    let program = verify(Program::single(function)).map_err(|faults| text(&faults[0]))?;
    let mut executable =
        backend.compile(&program, &CompileOptions::default()).map_err(|error| text(&error))?;
    let tensors: Vec<Tensor> = executable.inputs().iter().map(|feature| input(case, &feature.name)).collect();
    let found = executable.call(&tensors.iter().collect::<Vec<_>>()).map_err(|error| text(&error))?;
    for (&index, found) in wanted.iter().zip(&found) {
        compare(case, &case.grad_key(index), &found.to_f32().unwrap())?;
    }
    Ok(())
}

fn input(case: &Case, name: &str) -> Tensor {
    let index: usize = name.trim_start_matches("input").parse().unwrap();
    let operand = &case.inputs[index];
    Tensor::from_constant(&operand.constant(operand.ty().dtype)).unwrap()
}

fn compare(case: &Case, key: &str, found: &[f32]) -> Result<(), String> {
    let wanted = numbers(&case.grads[key]);
    let tolerance = case.grad_tolerance();
    let differs = |&i: &usize| !tolerance.accepts(found[i], wanted[i]);
    match (0..wanted.len()).find(differs) {
        Some(i) => Err(format!("`{key}`[{i}] is {}, but should be {}", found[i], wanted[i])),
        None => Ok(()),
    }
}

macro_rules! families {
    ($($family:ident: $floor:literal,)*) => {$(
        #[test]
        fn $family() {
            check(stringify!($family), $floor);
        }
    )*};
}

families! {
    activation: 139,
    conv: 48,
    elementwise_binary: 156,
    elementwise_unary: 217,
    image_resizing: 287,
    linear: 52,
    normalization: 63,
    pool: 75,
    recurrent: 162,
    reduction: 348,
    scatter_gather: 133,
    tensor_operation: 168,
    tensor_transformation: 129,
    transformers: 51,
}
