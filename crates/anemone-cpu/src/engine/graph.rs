//! What has to be computed, with everything that is only bookkeeping taken out.
//!
//! Two things disappear here. *Views*: `reshape` and its like move no data, so their outputs share the memory
//! of their operand. *State operations*: a `read_state` before any write is the memory of the state itself; after a
//! write it is the value written; and only the last value written to each state has to be in its memory when the run
//! ends. So no state is copied to be read, and no write happens before the end unless the plan finds that it may.

use mil::{Function, OpView, Operation, ValueId};

/// The operations that compute, and where values live.
pub(crate) struct Graph<'f> {
    /// The function.
    pub(crate) function: &'f Function,
    /// Indices of the operations that compute something, in order.
    pub(crate) ops: Vec<usize>,
    /// For each value, the value (or state) whose memory holds it.
    root: Vec<ValueId>,
    /// States written, with the root of the last value written.
    pub(crate) writes: Vec<(ValueId, ValueId)>,
}

impl<'f> Graph<'f> {
    /// Analyses a verified function.
    pub(crate) fn new(function: &'f Function) -> Graph<'f> {
        let mut root: Vec<ValueId> = (0..function.values.len()).map(ValueId::from_index).collect();
        // For each state, the root of what it holds at this point of the program.
        let mut held = root.clone();
        let mut ops = Vec::new();
        for (index, operation) in function.body.ops.iter().enumerate() {
            let view = function.view(operation);
            match view.name() {
                "read_state" => {
                    if let Some(state) = view.value("input") {
                        root[operation.outputs[0].index()] = held[state.index()];
                    }
                }
                "coreml_update_state" => {
                    if let (Some(state), Some(value)) = (view.value("state"), view.value("value")) {
                        held[state.index()] = root[value.index()];
                        root[operation.outputs[0].index()] = root[value.index()];
                    }
                }
                _ => match viewed(&view) {
                    Some(x) => root[operation.outputs[0].index()] = root[x.index()],
                    None => ops.push(index),
                },
            }
        }
        let writes = function
            .states()
            .filter(|state| held[state.index()] != *state)
            .map(|state| (state, held[state.index()]))
            .collect();
        Graph { function, ops, root, writes }
    }

    /// The value or state whose memory holds `id`.
    pub(crate) fn root(&self, id: ValueId) -> ValueId {
        self.root[id.index()]
    }

    /// An operation by index.
    pub(crate) fn operation(&self, op: usize) -> &'f Operation {
        &self.function.body.ops[op]
    }

    /// A view of an operation by index.
    pub(crate) fn view(&self, op: usize) -> OpView<'f> {
        OpView::new(self.function, self.operation(op))
    }
}

/// Ops whose result is their operand under another shape.
pub(crate) const VIEWS: [&str; 6] =
    ["expand_dims", "flatten2d", "identity", "reshape", "reshape_like", "squeeze"];

/// The operand of which the operation's output is a mere view.
fn viewed(view: &OpView<'_>) -> Option<ValueId> {
    VIEWS.contains(&view.name()).then(|| view.value("x")).flatten()
}
