//! How a function is split between engine and host: as few programs of the engine as its order allows.
//!
//! An operation's level is how often the work changes sides on the longest way to it. Operations of one level are independent of
//! what the other side does between them, so all of them that the engine takes are one program.

use crate::chips::Chip;
use crate::rules::{Hosted, hosted};
use mil::{Def, Effect, Function, Operation, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Who computes an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Engine,
    Host,
}

/// A function between engine and host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stages {
    parts: Vec<Vec<usize>>,
    hosted: Vec<Hosted>,
    on_engine: usize,
}

impl Stages {
    /// Splits a function for a chip.
    pub fn new(function: &Function, chip: &'static Chip) -> Stages {
        let placed = hosted(function, chip);
        // Of each value: its level, and the side that makes it. Inputs, constants and states are on no side.
        let mut made: Vec<(usize, Option<Side>)> = vec![(0, None); function.values.len()];
        let mut known: Vec<bool> =
            function.values.iter().map(|value| matches!(value.def, Def::Const(_) | Def::Constexpr)).collect();
        let mut levels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut reasons = Vec::new();
        for (at, (operation, hosted)) in function.body.ops.iter().zip(placed).enumerate() {
            let mut used = BTreeSet::new();
            uses(operation, &mut used);
            let constant = operation.op.effect == Effect::Pure
                && operation.blocks.is_empty()
                && used.iter().all(|id| known[id.index()]);
            if constant || matches!(operation.op.effect, Effect::Read | Effect::Write) {
                // Worked out before anything runs, or the reading and writing of a state: no work of either side.
                let from = used.iter().map(|id| made[id.index()]).max_by_key(|(level, _)| *level);
                for &output in &operation.outputs {
                    known[output.index()] = constant;
                    made[output.index()] = from.filter(|_| !constant).unwrap_or((0, None));
                }
                continue;
            }
            let side = if hosted.is_some() { Side::Host } else { Side::Engine };
            let level = used
                .iter()
                .map(|id| match made[id.index()] {
                    (level, Some(other)) if other != side => level + 1,
                    (level, _) => level,
                })
                .max()
                .unwrap_or(0);
            for &output in &operation.outputs {
                made[output.index()] = (level, Some(side));
            }
            match hosted {
                Some(reason) => reasons.push(reason),
                None => levels.entry(level).or_default().push(at),
            }
        }
        let on_engine = levels.values().map(Vec::len).sum();
        Stages { parts: levels.into_values().collect(), hosted: reasons, on_engine }
    }

    /// The engine's programs, in order: positions of operations in the function's body.
    pub fn parts(&self) -> &[Vec<usize>] {
        &self.parts
    }

    /// Operations on the engine.
    pub fn on_engine(&self) -> usize {
        self.on_engine
    }

    /// Operations on the host.
    pub fn on_host(&self) -> usize {
        self.hosted.len()
    }

    /// Why operations are left to the host, in program order.
    pub fn reasons(&self) -> impl Iterator<Item = &Hosted> {
        self.hosted.iter()
    }
}

fn uses(operation: &Operation, used: &mut BTreeSet<ValueId>) {
    used.extend(operation.uses());
    for block in &operation.blocks {
        block.ops.iter().for_each(|inner| uses(inner, used));
        used.extend(block.outputs.iter().copied());
    }
}
