//! Stochastic gradient descent.

use super::{StepValues, Update, Updated, in_range};
use crate::{Graph, NnError};
use serde::{Deserialize, Serialize};

/// `torch.optim.SGD`: gradient descent with optional momentum, Nesterov's variant and L2 weight decay.
///
/// `g = gradient + weight_decay * p; b = momentum * b + g; p = p - lr * (nesterov ? g + momentum * b : b)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SGD {
    /// Learning rate.
    pub lr: f32,
    /// Momentum factor.
    pub momentum: f32,
    /// Weight decay (L2 penalty).
    pub weight_decay: f32,
    /// Nesterov momentum.
    pub nesterov: bool,
}

impl Default for SGD {
    fn default() -> SGD {
        SGD { lr: 1e-3, momentum: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

impl SGD {
    pub(super) fn check(&self) -> Result<(), NnError> {
        in_range("SGD's lr", self.lr, 0.0, 1e6)?;
        in_range("SGD's momentum", self.momentum, 0.0, 1.0)?;
        in_range("SGD's weight_decay", self.weight_decay, 0.0, 1e6)?;
        if self.nesterov && self.momentum == 0.0 {
            return Err(NnError::config("SGD's nesterov", "needs a momentum above 0"));
        }
        Ok(())
    }

    pub(super) fn update(
        &self,
        g: &mut Graph,
        step: StepValues,
        update: &Update<'_>,
    ) -> Result<Updated, NnError> {
        let gradient = update.penalized(g, self.weight_decay)?;
        let mut states = Vec::new();
        let mut direction = gradient;
        if self.momentum != 0.0 {
            let (state, old) = g.companion("sgd_momentum", update.parameter)?;
            let kept = g.mul(old, self.momentum)?;
            let velocity = g.add(kept, gradient)?;
            states.push((state, old, velocity));
            direction = velocity;
            if self.nesterov {
                let ahead = g.mul(velocity, self.momentum)?;
                direction = g.add(gradient, ahead)?;
            }
        }
        let change = g.mul(direction, step.learning_rate)?;
        Ok(Updated { value: g.sub(update.parameter.value, change)?, states })
    }
}
