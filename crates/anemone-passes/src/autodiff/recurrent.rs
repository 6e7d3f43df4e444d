//! Recurrent networks: back-propagation through time, unrolled over the steps.
//!
//! The states of all steps are known before the backward pass begins: the operation gives them, or (without
//! `output_sequence`) is run again as one that does. So the gates of all steps are computed again at once, and with them
//! everything that a step's gradient is multiplied by. Only the chain of cotangents is unrolled: what a step adds to the
//! program is
//!
//! | op | operations per step and direction |
//! |---|---|
//! | `rnn` | 3 (add the cotangent of the output, scale, product with `weight_hh`), 2 with a linear activation |
//! | `gru` | 10, with `reset_after` 6 |
//! | `lstm` | 7 for the chain, 2 for the cell states; `clip` adds 2, peepholes add 6 |
//!
//! and one less where the loss depends on the last step alone. The gradients of weights, biases, peepholes and `x` are one
//! product or sum over all steps. (A program of thousands of steps is better cut into several operations.)

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::shapes;
use mil::ops::recurrent::{Direction, Nonlinearity, RecurrentGeometry, geometry};
use mil::{Arg, ValueId};

mod gru;
mod lstm;

pub(super) static RULES: &[(&str, Rule)] =
    &[("gru", Vjp(gru::gru)), ("lstm", Vjp(lstm::lstm)), ("rnn", Vjp(rnn))];

type Made = Result<ValueId, RuleError>;

/// One direction of an operation. Everything of several steps is `[S, B, …]` in the order of processing, everything of
/// one step `[1, B, …]`.
struct Part {
    geometry: RecurrentGeometry,
    /// Whether this is the second half of a bidirectional operation.
    back: bool,
    reversed: bool,
    /// The input.
    x: ValueId,
    /// `h` after each step.
    after: ValueId,
    /// `h` before each step.
    before: ValueId,
    /// The cotangent of `h` after each step, as far as it comes from the outputs.
    cotangents: Vec<Option<ValueId>>,
}

/// The directions of the operation.
fn parts(g: &mut Gradient<'_>) -> Result<Vec<Part>, RuleError> {
    let geometry = geometry(&g.view())?;
    let all = states(g, &geometry)?;
    match geometry.direction {
        Direction::Forward => Ok(vec![Part::new(g, geometry, all, false, false)?]),
        Direction::Reverse => Ok(vec![Part::new(g, geometry, all, false, true)?]),
        Direction::Bidirectional => {
            Ok(vec![Part::new(g, geometry, all, false, false)?, Part::new(g, geometry, all, true, true)?])
        }
    }
}

/// `h` after every step, of all directions.
fn states(g: &mut Gradient<'_>, geometry: &RecurrentGeometry) -> Made {
    if geometry.output_sequence {
        return Ok(g.y());
    }
    let operation = g.operation();
    let declaration = operation.op.declaration();
    let mut again = g.f.op(declaration.name);
    for (param, arg) in declaration.params.iter().zip(&operation.args) {
        if !matches!(arg, Arg::None) {
            again = again.set_arg(param.name, arg.clone());
        }
    }
    let outputs = again.bool("output_sequence", true).many()?;
    Ok(outputs[0])
}

impl Part {
    fn new(
        g: &mut Gradient<'_>,
        geometry: RecurrentGeometry,
        all: ValueId,
        back: bool,
        reversed: bool,
    ) -> Result<Part, RuleError> {
        let mut part =
            Part { geometry, back, reversed, x: all, after: all, before: all, cotangents: Vec::new() };
        let x = g.arg("x")?;
        part.x = if reversed { reverse(g, x)? } else { x };
        part.after = part.own_sequence(g, all)?;
        let initial = g.arg("initial_h")?;
        let initial = part.own_state(g, initial)?;
        part.before = part.delayed(g, initial, part.after)?;
        part.cotangents = vec![None; geometry.steps];
        if let Some(sequence) = g.cotangent(0)? {
            if geometry.output_sequence {
                let sequence = part.own_sequence(g, sequence)?;
                part.cotangents = part.steps(g, sequence)?.into_iter().map(Some).collect();
            } else {
                let last = part.own_half(g, sequence, 2)?;
                part.cotangents[geometry.steps - 1] = Some(last);
            }
        }
        if let Some(last) = g.cotangent(1)? {
            let last = part.own_state(g, last)?;
            let sequence = part.cotangents[geometry.steps - 1];
            part.cotangents[geometry.steps - 1] = Some(sum(g, sequence, last)?);
        }
        Ok(part)
    }

    /// The name of a weight of this direction.
    fn name(&self, forward: &'static str, back: &'static str) -> &'static str {
        if self.back { back } else { forward }
    }

    /// The weights of the input and of the state.
    fn weights(&self, g: &Gradient<'_>) -> Result<[ValueId; 2], RuleError> {
        Ok([
            g.arg(self.name("weight_ih", "weight_ih_back"))?,
            g.arg(self.name("weight_hh", "weight_hh_back"))?,
        ])
    }

    /// This direction's elements of what has `D*H` along `axis`.
    fn own_half(&self, g: &mut Gradient<'_>, value: ValueId, axis: usize) -> Made {
        let hidden = self.geometry.hidden;
        let begin = if self.back { hidden } else { 0 };
        Ok(shapes::slice_axis(g.f, value, axis, begin, hidden)?)
    }

    /// This direction of an output sequence (or its cotangent), in the order of processing.
    fn own_sequence(&self, g: &mut Gradient<'_>, value: ValueId) -> Made {
        let own = self.own_half(g, value, 2)?;
        if self.back { reverse(g, own) } else { Ok(own) }
    }

    /// This direction of a state `[B, D*H]`, as one step.
    fn own_state(&self, g: &mut Gradient<'_>, value: ValueId) -> Made {
        let own = self.own_half(g, value, 1)?;
        Ok(g.f.reshape(own, &[1, self.geometry.batch, self.geometry.hidden])?)
    }

    /// The values before each step of those after each step, and the `first` one.
    fn delayed(&self, g: &mut Gradient<'_>, first: ValueId, after: ValueId) -> Made {
        if self.geometry.steps == 1 {
            return Ok(first);
        }
        let rest = shapes::slice_axis(g.f, after, 0, 0, self.geometry.steps - 1)?;
        concat(g, &[first, rest], 0)
    }

    /// The cotangent of `h` after a step: from the outputs, and from the step after it.
    fn cotangent(&self, g: &mut Gradient<'_>, step: usize, carried: Option<ValueId>) -> Made {
        match (self.cotangents[step], carried) {
            (output, Some(carried)) => sum(g, output, carried),
            (Some(output), None) => Ok(output),
            // The loss sees the last cell alone.
            (None, None) => {
                let ty = g.f.function().tensor(self.after);
                let one = ty.with_shape([1, self.geometry.batch, self.geometry.hidden]);
                Ok(shapes::zeros(g.f, &one)?)
            }
        }
    }

    /// The steps of a sequence.
    fn steps(&self, g: &mut Gradient<'_>, value: ValueId) -> Result<Vec<ValueId>, RuleError> {
        pieces(g, value, 0, self.geometry.steps)
    }

    /// A sequence of steps that were made from the last to the first.
    fn sequence(&self, g: &mut Gradient<'_>, mut backwards: Vec<ValueId>) -> Made {
        backwards.reverse();
        concat(g, &backwards, 0)
    }

    /// `[S, B, …]` as `[S*B, …]`.
    fn flat(&self, g: &mut Gradient<'_>, value: ValueId) -> Made {
        let width = g.shape(value)[2];
        Ok(g.f.reshape(value, &[self.geometry.steps * self.geometry.batch, width])?)
    }

    /// The gradient of a weight: `aᵀ b` over all steps and items.
    fn outer(&self, g: &mut Gradient<'_>, a: ValueId, b: ValueId) -> Made {
        let (a, b) = (self.flat(g, a)?, self.flat(g, b)?);
        Ok(g.f.matmul(a, b, true, false)?)
    }

    /// Gives the gradients of `x` and of its weight, by that of the input's part of the gates.
    fn give_input(&self, g: &mut Gradient<'_>, gates: ValueId) -> Done {
        let param = self.name("weight_ih", "weight_ih_back");
        let weight = g.arg(param)?;
        if g.wants("x") {
            let dx = g.f.matmul(gates, weight, false, false)?;
            let dx = if self.reversed { reverse(g, dx)? } else { dx };
            g.give("x", dx)?;
        }
        if g.wants(param) {
            let dw = self.outer(g, gates, self.x)?;
            g.give(param, dw)?;
        }
        Ok(())
    }

    /// Gives the gradient of a bias that was added to all steps' `gates`.
    fn give_bias(&self, g: &mut Gradient<'_>, param: &'static str, gates: ValueId) -> Done {
        if !g.wants(param) {
            return Ok(());
        }
        let sum = over_steps(g, gates)?;
        g.give(param, sum)
    }

    /// Gives the gradient of `weight_hh`, where all gates see the same state.
    fn give_recurrent(&self, g: &mut Gradient<'_>, gates: ValueId) -> Done {
        let param = self.name("weight_hh", "weight_hh_back");
        if !g.wants(param) {
            return Ok(());
        }
        let dw = self.outer(g, gates, self.before)?;
        g.give(param, dw)
    }
}

/// Gives the gradient of an initial state: those of the directions, one step each.
fn give_initial(g: &mut Gradient<'_>, param: &'static str, directions: &[ValueId]) -> Done {
    let value = g.arg(param)?;
    if !g.wants_value(value) {
        return Ok(());
    }
    let both = concat(g, directions, 2)?;
    let shape = g.shape(value);
    let gradient = g.f.reshape(both, &shape)?;
    g.give(param, gradient)
}

/// `Σ` over steps and batch of `[S, B, N]`.
fn over_steps(g: &mut Gradient<'_>, value: ValueId) -> Made {
    Ok(g.f.reduce("reduce_sum", value, &[0, 1], false)?)
}

fn reverse(g: &mut Gradient<'_>, value: ValueId) -> Made {
    Ok(g.f.op("reverse").arg("x", value).ints("axes", &[0]).one()?)
}

fn concat(g: &mut Gradient<'_>, values: &[ValueId], axis: i32) -> Made {
    match values {
        [one] => Ok(*one),
        _ => Ok(g.f.op("concat").args("values", values).int("axis", axis).one()?),
    }
}

/// A value cut into equal pieces.
fn pieces(g: &mut Gradient<'_>, value: ValueId, axis: i32, count: usize) -> Result<Vec<ValueId>, RuleError> {
    if count == 1 {
        return Ok(vec![value]);
    }
    let sizes = vec![g.shape(value)[axis as usize] / count; count];
    let sizes = mil::Shape::new(&sizes).to_i32();
    Ok(g.f.op("split").arg("x", value).ints("split_sizes", &sizes).int("axis", axis).many()?)
}

/// `a + b`, or what there is of it.
fn sum(g: &mut Gradient<'_>, a: Option<ValueId>, b: ValueId) -> Made {
    match a {
        Some(a) => Ok(g.f.add(a, b)?),
        None => Ok(b),
    }
}

/// `value * factor`, no factor meaning 1.
fn times(g: &mut Gradient<'_>, value: ValueId, factor: Option<ValueId>) -> Made {
    match factor {
        Some(factor) => Ok(g.f.mul(value, factor)?),
        None => Ok(value),
    }
}

/// A nonlinearity as an operation.
fn apply(g: &mut Gradient<'_>, kind: Nonlinearity, x: ValueId) -> Made {
    let op = match kind {
        Nonlinearity::Linear => return Ok(x),
        Nonlinearity::Relu => "relu",
        Nonlinearity::Sigmoid => "sigmoid",
        Nonlinearity::SigmoidHard => {
            let (slope, offset) = Nonlinearity::HARD;
            let op = g.f.op("sigmoid_hard").arg("x", x);
            return Ok(op.float("alpha", slope).float("beta", offset).one()?);
        }
        Nonlinearity::Tanh => "tanh",
    };
    Ok(g.f.unary(op, x)?)
}

/// The slope of a nonlinearity where its value is `y`; `None` for 1. At kinks 0, as for the ops of these names.
fn slope(g: &mut Gradient<'_>, kind: Nonlinearity, y: ValueId) -> Result<Option<ValueId>, RuleError> {
    let dtype = g.dtype(y);
    Ok(Some(match kind {
        Nonlinearity::Linear => return Ok(None),
        Nonlinearity::Relu => {
            let positive = g.f.greater(y, 0.0)?;
            g.f.cast(positive, dtype)?
        }
        Nonlinearity::Sigmoid => {
            let rest = g.f.sub(1.0, y)?;
            g.f.mul(y, rest)?
        }
        Nonlinearity::SigmoidHard => {
            let (above, below) = (g.f.greater(y, 0.0)?, g.f.less(y, 1.0)?);
            let inside = g.f.logical_and(above, below)?;
            let inside = g.f.cast(inside, dtype)?;
            g.f.mul(inside, Nonlinearity::HARD.0)?
        }
        Nonlinearity::Tanh => {
            let square = g.f.mul(y, y)?;
            g.f.sub(1.0, square)?
        }
    }))
}

/// `x · weightᵀ + bias`.
fn affine(g: &mut Gradient<'_>, x: ValueId, weight: ValueId, bias: Option<ValueId>) -> Made {
    let product = g.f.matmul(x, weight, false, true)?;
    sum(g, bias, product)
}

/// `h' = φ(a)` with `a = W_i x + W_h h + b`: `da = φ' dh'`, `dh = W_hᵀ da`.
fn rnn(g: &mut Gradient<'_>) -> Done {
    let kind = Nonlinearity::of(&g.view(), "activation")?;
    for part in parts(g)? {
        let factor = match slope(g, kind, part.after)? {
            Some(factor) => Some(part.steps(g, factor)?),
            None => None,
        };
        let weight = g.arg("weight_hh")?;
        let mut carried = None;
        let mut gates = Vec::with_capacity(part.geometry.steps);
        for step in (0..part.geometry.steps).rev() {
            let dh = part.cotangent(g, step, carried)?;
            let da = times(g, dh, factor.as_ref().map(|factor| factor[step]))?;
            gates.push(da);
            carried = Some(g.f.matmul(da, weight, false, false)?);
        }
        let gates = part.sequence(g, gates)?;
        part.give_input(g, gates)?;
        part.give_recurrent(g, gates)?;
        part.give_bias(g, "bias", gates)?;
        if let Some(dh) = carried {
            give_initial(g, "initial_h", &[dh])?;
        }
    }
    Ok(())
}
