//! `cond`.

use super::replay::{Replay, captured, require_repeatable};
use crate::autodiff::context::{Done, Gradient};
use crate::autodiff::sweep;
use mil::{OpBuilder, ValueId};

/// Another choice by the same predicate: each block goes back through the block that was chosen, to the values from
/// outside that either uses.
pub(super) fn cond(g: &mut Gradient<'_>) -> Done {
    let operation = g.operation();
    require_repeatable(g.f.function(), operation)?;
    let wanted: Vec<ValueId> =
        captured(&operation.blocks).into_iter().filter(|&id| g.wants_value(id)).collect();
    let mut cotangents = Vec::with_capacity(operation.outputs.len());
    for index in 0..operation.outputs.len() {
        cotangents.push(g.cotangent(index)?);
    }
    let mut blocks = Vec::with_capacity(operation.blocks.len());
    for block in &operation.blocks {
        blocks.push(g.f.block(&[], |f, _| {
            let replay = Replay::new(f, block, &[])?;
            sweep::block(f, &replay.ops, &replay.outputs(block), &cotangents, &wanted)
        })?);
    }
    let pred = g.arg("pred")?;
    let choice = g.f.op("cond").arg("pred", pred);
    let gradients = blocks.into_iter().fold(choice, OpBuilder::block).many()?;
    wanted.into_iter().zip(gradients).try_for_each(|(id, gradient)| g.give_value(id, gradient))
}
