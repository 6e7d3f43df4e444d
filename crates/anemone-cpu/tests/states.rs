//! States: what a program reads and leaves behind, in every order of reads and writes.

use anemone_cpu::{CpuBackend, Mode};
use anemone_runtime::{Backend, CompileOptions, States, Tensor};
use mil::{BuildError, Constant, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};

type Failure = Box<dyn std::error::Error>;
/// Elements of the outputs, and of the states.
type Outcome = (Vec<Vec<f32>>, Vec<Vec<f32>>);

/// Builds a function, runs it `runs` times in both modes from the given states, and returns the last outputs and the
/// states left.
fn run(
    build: impl Fn(&mut FunctionBuilder) -> Result<Vec<ValueId>, BuildError>,
    initial: &[(&str, &[f32])],
    runs: usize,
) -> Result<Outcome, Failure> {
    let mut results = Vec::new();
    for mode in [Mode::Strict, Mode::Fused] {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let outputs = build(&mut f)?;
        let program = verify(Program::single(f.finish(&outputs)?)).map_err(|faults| faults[0].clone())?;
        let states = States::new();
        for (name, values) in initial {
            states.ensure(name, &TensorType::fp32([values.len()]))?;
            states.set(name, &Tensor::new([values.len()], values)?)?;
        }
        let backend = CpuBackend::with_threads(2)?.mode(mode);
        let mut executable = backend.compile(&program, &CompileOptions::sharing(&states))?;
        let mut outputs = Vec::new();
        for _ in 0..runs {
            outputs = executable.call(&[])?;
        }
        let read = |tensor: &Tensor| tensor.as_slice::<f32>().map(<[f32]>::to_vec);
        let outputs: Vec<_> = outputs.iter().map(read).collect::<Result<_, _>>()?;
        let states: Vec<_> = initial
            .iter()
            .filter_map(|(name, _)| states.get(name))
            .map(|tensor| read(&tensor))
            .collect::<Result<_, _>>()?;
        results.push((outputs, states));
    }
    assert_eq!(results[0], results[1], "strict and fused mode differ");
    Ok(results.swap_remove(0))
}

fn vector(f: &mut FunctionBuilder, name: &str) -> Result<(ValueId, ValueId), BuildError> {
    let state = f.state(name, TensorType::fp32([3]))?;
    Ok((state, f.read_state(state)?))
}

const A: &[f32] = &[1.0, 2.0, 3.0];
const B: &[f32] = &[10.0, 20.0, 30.0];

#[test]
fn an_update_is_kept_and_read_back() -> Result<(), Failure> {
    let (outputs, states) = run(
        |f| {
            let (state, old) = vector(f, "a")?;
            let new = f.add(old, 1.0)?;
            f.update_state(state, new)?;
            let again = f.read_state(state)?;
            Ok(vec![old, again])
        },
        &[("a", A)],
        2,
    )?;
    assert_eq!(outputs, [[2.0, 3.0, 4.0], [3.0, 4.0, 5.0]]);
    assert_eq!(states, [[3.0, 4.0, 5.0]]);
    Ok(())
}

#[test]
fn states_exchange_their_values() -> Result<(), Failure> {
    let (_, states) = run(
        |f| {
            let (a, a_old) = vector(f, "a")?;
            let (b, b_old) = vector(f, "b")?;
            f.update_state(a, b_old)?;
            f.update_state(b, a_old)?;
            Ok(vec![])
        },
        &[("a", A), ("b", B)],
        3,
    )?;
    assert_eq!(states, [B, A]);
    Ok(())
}

#[test]
fn the_last_of_several_writes_holds() -> Result<(), Failure> {
    let (outputs, states) = run(
        |f| {
            let (a, old) = vector(f, "a")?;
            let first = f.mul(old, 2.0)?;
            f.update_state(a, first)?;
            let between = f.read_state(a)?;
            let second = f.add(between, 100.0)?;
            f.update_state(a, second)?;
            Ok(vec![between])
        },
        &[("a", A)],
        1,
    )?;
    assert_eq!(outputs, [[2.0, 4.0, 6.0]]);
    assert_eq!(states, [[102.0, 104.0, 106.0]]);
    Ok(())
}

#[test]
fn an_old_value_outlives_the_write() -> Result<(), Failure> {
    // The old value is needed by an operation that cannot be fused with, and comes after, the update.
    let (outputs, states) = run(
        |f| {
            let (a, old) = vector(f, "a")?;
            let new = f.mul(old, 3.0)?;
            let new = f.update_state(a, new)?;
            let total = f.reduce("reduce_sum", new, &[0], true)?;
            let late = f.mul(old, total)?;
            Ok(vec![late])
        },
        &[("a", A)],
        1,
    )?;
    assert_eq!(outputs, [[18.0, 36.0, 54.0]]);
    assert_eq!(states, [[3.0, 6.0, 9.0]]);
    Ok(())
}

#[test]
fn one_value_goes_to_two_states() -> Result<(), Failure> {
    let (_, states) = run(
        |f| {
            let (a, a_old) = vector(f, "a")?;
            let (b, b_old) = vector(f, "b")?;
            let sum = f.add(a_old, b_old)?;
            f.update_state(a, sum)?;
            f.update_state(b, sum)?;
            Ok(vec![])
        },
        &[("a", A), ("b", B)],
        1,
    )?;
    assert_eq!(states, [[11.0, 22.0, 33.0], [11.0, 22.0, 33.0]]);
    Ok(())
}

#[test]
fn a_state_takes_a_constant_and_an_input_of_another() -> Result<(), Failure> {
    let (outputs, states) = run(
        |f| {
            let (a, a_old) = vector(f, "a")?;
            let (b, _) = vector(f, "b")?;
            let fixed = f.constant(Constant::new([3], vec![7.0f32, 8.0, 9.0])?);
            f.update_state(b, a_old)?;
            let now = f.read_state(b)?;
            f.update_state(a, fixed)?;
            Ok(vec![now])
        },
        &[("a", A), ("b", B)],
        1,
    )?;
    assert_eq!(outputs, [A]);
    assert_eq!(states, [&[7.0, 8.0, 9.0], A]);
    Ok(())
}

#[test]
fn a_slice_is_written_in_place() -> Result<(), Failure> {
    let (outputs, states) = run(
        |f| {
            let (a, old) = vector(f, "a")?;
            let five = f.constant(Constant::new([1], vec![5.0f32])?);
            let new = f
                .op("slice_update")
                .arg("x", old)
                .arg("update", five)
                .ints("begin", &[1])
                .ints("end", &[2])
                .one()?;
            let new = f.update_state(a, new)?;
            Ok(vec![f.add(new, 0.5)?])
        },
        &[("a", A)],
        1,
    )?;
    assert_eq!(outputs, [[1.5, 5.5, 3.5]]);
    assert_eq!(states, [[1.0, 5.0, 3.0]]);
    Ok(())
}

#[test]
fn a_state_that_was_replaced_by_another_type_is_refused() -> Result<(), Failure> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let (state, old) = vector(&mut f, "a")?;
    let new = f.add(old, 1.0)?;
    let new = f.update_state(state, new)?;
    let program = verify(Program::single(f.finish(&[new])?)).map_err(|faults| faults[0].clone())?;
    let states = States::new();
    let mut executable = CpuBackend::with_threads(1)?.compile(&program, &CompileOptions::sharing(&states))?;
    executable.call(&[])?;
    states.lock().insert("a".to_string(), Tensor::scalar(1.0f32));
    let error = executable.call(&[]).err().map_or_else(String::new, |error| error.to_string());
    assert_eq!(error, "state `a` must be tensor<fp32, [3]>, but is tensor<fp32, []>");
    Ok(())
}
