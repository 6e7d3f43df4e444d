//! Parts of a function: each as a function of its own, and what a call of it costs.
//!
//! What a part uses and does not make comes through its ports, and what it makes and others use leaves through them. A
//! state that one part alone works on stays with it; one that several work on is passed from program to program, so
//! every part that reads it takes it through a port, and every part that writes it gives it.

use super::estimate::of_work;
use super::graph::{Assumptions, FunctionWork};
use super::params::ChipFacts;
use super::work::elements;
use super::{Estimate, EstimateOptions};
use crate::chips::Chip;
use mil::{Arg, Block, Def, Effect, Function, Operation, Value, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a call of each part would cost. A part is a list of positions in the body of the function. Operations of no
/// part are the host's: what they share with a part is copied by the host, if [`EstimateOptions::host_copy`] says so;
/// what one part gives to another stays in the engine's surfaces. Positions beyond the body stand for nothing.
pub fn estimate_parts(
    function: &Function,
    parts: &[Vec<usize>],
    chip: &Chip,
    options: &EstimateOptions,
) -> Vec<Estimate> {
    let facts = ChipFacts::of(chip);
    let cuts = Cuts::new(function, parts);
    let works =
        parts.iter().enumerate().map(|(at, part)| cuts.work(&Part::new(function, part, &cuts), at, options));
    works
        .enumerate()
        .map(|(at, work)| of_work(&work, &format!("{} part {at}", function.name), &facts, options))
        .collect()
}

/// Where the values of a function are made and used, by part.
pub(super) struct Cuts<'a> {
    function: &'a Function,
    /// Of each operation of the body: its part; none for the host's.
    owner: Vec<Option<usize>>,
    /// Of each value: the operation of the body that makes it.
    maker: Vec<Option<usize>>,
    /// Of each value: operations of the body that use it, and, one past the last, the caller.
    users: Vec<Vec<usize>>,
    /// Of each value: whether it is worked out before anything runs, by operations of no part.
    folded: Vec<bool>,
    /// States that several parts, or a part and the host, work on.
    pub(super) shared: BTreeSet<ValueId>,
    /// States that the host fills, and states that it looks at: their memory is copied.
    filled: BTreeSet<ValueId>,
    seen: BTreeSet<ValueId>,
}

impl<'a> Cuts<'a> {
    pub(super) fn new(function: &'a Function, parts: &[Vec<usize>]) -> Cuts<'a> {
        let ops = &function.body.ops;
        let mut owner = vec![None; ops.len()];
        for (at, part) in parts.iter().enumerate() {
            part.iter()
                .filter(|&&position| position < ops.len())
                .for_each(|&position| owner[position] = Some(at));
        }
        let mut maker = vec![None; function.values.len()];
        let mut users = vec![Vec::new(); function.values.len()];
        let mut holders: BTreeMap<ValueId, BTreeSet<Option<usize>>> = BTreeMap::new();
        for (at, operation) in ops.iter().enumerate() {
            operation.outputs.iter().for_each(|output| maker[output.index()] = Some(at));
            let used = operation.uses_within();
            for id in used {
                users[id.index()].push(at);
                if function.ty(id).is_state() {
                    holders.entry(id).or_default().insert(owner[at]);
                }
            }
        }
        function.body.outputs.iter().for_each(|output| users[output.index()].push(ops.len()));
        let shared = holders.into_iter().filter(|(_, holders)| holders.len() > 1).map(|(id, _)| id).collect();
        let mut folded = vec![false; function.values.len()];
        for (operation, _) in ops.iter().zip(&owner).filter(|(_, owner)| owner.is_none()) {
            let known = |id: ValueId| {
                folded[id.index()] || matches!(function.value(id).def, Def::Const(_) | Def::Constexpr)
            };
            if is_fixed(operation) && operation.uses().all(known) {
                operation.outputs.iter().for_each(|output| folded[output.index()] = true);
            }
        }
        let mut cuts = Cuts {
            function,
            owner,
            maker,
            users,
            folded,
            shared,
            filled: BTreeSet::new(),
            seen: BTreeSet::new(),
        };
        for operation in ops {
            let Some((state, written)) = access(operation) else { continue };
            if written.and_then(|value| cuts.maker[value.index()]).is_some_and(|made| cuts.is_host(made)) {
                cuts.filled.insert(state);
            }
            let mut users = operation.outputs.iter().flat_map(|output| &cuts.users[output.index()]);
            if users.any(|&user| cuts.is_host(user)) {
                cuts.seen.insert(state);
            }
        }
        cuts
    }

    /// Whether an operation, or the caller, is on the host. Reading and writing a state is neither side's: its memory
    /// is a port.
    fn is_host(&self, at: usize) -> bool {
        let Some(operation) = self.function.body.ops.get(at) else { return true };
        self.owner[at].is_none() && access(operation).is_none()
    }

    /// Whether a value that enters or leaves a part has something to do with the host or the caller, be it through a state.
    fn meets_host(&self, value: ValueId, part: usize) -> bool {
        let state = |at: usize| self.function.body.ops.get(at).and_then(access).map(|(state, _)| state);
        match self.maker[value.index()] {
            // It leaves.
            Some(made) if self.owner[made] == Some(part) => self.users[value.index()].iter().any(|&user| {
                self.is_host(user) || state(user).is_some_and(|state| self.seen.contains(&state))
            }),
            Some(made) => self.is_host(made) || state(made).is_some_and(|state| self.filled.contains(&state)),
            None => true,
        }
    }

    /// The work of a part.
    pub(super) fn work(&self, part: &Part, at: usize, options: &EstimateOptions) -> FunctionWork {
        let assume = Assumptions { loop_turns: options.loop_turns, unknown_dim: options.unknown_dim };
        let shared: BTreeSet<ValueId> =
            part.states.iter().filter(|(old, _)| self.shared.contains(old)).map(|&(_, new)| new).collect();
        let mut work = FunctionWork::sharing(&part.function, &shared, assume);
        work.weight_bytes += part
            .folded
            .iter()
            .map(|&id| 2.0 * elements(self.function.shape(id), options.unknown_dim))
            .sum::<f64>();
        // Counted anew, without what stays in surfaces.
        (work.host_bytes, work.ragged_rows) = (0.0, 0.0);
        for &value in part.inputs.iter().chain(&part.outputs).filter(|&&value| self.meets_host(value, at)) {
            work.add_copy(self.function.ty(value), options.unknown_dim);
        }
        work
    }
}

/// A part as a function.
pub(super) struct Part {
    pub(super) function: Function,
    /// Tensors that it takes, as values of the whole.
    inputs: Vec<ValueId>,
    /// States that it works on: as values of the whole, and its own.
    states: Vec<(ValueId, ValueId)>,
    /// What it gives, as values of the whole.
    outputs: Vec<ValueId>,
    /// Constants that were worked out before.
    folded: Vec<ValueId>,
}

impl Part {
    /// The operations at these positions as a function, with what they need of `constexpr` operations: compressed
    /// weights are made where they are used, wherever their operation stands.
    pub(super) fn new(function: &Function, positions: &[usize], cuts: &Cuts<'_>) -> Part {
        let body = &function.body.ops;
        let positions: Vec<usize> = positions.iter().copied().filter(|&at| at < body.len()).collect();
        let weights_too: Vec<usize> = {
            let mut wanted: BTreeSet<usize> = BTreeSet::new();
            let mut queue = positions.clone();
            while let Some(at) = queue.pop() {
                let used = body[at].uses_within();
                for id in used.into_iter().filter(|id| matches!(function.value(*id).def, Def::Constexpr)) {
                    // One within a block of the part itself is made by no operation of the body.
                    if let Some(made) = cuts.maker[id.index()].filter(|&made| wanted.insert(made)) {
                        queue.push(made);
                    }
                }
            }
            let plain = positions.into_iter().filter(|&at| !is_weights(&body[at]));
            plain.chain(wanted).collect::<BTreeSet<usize>>().into_iter().collect()
        };
        let inside: BTreeSet<usize> = weights_too.iter().copied().collect();
        let (mut used, mut defined) = (BTreeSet::new(), BTreeSet::new());
        for &at in &weights_too {
            used.extend(body[at].uses_within());
            defines(&body[at], &mut defined);
        }
        let from_outside =
            |id: &ValueId| matches!(function.value(*id).def, Def::Op | Def::Input) && !defined.contains(id);
        let (folded, taken): (Vec<ValueId>, Vec<ValueId>) =
            used.into_iter().filter(from_outside).partition(|id| cuts.folded[id.index()]);
        let (states, inputs): (Vec<ValueId>, Vec<ValueId>) =
            taken.iter().partition(|&&id| function.ty(id).is_state());
        let outputs: Vec<ValueId> = weights_too
            .iter()
            .flat_map(|&at| body[at].outputs.iter().copied())
            .filter(|id| {
                matches!(function.value(*id).def, Def::Op)
                    && cuts.users[id.index()].iter().any(|user| !inside.contains(user))
            })
            .collect();
        let ops = weights_too.iter().map(|&at| body[at].clone()).collect();
        let part = renumber(function, taken, &folded, ops, outputs.clone());
        // Inputs of the part are numbered in the order of what it takes.
        let renamed: Vec<ValueId> = part.states().collect();
        Part { states: states.into_iter().zip(renamed).collect(), function: part, inputs, outputs, folded }
    }
}

impl Part {
    /// Operations that are work.
    pub(super) fn operations(&self) -> usize {
        self.function.body.ops.iter().filter(|operation| !is_weights(operation)).count()
    }
}

/// Whether an operation makes constants out of compressed ones: it is no work, and stands where its result is used.
pub(super) fn is_weights(operation: &Operation) -> bool {
    operation.op.family == mil::Family::Constexpr
}

/// Whether an operation on constants gives a constant.
fn is_fixed(operation: &Operation) -> bool {
    operation.op.effect == Effect::Pure && operation.blocks.is_empty()
}

/// Of an operation that reads or writes a state: the state, and what is written.
pub(crate) fn access(operation: &Operation) -> Option<(ValueId, Option<ValueId>)> {
    // The state is the first parameter of both, the value the second.
    let mut used = operation.uses();
    match operation.op.effect {
        Effect::Read => used.next().map(|state| (state, None)),
        Effect::Write => used.next().map(|state| (state, used.next())),
        Effect::Pure | Effect::Random | Effect::Blocks(_) => None,
    }
}

/// States that an operation writes, in its blocks too.
pub(crate) fn writes(operation: &Operation, into: &mut Vec<ValueId>) {
    if let Some((state, Some(_))) = access(operation) {
        into.push(state);
    }
    operation.blocks.iter().flat_map(|block| &block.ops).for_each(|inner| writes(inner, into));
}

/// Every value that an operation defines, in its blocks too.
fn defines(operation: &Operation, into: &mut BTreeSet<ValueId>) {
    into.extend(operation.outputs.iter().copied());
    for block in &operation.blocks {
        into.extend(block.inputs.iter().copied());
        block.ops.iter().for_each(|operation| defines(operation, into));
    }
}

/// A function of its own arena from values of another one.
fn renumber(
    function: &Function,
    inputs: Vec<ValueId>,
    constants: &[ValueId],
    ops: Vec<Operation>,
    outputs: Vec<ValueId>,
) -> Function {
    let mut values: Vec<Value> = Vec::new();
    let mut ids: HashMap<ValueId, ValueId> = HashMap::new();
    let mut id = |old: ValueId, input: bool| {
        *ids.entry(old).or_insert_with(|| {
            let mut value = function.value(old).clone();
            if input {
                value.def = Def::Input;
            } else if constants.contains(&old) {
                // A constant whose elements are not at hand.
                value.def = Def::Constexpr;
            }
            value.name.get_or_insert_with(|| format!("value_{}", old.index()));
            values.push(value);
            ValueId::from_index(values.len() - 1)
        })
    };
    let inputs: Vec<ValueId> = inputs.into_iter().map(|value| id(value, true)).collect();
    let mut body = Block { inputs: Vec::new(), ops, outputs };
    rename(&mut body, &mut |value| id(value, false));
    Function { name: function.name.clone(), opset: function.opset, inputs, body, values }
}

/// Renames every value of a block. (Behind a pointer, so that recursion does not grow the type.)
fn rename(block: &mut Block, id: &mut dyn FnMut(ValueId) -> ValueId) {
    for value in &mut block.inputs {
        *value = id(*value);
    }
    for operation in &mut block.ops {
        for value in operation.args.iter_mut().flat_map(Arg::values_mut) {
            *value = id(*value);
        }
        for nested in &mut operation.blocks {
            rename(nested, id);
        }
        for value in &mut operation.outputs {
            *value = id(*value);
        }
    }
    for value in &mut block.outputs {
        *value = id(*value);
    }
}
