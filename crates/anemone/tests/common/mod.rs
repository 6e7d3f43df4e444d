//! What several tests need: running a piece of a graph on the CPU, and numbers to feed it.

#![allow(dead_code, reason = "each test file uses a part of this")]

use anemone::Device;
use anemone::nn::data::rng;
use anemone::nn::{Graph, Mode, NnError};
use anemone::runtime::{CompileOptions, Executable, States, Tensor};
use mil::{Program, ValueId, verify};

/// Normal numbers that depend on `name` alone.
pub(crate) fn normal(name: &str, shape: &[usize]) -> Tensor {
    let mut data = vec![0.0; shape.iter().product()];
    rng::fill_normal(1, rng::stream(name), &mut data, 0.0, 1.0);
    Tensor::new(shape, &data).unwrap()
}

/// Compiles what `body` makes of the inputs, with the state updates it asks for. States that are missing are filled with
/// normal numbers if they are weights, and start as declared if they are not.
pub(crate) fn compile(
    mode: Mode,
    inputs: &[Tensor],
    states: &States,
    body: impl FnOnce(&mut Graph, &[ValueId]) -> Result<ValueId, NnError>,
) -> Box<dyn Executable> {
    let mut g = Graph::new("test", mode);
    let ids: Vec<ValueId> = inputs
        .iter()
        .enumerate()
        .map(|(index, tensor)| g.input(format!("input{index}"), tensor.ty().clone()).unwrap())
        .collect();
    let output = body(&mut g, &ids).unwrap();
    for parameter in g.parameters() {
        if states.ty(&parameter.name).is_none() {
            let value = match parameter.trainable {
                true => normal(&parameter.name, &parameter.ty.shape),
                false => parameter.init.tensor(&parameter.ty, 0, &parameter.name).unwrap(),
            };
            states.lock().insert(parameter.name.clone(), value);
        }
    }
    for (state, value) in g.updates().to_vec() {
        g.update_state(state, value).unwrap();
    }
    let output = g.op("identity").arg("x", output).one().unwrap();
    let program = verify(Program::single(g.finish(&[output]).unwrap())).unwrap();
    let backend = Device::Cpu.backend().unwrap();
    backend.compile(&program, &CompileOptions::sharing(states)).unwrap()
}

/// Runs once what [`compile`] compiles.
pub(crate) fn run(
    mode: Mode,
    inputs: &[Tensor],
    states: &States,
    body: impl FnOnce(&mut Graph, &[ValueId]) -> Result<ValueId, NnError>,
) -> Tensor {
    let mut executable = compile(mode, inputs, states, body);
    executable.call(&inputs.iter().collect::<Vec<_>>()).unwrap().swap_remove(0)
}

/// The elements of a float tensor as `f64`.
pub(crate) fn doubles(tensor: &Tensor) -> Vec<f64> {
    tensor.to_f32().unwrap().iter().map(|&x| f64::from(x)).collect()
}

/// The elements of a state as `f64`.
pub(crate) fn state(states: &States, name: &str) -> Vec<f64> {
    doubles(&states.get(name).unwrap_or_else(|| panic!("no state `{name}` among {:?}", states.names())))
}

/// Fails where the difference exceeds `tolerance * (1 + |expected|)`.
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "different numbers of elements");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "element {index}: {a} is not {b}");
    }
}
