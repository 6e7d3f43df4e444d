//! Small tools that passes share: replacing values, dropping what nothing uses.

use mil::{Block, BuildError, Effect, Function, FunctionBuilder, Operation, Value, ValueId};

/// Follows replacements: `map[v]` is the value to use for `v` (itself when not replaced).
pub(crate) struct Replacements {
    map: Vec<ValueId>,
}

impl Replacements {
    pub(crate) fn new(function: &Function) -> Replacements {
        Replacements { map: (0..function.values.len()).map(ValueId::from_index).collect() }
    }

    pub(crate) fn get(&self, id: ValueId) -> ValueId {
        self.map.get(id.index()).copied().unwrap_or(id)
    }

    /// From now on `new` stands for `old`. `new` must itself be final.
    pub(crate) fn set(&mut self, old: ValueId, new: ValueId) {
        self.map[old.index()] = self.get(new);
    }
}

/// Appends an operation that exists already to a function under construction. Everything moves, nothing is copied.
pub(crate) fn append(builder: FunctionBuilder, operation: Operation) -> Result<FunctionBuilder, BuildError> {
    let mut function = builder.finish(&[])?;
    function.body.ops.push(operation);
    Ok(FunctionBuilder::resume(function))
}

/// Ends a rewritten function with the outputs of `source`: under their old names where something else stands for them.
pub(crate) fn finish(
    mut builder: FunctionBuilder,
    source: &Function,
    replacements: &Replacements,
) -> Result<Function, BuildError> {
    let mut outputs = Vec::with_capacity(source.body.outputs.len());
    for &original in &source.body.outputs {
        let value = replacements.get(original);
        outputs.push(match value == original {
            true => value,
            false => builder.op("identity").arg("x", value).named(source.display_name(original)).one()?,
        });
    }
    let mut function = builder.finish(&outputs)?;
    remove_dead(&mut function);
    Ok(compact(&function))
}

/// The same operation on what now stands for its operands.
pub(crate) fn replaced(mut operation: Operation, replacements: &Replacements) -> Operation {
    for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
        *id = replacements.get(*id);
    }
    operation
}

/// Removes operations whose outputs nothing uses and that write no state. What blocks hold stays.
pub fn remove_dead(function: &mut Function) {
    let mut live = vec![false; function.values.len()];
    for &output in &function.body.outputs {
        live[output.index()] = true;
    }
    let mut kept = Vec::with_capacity(function.body.ops.len());
    for operation in std::mem::take(&mut function.body.ops).into_iter().rev() {
        let needed = writes(&operation) || operation.outputs.iter().any(|output| live[output.index()]);
        if needed {
            match operation.blocks.is_empty() {
                true => operation.uses().for_each(|id| live[id.index()] = true),
                false => operation.uses_within().iter().for_each(|id| live[id.index()] = true),
            }
            kept.push(operation);
        }
    }
    kept.reverse();
    function.body.ops = kept;
}

/// Whether the operation or one in its blocks writes a state.
fn writes(operation: &Operation) -> bool {
    let inner = || operation.blocks.iter().flat_map(|block| &block.ops).any(writes);
    operation.op.effect == Effect::Write || inner()
}

/// Renumbers values so that the arena holds only inputs and what operations use or define, in order of first
/// appearance; constants come just before their first use.
pub fn compact(function: &Function) -> Function {
    let mut compacted = Function { values: Vec::new(), ..function.clone() };
    let mut renumbering =
        Renumbering { function, map: vec![None; function.values.len()], values: Vec::new() };
    renumbering.ids(&mut compacted.inputs);
    renumbering.block(&mut compacted.body);
    compacted.values = renumbering.values;
    compacted
}

struct Renumbering<'a> {
    function: &'a Function,
    map: Vec<Option<ValueId>>,
    values: Vec<Value>,
}

impl Renumbering<'_> {
    fn ids<'i>(&mut self, ids: impl IntoIterator<Item = &'i mut ValueId>) {
        for id in ids {
            *id = *self.map[id.index()].get_or_insert_with(|| {
                self.values.push(self.function.value(*id).clone());
                ValueId::from_index(self.values.len() - 1)
            });
        }
    }

    fn block(&mut self, block: &mut Block) {
        self.ids(&mut block.inputs);
        for operation in &mut block.ops {
            self.ids(operation.args.iter_mut().flat_map(|arg| arg.values_mut()));
            operation.blocks.iter_mut().for_each(|block| self.block(block));
            self.ids(&mut operation.outputs);
        }
        self.ids(&mut block.outputs);
    }
}
