//! Adam and AdamW.

use super::{StepValues, Update, Updated, in_range};
use crate::{Graph, NnError};
use mil::ValueId;
use serde::{Deserialize, Serialize};

/// `torch.optim.Adam` (Kingma and Ba, 2015), with L2 weight decay added to the gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adam {
    /// Learning rate.
    pub lr: f32,
    /// Decay rates of the first and second moment.
    pub betas: (f32, f32),
    /// Added to the denominator.
    pub eps: f32,
    /// Weight decay (L2 penalty).
    pub weight_decay: f32,
}

impl Default for Adam {
    fn default() -> Adam {
        Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0 }
    }
}

/// `torch.optim.AdamW` (Loshchilov and Hutter, 2019): weight decay applied to the parameter itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay rates of the first and second moment.
    pub betas: (f32, f32),
    /// Added to the denominator.
    pub eps: f32,
    /// Weight decay per step, in units of the learning rate.
    pub weight_decay: f32,
}

impl Default for AdamW {
    fn default() -> AdamW {
        AdamW { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2 }
    }
}

impl Adam {
    pub(super) fn check(&self) -> Result<(), NnError> {
        check("Adam", self.lr, self.betas, self.eps, self.weight_decay)
    }

    pub(super) fn update(
        &self,
        g: &mut Graph,
        step: StepValues,
        update: &Update<'_>,
    ) -> Result<Updated, NnError> {
        let gradient = update.penalized(g, self.weight_decay)?;
        let moments = Moments { betas: self.betas, eps: self.eps };
        moments.update(g, step, update, gradient, update.parameter.value)
    }
}

impl AdamW {
    pub(super) fn check(&self) -> Result<(), NnError> {
        check("AdamW", self.lr, self.betas, self.eps, self.weight_decay)
    }

    pub(super) fn update(
        &self,
        g: &mut Graph,
        step: StepValues,
        update: &Update<'_>,
    ) -> Result<Updated, NnError> {
        let mut value = update.parameter.value;
        if update.decay && self.weight_decay != 0.0 {
            let rate = g.mul(step.learning_rate, self.weight_decay)?;
            let keep = g.sub(1.0, rate)?;
            value = g.mul(value, keep)?;
        }
        let moments = Moments { betas: self.betas, eps: self.eps };
        moments.update(g, step, update, update.gradient, value)
    }
}

struct Moments {
    betas: (f32, f32),
    eps: f32,
}

impl Moments {
    /// `m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
    /// p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)`, in PyTorch's order of operations.
    fn update(
        &self,
        g: &mut Graph,
        step: StepValues,
        update: &Update<'_>,
        gradient: ValueId,
        value: ValueId,
    ) -> Result<Updated, NnError> {
        let (beta1, beta2) = self.betas;
        let (m_state, m_old) = g.companion("adam_m", update.parameter)?;
        let (v_state, v_old) = g.companion("adam_v", update.parameter)?;
        let kept = g.mul(m_old, beta1)?;
        let new = g.mul(gradient, 1.0 - beta1)?;
        let m = g.add(kept, new)?;
        let kept = g.mul(v_old, beta2)?;
        let squared = g.mul(gradient, gradient)?;
        let new = g.mul(squared, 1.0 - beta2)?;
        let v = g.add(kept, new)?;
        let correction1 = bias_correction(g, beta1, step.count)?;
        let correction2 = bias_correction(g, beta2, step.count)?;
        let root = g.unary("sqrt", correction2)?;
        let rate = g.real_div(step.learning_rate, correction1)?;
        let deviation = g.unary("sqrt", v)?;
        let scaled = g.real_div(deviation, root)?;
        let denominator = g.add(scaled, self.eps)?;
        let direction = g.real_div(m, denominator)?;
        let change = g.mul(direction, rate)?;
        let value = g.sub(value, change)?;
        Ok(Updated { value, states: vec![(m_state, m_old, m), (v_state, v_old, v)] })
    }
}

/// `1 - beta^t`.
fn bias_correction(g: &mut Graph, beta: f32, count: ValueId) -> Result<ValueId, NnError> {
    let power = g.pow(beta, count)?;
    Ok(g.sub(1.0, power)?)
}

fn check(name: &str, lr: f32, betas: (f32, f32), eps: f32, weight_decay: f32) -> Result<(), NnError> {
    in_range(&format!("{name}'s lr"), lr, 0.0, 1e6)?;
    in_range(&format!("{name}'s first beta"), betas.0, 0.0, 0.999_999)?;
    in_range(&format!("{name}'s second beta"), betas.1, 0.0, 0.999_999)?;
    in_range(&format!("{name}'s eps"), eps, 0.0, 1.0)?;
    in_range(&format!("{name}'s weight_decay"), weight_decay, 0.0, 1e6)
}
