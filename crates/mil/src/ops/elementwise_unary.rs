//! Elementwise operations of one tensor.

use super::infer::{Inferred, one, same_as_x_with_scalars};
use super::{BASIC, BOOL, DefaultValue, Effect, FLOAT, Family, NUMBER, OpDecl, Opset, Param, STORED};
use crate::{DataType, DataTypeSet, InferError, OpView};

const fn unary(name: &'static str, summary: &'static str, params: &'static [Param]) -> OpDecl {
    OpDecl {
        name,
        family: Family::ElementwiseUnary,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer: same_as_x_with_scalars,
    }
}

const X_FLOAT: Param = Param::tensor("x", b'T', FLOAT);
const X_NUMBER: Param = Param::tensor("x", b'T', NUMBER);

const fn epsilon(default: f32) -> Param {
    Param::tensor("epsilon", b'T', FLOAT).constant().or(DefaultValue::Float(default)).widened(
        Opset::Ios17,
        b'U',
        FLOAT,
    )
}

const fn bound(name: &'static str, dtypes: DataTypeSet) -> Param {
    Param::tensor(name, b'T', dtypes).constant()
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    unary("abs", "Absolute value.", &[X_NUMBER]),
    unary("acos", "Inverse cosine.", &[X_FLOAT]),
    unary("asin", "Inverse sine.", &[X_FLOAT]),
    unary("atan", "Inverse tangent.", &[X_FLOAT]),
    unary("atanh", "Inverse hyperbolic tangent.", &[X_FLOAT]),
    unary("ceil", "Rounds up to an integer.", &[X_FLOAT]),
    unary("cos", "Cosine.", &[X_FLOAT]),
    unary("cosh", "Hyperbolic cosine.", &[X_FLOAT]),
    unary("erf", "Gauss error function.", &[X_FLOAT]),
    unary("exp", "e to the power of `x`.", &[X_FLOAT]),
    unary("exp2", "2 to the power of `x`.", &[X_NUMBER]),
    unary("floor", "Rounds down to an integer.", &[X_FLOAT]),
    unary("round", "Rounds to the nearest integer, halves to even.", &[X_FLOAT]),
    unary("sign", "-1, 0 or 1.", &[X_NUMBER]),
    unary("sin", "Sine.", &[X_FLOAT]),
    unary("sinh", "Hyperbolic sine.", &[X_FLOAT]),
    unary("sqrt", "Square root.", &[X_FLOAT]),
    unary("square", "`x * x`.", &[X_NUMBER]),
    unary("tan", "Tangent.", &[X_FLOAT]),
    unary("tanh", "Hyperbolic tangent.", &[X_FLOAT]),
    OpDecl {
        infer: clip,
        ..unary(
            "clip",
            "Clamps `x` to the range `alpha` to `beta`; from iOS17 on `alpha` must be less than `beta`.",
            &[X_FLOAT, bound("alpha", FLOAT), bound("beta", FLOAT)],
        )
    },
    unary("inverse", "`1 / (x + epsilon)`.", &[X_FLOAT, epsilon(1e-4)]),
    unary("log", "Natural logarithm of `x + epsilon`.", &[X_FLOAT, epsilon(1e-45)]),
    unary("logical_not", "Logical negation.", &[Param::tensor("x", b'T', BOOL)]),
    unary("rsqrt", "`1 / sqrt(x + epsilon)`.", &[X_FLOAT, epsilon(1e-12)]),
    unary("threshold", "The larger of `x` and `alpha`.", &[X_NUMBER, bound("alpha", NUMBER)]),
    OpDecl {
        infer: cast,
        ..unary(
            "cast",
            "Converts to the element type that `dtype` names: floats to integers towards zero, to `bool` as `x != 0`.",
            &[Param::tensor("x", 0, BASIC).widened(Opset::Ios17, 0, STORED), Param::string("dtype")],
        )
    },
];

fn clip(op: &OpView<'_>) -> Inferred {
    let (low, high) = (op.float("alpha")?, op.float("beta")?);
    let ordered = low.partial_cmp(&high) == Some(std::cmp::Ordering::Less);
    if op.function.opset >= Opset::Ios17 && !ordered {
        return Err(InferError::new("alpha", format!("is {low}, but must be less than `beta`, {high}")));
    }
    same_as_x_with_scalars(op)
}

fn cast(op: &OpView<'_>) -> Inferred {
    let name = op.string("dtype")?;
    let allowed = if op.function.opset >= Opset::Ios17 { STORED } else { BASIC };
    match DataType::from_name(name).filter(|&dtype| allowed.contains(dtype)) {
        Some(dtype) => one(op.tensor("x")?.with_dtype(dtype)),
        None => Err(InferError::new("dtype", format!("is \"{name}\", but must be one of {allowed}"))),
    }
}
