//! What a function looks like before it is written: where its constants stand, and every value's name.
//!
//! Constants become `const` operations just before the first operation that uses them by name, in the innermost block
//! that holds all of their uses. Function inputs and outputs keep their names; others keep theirs as long as nothing that
//! can be seen together has it: blocks beside one another may use the same names, as those that coremltools writes do.
//! Constants that nothing uses are not written.

use super::{Form, constant_form};
use crate::error::{Error, Result};
use mil::{Block, Def, Function, Operation, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A block's number: blocks are counted as they are met, from the function's body (0) on.
pub(super) type BlockNumber = usize;

/// Where constants stand and what values are called.
pub(super) struct Layout {
    /// Constants to be written before operation `.1` of block `.0`, in order.
    constants: BTreeMap<(BlockNumber, usize), Vec<ValueId>>,
    /// Name by value index; empty for values that are not written.
    names: Vec<String>,
    /// Values that somebody uses.
    used: HashSet<ValueId>,
}

impl Layout {
    pub(super) fn new(function: &Function) -> Result<Layout> {
        let mut placer =
            Placer { function, blocks: Vec::new(), places: HashMap::new(), used: HashSet::new() };
        placer.block(&function.body, None);
        let mut constants: BTreeMap<_, Vec<ValueId>> = BTreeMap::new();
        let mut placed: Vec<_> = placer.places.into_iter().collect();
        placed.sort_unstable();
        for (id, place) in placed {
            constants.entry(place).or_default().push(id);
        }
        let mut namer = Namer {
            function,
            blocks: placer.blocks,
            names: vec![String::new(); function.values.len()],
            taken: HashMap::new(),
            next: HashMap::new(),
        };
        namer.interface()?;
        namer.given(&function.body, &constants, &mut 0);
        namer.made(&function.body, &constants, &mut 0);
        Ok(Layout { constants, names: namer.names, used: placer.used })
    }

    /// The constants before operation `index` of a block.
    pub(super) fn constants_before(&self, block: BlockNumber, index: usize) -> &[ValueId] {
        self.constants.get(&(block, index)).map_or(&[], Vec::as_slice)
    }

    /// Name of a value.
    pub(super) fn name(&self, id: ValueId) -> &str {
        self.names.get(id.index()).map_or("", String::as_str)
    }

    /// Whether anything uses the value.
    pub(super) fn is_used(&self, id: ValueId) -> bool {
        self.used.contains(&id)
    }
}

/// Where a block stands among the others.
struct Around {
    /// The block around it, and the operation there that holds it.
    around: Option<(BlockNumber, usize)>,
    /// The number after that of the last block in it.
    end: BlockNumber,
}

struct Placer<'a> {
    function: &'a Function,
    blocks: Vec<Around>,
    places: HashMap<ValueId, (BlockNumber, usize)>,
    used: HashSet<ValueId>,
}

impl Placer<'_> {
    fn block(&mut self, block: &Block, around: Option<(BlockNumber, usize)>) {
        let number = self.blocks.len();
        self.blocks.push(Around { around, end: number + 1 });
        for (index, operation) in block.ops.iter().enumerate() {
            for (param, arg) in operation.op.params.iter().zip(&operation.args) {
                for &id in arg.values() {
                    self.used.insert(id);
                    if constant_form(operation.op, param.name, self.function.opset) == Form::Name {
                        self.place(id, (number, index));
                    }
                }
            }
            for inner in &operation.blocks {
                self.block(inner, Some((number, index)));
            }
        }
        for &id in &block.outputs {
            self.used.insert(id);
            self.place(id, (number, block.ops.len()));
        }
        self.blocks[number].end = self.blocks.len();
    }

    fn place(&mut self, id: ValueId, at: (BlockNumber, usize)) {
        if self.function.constant(id).is_none() {
            return;
        }
        let place = match self.places.get(&id) {
            Some(&before) => self.common(before, at),
            None => at,
        };
        self.places.insert(id, place);
    }

    /// The earlier of two places in the innermost block around both.
    fn common(&self, mut a: (BlockNumber, usize), mut b: (BlockNumber, usize)) -> (BlockNumber, usize) {
        // A block's number is higher than that of every block around it.
        while a.0 != b.0 {
            let outer = if a.0 > b.0 { &mut a } else { &mut b };
            let Some(around) = self.blocks[outer.0].around else { break };
            *outer = around;
        }
        (a.0, a.1.min(b.1))
    }
}

struct Namer<'a> {
    function: &'a Function,
    blocks: Vec<Around>,
    names: Vec<String>,
    /// The blocks that use a name.
    taken: HashMap<String, BTreeSet<BlockNumber>>,
    /// The next suffix to try for each base.
    next: HashMap<String, usize>,
}

impl Namer<'_> {
    /// Inputs and outputs of the function, whose names the description repeats.
    fn interface(&mut self) -> Result<()> {
        let function = self.function;
        for &id in function.inputs.iter().chain(&function.body.outputs) {
            let value = function.value(id);
            if !self.names[id.index()].is_empty() {
                continue;
            }
            let name = value.name.clone().unwrap_or_default();
            let place = format!("function `{}`", function.name);
            if !is_name(&name) {
                let message = format!(
                    "`{name}` is no name of an input or output: use letters, digits, _ and @, no digit first"
                );
                return Err(Error::unwritable(place, message));
            }
            if !self.take(0, &name) {
                let message = format!(
                    "two inputs or outputs are named `{name}`; Core ML knows both by name, so give each its own"
                );
                return Err(Error::unwritable(place, message));
            }
            self.names[id.index()] = name;
        }
        Ok(())
    }

    /// Values that bring a name.
    fn given(
        &mut self,
        block: &Block,
        constants: &BTreeMap<(BlockNumber, usize), Vec<ValueId>>,
        number: &mut BlockNumber,
    ) {
        let here = *number;
        *number += 1;
        self.give(here, &block.inputs);
        for (index, operation) in block.ops.iter().enumerate() {
            self.give(here, constants.get(&(here, index)).map_or(&[], Vec::as_slice));
            for inner in &operation.blocks {
                self.given(inner, constants, number);
            }
            self.give(here, &operation.outputs);
        }
        self.give(here, constants.get(&(here, block.ops.len())).map_or(&[], Vec::as_slice));
    }

    fn give(&mut self, block: BlockNumber, ids: &[ValueId]) {
        for &id in ids {
            if let Some(name) = self.function.value(id).name.clone()
                && self.names[id.index()].is_empty()
            {
                self.names[id.index()] = self.free(block, sanitized(&name));
            }
        }
    }

    /// Values without a name: results after their op, constants after the result and the parameter that use them first.
    fn made(
        &mut self,
        block: &Block,
        constants: &BTreeMap<(BlockNumber, usize), Vec<ValueId>>,
        number: &mut BlockNumber,
    ) {
        let here = *number;
        *number += 1;
        for &id in &block.inputs {
            self.make(here, id, || "block_input".into());
        }
        for (index, operation) in block.ops.iter().enumerate() {
            for &id in &operation.outputs {
                self.make(here, id, || operation.op.name.into());
            }
            let result = operation.outputs.first().map(|id| self.names[id.index()].clone());
            let result = result.unwrap_or_else(|| operation.op.name.into());
            for &id in constants.get(&(here, index)).map_or(&[][..], Vec::as_slice) {
                self.make(here, id, || match param_of(operation, id) {
                    Some(param) => format!("{result}_{param}"),
                    None => format!("{result}_constant"),
                });
            }
            for inner in &operation.blocks {
                self.made(inner, constants, number);
            }
        }
        for &id in constants.get(&(here, block.ops.len())).map_or(&[][..], Vec::as_slice) {
            self.make(here, id, || "constant".into());
        }
    }

    fn make(&mut self, block: BlockNumber, id: ValueId, base: impl FnOnce() -> String) {
        if self.names[id.index()].is_empty() {
            self.names[id.index()] = self.free(block, base());
        }
    }

    /// `base` if it is free in the block, else `base_1`, `base_2`, …
    fn free(&mut self, block: BlockNumber, base: String) -> String {
        if self.take(block, &base) {
            return base;
        }
        // A number that was taken once is not tried again, so many equal names stay cheap.
        let mut next = self.next.get(&base).copied().unwrap_or(1);
        loop {
            let name = format!("{base}_{next}");
            next += 1;
            if self.take(block, &name) {
                self.next.insert(base, next);
                return name;
            }
        }
    }

    /// Takes a name for a block, unless that block, one around it or one in it has it.
    fn take(&mut self, block: BlockNumber, name: &str) -> bool {
        if let Some(users) = self.taken.get(name) {
            let mut around = Some(block);
            while let Some(number) = around {
                if users.contains(&number) {
                    return false;
                }
                around = self.blocks[number].around.map(|(number, _)| number);
            }
            if users.range(block..self.blocks[block].end).next().is_some() {
                return false;
            }
        }
        self.taken.entry(name.to_string()).or_default().insert(block);
        true
    }
}

fn param_of(operation: &Operation, id: ValueId) -> Option<&'static str> {
    let mut params = operation.op.params.iter().zip(&operation.args);
    params.find(|(_, arg)| arg.values().contains(&id)).map(|(param, _)| param.name)
}

/// Whether `name` is an identifier in Core ML: `[A-Za-z_][A-Za-z0-9_@]*`.
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '@')
}

/// The name with everything replaced that Core ML does not allow in names.
fn sanitized(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '@';
    let mut result: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if !result.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        result.insert(0, '_');
    }
    result
}

/// Whether the value is a constant.
pub(super) fn is_constant(function: &Function, id: ValueId) -> bool {
    matches!(function.value(id).def, Def::Const(_))
}
