//! What states hold when they are read: values that were written before in the same function.

use mil::{Block, Effect, Operation, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Values that a state may hold at a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// What was written: one value, but for writes in blocks, which may happen or not, and more than once.
    pub(super) values: BTreeSet<ValueId>,
    /// Whether any of them was written in a block.
    pub(super) in_block: bool,
}

/// For each result of a `read_state`, in blocks too, what it may be, where the state was written before.
#[derive(Debug, Default)]
pub(super) struct Reads(HashMap<ValueId, Held>);

impl Reads {
    pub(super) fn of(forward: &[Operation]) -> Reads {
        let mut reads = Reads::default();
        let mut held = BTreeMap::new();
        forward.iter().for_each(|operation| reads.operation(operation, false, &mut held));
        reads
    }

    /// What a read may have given; nothing where the state was not written before.
    pub(super) fn get(&self, operation: &Operation) -> Option<&Held> {
        self.0.get(operation.outputs.first()?)
    }

    fn operation(&mut self, operation: &Operation, in_block: bool, held: &mut BTreeMap<ValueId, Held>) {
        if operation.op.name == "while_loop" {
            // What a turn writes the next one may read.
            for (state, written) in operation.blocks.iter().flat_map(writes) {
                put(held, state, written, true);
            }
        }
        for inner in operation.blocks.iter().flat_map(|block| &block.ops) {
            self.operation(inner, true, held);
        }
        let state = operation.args.first().and_then(|arg| arg.values().first());
        let (Some(&state), Some(&result)) = (state, operation.outputs.first()) else { return };
        match operation.op.effect {
            Effect::Write => put(held, state, result, in_block),
            Effect::Read => {
                if let Some(held) = held.get(&state) {
                    self.0.insert(result, held.clone());
                }
            }
            _ => {}
        }
    }
}

/// Notes a write; one outside of blocks happens for certain, and replaces what was there.
fn put(held: &mut BTreeMap<ValueId, Held>, state: ValueId, written: ValueId, in_block: bool) {
    let held = held.entry(state).or_default();
    if !in_block {
        *held = Held::default();
    }
    held.values.insert(written);
    held.in_block |= in_block;
}

/// The states that a block writes and the results of the writes, nested blocks included.
fn writes(block: &Block) -> Vec<(ValueId, ValueId)> {
    let mut found = Vec::new();
    for operation in &block.ops {
        if operation.op.effect == Effect::Write {
            let state = operation.args.first().and_then(|arg| arg.values().first().copied());
            found.extend(state.zip(operation.outputs.first().copied()));
        }
        found.extend(operation.blocks.iter().flat_map(writes));
    }
    found
}
