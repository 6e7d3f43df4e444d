//! Constant folding: operations on constants are computed once, when compiling, by the same kernels that would
//! compute them in every run.

use super::graph::Graph;
use super::step::{self, Work};
use crate::kernels::{Call, In, Out};
use anemone_runtime::{CompileError, Tensor};
use mil::{Block, Constant, Def, Effect, Function, OpView};

/// Results up to this size are always kept; bigger ones only if they are no bigger than what they come from, so
/// that folding `fill` or `tile` does not trade a cheap loop for megabytes of constants.
const SMALL_BYTES: usize = 64 * 1024;

/// Replaces operations whose operands are all constants by their results.
pub(crate) fn fold(function: &mut Function) -> Result<(), CompileError> {
    let operations = std::mem::take(&mut function.body.ops);
    let mut kept = Vec::with_capacity(operations.len());
    for operation in operations {
        let view = OpView::new(function, &operation);
        let results = if worth_folding(&view) { evaluate(&view)? } else { None };
        match results {
            Some(results) => {
                for (&output, constant) in operation.outputs.iter().zip(results) {
                    function.values[output.index()].def = Def::Const(constant);
                }
            }
            None => kept.push(operation),
        }
    }
    function.body.ops = kept;
    Ok(())
}

fn worth_folding(view: &OpView<'_>) -> bool {
    let function = view.function;
    let constant = view.operation.op.effect == Effect::Pure
        && view.operation.uses().all(|id| function.constant(id).is_some());
    // A function's outputs must stay the results of operations.
    let output = view.operation.outputs.iter().any(|id| function.body.outputs.contains(id));
    let add = |sum: usize, id| sum.saturating_add(function.tensor(id).bytes());
    let from = view.operation.uses().fold(0, add);
    let to = view.operation.outputs.iter().copied().fold(0, add);
    constant && !output && to <= SMALL_BYTES.max(from)
}

/// The results, or `None` when the op refuses its data (it will say so when the program runs).
fn evaluate(view: &OpView<'_>) -> Result<Option<Vec<Constant>>, CompileError> {
    let single = alone(view);
    let graph = Graph::new(&single);
    let Some(&op) = graph.ops.first() else {
        return Ok(viewed_constant(view).map(|constant| vec![constant]));
    };
    let step = step::single(&graph, op)?;
    let memory = |error: anemone_runtime::TensorError| CompileError::Pass(error.to_string());
    let mut outputs = Vec::new();
    for &output in &step.outputs {
        outputs.push(Tensor::zeros(single.tensor(output).clone()).map_err(memory)?);
    }
    let operands: Vec<&Constant> = step.operands.iter().filter_map(|&id| single.constant(id)).collect();
    if !run(&step.work, &operands, &mut outputs)? {
        return Ok(None);
    }
    outputs.iter().map(|tensor| tensor.to_constant().map_err(memory)).collect::<Result<_, _>>().map(Some)
}

/// A function of this operation and nothing else.
fn alone(view: &OpView<'_>) -> Function {
    let mut function = Function {
        name: String::new(),
        opset: view.function.opset,
        inputs: Vec::new(),
        body: Block::default(),
        values: Vec::new(),
    };
    let mut operation = view.operation.clone();
    let arguments = operation.args.iter_mut().flat_map(|arg| arg.values_mut());
    for id in arguments.chain(operation.outputs.iter_mut()) {
        *id = function.add_value(view.function.value(*id).clone());
    }
    function.body.ops.push(operation);
    function
}

/// The constant behind a view operation, under the new shape.
fn viewed_constant(view: &OpView<'_>) -> Option<Constant> {
    view.constant("x")?.reshaped(view.output(0).shape.clone()).ok()
}

#[expect(unsafe_code, reason = "binds a kernel to owned tensors")]
fn run(work: &Work, operands: &[&Constant], outputs: &mut [Tensor]) -> Result<bool, CompileError> {
    match work {
        Work::Elementwise(kernel) => {
            let leaves: Vec<*const u8> = operands.iter().map(|constant| constant.bytes().as_ptr()).collect();
            let results: Vec<*mut u8> = outputs.iter_mut().map(|out| out.bytes_mut().as_mut_ptr()).collect();
            // SAFETY: every pointer is to a whole tensor of the type the kernel was compiled for; outputs are fresh.
            unsafe { kernel.run(&leaves, &results) };
            Ok(true)
        }
        Work::Kernel(lowered) => {
            let mut scratch = Tensor::zeros(mil::TensorType::new(mil::DataType::Uint8, [lowered.scratch]))
                .map_err(|_| CompileError::Memory { bytes: lowered.scratch })?;
            // SAFETY: as above; constants outlive the call.
            let inputs: Vec<In<'_>> = operands
                .iter()
                .map(|constant| unsafe { In::bind(constant.ty(), constant.bytes().as_ptr()) })
                .collect();
            let types: Vec<_> = outputs.iter().map(|out| out.ty().clone()).collect();
            let mut results: Vec<Out<'_>> = outputs
                .iter_mut()
                .zip(&types)
                // SAFETY: as above.
                .map(|(out, ty)| unsafe { Out::bind(ty, out.bytes_mut().as_mut_ptr()) })
                .collect();
            let mut call = Call {
                inputs: &inputs,
                outputs: &mut results,
                scratch: scratch.bytes_mut(),
                in_place: false,
            };
            Ok((lowered.run)(&mut call).is_ok())
        }
    }
}
