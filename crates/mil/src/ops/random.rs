//! Random numbers.

use super::infer::{Inferred, check_rank, check_scalar, choice, dimensions, int_from, one};
use super::{DefaultValue, Effect, FLOAT, Family, INT32, Infer, OpDecl, Opset, Param};
use crate::{DataType, OpView, TensorType};

const SHAPE: Param = Param::tensor("shape", 0, INT32).shapes_result();
const SEED: Param = Param::int("seed").or(DefaultValue::Int(-1));

const fn number(name: &'static str, default: f32) -> Param {
    Param::tensor(name, b'T', FLOAT).constant().or(DefaultValue::Float(default))
}

const fn random(name: &'static str, summary: &'static str, params: &'static [Param], infer: Infer) -> OpDecl {
    OpDecl {
        name,
        family: Family::Random,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Random,
        infer,
    }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    random(
        "random_bernoulli",
        "1 with probability `prob`, else 0, in the element type of `prob` (`fp32` by default). A `seed` of -1 draws other \
         numbers each time.",
        &[SHAPE, number("prob", 0.5), SEED],
        distribution,
    ),
    random(
        "random_categorical",
        "`size` indices for each row of `x`, drawn by the logits or (`mode` \"probs\") probabilities in its last dimension, \
         in the element type of `x`.",
        &[
            Param::tensor("x", b'T', FLOAT),
            Param::string("mode").or(DefaultValue::Str("logits")),
            Param::int("size").or(DefaultValue::Int(1)),
            SEED,
        ],
        categorical,
    ),
    random(
        "random_normal",
        "Numbers of a normal distribution, in the element type of `mean` and `stddev` (`fp32` by default).",
        &[SHAPE, number("mean", 0.0), number("stddev", 1.0), SEED],
        distribution,
    ),
    random(
        "random_uniform",
        "Numbers spread evenly from `low` up to but without `high`, in their element type (`fp32` by default).",
        &[SHAPE, number("low", 0.0), number("high", 1.0), SEED],
        distribution,
    ),
];

fn distribution(op: &OpView<'_>) -> Inferred {
    op.int("seed")?;
    let mut dtype = DataType::Fp32;
    for param in op.operation.op.params.iter().filter(|param| param.domain != 0) {
        check_scalar(op, param.name)?;
        if let Some(value) = op.value(param.name) {
            dtype = op.function.dtype(value);
        }
    }
    one(TensorType::new(dtype, dimensions(op, "shape")?))
}

fn categorical(op: &OpView<'_>) -> Inferred {
    let x = op.tensor("x")?;
    op.int("seed")?;
    check_rank("x", x, 1..=usize::MAX)?;
    choice(op, "mode", &["logits", "probs"])?;
    let (mut shape, last) = (x.shape.clone(), x.shape.rank() - 1);
    if shape[last] == 0 {
        return Err(crate::InferError::new("x", format!("has shape {shape}, without a category to draw")));
    }
    shape.dims_mut()[last] = int_from(op, "size", 1)?;
    one(x.with_shape(shape))
}
