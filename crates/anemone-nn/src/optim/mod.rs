//! Optimizers as MIL operations on states, with PyTorch's names, formulas and defaults.
//!
//! An optimizer here is a recipe: given a parameter and its gradient in a graph, it adds the operations that compute
//! the new value, and the states (momentum, moments) that it needs. The training step that holds them is one program.

mod adam;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamW};
pub use schedule::Schedule;
pub use sgd::SGD;

use crate::{Buffer, Graph, NnError, Parameter};
use mil::ValueId;

/// An optimizer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    SGD(SGD),
    /// Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

/// Values that all updates of one step share.
#[derive(Clone, Copy, Debug)]
pub struct StepValues {
    /// Learning rate, `fp32` scalar.
    pub learning_rate: ValueId,
    /// Number of this update, counted from 1, `fp32` scalar.
    pub count: ValueId,
}

/// A parameter to be updated.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// The parameter, with its value before the step; the optimizer's states are named after it.
    pub parameter: &'a Parameter,
    /// Its gradient.
    pub gradient: ValueId,
    /// Whether weight decay applies to it.
    pub decay: bool,
}

/// What an optimizer makes of one parameter: the new value, and new values of its own states.
#[derive(Clone, Debug)]
pub struct Updated {
    /// New value of the parameter.
    pub value: ValueId,
    /// The optimizer's states for the parameter: state, value before the step, new value.
    pub states: Vec<(Buffer, ValueId, ValueId)>,
}

impl Optimizer {
    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f32 {
        match self {
            Optimizer::SGD(sgd) => sgd.lr,
            Optimizer::Adam(adam) => adam.lr,
            Optimizer::AdamW(adamw) => adamw.lr,
        }
    }

    /// Another learning rate.
    pub fn set_learning_rate(&mut self, lr: f32) {
        match self {
            Optimizer::SGD(sgd) => sgd.lr = lr,
            Optimizer::Adam(adam) => adam.lr = lr,
            Optimizer::AdamW(adamw) => adamw.lr = lr,
        }
    }

    /// Refuses hyperparameters that make no sense.
    pub fn check(&self) -> Result<(), NnError> {
        match self {
            Optimizer::SGD(sgd) => sgd.check(),
            Optimizer::Adam(adam) => adam.check(),
            Optimizer::AdamW(adamw) => adamw.check(),
        }
    }

    /// Adds the operations that update one parameter.
    pub fn update(&self, g: &mut Graph, step: StepValues, update: &Update<'_>) -> Result<Updated, NnError> {
        match self {
            Optimizer::SGD(sgd) => sgd.update(g, step, update),
            Optimizer::Adam(adam) => adam.update(g, step, update),
            Optimizer::AdamW(adamw) => adamw.update(g, step, update),
        }
    }
}

impl Update<'_> {
    /// The gradient with that of an L2 penalty added: `gradient + weight_decay * parameter`.
    fn penalized(&self, g: &mut Graph, weight_decay: f32) -> Result<ValueId, NnError> {
        if !self.decay || weight_decay == 0.0 {
            return Ok(self.gradient);
        }
        let penalty = g.mul(self.parameter.value, weight_decay)?;
        Ok(g.add(self.gradient, penalty)?)
    }
}

/// Fails unless `value` lies in `low..=high`.
fn in_range(what: &str, value: f32, low: f32, high: f32) -> Result<(), NnError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(NnError::config(what, format!("is {value}, but must be between {low} and {high}")))
}
