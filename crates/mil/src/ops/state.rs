//! Reading and writing state: how anything outlives a call.

use super::infer::{Inferred, one};
use super::{Effect, Family, OpDecl, Opset, Param, STORED};
use crate::{InferError, OpView};

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    OpDecl {
        name: "read_state",
        family: Family::State,
        since: Opset::Ios18,
        summary: "The tensor that a state holds at this point of the program.",
        params: &[Param::state("input")],
        effect: Effect::Read,
        infer: read,
    },
    OpDecl {
        name: "coreml_update_state",
        family: Family::State,
        since: Opset::Ios18,
        summary: "Stores `value` in the state and returns what the state now holds.",
        params: &[Param::state("state"), Param::tensor("value", 0, STORED)],
        effect: Effect::Write,
        infer: update,
    },
];

fn read(op: &OpView<'_>) -> Inferred {
    let held = op.tensor("input")?;
    if !STORED.contains(held.dtype) {
        return Err(InferError::new("input", format!("holds {held}, but states hold one of {STORED}")));
    }
    one(held.clone())
}

fn update(op: &OpView<'_>) -> Inferred {
    let (state, value) = (op.tensor("state")?, op.tensor("value")?);
    if state != value {
        return Err(InferError::new("value", format!("is {value}, but the state holds {state}")));
    }
    one(state.clone())
}
