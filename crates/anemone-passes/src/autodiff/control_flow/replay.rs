//! Blocks computed once more.

use crate::autodiff::context::{Done, RuleError};
use mil::{
    Arg, Block, BuildError, Effect, Function, FunctionBuilder, OpBuilder, OpView, Operation, Type, ValueId,
};
use std::collections::{BTreeSet, HashMap};

/// A block's operations, appended once more to where the builder stands.
pub(super) struct Replay {
    /// The copies.
    pub(super) ops: Vec<Operation>,
    copies: HashMap<ValueId, ValueId>,
}

impl Replay {
    /// Appends the operations of `block`, with `inputs` in the place of its inputs.
    pub(super) fn new(
        f: &mut FunctionBuilder,
        block: &Block,
        inputs: &[ValueId],
    ) -> Result<Replay, BuildError> {
        let mut copies: HashMap<ValueId, ValueId> =
            block.inputs.iter().copied().zip(inputs.iter().copied()).collect();
        let start = f.function().body.ops.len();
        for operation in &block.ops {
            copy(f, operation, &mut copies)?;
        }
        Ok(Replay { ops: f.function().body.ops[start..].to_vec(), copies })
    }

    /// What stands for a value of the block; a value from outside stands for itself.
    pub(super) fn get(&self, id: ValueId) -> ValueId {
        self.copies.get(&id).copied().unwrap_or(id)
    }

    /// What stands for the block's outputs.
    pub(super) fn outputs(&self, block: &Block) -> Vec<ValueId> {
        block.outputs.iter().map(|&id| self.get(id)).collect()
    }
}

fn copy(
    f: &mut FunctionBuilder,
    operation: &Operation,
    copies: &mut HashMap<ValueId, ValueId>,
) -> Result<(), BuildError> {
    let mut blocks = Vec::with_capacity(operation.blocks.len());
    for inner in &operation.blocks {
        blocks.push(f.block(&types(f.function(), &inner.inputs), |f, inputs| {
            copies.extend(inner.inputs.iter().copied().zip(inputs.iter().copied()));
            for operation in &inner.ops {
                copy(f, operation, copies)?;
            }
            let get = |id: &ValueId| copies.get(id).copied().unwrap_or(*id);
            Ok::<_, BuildError>(inner.outputs.iter().map(get).collect())
        })?);
    }
    let recorded = types(f.function(), &operation.outputs);
    let mut new = f.op(operation.op.declaration().name).declared(&recorded);
    for (param, arg) in operation.op.params.iter().zip(&operation.args) {
        let mut arg: Arg = arg.clone();
        for id in arg.values_mut() {
            *id = copies.get(id).copied().unwrap_or(*id);
        }
        new = new.set_arg(param.name, arg);
    }
    let outputs = blocks.into_iter().fold(new, OpBuilder::block).many()?;
    copies.extend(operation.outputs.iter().copied().zip(outputs));
    Ok(())
}

/// Types of values.
pub(super) fn types(function: &Function, ids: &[ValueId]) -> Vec<Type> {
    ids.iter().map(|&id| function.ty(id).clone()).collect()
}

/// The values from outside that blocks use.
pub(super) fn captured(blocks: &[Block]) -> Vec<ValueId> {
    let (mut used, mut defined) = (BTreeSet::new(), BTreeSet::new());
    for block in blocks {
        walk(block, &mut used, &mut defined);
    }
    used.difference(&defined).copied().collect()
}

fn walk(block: &Block, used: &mut BTreeSet<ValueId>, defined: &mut BTreeSet<ValueId>) {
    defined.extend(&block.inputs);
    used.extend(&block.outputs);
    for operation in &block.ops {
        used.extend(operation.uses());
        defined.extend(&operation.outputs);
        operation.blocks.iter().for_each(|inner| walk(inner, used, defined));
    }
}

/// Fails unless the blocks of an operation give the same when they are computed once more.
pub(super) fn require_repeatable(function: &Function, operation: &Operation) -> Done {
    for inner in operation.blocks.iter().flat_map(|block| &block.ops) {
        let view = OpView::new(function, inner);
        let why = match inner.op.effect {
            Effect::Read => "reads a state, which may hold something else by then; read it before",
            Effect::Write => "writes a state, which would be written twice; write it after",
            Effect::Random if view.int("seed")? == -1 => {
                "draws numbers without a seed, which would be others; give it one"
            }
            Effect::Random | Effect::Pure | Effect::Blocks(_) => "",
        };
        if !why.is_empty() {
            return Err(RuleError::Unsupported(format!(
                "its blocks are computed again for the gradient, but `{}` in them {why}",
                inner.op.declaration().name
            )));
        }
        require_repeatable(function, inner)?;
    }
    Ok(())
}
