//! Compressed weights become plain ones, once and before anything is lowered: kernels that ask for constants, to lay them
//! out ahead or because the op has nothing else, then find them. Whatever their size: a program that is to run needs its
//! weights.
//!
//! `constexpr` operations give constants; `conv_quantized` becomes `conv` ([`quantized_conv`](super::quantized_conv)).

use super::{quantized_conv, step};
use crate::kernels::constexpr;
use anemone_runtime::CompileError;
use mil::{Arg, Block, Constant, Def, Family, Function, Op, OpView, Operation, Type, Value, ValueId};
use std::collections::HashMap;

/// Takes compressed weights out of a verified function, nested blocks included.
pub(crate) fn decompress(function: &mut Function) -> Result<(), CompileError> {
    let body = std::mem::take(&mut function.body);
    let mut pass = Pass { function, outputs: body.outputs.clone(), plain: HashMap::new() };
    let body = pass.block(body)?;
    function.body = body;
    Ok(())
}

struct Pass<'f> {
    function: &'f mut Function,
    /// The function's outputs, which must stay results of operations.
    outputs: Vec<ValueId>,
    /// For those that a `constexpr` operation gave: the constant that others use instead.
    plain: HashMap<ValueId, ValueId>,
}

impl Pass<'_> {
    fn block(&mut self, mut block: Block) -> Result<Block, CompileError> {
        let mut kept = Vec::with_capacity(block.ops.len());
        for mut operation in block.ops {
            for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
                *id = self.plain.get(id).copied().unwrap_or(*id);
            }
            let blocks = std::mem::take(&mut operation.blocks);
            operation.blocks = blocks.into_iter().map(|inner| self.block(inner)).collect::<Result<_, _>>()?;
            if operation.op.family == Family::Constexpr {
                self.constants(&operation, &mut kept)?;
            } else if operation.op.declaration().name == quantized_conv::OP {
                let conv = quantized_conv::expand(self.function, &operation, &mut kept)?;
                kept.push(conv);
            } else {
                kept.push(operation);
            }
        }
        block.ops = kept;
        Ok(block)
    }

    /// Turns the results of an operation into constants; those that the function returns become copies of one.
    fn constants(&mut self, operation: &Operation, kept: &mut Vec<Operation>) -> Result<(), CompileError> {
        let view = OpView::new(self.function, operation);
        let results = constexpr::decompress(&view).map_err(|error| step::unsupported(&view, &error))?;
        for (&output, constant) in operation.outputs.iter().zip(results) {
            if !self.outputs.contains(&output) {
                self.function.values[output.index()].def = Def::Const(constant);
                continue;
            }
            let plain = add_constant(self.function, constant);
            self.plain.insert(output, plain);
            self.function.values[output.index()].def = Def::Op;
            let identity = Op::named("identity").ok_or_else(|| CompileError::Pass("no `identity`".into()))?;
            let mut copy = Operation::new(identity, [Arg::One(plain)].as_slice());
            copy.outputs.push(output);
            kept.push(copy);
        }
        Ok(())
    }
}

/// Adds a constant to a function.
pub(super) fn add_constant(function: &mut Function, constant: Constant) -> ValueId {
    let ty = Type::Tensor(constant.ty().clone());
    function.add_value(Value { name: None, ty, def: Def::Const(constant) })
}
