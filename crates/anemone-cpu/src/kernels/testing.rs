//! Running one operation's kernel on chosen operands, for the tests of kernels.
//!
//! A [`Case`] is one operation. It is run in `fp32` and in `fp16`, on one thread and on several (which must agree to
//! the bit), and in place where the kernel offers that.

#![expect(unsafe_code, reason = "binds operands to buffers as the engine does")]

use super::{Call, In, Out, find};
use half::f16;
use mil::{Constant, DataType, Element, FunctionBuilder, Opset, TensorType, ValueId};

/// How close a result must be: `|got - want| <= absolute + relative * |want|`, plus the rounding of the output.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    relative: f64,
    absolute: f64,
}

impl Tolerance {
    /// Moved data.
    pub(crate) const EXACT: Tolerance = Tolerance { relative: 0.0, absolute: 0.0 };
    /// Sums of many terms of size 1.
    pub(crate) const SUM: Tolerance = Tolerance { relative: 1e-5, absolute: 1e-4 };
    /// A few operations.
    pub(crate) const MATH: Tolerance = Tolerance { relative: 2e-6, absolute: 1e-6 };

    fn accepts(self, got: f64, want: f64, dtype: DataType) -> bool {
        let rounding = if dtype == DataType::Fp16 { 0.5f64.powi(11) * want.abs() + 6e-8 } else { 0.0 };
        got == want
            || (got.is_nan() && want.is_nan())
            || (dtype == DataType::Fp16 && want.abs() > 65519.0 && got == f64::INFINITY.copysign(want))
            || (got - want).abs() <= self.absolute + self.relative * want.abs() + rounding
    }
}

enum Given {
    Float { shape: Vec<usize>, data: Vec<f64>, constant: bool },
    Int { shape: Vec<usize>, data: Vec<i32> },
    Constant(Constant),
}

/// One operation with its arguments.
pub(crate) struct Case {
    op: String,
    given: Vec<(&'static str, Given)>,
    seed: u64,
}

impl Case {
    pub(crate) fn new(op: &str) -> Case {
        Case { op: op.to_string(), given: Vec::new(), seed: 0x9E37_79B9_7F4A_7C15 }
    }

    /// Random numbers that `fp16` holds exactly, in -2..2.
    pub(crate) fn random(&mut self, count: usize) -> Vec<f64> {
        let mut next = || {
            self.seed =
                self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (((self.seed >> 33) % 1024) as f64 - 512.0) / 256.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// A float operand of random numbers.
    pub(crate) fn float(&mut self, param: &'static str, shape: &[usize]) -> Vec<f64> {
        let data = self.random(shape.iter().product());
        self.given(param, shape, data.clone(), false);
        data
    }

    /// A float constant of random numbers.
    pub(crate) fn float_constant(&mut self, param: &'static str, shape: &[usize]) -> Vec<f64> {
        let data = self.random(shape.iter().product());
        self.given(param, shape, data.clone(), true);
        data
    }

    /// A float operand or constant.
    pub(crate) fn given(&mut self, param: &'static str, shape: &[usize], data: Vec<f64>, constant: bool) {
        self.given.push((param, Given::Float { shape: shape.to_vec(), data, constant }));
    }

    /// An `int32` operand.
    pub(crate) fn int_operand(&mut self, param: &'static str, shape: &[usize], data: &[i32]) {
        self.given.push((param, Given::Int { shape: shape.to_vec(), data: data.to_vec() }));
    }

    pub(crate) fn constant(&mut self, param: &'static str, constant: Constant) {
        self.given.push((param, Given::Constant(constant)));
    }

    pub(crate) fn int(&mut self, param: &'static str, value: i32) {
        self.constant(param, Constant::scalar(value));
    }

    pub(crate) fn ints(&mut self, param: &'static str, values: &[i32]) {
        self.constant(param, Constant::ints(values));
    }

    pub(crate) fn bool(&mut self, param: &'static str, value: bool) {
        self.constant(param, Constant::bool(value));
    }

    pub(crate) fn string(&mut self, param: &'static str, value: &str) {
        self.constant(param, Constant::string(value));
    }

    /// Checks the first output in both float types.
    pub(crate) fn check(&self, want: &[f64], tolerance: Tolerance) {
        self.check_all(&[want.to_vec()], tolerance);
    }

    /// Checks every output in both float types.
    pub(crate) fn check_all(&self, want: &[Vec<f64>], tolerance: Tolerance) {
        for dtype in [DataType::Fp32, DataType::Fp16] {
            let got = self.outputs(dtype).unwrap();
            assert_eq!(got.len(), want.len(), "{}: number of outputs", self.op);
            for ((index, (ty, got)), want) in got.iter().enumerate().zip(want) {
                assert_eq!(got.len(), want.len(), "{}: {ty}", self.op);
                for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
                    assert!(
                        tolerance.accepts(got, want, ty.dtype),
                        "{} output {index} [{at}]: got {got}, want {want} ({ty})",
                        self.op
                    );
                }
            }
        }
    }

    /// The error of a run that must fail.
    pub(crate) fn error(&self) -> String {
        self.outputs(DataType::Fp32).unwrap_err()
    }

    /// The outputs, the same for any number of threads and in place.
    pub(crate) fn outputs(&self, dtype: DataType) -> Result<Vec<(TensorType, Vec<f64>)>, String> {
        let bits = |threads: usize, in_place: bool| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| self.run(dtype, in_place))
        };
        let outputs = bits(1, false)?;
        assert_eq!(outputs, bits(3, false)?, "{}: threads show in the result", self.op);
        assert_eq!(outputs, bits(2, true)?, "{}: computing in place shows in the result", self.op);
        Ok(outputs.into_iter().map(|(ty, bytes)| (ty.clone(), to_f64(&ty, &bytes))).collect())
    }

    fn run(&self, dtype: DataType, in_place: bool) -> Result<Vec<(TensorType, Vec<u8>)>, String> {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let mut args: Vec<(&str, Vec<ValueId>)> = Vec::new();
        let mut data: Vec<(ValueId, Vec<u8>)> = Vec::new();
        for (index, (param, given)) in self.given.iter().enumerate() {
            let (ty, bytes, constant) = match given {
                Given::Constant(constant) => (constant.ty().clone(), Vec::new(), Some(constant.clone())),
                Given::Float { shape, data, constant } => {
                    let ty = TensorType::new(dtype, &shape[..]);
                    let bytes = from_f64(dtype, data);
                    let storage =
                        || Constant::from_storage(ty.clone(), std::sync::Arc::new(bytes.clone())).unwrap();
                    (ty.clone(), bytes.clone(), constant.then(storage))
                }
                Given::Int { shape, data } => {
                    (TensorType::int32(&shape[..]), bytemuck::cast_slice(data).to_vec(), None)
                }
            };
            let id = match constant {
                Some(constant) => {
                    let bytes = constant.bytes().to_vec();
                    let id = f.constant(constant);
                    data.push((id, bytes));
                    id
                }
                None => {
                    let id = f.input(format!("in{index}"), ty).unwrap();
                    data.push((id, bytes));
                    id
                }
            };
            match args.last_mut() {
                Some((last, ids)) if last == param => ids.push(id),
                _ => args.push((param, vec![id])),
            }
        }
        let mut builder = f.op(&self.op);
        for (param, ids) in &args {
            builder = if ids.len() > 1 { builder.args(param, ids) } else { builder.arg(param, ids[0]) };
        }
        builder.many().unwrap_or_else(|error| panic!("{}: {error}", self.op));
        let function = f.function();
        let op = function.view(function.body.ops.last().unwrap());
        run_view(&op, &data, in_place)
    }
}

/// Lowers and runs one operation.
pub(crate) fn run_view(
    op: &mil::OpView<'_>,
    data: &[(ValueId, Vec<u8>)],
    in_place: bool,
) -> Result<Vec<(TensorType, Vec<u8>)>, String> {
    let lower = find(op.name()).unwrap_or_else(|| panic!("no kernel for {}", op.name()));
    let lowered = lower(op).map_err(|error| error.to_string())?;
    let in_place = lowered.in_place.filter(|_| in_place);
    let operands: Vec<(TensorType, Vec<u32>)> = op
        .operands()
        .map(|(_, id)| {
            let bytes = &data.iter().find(|(value, _)| *value == id).unwrap().1;
            (op.function.tensor(id).clone(), aligned(bytes))
        })
        .collect();
    let types: Vec<TensorType> =
        (0..op.operation.outputs.len()).map(|index| op.output(index).clone()).collect();
    // What a kernel leaves unwritten shows.
    let mut memory: Vec<Vec<u32>> =
        types.iter().map(|ty| vec![0xABAB_ABAB; ty.bytes().div_ceil(4)]).collect();
    if let Some(operand) = in_place {
        memory[0] = operands[operand].1.clone();
    }
    // SAFETY: buffers of the types' sizes that outlive the call; outputs are buffers of their own.
    let inputs: Vec<In<'_>> =
        operands.iter().map(|(ty, data)| unsafe { In::bind(ty, data.as_ptr().cast()) }).collect();
    let mut bound: Vec<Out<'_>> = types
        .iter()
        .zip(&mut memory)
        // SAFETY: as above.
        .map(|(ty, data)| unsafe { Out::bind(ty, data.as_mut_ptr().cast()) })
        .collect();
    // 64-byte alignment, as the engine gives it; the contents are anything.
    let mut scratch = vec![[0xCDu8; 64]; lowered.scratch.div_ceil(64) + 1];
    let scratch = bytemuck::cast_slice_mut::<_, u8>(&mut scratch);
    let start = scratch.as_ptr().align_offset(64);
    let mut call = Call {
        inputs: &inputs,
        outputs: &mut bound,
        scratch: &mut scratch[start..][..lowered.scratch],
        in_place: in_place.is_some(),
    };
    (lowered.run)(&mut call)?;
    let bytes =
        |ty: &TensorType, memory: &[u32]| bytemuck::cast_slice::<u32, u8>(memory)[..ty.bytes()].to_vec();
    Ok(types.iter().zip(&memory).map(|(ty, memory)| (ty.clone(), bytes(ty, memory))).collect())
}

fn aligned(bytes: &[u8]) -> Vec<u32> {
    let mut memory = vec![0u32; bytes.len().div_ceil(4)];
    bytemuck::cast_slice_mut::<u32, u8>(&mut memory)[..bytes.len()].copy_from_slice(bytes);
    memory
}

fn from_f64(dtype: DataType, data: &[f64]) -> Vec<u8> {
    match dtype {
        DataType::Fp16 => {
            bytemuck::cast_slice(&data.iter().map(|&v| f16::from_f64(v)).collect::<Vec<_>>()).to_vec()
        }
        _ => bytemuck::cast_slice(&data.iter().map(|&v| v as f32).collect::<Vec<_>>()).to_vec(),
    }
}

/// The numbers of a tensor.
pub(crate) fn to_f64(ty: &TensorType, bytes: &[u8]) -> Vec<f64> {
    fn numbers<T: Element>(bytes: &[u8], widen: fn(T) -> f64) -> Vec<f64> {
        bytes.chunks_exact(size_of::<T>()).map(|chunk| widen(bytemuck::pod_read_unaligned(chunk))).collect()
    }
    match ty.dtype {
        DataType::Fp32 => numbers::<f32>(bytes, f64::from),
        DataType::Fp16 => numbers::<f16>(bytes, f64::from),
        DataType::Int32 => numbers::<i32>(bytes, f64::from),
        DataType::Int16 => numbers::<i16>(bytes, f64::from),
        DataType::Uint16 => numbers::<u16>(bytes, f64::from),
        DataType::Int8 => numbers::<i8>(bytes, f64::from),
        _ => numbers::<u8>(bytes, f64::from),
    }
}
