//! Activation functions.

use super::infer::{Inferred, axis, check_rank, check_shape, choice, same_as_x, same_as_x_with_scalars};
use super::{DefaultValue, Effect, FLOAT, Family, OpDecl, Opset, Param};
use crate::{InferError, OpView};

const fn activation(name: &'static str, summary: &'static str, params: &'static [Param]) -> OpDecl {
    OpDecl {
        name,
        family: Family::Activation,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer: same_as_x_with_scalars,
    }
}

const X: Param = Param::tensor("x", b'T', FLOAT);
const ALPHA: Param = coefficient("alpha");
const BETA: Param = coefficient("beta");

const fn coefficient(name: &'static str) -> Param {
    Param::tensor(name, b'T', FLOAT).constant().widened(Opset::Ios17, b'U', FLOAT)
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    activation(
        "clamped_relu",
        "`min(x, beta)` where `x >= 0`, `min(alpha * x, beta)` elsewhere.",
        &[X, ALPHA, BETA],
    ),
    activation("elu", "`x` where `x >= 0`, `alpha * (exp(x) - 1)` elsewhere.", &[X, ALPHA]),
    OpDecl {
        infer: gelu,
        ..activation(
            "gelu",
            "`x * Phi(x)` with the normal distribution function `Phi`: exact (`mode` \"EXACT\"), by \
             `tanh(sqrt(2 / pi) * (x + 0.044715 x^3))` (\"TANH_APPROXIMATION\") or by `sigmoid(1.702 x)` \
             (\"SIGMOID_APPROXIMATION\").",
            &[X, Param::string("mode").or(DefaultValue::Str("EXACT"))],
        )
    },
    activation("leaky_relu", "`x` where `x >= 0`, `alpha * x` elsewhere.", &[X, ALPHA]),
    activation("linear_activation", "`alpha * x + beta`.", &[X, ALPHA, BETA]),
    OpDecl {
        infer: prelu,
        ..activation(
            "prelu",
            "`x` where `x >= 0`, `alpha[c] * x` elsewhere, for `x` `[N, C, *D]`. With one or three spatial dimensions \
             all elements of `alpha` must be equal.",
            &[X, ALPHA],
        )
    },
    activation("relu", "`max(x, 0)`.", &[X]),
    activation("relu6", "`min(max(x, 0), 6)`.", &[X]),
    activation("scaled_tanh", "`alpha * tanh(beta * x)`.", &[X, ALPHA, BETA]),
    activation("sigmoid", "`1 / (1 + exp(-x))`.", &[X]),
    activation("sigmoid_hard", "`min(max(alpha * x + beta, 0), 1)`.", &[X, ALPHA, BETA]),
    activation("silu", "`x * sigmoid(x)`.", &[X]),
    OpDecl {
        infer: softmax,
        ..activation(
            "softmax",
            "`exp(x) / sum(exp(x))` along `axis`.",
            &[X, Param::int("axis").or(DefaultValue::Int(-1))],
        )
    },
    activation("softplus", "`log(1 + exp(x))`.", &[X]),
    OpDecl {
        infer: softplus_parametric,
        ..activation(
            "softplus_parametric",
            "`alpha[c] * log(1 + exp(beta[c] * x))` for `x` `[N, C, *D]`.",
            &[X, ALPHA, BETA],
        )
    },
    activation("softsign", "`x / (1 + |x|)`.", &[X]),
    activation("thresholded_relu", "`x` where `x >= alpha`, 0 elsewhere.", &[X, ALPHA]),
];

fn gelu(op: &OpView<'_>) -> Inferred {
    choice(op, "mode", &["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"])?;
    same_as_x(op)
}

fn softmax(op: &OpView<'_>) -> Inferred {
    axis(op, "axis", op.shape("x")?.rank())?;
    same_as_x(op)
}

fn prelu(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=5)?;
    check_shape(op, "alpha", &[x.shape[1]], "the channels of `x`")?;
    let alpha = op.constant("alpha").and_then(|alpha| alpha.to_f32());
    // Core ML's own restriction and tolerance.
    let differ = alpha.is_some_and(|alpha| alpha.iter().any(|value| (value - alpha[0]).abs() > 1e-5));
    if differ && x.shape.rank() != 4 {
        return Err(InferError::new(
            "alpha",
            format!("has different elements, which needs `x` of rank 4, but `x` has shape {}", x.shape),
        ));
    }
    same_as_x(op)
}

fn softplus_parametric(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    check_rank("x", x, 3..=usize::MAX)?;
    check_shape(op, "alpha", &[x.shape[1]], "the channels of `x`")?;
    check_shape(op, "beta", &[x.shape[1]], "the channels of `x`")?;
    same_as_x(op)
}
