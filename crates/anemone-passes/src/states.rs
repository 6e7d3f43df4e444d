//! States made into something else: constants for deployment, inputs and outputs where a back end has no states.

use crate::rewrite::{Replacements, compact, remove_dead};
use mil::{
    BuildError, Constant, Def, Function, FunctionBuilder, Operation, Program, Type, Value, ValueId, Verified,
};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a pass over states failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum StatePassError {
    /// No value was given for a state that is to be frozen.
    #[error(
        "state `{state}` of function `{function}` has no value to freeze it to; give one, or leave it out of the list"
    )]
    NoValue {
        /// The function.
        function: String,
        /// The state.
        state: String,
    },
    /// The value given has another type.
    #[error("state `{state}` is {expected}, but the value given for it is {found}")]
    Type {
        /// The state.
        state: String,
        /// Type declared.
        expected: mil::TensorType,
        /// Type given.
        found: mil::TensorType,
    },
    /// The function writes the state, so it is no constant.
    #[error(
        "function `{function}` writes state `{state}`, so it cannot be frozen; freeze a function that only reads it"
    )]
    Written {
        /// The function.
        function: String,
        /// The state.
        state: String,
    },
    /// The rebuilt function is faulty.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Turns states into constants: every state that `values` names becomes its value. Functions that do not have
/// such a state are left as they are.
///
/// # Errors
/// When a function writes such a state, or the value has another type.
pub fn freeze(program: &Verified, values: &BTreeMap<String, Constant>) -> Result<Program, StatePassError> {
    let functions = program.functions.iter().map(|function| freeze_function(function, values));
    Ok(Program { functions: functions.collect::<Result<_, _>>()?, build_info: program.build_info.clone() })
}

fn freeze_function(
    source: &Function,
    values: &BTreeMap<String, Constant>,
) -> Result<Function, StatePassError> {
    source.require_static()?;
    let mut function = source.clone();
    let mut replacements = Replacements::new(&function);
    for state in source.states() {
        let name = function.display_name(state);
        let Some(constant) = values.get(&name) else { continue };
        let expected = function.tensor(state).clone();
        if *constant.ty() != expected {
            return Err(StatePassError::Type { state: name, expected, found: constant.ty().clone() });
        }
        let frozen = function.add_value(Value {
            name: Some(name.clone()),
            ty: Type::Tensor(expected),
            def: Def::Const(constant.clone()),
        });
        let mut kept = Vec::with_capacity(function.body.ops.len());
        for operation in std::mem::take(&mut function.body.ops) {
            match role(&function, &operation) {
                Role::Read(of) if of == state => replacements.set(operation.outputs[0], frozen),
                Role::Write(of, _) if of == state => {
                    return Err(StatePassError::Written { function: function.name, state: name });
                }
                _ => kept.push(operation),
            }
        }
        function.body.ops = kept;
        function.inputs.retain(|&input| input != state);
    }
    replace_uses(&mut function, &replacements);
    rebuild(function)
}

/// What an operation does to states.
pub(crate) enum Role {
    /// Reads this one.
    Read(ValueId),
    /// Stores the second value in the first.
    Write(ValueId, ValueId),
    /// Nothing.
    Other,
}

pub(crate) fn role(function: &Function, operation: &Operation) -> Role {
    let view = function.view(operation);
    match (view.name(), view.value("input"), view.value("state"), view.value("value")) {
        ("read_state", Some(state), ..) => Role::Read(state),
        ("coreml_update_state", _, Some(state), Some(value)) => Role::Write(state, value),
        _ => Role::Other,
    }
}

/// Turns every state into an input of the same name and, where the function writes it, an output
/// `<name>_out`, appended after the others in the order of the inputs.
pub fn states_to_io(program: &Verified) -> Result<Program, StatePassError> {
    let functions = program.functions.iter().map(states_to_io_function);
    Ok(Program { functions: functions.collect::<Result<_, _>>()?, build_info: program.build_info.clone() })
}

fn states_to_io_function(source: &Function) -> Result<Function, StatePassError> {
    source.require_static()?;
    let mut function = source.clone();
    let states: Vec<ValueId> = source.states().collect();
    for &state in &states {
        function.values[state.index()].ty = Type::Tensor(source.tensor(state).clone());
    }
    let mut replacements = Replacements::new(&function);
    // What each state holds at this point of the program.
    let mut held: BTreeMap<ValueId, ValueId> = states.iter().map(|&state| (state, state)).collect();
    let mut kept = Vec::with_capacity(function.body.ops.len());
    for mut operation in std::mem::take(&mut function.body.ops) {
        let role = role(&function, &operation);
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            *id = replacements.get(*id);
        }
        match role {
            Role::Read(state) => {
                replacements.set(operation.outputs[0], held.get(&state).copied().unwrap_or(state))
            }
            Role::Write(state, value) => {
                let value = replacements.get(value);
                held.insert(state, value);
                replacements.set(operation.outputs[0], value);
            }
            Role::Other => kept.push(operation),
        }
    }
    function.body.ops = kept;
    replace_uses(&mut function, &replacements);
    let outputs = function.body.outputs.clone();
    let mut builder = FunctionBuilder::resume(function);
    let mut all = Vec::with_capacity(outputs.len() + states.len());
    for (&output, &original) in outputs.iter().zip(&source.body.outputs) {
        all.push(named_copy(&mut builder, output, original, source)?);
    }
    for &state in states.iter().filter(|state| held.get(state) != Some(state)) {
        let value = held.get(&state).copied().unwrap_or(state);
        let name = format!("{}_out", source.display_name(state));
        all.push(builder.op("identity").arg("x", value).named(name).one()?);
    }
    Ok(compact(&builder.finish(&all)?))
}

/// An output under its old name; a copy when something else now stands for it.
fn named_copy(
    builder: &mut FunctionBuilder,
    output: ValueId,
    original: ValueId,
    source: &Function,
) -> Result<ValueId, BuildError> {
    if output == original {
        return Ok(output);
    }
    builder.op("identity").arg("x", output).named(source.display_name(original)).one()
}

fn replace_uses(function: &mut Function, replacements: &Replacements) {
    for operation in &mut function.body.ops {
        for id in operation.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            *id = replacements.get(*id);
        }
    }
    for output in &mut function.body.outputs {
        *output = replacements.get(*output);
    }
}

fn rebuild(mut function: Function) -> Result<Function, StatePassError> {
    remove_dead(&mut function);
    let outputs = function.body.outputs.clone();
    let writes = function.body.ops.iter().any(|operation| operation.op.effect == mil::Effect::Write);
    if outputs.is_empty() && writes {
        return Ok(compact(&function));
    }
    Ok(compact(&FunctionBuilder::resume(function).finish(&outputs)?))
}
