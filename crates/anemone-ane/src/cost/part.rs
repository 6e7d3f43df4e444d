//! The cost of parts of a function, each dispatched as a program of its own.

use super::estimate::of_work;
use super::graph::{Assumptions, FunctionWork, weights_of};
use super::params::ChipFacts;
use super::{Estimate, EstimateOptions};
use crate::chips::Chip;
use mil::{Block, Def, Function, Operation, ValueId};
use std::collections::BTreeSet;

/// What a call of each part would cost. A part is a list of positions in the body of the function; what it uses and does not
/// define comes through its ports, and what it defines and others use leaves through them.
pub fn estimate_parts(
    function: &Function,
    parts: &[Vec<usize>],
    chip: &Chip,
    options: &EstimateOptions,
) -> Vec<Estimate> {
    let assume = Assumptions { loop_turns: options.loop_turns, unknown_dim: options.unknown_dim };
    let whole = FunctionWork::new(function, assume);
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| {
            let work = of_part(&whole, function, part, options);
            of_work(&work, &format!("{} part {index}", function.name), &ChipFacts::of(chip), options)
        })
        .collect()
}

fn of_part(
    whole: &FunctionWork,
    function: &Function,
    part: &[usize],
    options: &EstimateOptions,
) -> FunctionWork {
    let inside: BTreeSet<usize> = part.iter().copied().collect();
    let mut used = BTreeSet::new();
    let mut defined = BTreeSet::new();
    let mut used_outside: BTreeSet<ValueId> = function.body.outputs.iter().copied().collect();
    for (at, operation) in function.body.ops.iter().enumerate() {
        match inside.contains(&at) {
            true => {
                all_uses(operation, &mut used);
                defined.extend(operation.outputs.iter().copied());
            }
            false => all_uses(operation, &mut used_outside),
        }
    }
    let is_constant = |id: &ValueId| matches!(function.value(*id).def, Def::Const(_) | Def::Constexpr);
    let constants: Vec<ValueId> = used.iter().copied().filter(is_constant).collect();
    let enters = used.iter().copied().filter(|id| {
        let value = function.value(*id);
        !defined.contains(id)
            && !is_constant(id)
            && value.ty.as_tensor().is_some()
            && !nested(function, *id, &inside)
    });
    let leaves = defined.iter().copied().filter(|id| used_outside.contains(id));
    let ports: Vec<ValueId> = enters.chain(leaves).collect();
    let mut work = FunctionWork {
        ops: whole.ops.iter().filter(|op| inside.contains(&op.position)).cloned().collect(),
        port_bytes: 0.0,
        host_bytes: 0.0,
        ragged_rows: 0.0,
        weight_bytes: weights_of(function, constants),
        notes: whole.notes.clone(),
    };
    for id in ports {
        work.add_port(function.ty(id), options.unknown_dim);
    }
    work
}

/// Everything an operation uses, in its blocks too.
fn all_uses(operation: &Operation, used: &mut BTreeSet<ValueId>) {
    used.extend(operation.uses());
    for block in &operation.blocks {
        block.ops.iter().for_each(|inner| all_uses(inner, used));
        used.extend(block.outputs.iter().copied());
    }
}

/// Whether a value is defined within a block of an operation of the part: it crosses no port.
fn nested(function: &Function, id: ValueId, inside: &BTreeSet<usize>) -> bool {
    fn defines(block: &Block, id: ValueId) -> bool {
        block.inputs.contains(&id)
            || block.ops.iter().any(|operation| {
                operation.outputs.contains(&id) || operation.blocks.iter().any(|inner| defines(inner, id))
            })
    }
    inside.iter().any(|&at| function.body.ops[at].blocks.iter().any(|block| defines(block, id)))
}
