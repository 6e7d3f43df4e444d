//! Which values matter: those that depend on a value to differentiate by.

use super::held::Reads;
use super::{Rule, rule};
use mil::{Block, Function, Operation, ValueId};

/// Which values depend on a `wrt` value through float values and ops with a derivative, those in blocks included.
pub(super) fn of(function: &Function, forward: &[Operation], reads: &Reads, wrt: &[ValueId]) -> Vec<bool> {
    let mut active = vec![false; function.values.len()];
    for id in wrt {
        active[id.index()] = true;
    }
    let mut marker = Marker { function, reads, active, found: 0 };
    marker.operations(forward);
    marker.active
}

struct Marker<'a> {
    function: &'a Function,
    reads: &'a Reads,
    active: Vec<bool>,
    /// How many values were found to depend so far.
    found: usize,
}

impl Marker<'_> {
    fn operations(&mut self, ops: &[Operation]) {
        ops.iter().for_each(|operation| self.operation(operation));
    }

    fn operation(&mut self, operation: &Operation) {
        if matches!(rule(operation.op), Rule::NoGradient(_)) {
            return;
        }
        match operation.blocks.as_slice() {
            [] => {
                if depends(operation, self.reads, &self.active) {
                    operation.outputs.iter().for_each(|&output| self.set(output));
                }
            }
            [_, body] if operation.op.name == "while_loop" => self.repeat(operation, body),
            blocks => {
                for block in blocks {
                    self.operations(&block.ops);
                    self.pass(&block.outputs, &operation.outputs);
                }
            }
        }
    }

    /// A turn can make something else depend in the next one, so turns are followed until none does. Nothing that
    /// depends is forgotten, so there are at most as many as values.
    fn repeat(&mut self, operation: &Operation, body: &Block) {
        let vars: Vec<ValueId> = operation.uses().collect();
        self.pass(&vars, &body.inputs);
        loop {
            let before = self.found;
            self.operations(&body.ops);
            self.pass(&body.outputs, &body.inputs);
            if self.found == before {
                break;
            }
        }
        self.pass(&body.inputs, &operation.outputs);
    }

    /// Makes values depend where those that they come from do.
    fn pass(&mut self, from: &[ValueId], to: &[ValueId]) {
        for (&from, &to) in from.iter().zip(to) {
            if self.active[from.index()] {
                self.set(to);
            }
        }
    }

    fn set(&mut self, id: ValueId) {
        if !self.active[id.index()] && self.function.dtype(id).is_float() {
            self.active[id.index()] = true;
            self.found += 1;
        }
    }
}

/// Whether an operation depends on an active value: through an argument, in its blocks, or by what a state holds.
pub(super) fn depends(operation: &Operation, reads: &Reads, active: &[bool]) -> bool {
    let is_active = |id: &ValueId| active[id.index()];
    let used = match operation.blocks.as_slice() {
        [] => operation.uses().any(|id| is_active(&id)),
        _ => operation.uses_within().iter().any(is_active),
    };
    used || reads.get(operation).is_some_and(|held| held.values.iter().any(is_active))
}
