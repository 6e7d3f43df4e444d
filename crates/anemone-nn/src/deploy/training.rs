//! The training step as a program for others to run: it brings the values that its states start from.
//!
//! Whoever runs a program elsewhere begins with states of zeros. The step therefore looks at its own count of iterations: while
//! that is zero, the checkpoint's values stand in for what the states hold, and its first writes make them real.

use crate::NnError;
use crate::train::{Programs, StateSpec, first_fault};
use anemone_passes::{StatePassError, hold_states, start_states, states_to_io};
use anemone_runtime::States;
use mil::{Constant, Function, FunctionBuilder, Program, TensorType, Verified, verify};
use std::collections::BTreeMap;

/// Where what a step leaves behind is kept until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// In states.
    States,
    /// Outside: it goes out as `NAME_out` and comes in again as `NAME`; zeros at first.
    Arrays,
}

/// The functions [`Programs::TRAIN`] and [`Programs::EVALUATE`] as one program that goes on from `states`. Scalars, among states
/// and outputs, become arrays of one element: Core ML knows no others.
///
/// # Errors
/// When a state is missing or of another type.
pub fn training(programs: &Programs, states: &States, carry: Carry) -> Result<Verified, NnError> {
    let values = values(&programs.states, states)?;
    let mut functions = Vec::with_capacity(2);
    for function in &programs.program.functions {
        let started = start_states(function, Programs::ITERATION, &values).map_err(fault)?;
        let held = hold_states(&started, &|_, ty| match ty.shape.is_empty() {
            true => ty.with_shape([1]),
            false => ty.clone(),
        })?;
        functions.push(outputs_as_vectors(held)?);
    }
    let program = verify(Program { functions, build_info: Vec::new() }).map_err(first_fault)?;
    match carry {
        Carry::States => Ok(program),
        Carry::Arrays => verify(states_to_io(&program).map_err(fault)?).map_err(first_fault),
    }
}

fn fault(error: StatePassError) -> NnError {
    NnError::config("the training step", error.to_string())
}

/// The values of all states, as constants.
fn values(specs: &[StateSpec], states: &States) -> Result<BTreeMap<String, Constant>, NnError> {
    let guard = states.lock();
    specs.iter().map(|spec| Ok((spec.name.clone(), spec.find(&guard)?.to_constant()?))).collect()
}

/// Scalar outputs as `[1]`, under the same names.
fn outputs_as_vectors(function: Function) -> Result<Function, NnError> {
    let outputs = function.body.outputs.clone();
    let mut builder = FunctionBuilder::resume(function);
    let mut made = Vec::with_capacity(outputs.len());
    for output in outputs {
        let ty: TensorType = builder.function().tensor(output).clone();
        made.push(match ty.shape.is_empty() {
            true => {
                let name = builder.function().display_name(output);
                let vector = builder.reshape(output, &[1])?;
                builder.name(output, format!("{name}_scalar"));
                builder.name(vector, name);
                vector
            }
            false => output,
        });
    }
    Ok(builder.finish(&made)?)
}
