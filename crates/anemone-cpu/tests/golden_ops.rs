//! Values of every op against PyTorch's, on random shapes, broadcasts and edges, in both modes of the engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod golden;

use anemone_cpu::{CpuBackend, Mode};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use golden::{Case, Operand, cases, number};
use mil::{DataType, Program, verify};

/// Runs every case of a family and fails with a list of those that disagree.
fn check(family: &str, floor: usize) {
    let backend = CpuBackend::with_threads(2).unwrap();
    let mut cases = cases(family);
    // The shape of its output depends on data, which programs of static shapes cannot say.
    cases.retain(|case| case.op != "non_zero");
    let failures: Vec<String> = cases
        .iter()
        .flat_map(|case| [Mode::Strict, Mode::Fused].map(|mode| (case, mode)))
        .filter_map(|(case, mode)| {
            let fault = run(case, &backend.clone().mode(mode)).err()?;
            Some(format!("{} {} ({mode:?}): {fault}", case.op, case.name))
        })
        .collect();
    assert!(cases.len() >= floor, "only {} cases of {family}, {floor} were there once", cases.len());
    let shown = failures.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {} runs:\n{shown}", failures.len(), 2 * cases.len());
}

fn run(case: &Case, backend: &CpuBackend) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let built = case.build().map_err(|error| text(&error))?;
    let function = built.f.finish(&built.outputs).map_err(|error| text(&error))?;
    let program = verify(Program::single(function)).map_err(|faults| text(&faults[0]))?;
    let mut executable =
        backend.compile(&program, &CompileOptions::default()).map_err(|error| text(&error))?;
    let inputs: Vec<Tensor> = executable.inputs().iter().map(|feature| input(case, &feature.name)).collect();
    let found = executable.call(&inputs.iter().collect::<Vec<_>>()).map_err(|error| text(&error))?;
    if found.len() != case.outputs.len() {
        return Err(format!("has {} outputs, but should have {}", found.len(), case.outputs.len()));
    }
    found.iter().zip(&case.outputs).try_for_each(|(found, wanted)| compare(case, found, wanted))
}

fn input(case: &Case, name: &str) -> Tensor {
    let index: usize = name.trim_start_matches("input").parse().unwrap();
    let operand = &case.inputs[index];
    Tensor::from_constant(&operand.constant(operand.ty().dtype)).unwrap()
}

/// Floats within the case's tolerance; everything else to the bit.
fn compare(case: &Case, found: &Tensor, wanted: &Operand) -> Result<(), String> {
    let ty = wanted.ty();
    if *found.ty() != ty {
        return Err(format!("is {}, but should be {ty}", found.ty()));
    }
    if ty.dtype != DataType::Fp32 {
        let wanted = Tensor::from_constant(&wanted.constant(ty.dtype)).unwrap();
        let differs = (0..ty.shape.count()).find(|&i| {
            let range = i * ty.dtype.size()..(i + 1) * ty.dtype.size();
            found.bytes()[range.clone()] != wanted.bytes()[range]
        });
        return differs.map_or(Ok(()), |i| Err(format!("[{i}] differs from the {} wanted", ty.dtype)));
    }
    let (found, tolerance) = (found.as_slice::<f32>().unwrap(), case.tolerance());
    let wanted = wanted.data.iter().map(number);
    let differs = found
        .iter()
        .zip(wanted)
        .enumerate()
        .find(|(_, (found, wanted))| !tolerance.accepts(**found, *wanted));
    match differs {
        Some((i, (found, wanted))) => Err(format!("[{i}] is {found}, but should be {wanted}")),
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
    activation: 157,
    conv: 48,
    elementwise_binary: 369,
    elementwise_unary: 246,
    image_resizing: 292,
    linear: 53,
    normalization: 63,
    pool: 75,
    recurrent: 162,
    reduction: 448,
    scatter_gather: 151,
    tensor_operation: 239,
    tensor_transformation: 165,
    transformers: 51,
}
