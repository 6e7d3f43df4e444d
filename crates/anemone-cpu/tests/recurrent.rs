//! Recurrent networks in whole programs: gradients included, the bits depend neither on the mode nor on the threads; a
//! sequence may be cut anywhere; half precision stays near full precision.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_cpu::{CpuBackend, Mode};
use anemone_passes::autodiff::gradients;
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{Arg, Constant, DataType, Function, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};

const BATCH: usize = 64;
const FEATURES: usize = 24;
const HIDDEN: usize = 64;

/// Numbers of mean 0 and the given size.
fn numbers(count: usize, seed: u32, size: f32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * size
    };
    (0..count).map(|_| next()).collect()
}

fn tensor(ty: &TensorType, seed: u32) -> Tensor {
    let data = numbers(ty.shape.count(), seed, 1.0);
    match ty.dtype {
        DataType::Fp16 => {
            Tensor::new(ty.shape.clone(), &data.into_iter().map(f16::from_f32).collect::<Vec<_>>()).unwrap()
        }
        _ => Tensor::new(ty.shape.clone(), &data).unwrap(),
    }
}

/// The op, whether it has a cell state, its weights and its other options.
struct Net {
    op: &'static str,
    cell: bool,
    weights: &'static [(&'static str, &'static [usize])],
    options: fn() -> Vec<(&'static str, Constant)>,
}

const NETS: [Net; 4] = [
    Net {
        op: "rnn",
        cell: false,
        weights: &[("weight_ih", &[64, 24]), ("weight_hh", &[64, 64]), ("bias", &[64])],
        options: Vec::new,
    },
    Net {
        op: "gru",
        cell: false,
        weights: &[("weight_ih", &[192, 24]), ("weight_hh", &[192, 64]), ("bias", &[192])],
        options: Vec::new,
    },
    Net {
        op: "gru",
        cell: false,
        weights: &[
            ("weight_ih", &[192, 24]),
            ("weight_hh", &[192, 64]),
            ("bias", &[192]),
            ("input_bias", &[192]),
        ],
        options: || vec![("reset_after", Constant::bool(true))],
    },
    Net {
        op: "lstm",
        cell: true,
        weights: &[
            ("weight_ih", &[256, 24]),
            ("weight_hh", &[256, 64]),
            ("bias", &[256]),
            ("peephole", &[192]),
        ],
        options: Vec::new,
    },
];

impl Net {
    /// The operation on a sequence; `states` are the initial ones.
    fn apply(&self, f: &mut FunctionBuilder, x: ValueId, states: &[ValueId]) -> (Vec<ValueId>, Vec<ValueId>) {
        let dtype = f.dtype(x);
        let mut weights = Vec::new();
        for (seed, &(_, shape)) in self.weights.iter().enumerate() {
            let constant = tensor_constant(dtype, shape, seed as u32 + 50);
            weights.push(f.constant(constant));
        }
        let mut builder = f.op(self.op).arg("x", x).arg("initial_h", states[0]);
        if self.cell {
            builder = builder.arg("initial_c", states[1]);
        }
        for (&(param, _), &weight) in self.weights.iter().zip(&weights) {
            builder = builder.set_arg(param, Arg::One(weight));
        }
        for (param, constant) in (self.options)() {
            builder = builder.constant(param, constant);
        }
        (builder.bool("output_sequence", true).many().unwrap(), weights)
    }

    fn inputs(&self, f: &mut FunctionBuilder, dtype: DataType, steps: usize) -> (ValueId, Vec<ValueId>) {
        let x = f.input("x", TensorType::new(dtype, [steps, BATCH, FEATURES])).unwrap();
        let mut states = vec![f.input("h", TensorType::new(dtype, [BATCH, HIDDEN])).unwrap()];
        if self.cell {
            states.push(f.input("c", TensorType::new(dtype, [BATCH, HIDDEN])).unwrap());
        }
        (x, states)
    }

    /// The states of all steps, and the gradients of a loss on them and on the last states, by everything.
    fn trained(&self, dtype: DataType, steps: usize) -> Function {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let (x, states) = self.inputs(&mut f, dtype, steps);
        let (outputs, weights) = self.apply(&mut f, x, &states);
        let mut loss = f.float(dtype, 0.0);
        for &output in &outputs {
            let square = f.mul(output, output).unwrap();
            let mean = f.op("reduce_mean").arg("x", square).bool("keep_dims", false).one().unwrap();
            loss = f.add(loss, mean).unwrap();
        }
        // Scaled, so that fp16 does not lose small gradients.
        let loss = f.mul(loss, 1024.0).unwrap();
        let wrt = [vec![x], states, weights].concat();
        let grads = gradients(&mut f, loss, &wrt).unwrap();
        let results: Vec<ValueId> = outputs.into_iter().chain(grads).collect();
        f.finish(&results).unwrap()
    }
}

/// Weights that keep the state from growing.
fn tensor_constant(dtype: DataType, shape: &[usize], seed: u32) -> Constant {
    let data = numbers(shape.iter().product(), seed, 0.2);
    match dtype {
        DataType::Fp16 => Constant::new(shape, data.into_iter().map(f16::from_f32).collect()).unwrap(),
        _ => Constant::new(shape, data).unwrap(),
    }
}

fn run(function: &Function, mode: Mode, threads: usize) -> Vec<Tensor> {
    let program = verify(Program::single(function.clone())).unwrap();
    let backend = CpuBackend::with_threads(threads).unwrap().mode(mode);
    let mut executable = backend.compile(&program, &CompileOptions::default()).unwrap();
    let inputs: Vec<Tensor> =
        executable.inputs().iter().zip(1..).map(|(feature, seed)| tensor(&feature.ty, seed)).collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    // The second run finds the arena as the first left it.
    executable.call(&inputs).unwrap();
    executable.call(&inputs).unwrap()
}

fn bits(tensors: &[Tensor]) -> Vec<Vec<u8>> {
    tensors.iter().map(|tensor| tensor.bytes().to_vec()).collect()
}

#[test]
fn modes_and_threads_do_not_show() {
    for dtype in [DataType::Fp32, DataType::Fp16] {
        for net in &NETS {
            let function = net.trained(dtype, 6);
            let strict = bits(&run(&function, Mode::Strict, 1));
            for (mode, threads) in [(Mode::Fused, 1), (Mode::Fused, 3), (Mode::Strict, 2)] {
                let found = bits(&run(&function, mode, threads));
                assert!(strict == found, "{} in {dtype}: {mode:?} on {threads} threads differs", net.op);
            }
        }
    }
}

#[test]
fn a_sequence_may_be_cut_anywhere() {
    const STEPS: usize = 9;
    for net in &NETS {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let (x, initial) = net.inputs(&mut f, DataType::Fp32, STEPS);
        let (whole, _) = net.apply(&mut f, x, &initial);
        let sizes = [4, 1, 4];
        let parts = f.op("split").arg("x", x).ints("split_sizes", &sizes).int("axis", 0).many().unwrap();
        let mut states = initial;
        let mut sequences = Vec::new();
        for part in parts {
            let (outputs, _) = net.apply(&mut f, part, &states);
            sequences.push(outputs[0]);
            states = outputs[1..].to_vec();
        }
        let joined = f.op("concat").args("values", &sequences).int("axis", 0).one().unwrap();
        let results: Vec<ValueId> = whole.iter().copied().chain([joined]).chain(states).collect();
        let found = bits(&run(&f.finish(&results).unwrap(), Mode::Fused, 2));
        let (whole, cut) = found.split_at(found.len() / 2);
        assert!(whole == cut, "{}: cutting the sequence shows", net.op);
    }
}

#[test]
fn half_precision_is_near_full_precision() {
    for net in &NETS {
        let full = run(&net.trained(DataType::Fp32, 6), Mode::Fused, 2);
        let half = run(&net.trained(DataType::Fp16, 6), Mode::Fused, 2);
        for (index, (full, half)) in full.iter().zip(&half).enumerate() {
            let (full, half) = (full.to_f32().unwrap(), half.to_f32().unwrap());
            let norm = |values: &mut dyn Iterator<Item = f32>| {
                values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt()
            };
            let size = norm(&mut full.iter().copied());
            let distance = norm(&mut full.iter().zip(half.iter()).map(|(a, b)| a - b));
            assert!(size > 0.0, "{}: result {index} is all zeros", net.op);
            assert!(distance < 0.01 * size, "{}: result {index} is off by {distance} of {size}", net.op);
        }
    }
}
