//! Anything that verifies compiles or is refused, and runs or fails with a message: random programs of random arguments
//! never bring the engine down, and both of its modes agree on what they give.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

// The generator, with its own tests of type inference.
#[path = "../../mil/tests/ops/hostile.rs"]
mod programs;

use anemone_cpu::{CpuBackend, CpuExecutable, Mode};
use anemone_runtime::{CompileError, CompileOptions, Executable, States, Tensor};
use mil::{
    BuildError, Constant, DataType, Def, Function, FunctionBuilder, Opset, Program, TensorType, ValueId,
    Verified, verify,
};
use proptest::prelude::*;

/// What a run gave: the bytes of outputs and states, or a message.
type Outcome = Result<Vec<Vec<u8>>, String>;

/// A compiled program, or why there is none: the only reasons are memory, and operands of different kinds, which
/// Apple's table allows without saying what they give.
fn compiled(program: &Verified, mode: Mode, states: &States) -> Result<Option<CpuExecutable>, TestCaseError> {
    let backend = CpuBackend::with_threads(2).unwrap().mode(mode);
    match backend.compile_cpu(program, &CompileOptions::sharing(states)) {
        Ok(executable) => Ok(Some(executable)),
        Err(CompileError::Memory { .. }) => Ok(None),
        Err(CompileError::Unsupported { op: "linear" | "matmul", .. }) => Ok(None),
        Err(error) => Err(TestCaseError::fail(format!("{error}\n{program}"))),
    }
}

/// Tensors between these sizes may or may not fit into the memory of the machine that runs the test.
const DOUBTFUL: std::ops::Range<usize> = 1 << 24..1 << 44;

/// Bytes of a tensor, its empty dimensions left out.
fn extent(ty: &TensorType) -> usize {
    let dims = ty.shape.iter().filter(|&&dim| dim != 0);
    dims.fold(ty.dtype.size().max(1), |bytes, &dim| bytes.saturating_mul(dim))
}

fn is_doubtful(function: &Function) -> bool {
    function.values.iter().any(|value| DOUBTFUL.contains(&extent(value.ty.tensor())))
}

/// Small numbers of every kind, most of them indices that exist somewhere.
fn tensor(ty: &TensorType, seed: usize) -> Tensor {
    let mut tensor = Tensor::zeros(ty.clone()).unwrap();
    let number = |i: usize| ((i * 7 + seed * 3) % 11) as i32 - 3;
    let dtype = ty.dtype;
    for (i, bytes) in tensor.bytes_mut().chunks_exact_mut(dtype.size()).enumerate() {
        match dtype {
            DataType::Fp32 => bytes.copy_from_slice(&(number(i) as f32 / 2.0).to_le_bytes()),
            DataType::Bool => bytes[0] = (number(i) & 1) as u8,
            DataType::Int32 => bytes.copy_from_slice(&number(i).to_le_bytes()),
            _ => bytes[0] = number(i) as u8,
        }
    }
    tensor
}

fn run(executable: &mut CpuExecutable) -> Outcome {
    let features = executable.inputs().iter().enumerate();
    let inputs: Vec<Tensor> = features.map(|(seed, feature)| tensor(&feature.ty, seed)).collect();
    let outputs = executable.call(&inputs.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
    let guard = executable.states().lock();
    Ok(outputs.iter().chain(guard.values()).map(|tensor| tensor.bytes().to_vec()).collect())
}

fn survives(seed: u64) -> Result<(), TestCaseError> {
    let (function, _) = programs::program(seed);
    let results: Vec<ValueId> = (0..function.values.len())
        .map(ValueId::from_index)
        .filter(|&id| function.value(id).def == Def::Op)
        .collect();
    // Every result is an output, so that nothing is left out as unused.
    let function = FunctionBuilder::resume(function).finish(&results).unwrap();
    // Labels and dictionaries are not for the CPU.
    if is_doubtful(&function) || !function.is_static() {
        return Ok(());
    }
    // A program may have come out empty.
    let Ok(program) = verify(Program::single(function)) else { return Ok(()) };
    let mut outcomes = Vec::new();
    for mode in [Mode::Strict, Mode::Fused] {
        let Some(mut executable) = compiled(&program, mode, &States::new())? else { return Ok(()) };
        outcomes.push(run(&mut executable));
    }
    // Which of several faults is found first depends on the order of steps.
    prop_assert_eq!(outcomes[0].is_ok(), outcomes[1].is_ok(), "{}", program);
    prop_assert!(outcomes[0].is_err() || outcomes[0] == outcomes[1], "the modes differ:\n{program}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // A seed has no smaller neighbours.
        max_shrink_iters: 0,
        ..ProptestConfig::with_cases(1000)
    })]

    #[test]
    fn whatever_verifies_runs_or_says_why_not(seed in any::<u64>()) {
        survives(seed)?;
    }
}

type Building = Result<ValueId, BuildError>;

/// A program of one function with one output.
fn program(build: impl FnOnce(&mut FunctionBuilder) -> Building) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let output = build(&mut f).unwrap();
    verify(Program::single(f.finish(&[output]).unwrap())).unwrap()
}

fn compile(program: &Verified) -> Result<CpuExecutable, CompileError> {
    CpuBackend::with_threads(2).unwrap().compile_cpu(program, &CompileOptions::default())
}

#[test]
fn more_memory_than_there_is_is_refused() {
    // Each of these can be addressed; together, or as tables of numbers, they cannot.
    let huge = program(|f| {
        let x = f.input("x", TensorType::fp32([1 << 58]))?;
        let parts = ["exp", "sin", "cos", "tanh", "square"].map(|op| f.unary(op, x));
        parts.into_iter().reduce(|sum, part| f.add(sum?, part?)).unwrap()
    });
    let empty = program(|f| {
        let x = f.input("x", TensorType::fp32([0, 1 << 50, 2]))?;
        f.unary("instance_norm", x)
    });
    for program in [huge, empty] {
        assert!(matches!(compile(&program), Err(CompileError::Memory { .. })));
    }
}

#[test]
fn strides_beyond_the_output_cost_nothing() {
    let program = program(|f| {
        let x = f.input("x", TensorType::fp32([1, 1, 1, 1]))?;
        let weight = f.input("weight", TensorType::fp32([1, 1, 2, 1]))?;
        f.op("conv_transpose").arg("x", x).arg("weight", weight).ints("strides", &[i32::MAX, i32::MAX]).one()
    });
    let mut executable = compile(&program).unwrap();
    let (x, weight) =
        (Tensor::new([1, 1, 1, 1], &[3.0f32]).unwrap(), Tensor::new([1, 1, 2, 1], &[5.0f32, 7.0]).unwrap());
    assert_eq!(executable.call(&[&x, &weight]).unwrap()[0].as_slice::<f32>().unwrap(), [15.0, 21.0]);
}

#[test]
fn products_without_elements() {
    for (m, k, n) in [(2, 3, 0), (0, 3, 4), (2, 0, 4)] {
        let program = program(|f| {
            let x = f.input("x", TensorType::fp32([m, k]))?;
            let y = f.input("y", TensorType::fp32([k, n]))?;
            let product = f.matmul(x, y, false, false)?;
            let sum = f.op("einsum").args("values", &[x, y]).string("equation", "mk,kn->mn").one()?;
            f.add(product, sum)
        });
        let (x, y) = (tensor(&TensorType::fp32([m, k]), 1), tensor(&TensorType::fp32([k, n]), 2));
        let outputs = compile(&program).unwrap().call(&[&x, &y]).unwrap();
        assert!(outputs[0].as_slice::<f32>().unwrap().iter().all(|&sum| sum == 0.0));
    }
}

#[test]
fn an_integer_product_with_a_fraction_is_refused() {
    let program = program(|f| {
        let x = f.input("x", TensorType::int32([2, 3]))?;
        let y = f.constant(Constant::new([3, 1], vec![1.0f32, 2.5, 3.0])?);
        f.matmul(x, y, false, false)
    });
    let error = compile(&program).err().unwrap().to_string();
    assert!(error.contains("`y` holds 2.5") && error.contains("whole numbers"), "{error}");
}

#[test]
fn bounds_that_fold_to_constants_stay_run_time_bounds() {
    // `end` is ignored where bounds are computed at run time, and `begin` moved so that the slice lies inside.
    for (begin, end, want) in [(1, 6, [0.0, 8.0, 9.0, 0.0]), (3, 4, [0.0, 0.0, 8.0, 9.0])] {
        let program = program(|f| {
            let x = f.input("x", TensorType::fp32([4]))?;
            let update = f.input("update", TensorType::fp32([2]))?;
            let mut computed = |value: i32| {
                let constant = f.constant(Constant::ints(&[value - 1]));
                f.add(constant, 1.0)
            };
            let (begin, end) = (computed(begin)?, computed(end)?);
            f.op("slice_update").arg("x", x).arg("update", update).arg("begin", begin).arg("end", end).one()
        });
        let (x, update) = (Tensor::new([4], &[0f32; 4]).unwrap(), Tensor::new([2], &[8f32, 9.0]).unwrap());
        let outputs = compile(&program).unwrap().call(&[&x, &update]).unwrap();
        assert_eq!(outputs[0].as_slice::<f32>().unwrap(), want);
    }
}
