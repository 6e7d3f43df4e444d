//! Recurrent networks: one operation runs a whole sequence.
//!
//! Apple's documentation leaves open what its own tests settle (coremltools 9.0, `ops/tests/iOS14/test_recurrent.py` and
//! `ops/tests/iOS18/test_recurrent.py`, which compare Core ML with formulas):
//!
//! * Gates stand in the weights in the order input, forget, output, cell (`lstm`) and reset, new, update (`gru`).
//! * `gru` applies the reset gate to the state *before* the product, against its documented formula; `reset_after` (iOS18)
//!   is PyTorch's form, where `bias` belongs to the recurrent product and `input_bias` to that of the input.
//! * `clip` of `lstm` limits the cell state, and the output gate's peephole sees the new, limited state.
//! * `direction` "reverse" leaves the output sequence in the order of processing: its first element belongs to the last
//!   step of `x`. The backward half of a bidirectional `lstm` is in the order of `x`.
//! * `scaled_tanh` is `tanh`, and the hard sigmoid is `min(max(0.2 x + 0.5, 0), 1)`: neither takes parameters here.

use super::infer::{Inferred, check_rank, check_scalar, check_shape, choice, too_large};
use super::{DefaultValue, Effect, FLOAT, FP32, Family, Infer, OpDecl, Opset, Param};
use crate::{InferError, OpView, TensorType, Type};

const fn values(name: &'static str) -> Param {
    Param::tensor(name, b'T', FP32).widened(Opset::Ios17, b'T', FLOAT)
}

const fn weight(name: &'static str) -> Param {
    values(name).constant()
}

const fn activation(name: &'static str, default: &'static str) -> Param {
    Param::string(name).or(DefaultValue::Str(default))
}

const X: Param = values("x");
const INITIAL_H: Param = values("initial_h");
const WEIGHT_IH: Param = weight("weight_ih");
const WEIGHT_HH: Param = weight("weight_hh");
const BIAS: Param = weight("bias").optional();
const DIRECTION: Param = Param::string("direction").or(DefaultValue::Str("forward"));
const OUTPUT_SEQUENCE: Param = Param::bool("output_sequence").or(DefaultValue::Bool(false));
const RECURRENT_ACTIVATION: Param = activation("recurrent_activation", "sigmoid");
const ACTIVATION: Param = activation("activation", "tanh");

const fn recurrent(
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    infer: Infer,
) -> OpDecl {
    OpDecl {
        name,
        family: Family::Recurrent,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    recurrent(
        "gru",
        "Gated recurrent unit over `x` `[S, B, I]` from `initial_h` `[B, H]`: \
         `h = (1 - z) * activation(W_io x + W_ho (r * h) + b_o) + z * h`, the gates `r`, `z` being \
         `recurrent_activation(W_i x + W_h h + b)`; weights `[3H, I]`, `[3H, H]`, biases `[3H]` (none by default) in the order \
         `r`, `o`, `z`. With `reset_after` (iOS18) the reset gate scales `W_ho h + b_o` instead. Gives `[S, B, H]` (or \
         `[1, B, H]`, the last step, without `output_sequence`) and the last `h` `[B, H]`.",
        &[
            X,
            INITIAL_H,
            WEIGHT_IH,
            WEIGHT_HH,
            BIAS,
            DIRECTION,
            OUTPUT_SEQUENCE,
            RECURRENT_ACTIVATION,
            ACTIVATION,
            Param::bool("reset_after").or(DefaultValue::Bool(false)).new_in(Opset::Ios18),
            weight("input_bias").optional().new_in(Opset::Ios18),
        ],
        gru,
    ),
    recurrent(
        "lstm",
        "Long short-term memory over `x` `[S, B, I]` from `initial_h`, `initial_c` `[B, D*H]`: \
         `c = f * c + i * cell_activation(z)`, limited to `±clip` (no limit by default), and `h = o * activation(c)`, the gates \
         `i`, `f`, `o` being `recurrent_activation(W_i x + W_h h + b + peephole * c)`; weights `[4H, I]`, `[4H, H]`, bias `[4H]` \
         in the order `i`, `f`, `o`, `z`, peephole `[3H]` in the order `i`, `f`, `o` (both none by default). `D` is 2 for \
         `direction` \"bidirectional\", whose second half has weights of its own, the ones called `_back`; else 1. Gives \
         `[S, B, D*H]` (or `[1, B, D*H]`, the last step of each direction, without `output_sequence`), the last `h` and the \
         last `c` `[B, D*H]`.",
        &[
            X,
            INITIAL_H,
            values("initial_c"),
            WEIGHT_IH,
            WEIGHT_HH,
            BIAS,
            weight("peephole").optional(),
            weight("weight_ih_back").optional(),
            weight("weight_hh_back").optional(),
            weight("bias_back").optional(),
            weight("peephole_back").optional(),
            DIRECTION,
            OUTPUT_SEQUENCE,
            RECURRENT_ACTIVATION,
            activation("cell_activation", "tanh"),
            ACTIVATION,
            weight("clip").optional(),
        ],
        lstm,
    ),
    recurrent(
        "rnn",
        "`h = activation(W_ih x + W_hh h + b)` over `x` `[S, B, I]` from `initial_h` `[B, H]`, with weights `[H, I]`, `[H, H]` \
         and `bias` `[H]` (none by default). Gives `[S, B, H]` (or `[1, B, H]`, the last step, without `output_sequence`) and \
         the last `h` `[B, H]`.",
        &[X, INITIAL_H, WEIGHT_IH, WEIGHT_HH, BIAS, DIRECTION, OUTPUT_SEQUENCE, ACTIVATION],
        rnn,
    ),
];

/// The order in which a sequence is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first step of `x` to the last.
    Forward,
    /// From the last step to the first; outputs stand in the order of processing.
    Reverse,
    /// Both, with weights and states of their own; all outputs stand in the order of `x`.
    Bidirectional,
}

/// A nonlinearity inside a recurrent op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// The value itself.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `min(max(0.2 x + 0.5, 0), 1)`, called `hard_sigmoid` by `lstm`'s documentation and `sigmoid_hard` by `rnn`'s.
    SigmoidHard,
    /// `tanh(x)`; `scaled_tanh` as well.
    Tanh,
}

impl Nonlinearity {
    /// Slope and offset of the hard sigmoid (see the head of this module).
    pub const HARD: (f32, f32) = (0.2, 0.5);

    /// The names that the ops take, in any case of letters.
    pub const NAMES: [(&'static str, Nonlinearity); 7] = [
        ("hard_sigmoid", Nonlinearity::SigmoidHard),
        ("linear", Nonlinearity::Linear),
        ("relu", Nonlinearity::Relu),
        ("scaled_tanh", Nonlinearity::Tanh),
        ("sigmoid", Nonlinearity::Sigmoid),
        ("sigmoid_hard", Nonlinearity::SigmoidHard),
        ("tanh", Nonlinearity::Tanh),
    ];

    /// The nonlinearity that a string parameter names.
    ///
    /// # Errors
    /// When it names none; never for a verified operation.
    pub fn of(op: &OpView<'_>, param: &'static str) -> Result<Nonlinearity, InferError> {
        let found = op.string(param)?;
        // coremltools compares without regard to case.
        let known = Self::NAMES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(found));
        known.map(|(_, kind)| kind).ok_or_else(|| {
            let found: String = found.chars().take(40).collect();
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            InferError::new(param, format!("is \"{found}\", but must be one of: {names}"))
        })
    }
}

/// All sizes of a recurrent operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecurrentGeometry {
    /// `S`; at least 1.
    pub steps: usize,
    /// `B`.
    pub batch: usize,
    /// `I`, the elements of one input.
    pub features: usize,
    /// `H`, the elements of one direction's state.
    pub hidden: usize,
    /// Blocks of `H` rows in the weights: 4 for `lstm`, 3 for `gru`, 1 for `rnn`.
    pub gates: usize,
    /// The order of processing.
    pub direction: Direction,
    /// Whether every step is given, not only the last.
    pub output_sequence: bool,
}

impl RecurrentGeometry {
    /// `D`: 2 for a bidirectional operation, else 1.
    pub fn directions(&self) -> usize {
        if self.direction == Direction::Bidirectional { 2 } else { 1 }
    }
}

/// The sizes of a `gru`, `lstm` or `rnn`.
///
/// # Errors
/// When the arguments do not fit together; never for a verified operation.
pub fn geometry(op: &OpView<'_>) -> Result<RecurrentGeometry, InferError> {
    let (gates, directions): (usize, &[&str]) = match op.name() {
        "lstm" => (4, &["forward", "reverse", "bidirectional"]),
        "gru" => (3, &["forward", "reverse"]),
        _ => (1, &["forward", "reverse"]),
    };
    let (x, weight) = (op.tensor("x")?, op.tensor("weight_hh")?);
    check_rank("x", x, 3..=3)?;
    check_rank("weight_hh", weight, 2..=2)?;
    let direction = match choice(op, "direction", directions)? {
        "reverse" => Direction::Reverse,
        "bidirectional" => Direction::Bidirectional,
        _ => Direction::Forward,
    };
    let geometry = RecurrentGeometry {
        steps: x.shape[0],
        batch: x.shape[1],
        features: x.shape[2],
        hidden: weight.shape[1],
        gates,
        direction,
        output_sequence: op.bool("output_sequence")?,
    };
    if geometry.steps == 0 {
        return Err(InferError::new("x", format!("has shape {}, but must have at least one step", x.shape)));
    }
    check_weights(op, &geometry, ["weight_ih", "weight_hh", "bias"])?;
    let states = [geometry.batch, width(&geometry)?];
    check_shape(op, "initial_h", &states, "the batch of `x` and the states of all directions")?;
    Ok(geometry)
}

/// `D*H`.
fn width(geometry: &RecurrentGeometry) -> Result<usize, InferError> {
    geometry.directions().checked_mul(geometry.hidden).ok_or_else(|| too_large("weight_hh"))
}

fn check_weights(
    op: &OpView<'_>,
    geometry: &RecurrentGeometry,
    [input, recurrent, bias]: [&'static str; 3],
) -> Result<(), InferError> {
    let RecurrentGeometry { features, hidden, gates, .. } = *geometry;
    let rows = gates.checked_mul(hidden).ok_or_else(|| too_large(recurrent))?;
    let what = match gates {
        1 => "H rows, H being the columns of `weight_hh`".to_string(),
        _ => format!("{gates} gates of H rows each, H being the columns of `weight_hh`"),
    };
    check_shape(op, recurrent, &[rows, hidden], &what)?;
    check_shape(op, input, &[rows, features], &format!("{what}; columns as `x` has elements per step"))?;
    check_shape(op, bias, &[rows], &what)
}

fn outputs(op: &OpView<'_>, geometry: &RecurrentGeometry, states: usize) -> Inferred {
    let (x, width) = (op.tensor("x")?, width(geometry)?);
    let steps = if geometry.output_sequence { geometry.steps } else { 1 };
    let last = Type::Tensor(TensorType::new(x.dtype, [geometry.batch, width]));
    let mut types = vec![Type::Tensor(TensorType::new(x.dtype, [steps, geometry.batch, width]))];
    types.resize(1 + states, last);
    Ok(types)
}

fn rnn(op: &OpView<'_>) -> Inferred {
    let geometry = geometry(op)?;
    Nonlinearity::of(op, "activation")?;
    outputs(op, &geometry, 1)
}

fn gru(op: &OpView<'_>) -> Inferred {
    let geometry = geometry(op)?;
    check_weights(op, &geometry, ["weight_ih", "weight_hh", "input_bias"])?;
    op.bool("reset_after")?;
    Nonlinearity::of(op, "recurrent_activation")?;
    Nonlinearity::of(op, "activation")?;
    outputs(op, &geometry, 1)
}

fn lstm(op: &OpView<'_>) -> Inferred {
    let geometry = geometry(op)?;
    let states = [geometry.batch, width(&geometry)?];
    check_shape(op, "initial_c", &states, "the batch of `x` and the states of all directions")?;
    check_peephole(op, &geometry, "peephole")?;
    // Apple ignores the weights called `_back` in the other directions.
    if geometry.direction == Direction::Bidirectional {
        for param in ["weight_ih_back", "weight_hh_back"] {
            if op.value(param).is_none() {
                let message = "is missing, but `direction` \"bidirectional\" has weights for the way back";
                return Err(InferError::new(param, message));
            }
        }
        check_weights(op, &geometry, ["weight_ih_back", "weight_hh_back", "bias_back"])?;
        check_peephole(op, &geometry, "peephole_back")?;
    }
    for param in ["recurrent_activation", "cell_activation", "activation"] {
        Nonlinearity::of(op, param)?;
    }
    clip(op)?;
    outputs(op, &geometry, 2)
}

fn check_peephole(
    op: &OpView<'_>,
    geometry: &RecurrentGeometry,
    param: &'static str,
) -> Result<(), InferError> {
    let len = geometry.hidden.checked_mul(3).ok_or_else(|| too_large("weight_hh"))?;
    check_shape(op, param, &[len], "3 gates of H elements each, H being the columns of `weight_hh`")
}

/// The limit of an `lstm`'s cell state; `None` when there is none.
///
/// # Errors
/// When it is not one number that is 0 or more; never for a verified operation.
pub fn clip(op: &OpView<'_>) -> Result<Option<f32>, InferError> {
    if op.value("clip").is_none() {
        return Ok(None);
    }
    check_scalar(op, "clip")?;
    let clip = op.float("clip")?;
    if clip >= 0.0 {
        return Ok(Some(clip));
    }
    Err(InferError::new("clip", format!("is {clip}, but must be 0 or more; leave it out for no limit")))
}
