//! Fused mode against strict mode on random programs: the same bits, states included.
//!
//! Programs mix elementwise operations of several shapes and types, broadcasting, views, reductions, products and state
//! updates, so that fusion, memory reuse and in-place updates meet in every combination.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test that cannot go on fails; helpers are shared as a module"
)]

use anemone_cpu::{CpuBackend, Mode};
use anemone_runtime::{Backend, CompileOptions, States, Tensor};
use mil::{BuildError, DataType, Function, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};
use proptest::prelude::*;

/// One random decision: which operation, on which values.
type Choice = (u8, u16, u16, u16);

const SHAPES: [&[usize]; 5] = [&[4, 6], &[6], &[4, 1], &[24], &[1]];
const UNARY: [&str; 8] = ["exp", "tanh", "sigmoid", "relu", "square", "abs", "sin", "silu"];
const BINARY: [&str; 6] = ["add", "sub", "mul", "maximum", "minimum", "real_div"];

struct Random {
    f: FunctionBuilder,
    /// Values to choose from.
    pool: Vec<ValueId>,
    states: Vec<ValueId>,
}

impl Random {
    fn new(dtype: DataType) -> Result<Random, BuildError> {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let (mut pool, mut states) = (Vec::new(), Vec::new());
        for (index, shape) in SHAPES.iter().enumerate() {
            pool.push(f.input(format!("x{index}"), TensorType::new(dtype, *shape))?);
            let state = f.state(format!("s{index}"), TensorType::new(dtype, *shape))?;
            pool.push(f.read_state(state)?);
            states.push(state);
        }
        Ok(Random { f, pool, states })
    }

    fn pick(&self, at: u16) -> ValueId {
        // Later values are chosen more often, so that chains grow.
        let back = (at as usize * at as usize) % (self.pool.len() * 3) / 3;
        self.pool[self.pool.len() - 1 - back % self.pool.len()]
    }

    /// Adds one operation; a choice that does not fit is passed over.
    fn step(&mut self, (kind, a, b, c): Choice) {
        let (x, y) = (self.pick(a), self.pick(b));
        let f = &mut self.f;
        let result = match kind % 12 {
            0..=2 => f.unary(UNARY[c as usize % UNARY.len()], x),
            3..=6 => f.op(BINARY[c as usize % BINARY.len()]).arg("x", x).arg("y", y).one(),
            7 => f.reduce(["reduce_sum", "reduce_max", "reduce_mean"][c as usize % 3], x, &[-1], true),
            8 if f.shape(x).iter().product::<usize>() == 24 => {
                let shape = if f.shape(x).len() == 2 { vec![24] } else { vec![4, 6] };
                f.reshape(x, &shape)
            }
            9 => f.greater(x, y).and_then(|condition| f.select(condition, x, y)),
            10 if f.shape(x) == [4, 6] && f.shape(y) == [4, 6] => f.matmul(x, y, false, true),
            11 => {
                let state = self.states[c as usize % self.states.len()];
                f.update_state(state, x)
            }
            _ => return,
        };
        if let Ok(value) = result {
            // Products of [4, 6] are [4, 4]: only reduced further, which keeps the pool's shapes few.
            self.pool.push(value);
        }
    }

    fn finish(self) -> Result<Function, BuildError> {
        let outputs: Vec<ValueId> = self.pool.iter().rev().take(4).copied().collect();
        self.f.finish(&outputs)
    }
}

fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + seed * 11) % 29) as f32 / 7.0 - 2.0).collect()
}

fn tensor(ty: &TensorType, seed: usize) -> Tensor {
    let data = values(ty.shape.count(), seed);
    match ty.dtype {
        DataType::Fp16 => {
            let data: Vec<half::f16> = data.into_iter().map(half::f16::from_f32).collect();
            Tensor::new(ty.shape.clone(), &data).unwrap()
        }
        _ => Tensor::new(ty.shape.clone(), &data).unwrap(),
    }
}

/// Bits of all outputs and states after two runs.
fn outcome(function: &Function, mode: Mode, threads: usize) -> Vec<Vec<u8>> {
    let program = verify(Program::single(function.clone())).unwrap();
    let states = States::new();
    for (seed, id) in function.states().enumerate() {
        let name = function.display_name(id);
        states.ensure(&name, function.tensor(id)).unwrap();
        states.set(&name, &tensor(function.tensor(id), seed + 100)).unwrap();
    }
    let backend = CpuBackend::with_threads(threads).unwrap().mode(mode);
    let mut executable = backend.compile(&program, &CompileOptions::sharing(&states)).unwrap();
    let inputs: Vec<Tensor> =
        executable.inputs().iter().enumerate().map(|(seed, feature)| tensor(&feature.ty, seed)).collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    executable.call(&inputs).unwrap();
    let outputs = executable.call(&inputs).unwrap();
    let guard = states.lock();
    outputs.iter().chain(guard.values()).map(|tensor| tensor.bytes().to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn fused_is_strict(
        choices in proptest::collection::vec(any::<Choice>(), 1..60),
        half in any::<bool>(),
    ) {
        let dtype = if half { DataType::Fp16 } else { DataType::Fp32 };
        let mut random = Random::new(dtype).unwrap();
        choices.into_iter().for_each(|choice| random.step(choice));
        let function = random.finish().unwrap();
        let strict = outcome(&function, Mode::Strict, 1);
        prop_assert_eq!(&strict, &outcome(&function, Mode::Fused, 1));
        prop_assert_eq!(&strict, &outcome(&function, Mode::Fused, 2));
    }
}
