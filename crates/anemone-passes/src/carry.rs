//! How states are held: in other types than are computed with, and with values to start from.
//!
//! Core ML's states begin at zeros and, by what its converter accepts, hold `fp16` tensors of at least one dimension; a program
//! computes with whatever it likes. These passes put what it takes between the two.

use crate::StatePassError;
use crate::rewrite::{self, Replacements};
use crate::states::{Role, role};
use mil::{BuildError, Constant, DataType, Def, Function, FunctionBuilder, TensorType, Type, Value, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// Changes the types in which states are held: `held` gives, for the name and type of each, the type that it shall have.
/// What is read is cast and reshaped to the old type, what is written to the new one.
///
/// # Errors
/// When the function is not static, or a type has another number of elements.
pub fn hold_states(
    function: &Function,
    held: &dyn Fn(&str, &TensorType) -> TensorType,
) -> Result<Function, BuildError> {
    function.require_static()?;
    let mut source = function.clone();
    for state in function.states() {
        let ty = held(&function.display_name(state), function.tensor(state));
        source.values[state.index()].ty = Type::State(ty);
    }
    let mut replacements = Replacements::new(function);
    let ops = std::mem::take(&mut source.body.ops);
    let mut builder = FunctionBuilder::resume(source);
    for operation in ops {
        let operation = rewrite::replaced(operation, &replacements);
        let (state, value) = match role(builder.function(), &operation) {
            Role::Other => {
                builder = rewrite::append(builder, operation)?;
                continue;
            }
            Role::Read(state) => (state, None),
            Role::Write(state, value) => (state, Some(value)),
        };
        let outside = builder.function().tensor(state).clone();
        let old = operation.outputs[0];
        let new = match value {
            None => builder.read_state(state)?,
            Some(value) => {
                let value = converted(&mut builder, value, &outside)?;
                builder.update_state(state, value)?
            }
        };
        let back = converted(&mut builder, new, function.tensor(old))?;
        if let Some(name) = &function.value(old).name {
            builder.name(back, name.clone());
        }
        replacements.set(old, back);
    }
    rewrite::finish(builder, function, &replacements)
}

/// `value` as a tensor of another type: cast, then reshaped.
fn converted(
    builder: &mut FunctionBuilder,
    mut value: ValueId,
    ty: &TensorType,
) -> Result<ValueId, BuildError> {
    if builder.dtype(value) != ty.dtype {
        value = builder.cast(value, ty.dtype)?;
    }
    if builder.shape(value) == &ty.shape[..] {
        return Ok(value);
    }
    if ty.shape.is_empty() {
        return builder.op("squeeze").arg("x", value).one();
    }
    builder.reshape(value, &ty.shape)
}

/// Gives states values to start from, where whoever holds them begins with zeros. While the state `counter` (an `int32`
/// scalar that the program counts up, and that starts at 0 or above) is zero, what is read of the others is what `values`
/// says. A function that does not read the counter is given it. States that start at zeros need nothing and get nothing.
///
/// # Errors
/// When the counter is of another type, or a value does not fit its state.
pub fn start_states(
    function: &Function,
    counter: &str,
    values: &BTreeMap<String, Constant>,
) -> Result<Function, StatePassError> {
    function.require_static()?;
    let mut source = function.clone();
    let mut starts: BTreeMap<ValueId, Constant> = BTreeMap::new();
    for state in function.states() {
        let name = function.display_name(state);
        let Some(value) = values.get(&name) else { continue };
        let expected = function.tensor(state);
        if value.ty() != expected {
            return Err(StatePassError::Type {
                state: name,
                expected: expected.clone(),
                found: value.ty().clone(),
            });
        }
        if value.bytes().iter().any(|&byte| byte != 0) {
            starts.insert(state, value.clone());
        }
    }
    if starts.is_empty() {
        return Ok(source);
    }
    let mut replacements = Replacements::new(function);
    let ops = std::mem::take(&mut source.body.ops);
    let ty = TensorType::scalar(DataType::Int32);
    let counter_state = match source.input_named(counter) {
        Some(id) if *source.ty(id) == Type::State(ty.clone()) => id,
        Some(id) => {
            let found = source.tensor(id).clone();
            return Err(StatePassError::Type { state: counter.to_string(), expected: ty, found });
        }
        None => {
            let value = Value { name: Some(counter.to_string()), ty: Type::State(ty), def: Def::Input };
            let id = source.add_value(value);
            source.inputs.push(id);
            id
        }
    };
    let mut builder = FunctionBuilder::resume(source);
    let count = builder.read_state(counter_state)?;
    let zero = builder.int(0);
    let fresh = builder.op("equal").arg("x", count).arg("y", zero).named("starts").one()?;
    let mut written: BTreeSet<ValueId> = BTreeSet::new();
    for operation in ops {
        let operation = rewrite::replaced(operation, &replacements);
        let role = role(builder.function(), &operation);
        let result = operation.outputs.first().copied();
        builder = rewrite::append(builder, operation)?;
        match (role, result) {
            (Role::Write(state, _), _) => {
                written.insert(state);
            }
            (Role::Read(state), Some(read)) if !written.contains(&state) => {
                let Some(start) = starts.get(&state) else { continue };
                let value = builder.constant(start.clone());
                builder.name(value, format!("{}_start", function.display_name(state)));
                let first = builder.select(fresh, value, read)?;
                replacements.set(read, first);
            }
            _ => {}
        }
    }
    Ok(rewrite::finish(builder, function, &replacements)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mil::{Opset, Program, verify};

    /// Adds `x` to a total and counts the calls; gives what the total was.
    fn counter() -> Result<Function, BuildError> {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let x = f.input("x", TensorType::fp32([2]))?;
        let total = f.state("total", TensorType::fp32([2]))?;
        let calls = f.state("calls", TensorType::scalar(DataType::Int32))?;
        let (old, count) = (f.read_state(total)?, f.read_state(calls)?);
        let one = f.int(1);
        let (sum, next) = (f.add(old, x)?, f.add(count, one)?);
        f.update_state(total, sum)?;
        f.update_state(calls, next)?;
        let y = f.mul(old, 1.0)?;
        f.name(y, "y");
        f.finish(&[y])
    }

    fn kinds(function: &Function) -> Vec<&'static str> {
        function.body.ops.iter().map(|operation| operation.op.name).collect()
    }

    #[test]
    fn states_are_held_in_other_types() -> Result<(), BuildError> {
        let held = hold_states(&counter()?, &|name, ty| match name {
            "total" => ty.with_dtype(DataType::Fp16),
            _ => ty.with_shape([1]),
        })?;
        let states: Vec<String> = held.states().map(|id| held.ty(id).to_string()).collect();
        assert_eq!(states, ["state<tensor<fp16, [2]>>", "state<tensor<int32, [1]>>"]);
        assert_eq!(held.tensor(held.body.outputs[0]).to_string(), "tensor<fp32, [2]>");
        assert_eq!(held.display_name(held.body.outputs[0]), "y");
        let casts = kinds(&held).iter().filter(|kind| **kind == "cast").count();
        assert_eq!(casts, 2, "one where it is read, one where it is written: {:?}", kinds(&held));
        verify(Program::single(held)).unwrap();
        Ok(())
    }

    #[test]
    fn only_states_that_do_not_start_at_zeros_are_given_values() -> Result<(), Box<dyn std::error::Error>> {
        let function = counter()?;
        let zeros = BTreeMap::from([("total".to_string(), Constant::new([2], vec![0.0f32, 0.0])?)]);
        assert_eq!(start_states(&function, "calls", &zeros)?, function);
        let some = BTreeMap::from([("total".to_string(), Constant::new([2], vec![0.0f32, 3.0])?)]);
        let started = start_states(&function, "calls", &some)?;
        assert_eq!(kinds(&started).iter().filter(|kind| **kind == "select").count(), 1);
        verify(Program::single(started)).unwrap();
        let wrong = start_states(&function, "total", &some).unwrap_err();
        assert!(wrong.to_string().contains("state `total` is tensor<int32, []>"), "{wrong}");
        let short = BTreeMap::from([("total".to_string(), Constant::new([1], vec![3.0f32])?)]);
        assert!(start_states(&function, "calls", &short).is_err());
        Ok(())
    }

    #[test]
    fn a_function_without_the_counter_is_given_it() -> Result<(), Box<dyn std::error::Error>> {
        let mut f = FunctionBuilder::new("evaluate", Opset::Ios18);
        let total = f.state("total", TensorType::fp32([2]))?;
        let y = f.read_state(total)?;
        let function = f.finish(&[y])?;
        let values = BTreeMap::from([("total".to_string(), Constant::new([2], vec![1.0f32, 3.0])?)]);
        let started = start_states(&function, "calls", &values)?;
        assert!(started.input_named("calls").is_some());
        assert_eq!(started.display_name(started.body.outputs[0]), "output");
        verify(Program::single(started)).unwrap();
        Ok(())
    }
}
