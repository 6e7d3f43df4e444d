//! Which values matter: those that depend on a value to differentiate by.

use super::{Rule, rule};
use mil::{Block, Function, Operation, ValueId};

/// Which values depend on a `wrt` value through float values and ops with a derivative, those in blocks included.
/// `carried` names, for each operation, the value that it reads from a state.
pub(super) fn of(
    function: &Function,
    forward: &[Operation],
    carried: &[Option<ValueId>],
    wrt: &[ValueId],
) -> Vec<bool> {
    let mut active = vec![false; function.values.len()];
    for id in wrt {
        active[id.index()] = true;
    }
    for (operation, &carried) in forward.iter().zip(carried) {
        mark(function, operation, carried, &mut active);
    }
    active
}

fn mark(function: &Function, operation: &Operation, carried: Option<ValueId>, active: &mut [bool]) {
    if matches!(rule(operation.op), Rule::NoGradient(_)) {
        return;
    }
    match operation.blocks.as_slice() {
        [] => {
            let depends = operation.uses().chain(carried).any(|id| active[id.index()]);
            let outputs = operation.outputs.iter().map(|&output| (output, depends));
            set(function, outputs, active);
        }
        [_, body] if operation.op.name == "while_loop" => repeat(function, operation, body, active),
        blocks => {
            for block in blocks {
                block.ops.iter().for_each(|inner| mark(function, inner, None, active));
                pass(function, &block.outputs, &operation.outputs, active);
            }
        }
    }
}

/// A turn can make another variable depend on something, so turns are followed until none does. Nothing that depends is
/// forgotten, so that happens at most once for each variable.
fn repeat(function: &Function, operation: &Operation, body: &Block, active: &mut [bool]) {
    let vars: Vec<ValueId> = operation.uses().collect();
    pass(function, &vars, &body.inputs, active);
    loop {
        body.ops.iter().for_each(|inner| mark(function, inner, None, active));
        if !pass(function, &body.outputs, &body.inputs, active) {
            break;
        }
    }
    pass(function, &body.inputs, &operation.outputs, active);
}

/// Makes values depend where those that they come `from` do; whether that was new for any.
fn pass(function: &Function, from: &[ValueId], to: &[ValueId], active: &mut [bool]) -> bool {
    let depends: Vec<(ValueId, bool)> =
        to.iter().zip(from).map(|(&to, &from)| (to, active[from.index()])).collect();
    set(function, depends, active)
}

fn set(function: &Function, values: impl IntoIterator<Item = (ValueId, bool)>, active: &mut [bool]) -> bool {
    let mut new = false;
    for (id, depends) in values {
        if depends && !active[id.index()] && function.dtype(id).is_float() {
            active[id.index()] = true;
            new = true;
        }
    }
    new
}
