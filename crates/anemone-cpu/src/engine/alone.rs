//! One operation by itself: how constants are folded and how programs are interpreted whose shapes only running tells.
//!
//! The same kernels as in compiled programs, on operands that stand in tensors of their own.

#![expect(unsafe_code, reason = "binds a kernel to owned tensors")]

use super::graph::Graph;
use super::step::{self, Step, Work};
use crate::Numerics;
use crate::kernels::{Call, In, Out};
use anemone_runtime::{CompileError, Tensor};
use mil::{
    Block, Constant, DataType, Def, Function, InferError, Operation, Param, TensorType, Type, Value, ValueId,
};
use thiserror::Error;

/// What is known of an argument.
pub(crate) enum Binding {
    /// Its value: the kernel may make use of it once and for all.
    Value(Constant),
    /// Its type: the value comes with each run.
    Type(TensorType),
}

/// Why an operation could not be compiled or run by itself.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// The arguments do not fit.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// There is no kernel for it.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The data are not such that the op can work on them, or memory is short.
    #[error("{0}")]
    Run(String),
}

/// A compiled operation.
pub(crate) struct Alone {
    work: Compiled,
    outputs: Vec<TensorType>,
}

enum Compiled {
    /// The operand with this index, under another shape.
    View(usize),
    Step(Box<Step>),
}

impl Alone {
    /// Compiles an operation for arguments of which `bind` tells what is known, in the order of [`Operation::uses`].
    pub(crate) fn new(
        source: &Function,
        operation: &Operation,
        numerics: Numerics,
        mut bind: impl FnMut(&Param, ValueId) -> Binding,
    ) -> Result<Alone, Fault> {
        let mut function = Function {
            name: String::new(),
            opset: source.opset,
            inputs: Vec::new(),
            body: Block::default(),
            values: Vec::new(),
        };
        let mut single = Operation::new(operation.op, operation.args.clone());
        for (param, arg) in operation.op.params.iter().zip(&mut single.args) {
            for id in arg.values_mut() {
                let (ty, def) = match bind(param, *id) {
                    Binding::Value(constant) => (constant.ty().clone(), Def::Const(constant)),
                    Binding::Type(ty) => (ty, Def::Input),
                };
                let name = source.value(*id).name.clone();
                *id = function.add_value(Value { name, ty: Type::Tensor(ty), def });
            }
        }
        let types = mil::infer_operation(&function, &single, None)?;
        for (at, ty) in types.into_iter().enumerate() {
            let name = operation.outputs.get(at).and_then(|&id| source.value(id).name.clone());
            single.outputs.push(function.add_value(Value { name, ty, def: Def::Op }));
        }
        let outputs = single.outputs.iter().map(|&id| function.tensor(id).clone()).collect();
        function.body.ops.push(single);
        let graph = Graph::new(&function);
        let work = match graph.ops.first() {
            Some(&op) => Compiled::Step(Box::new(step::single(&graph, op, numerics)?)),
            // Operands were numbered in order, so the root of the view is the index of its operand.
            None => Compiled::View(graph.root(function.body.ops[0].outputs[0]).index()),
        };
        Ok(Alone { work, outputs })
    }

    /// Runs on arguments in the order of [`Operation::uses`], of the types or values it was compiled for.
    pub(crate) fn run(&self, arguments: &[Constant]) -> Result<Vec<Constant>, Fault> {
        let fault = |error: &dyn std::fmt::Display| Fault::Run(error.to_string());
        let step = match &self.work {
            Compiled::View(at) => {
                let viewed = arguments[*at].reshaped(self.outputs[0].shape.clone());
                return Ok(vec![viewed.map_err(|error| fault(&error))?]);
            }
            Compiled::Step(step) => step,
        };
        let operands: Vec<&Constant> = step.operands.iter().map(|id| &arguments[id.index()]).collect();
        let mut results = Vec::with_capacity(self.outputs.len());
        for ty in &self.outputs {
            results.push(Tensor::zeros(ty.clone()).map_err(|error| fault(&error))?);
        }
        execute(&step.work, &operands, &mut results)?;
        results.into_iter().map(|tensor| tensor.into_constant().map_err(|error| fault(&error))).collect()
    }
}

fn execute(work: &Work, operands: &[&Constant], outputs: &mut [Tensor]) -> Result<(), Fault> {
    match work {
        Work::Elementwise(kernel) => {
            let leaves: Vec<*const u8> = operands.iter().map(|constant| constant.bytes().as_ptr()).collect();
            let results: Vec<*mut u8> = outputs.iter_mut().map(|out| out.bytes_mut().as_mut_ptr()).collect();
            // SAFETY: every pointer is to a whole tensor of the type the kernel was compiled for; outputs are fresh.
            unsafe { kernel.run(&leaves, &results) };
            Ok(())
        }
        Work::Kernel(lowered) => {
            let mut scratch = Tensor::zeros(TensorType::new(DataType::Uint8, [lowered.scratch]))
                .map_err(|error| Fault::Run(error.to_string()))?;
            let inputs: Vec<In<'_>> = operands
                .iter()
                // SAFETY: as above; constants outlive the call.
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
            (lowered.run)(&mut call).map_err(Fault::Run)
        }
    }
}
