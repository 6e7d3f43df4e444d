//! Choice between values. (`const` is not an operation here: constants are values.)

use super::infer::{Inferred, one};
use super::{BASIC, BOOL, Effect, Family, OpDecl, Opset, Param};
use crate::{InferError, OpView, shape};

/// The family's declarations.
pub static OPS: &[OpDecl] = &[OpDecl {
    name: "select",
    family: Family::ControlFlow,
    since: Opset::Ios15,
    summary: "Elements of `a` where `cond` is true, of `b` elsewhere; all three broadcast.",
    params: &[
        Param::tensor("cond", 0, BOOL),
        Param::tensor("a", b'T', BASIC),
        Param::tensor("b", b'T', BASIC),
    ],
    effect: Effect::Pure,
    infer: select,
}];

fn select(op: &OpView<'_>) -> Inferred {
    let (cond, a, b) = (op.shape("cond")?, op.tensor("a")?, op.shape("b")?);
    let values = shape::broadcast(&a.shape, b).ok_or_else(|| {
        InferError::new("b", format!("has shape {b}, which does not broadcast with {} of `a`", a.shape))
    })?;
    let result = shape::broadcast(cond, &values).ok_or_else(|| {
        InferError::new(
            "cond",
            format!("has shape {cond}, which does not broadcast with {values} of `a` and `b`"),
        )
    })?;
    one(a.with_shape(result))
}
