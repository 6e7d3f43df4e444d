//! Operations of which nothing better is known: the kernel for `fp32`, and one rounding, half away from zero.

#![expect(unsafe_code, reason = "binds a kernel to operands widened in scratch memory")]

use super::rounding::round_floats;
use crate::gemm;
use crate::kernels::{self, Call, In, KernelResult, Lowered, Out, parallel};
use half::f16;
use mil::{Block, Constant, DataType, Def, Function, InferError, OpView, Operation, TensorType, Type, Value};

/// What stands in scratch memory begins on a cache line.
const ALIGNMENT: usize = 64;

/// An operand or output as the kernel for `fp32` sees it, and where it stands in scratch memory (if not where it lies).
struct Place {
    ty: TensorType,
    scratch: Option<usize>,
}

/// Lowers an operation on `fp16` as one on `fp32`.
pub(super) fn lower(op: &OpView<'_>) -> Result<Lowered, InferError> {
    let mut function = Function {
        name: String::new(),
        opset: op.function.opset,
        inputs: Vec::new(),
        body: Block::default(),
        values: Vec::new(),
    };
    let mut single = Operation::new(op.operation.op, op.operation.args.clone());
    for id in single.args.iter_mut().flat_map(|arg| arg.values_mut()) {
        let (ty, def) = match op.function.constant(*id) {
            Some(constant) => {
                let constant = widened(constant)?;
                (constant.ty().clone(), Def::Const(constant))
            }
            None => (wide_type(op.function.tensor(*id)), Def::Input),
        };
        *id = function.add_value(Value { name: None, ty: Type::Tensor(ty), def });
    }
    for ty in mil::infer_operation(&function, &single, None)? {
        single.outputs.push(function.add_value(Value { name: None, ty, def: Def::Op }));
    }
    function.body.ops.push(single);
    let view = function.view(&function.body.ops[0]);
    let lowered =
        kernels::find(view.name())
            .ok_or_else(|| InferError::new("x", "is of an op without a kernel for fp32"))?(&view)?;
    let mut scratch = lowered.scratch.next_multiple_of(ALIGNMENT);
    let mut place = |own: &TensorType, wide: &TensorType| {
        let at = (own.dtype != wide.dtype).then_some(scratch);
        if at.is_some() {
            scratch += wide.bytes().next_multiple_of(ALIGNMENT);
        }
        Place { ty: wide.clone(), scratch: at }
    };
    let operands: Vec<Place> = op
        .operands()
        .zip(view.operands())
        .map(|((_, own), (_, wide))| place(op.function.tensor(own), function.tensor(wide)))
        .collect();
    let outputs: Vec<Place> =
        (0..view.operation.outputs.len()).map(|at| place(op.output(at), view.output(at))).collect();
    let own = lowered.scratch;
    let run = move |call: &mut Call<'_>| run(call, &lowered, &operands, &outputs, own);
    Ok(Lowered::new(run).scratch(scratch))
}

fn wide_type(ty: &TensorType) -> TensorType {
    match ty.dtype {
        DataType::Fp16 => TensorType::new(DataType::Fp32, ty.shape.clone()),
        _ => ty.clone(),
    }
}

fn widened(constant: &Constant) -> Result<Constant, InferError> {
    match constant.as_slice::<f16>() {
        None => Ok(constant.clone()),
        Some(values) => {
            let wide: Vec<f32> = values.iter().map(|value| value.to_f32()).collect();
            Constant::new(constant.ty().shape.clone(), wide)
                .map_err(|error| InferError::new("x", error.to_string()))
        }
    }
}

fn run(
    call: &mut Call<'_>,
    lowered: &Lowered,
    operands: &[Place],
    outputs: &[Place],
    own: usize,
) -> KernelResult {
    let scratch = std::mem::take(&mut call.scratch);
    let base = scratch.as_mut_ptr();
    for (place, input) in operands.iter().zip(call.inputs) {
        if let Some(at) = place.scratch {
            let to: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[at..at + place.ty.bytes()]);
            let halves = input.slice::<f16>();
            parallel::rows(to, parallel::GRAIN, 1, |part, wide| {
                gemm::widen(&halves[part * parallel::GRAIN..], wide);
            });
        }
    }
    let inputs: Vec<In<'_>> = operands
        .iter()
        .zip(call.inputs)
        .map(|(place, input)| match place.scratch {
            // SAFETY: the place was set aside for this operand, and is aligned; nobody writes it until the kernel is done.
            Some(at) => unsafe { In::bind(&place.ty, base.wrapping_add(at)) },
            None => *input,
        })
        .collect();
    let mut results: Vec<Out<'_>> = outputs
        .iter()
        .zip(call.outputs.iter_mut())
        .map(|(place, output)| match place.scratch {
            // SAFETY: as above, for writing; no other operand or output has the place.
            Some(at) => unsafe { Out::bind(&place.ty, base.wrapping_add(at)) },
            // SAFETY: the output's own memory, of the same type.
            None => unsafe { Out::bind(&place.ty, output.bytes().as_mut_ptr()) },
        })
        .collect();
    // SAFETY: the first `own` bytes are the kernel's and overlap no place.
    let inner = unsafe { std::slice::from_raw_parts_mut(base, own) };
    let mut wide = Call { inputs: &inputs, outputs: &mut results, scratch: inner, in_place: false };
    let result = (lowered.run)(&mut wide);
    for (place, output) in outputs.iter().zip(call.outputs.iter_mut()) {
        if let Some(at) = place.scratch {
            let from: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[at..at + place.ty.bytes()]);
            let to = output.slice::<f16>();
            parallel::rows(from, parallel::GRAIN, 2, |_, values| round_floats(values));
            gemm::narrow(from, to);
        }
    }
    call.scratch = scratch;
    result
}
