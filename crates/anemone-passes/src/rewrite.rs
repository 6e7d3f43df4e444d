//! Small tools that passes share: replacing values, dropping what nothing uses.

use mil::{BuildError, Effect, Function, FunctionBuilder, Operation, Value, ValueId};

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

/// Removes operations whose outputs nothing uses and that write no state.
pub fn remove_dead(function: &mut Function) {
    let mut live = vec![false; function.values.len()];
    for &output in &function.body.outputs {
        live[output.index()] = true;
    }
    let mut kept = Vec::with_capacity(function.body.ops.len());
    for operation in std::mem::take(&mut function.body.ops).into_iter().rev() {
        let needed = operation.op.effect == Effect::Write
            || operation.outputs.iter().any(|output| live[output.index()]);
        if needed {
            operation.uses().for_each(|id| live[id.index()] = true);
            kept.push(operation);
        }
    }
    kept.reverse();
    function.body.ops = kept;
}

/// Renumbers values so that the arena holds only inputs and what operations use or define, in order of first
/// appearance; constants come just before their first use.
pub fn compact(function: &Function) -> Function {
    let mut compacted = Function { values: Vec::new(), ..function.clone() };
    let mut map: Vec<Option<ValueId>> = vec![None; function.values.len()];
    let mut keep = |id: &mut ValueId, values: &mut Vec<Value>| {
        let new = *map[id.index()].get_or_insert_with(|| {
            values.push(function.value(*id).clone());
            ValueId::from_index(values.len() - 1)
        });
        *id = new;
    };
    for id in &mut compacted.inputs {
        keep(id, &mut compacted.values);
    }
    for operation in &mut compacted.body.ops {
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            keep(id, &mut compacted.values);
        }
        for id in &mut operation.outputs {
            keep(id, &mut compacted.values);
        }
    }
    for id in &mut compacted.body.outputs {
        keep(id, &mut compacted.values);
    }
    compacted
}
