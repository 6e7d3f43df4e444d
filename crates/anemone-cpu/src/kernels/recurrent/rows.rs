//! What a step does to the rows of gates and states, in `f32`. Every loop is one basic operation per element after the
//! other, so that all instruction sets give the same bits.

use crate::elementwise::math;
use crate::isa::per_isa;
use mil::ops::recurrent::Nonlinearity;

per_isa! {
    fn relu[](values: &mut [f32]) -> () {
        for value in values {
            *value = math::maximum(*value, 0.0);
        }
    }
}

per_isa! {
    fn sigmoid[](values: &mut [f32]) -> () {
        for value in values {
            *value = math::sigmoid(*value);
        }
    }
}

per_isa! {
    fn sigmoid_hard[](values: &mut [f32]) -> () {
        let (slope, offset) = Nonlinearity::HARD;
        for value in values {
            *value = math::minimum(math::maximum(slope * *value + offset, 0.0), 1.0);
        }
    }
}

per_isa! {
    fn tanh[](values: &mut [f32]) -> () {
        for value in values {
            *value = math::tanh(*value);
        }
    }
}

/// Applies a nonlinearity in place.
pub(super) fn apply(kind: Nonlinearity, values: &mut [f32]) {
    match kind {
        Nonlinearity::Linear => {}
        Nonlinearity::Relu => relu(values),
        Nonlinearity::Sigmoid => sigmoid(values),
        Nonlinearity::SigmoidHard => sigmoid_hard(values),
        Nonlinearity::Tanh => tanh(values),
    }
}

per_isa! {
    /// `values + a * b`.
    pub(super) fn add_product[](values: &mut [f32], a: &[f32], b: &[f32]) -> () {
        for ((value, a), b) in values.iter_mut().zip(a).zip(b) {
            *value += a * b;
        }
    }
}

per_isa! {
    /// `a * b`.
    pub(super) fn product[](values: &mut [f32], a: &[f32], b: &[f32]) -> () {
        for ((value, a), b) in values.iter_mut().zip(a).zip(b) {
            *value = a * b;
        }
    }
}

per_isa! {
    /// `values * by`.
    pub(super) fn scale[](values: &mut [f32], by: &[f32]) -> () {
        for (value, by) in values.iter_mut().zip(by) {
            *value *= by;
        }
    }
}

per_isa! {
    /// The cell state: `forget * cell + input * new`.
    pub(super) fn remember[](cell: &mut [f32], forget: &[f32], input: &[f32], new: &[f32]) -> () {
        for (((cell, forget), input), new) in cell.iter_mut().zip(forget).zip(input).zip(new) {
            *cell = forget * *cell + input * new;
        }
    }
}

per_isa! {
    /// Limited to `-limit..=limit`; `NaN` stays.
    pub(super) fn clip[](values: &mut [f32], limit: f32) -> () {
        for value in values {
            let high = if *value > limit { limit } else { *value };
            *value = if high < -limit { -limit } else { high };
        }
    }
}

per_isa! {
    /// The state of a `gru`: `(1 - update) * new + update * state`.
    pub(super) fn blend[](state: &mut [f32], update: &[f32], new: &[f32]) -> () {
        for ((state, update), new) in state.iter_mut().zip(update).zip(new) {
            *state = (1.0 - update) * new + update * *state;
        }
    }
}
