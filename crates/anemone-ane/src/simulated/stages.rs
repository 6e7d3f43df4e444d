//! How a function is split between engine and host: as few programs of the engine as its order allows.
//!
//! The engine's programs run one after another, and the host works between them. An operation is in the first program
//! that it can be in: after whatever the host has to do before. A function needs as many programs as there are
//! stretches of the engine on the path that changes sides most often, and this is how many it gets.

use crate::chips::Chip;
use crate::cost::{access, writes};
use crate::rules::{Hosted, hosted};
use mil::{Def, Effect, Function, ValueId};
use std::collections::BTreeMap;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It is there before anything runs.
    Before,
    /// By the engine's program of this number, from 1.
    Engine(usize),
    /// By the host, after so many of the engine's programs.
    Host(usize),
}

/// A function between engine and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    parts: Vec<Vec<usize>>,
    hosted: Vec<Hosted>,
    host: Vec<usize>,
    on_engine: usize,
}

impl Stages {
    /// Splits a function for a chip.
    pub fn new(function: &Function, chip: &'static Chip) -> Stages {
        let placed = hosted(function, chip);
        let mut made = vec![Made::Before; function.values.len()];
        let mut known: Vec<bool> =
            function.values.iter().map(|value| matches!(value.def, Def::Const(_) | Def::Constexpr)).collect();
        let mut programs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let (mut reasons, mut host) = (Vec::new(), Vec::new());
        for (at, (operation, hosted)) in function.body.ops.iter().zip(placed).enumerate() {
            let used = operation.uses_within();
            let constant = operation.op.effect == Effect::Pure
                && operation.blocks.is_empty()
                && used.iter().all(|id| known[id.index()]);
            if constant {
                // Worked out before anything runs.
                operation.outputs.iter().for_each(|output| known[output.index()] = true);
                continue;
            }
            if let Some((state, written)) = access(operation) {
                // Reading and writing a state is no work of either side: its memory is a port. What is read is what
                // was written last.
                let from = made[written.unwrap_or(state).index()];
                operation.outputs.iter().chain([&state]).for_each(|id| made[id.index()] = from);
                continue;
            }
            let after = |wait: fn(Made) -> usize| {
                used.iter().map(|id| wait(made[id.index()])).max().unwrap_or_default()
            };
            let by = match hosted {
                Some(_) => Made::Host(after(|made| match made {
                    Made::Before => 0,
                    Made::Engine(program) | Made::Host(program) => program,
                })),
                None => Made::Engine(
                    after(|made| match made {
                        Made::Before => 1,
                        Made::Engine(program) => program,
                        Made::Host(programs) => programs + 1,
                    })
                    .max(1),
                ),
            };
            let mut changed = operation.outputs.to_vec();
            writes(operation, &mut changed);
            changed.iter().for_each(|id| made[id.index()] = by);
            if let Some(reason) = hosted {
                reasons.push(reason);
                host.push(at);
            }
            if let Made::Engine(program) = by {
                programs.entry(program).or_default().push(at);
            }
        }
        let on_engine = programs.values().map(Vec::len).sum();
        Stages { parts: programs.into_values().collect(), hosted: reasons, host, on_engine }
    }

    /// The engine's programs, in order: positions of operations in the function's body.
    pub fn parts(&self) -> &[Vec<usize>] {
        &self.parts
    }

    /// The host's operations, in order: positions in the function's body.
    pub fn host(&self) -> &[usize] {
        &self.host
    }

    /// Operations on the engine.
    pub fn on_engine(&self) -> usize {
        self.on_engine
    }

    /// Operations on the host.
    pub fn on_host(&self) -> usize {
        self.host.len()
    }

    /// Why operations are left to the host, in program order.
    pub fn reasons(&self) -> impl Iterator<Item = &Hosted> {
        self.hosted.iter()
    }

    /// Bytes that the host's operations read and write in a call, each for itself; an unknown dimension counts as
    /// `unknown`, what is in a loop once.
    pub fn host_bytes(&self, function: &Function, unknown: usize) -> f64 {
        let bytes = |id: ValueId| {
            let tensor = function.tensor(id);
            let dims =
                tensor.shape.iter().map(|&dim| if dim == mil::UNKNOWN { unknown as f64 } else { dim as f64 });
            dims.product::<f64>() * tensor.dtype.bits() as f64 / 8.0
        };
        let of = |&at: &usize| {
            let operation = &function.body.ops[at];
            operation.uses().chain(operation.outputs.iter().copied()).map(bytes).sum::<f64>()
        };
        self.host.iter().map(of).sum()
    }
}
