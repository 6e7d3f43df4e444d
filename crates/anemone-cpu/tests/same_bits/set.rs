//! A program in the making, its inputs and its named results.

use anemone_cpu::{AneGeneration, CpuBackend, Mode, Numerics};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{BuildError, DataType, Function, FunctionBuilder, Opset, Program, ValueId, verify};

/// A program whose results are digested one by one.
pub(crate) struct Set {
    /// The function so far.
    pub(crate) f: FunctionBuilder,
    /// Element type of its float inputs.
    pub(crate) dtype: DataType,
    name: &'static str,
    inputs: Vec<Tensor>,
    results: Vec<(String, ValueId)>,
}

/// What an input holds.
#[derive(Clone, Copy)]
pub(crate) enum Values {
    /// Evenly spread between two numbers.
    Between(f32, f32),
    /// Any bits: zeros, subnormal and huge numbers, infinities and NaNs among them.
    AnyBits,
}

impl Set {
    /// A program without anything in it.
    pub(crate) fn new(name: &'static str, dtype: DataType) -> Set {
        let f = FunctionBuilder::new("main", Opset::Ios18);
        Set { f, dtype, name, inputs: Vec::new(), results: Vec::new() }
    }

    /// A float input.
    pub(crate) fn input(&mut self, shape: &[usize], values: Values) -> ValueId {
        let seed = self.inputs.len() as u64 + 1;
        let mut words = words(seed);
        let mut next = || match values {
            Values::Between(low, high) => low + (high - low) * ((words() >> 8) as f32 / (1 << 24) as f32),
            Values::AnyBits => f32::from_bits(words()),
        };
        let count = shape.iter().product();
        let tensor = match (self.dtype, values) {
            // Every number of 16 bits, in order.
            (DataType::Fp16, Values::AnyBits) => {
                let halves: Vec<f16> = (0..count).map(|at| f16::from_bits(at as u16)).collect();
                Tensor::new(shape, &halves)
            }
            (DataType::Fp16, _) => {
                Tensor::new(shape, &(0..count).map(|_| f16::from_f32(next())).collect::<Vec<_>>())
            }
            _ => Tensor::new(shape, &(0..count).map(|_| next()).collect::<Vec<_>>()),
        };
        self.given(tensor.unwrap())
    }

    /// An `int32` input between two numbers, both included.
    pub(crate) fn int_input(&mut self, shape: &[usize], low: i32, high: i32) -> ValueId {
        let mut words = words(self.inputs.len() as u64 + 1);
        let width = (i64::from(high) - i64::from(low) + 1) as u64;
        let mut next = || (i64::from(low) + (u64::from(words()) % width) as i64) as i32;
        let ints: Vec<i32> = (0..shape.iter().product()).map(|_| next()).collect();
        self.given(Tensor::new(shape, &ints).unwrap())
    }

    fn given(&mut self, tensor: Tensor) -> ValueId {
        let name = format!("input{}", self.inputs.len());
        let id = self.f.input(name, tensor.ty().clone()).unwrap();
        self.inputs.push(tensor);
        id
    }

    /// A scalar of the program's element type.
    pub(crate) fn number(&mut self, value: f32) -> ValueId {
        self.f.float(self.dtype, value)
    }

    /// A value whose bits are to be the same everywhere.
    pub(crate) fn result(&mut self, name: impl Into<String>, value: Result<ValueId, BuildError>) {
        let name = name.into();
        let value = value.unwrap_or_else(|error| panic!("{name}: {error}"));
        self.results.push((name, value));
    }

    /// The name and digest of each result; of `fp16` programs also those of two generations of the engine.
    pub(crate) fn digests(self) -> Vec<(String, u64)> {
        let ids: Vec<ValueId> = self.results.iter().map(|(_, id)| *id).collect();
        let function = self.f.finish(&ids).unwrap();
        let engine = [AneGeneration::H13, AneGeneration::H17].map(Numerics::Ane);
        let more = if self.dtype == DataType::Fp16 { &engine[..] } else { &[] };
        let mut digests = Vec::new();
        for &numerics in [Numerics::Ieee].iter().chain(more) {
            let prefix = match numerics {
                Numerics::Ieee => String::new(),
                Numerics::Ane(generation) => format!("{generation}/"),
            };
            let strict = run(&function, &self.inputs, (Mode::Strict, numerics), 1);
            let fused = run(&function, &self.inputs, (Mode::Fused, numerics), 2);
            for (((name, _), strict), fused) in self.results.iter().zip(&strict).zip(&fused) {
                let name = format!("{prefix}{}/{}/{name}", self.name, self.dtype.name());
                assert_eq!(digest(strict), digest(fused), "{name}: strict and fused mode differ");
                digests.push((name, digest(strict)));
            }
        }
        digests
    }
}

fn run(
    function: &Function,
    inputs: &[Tensor],
    (mode, numerics): (Mode, Numerics),
    threads: usize,
) -> Vec<Tensor> {
    let program = verify(Program::single(function.clone())).unwrap_or_else(|faults| panic!("{}", faults[0]));
    let backend = CpuBackend::with_threads(threads).unwrap().mode(mode).numerics(numerics);
    let mut executable = backend.compile(&program, &CompileOptions::default()).unwrap();
    executable.call(&inputs.iter().collect::<Vec<_>>()).unwrap()
}

/// FNV-1a of the elements. All NaNs count as one: sign and payload are fixed by no promise.
fn digest(tensor: &Tensor) -> u64 {
    let quiet: Vec<u8> = match tensor.dtype() {
        DataType::Fp32 => {
            let values = tensor.as_slice::<f32>().unwrap().iter();
            values.flat_map(|x| if x.is_nan() { f32::NAN.to_le_bytes() } else { x.to_le_bytes() }).collect()
        }
        DataType::Fp16 => {
            let values = tensor.as_slice::<f16>().unwrap().iter();
            values.flat_map(|x| if x.is_nan() { f16::NAN.to_le_bytes() } else { x.to_le_bytes() }).collect()
        }
        _ => tensor.bytes().to_vec(),
    };
    quiet
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// An endless sequence of words.
fn words(seed: u64) -> impl FnMut() -> u32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    }
}
