//! Dynamic loss scaling inside the step program.

use super::options::LossScaling;
use crate::init::Init;
use crate::{Graph, NnError};
use mil::{DataType, TensorType, ValueId};

/// The largest scale: beyond it even gradients at the bottom of `fp16`'s range no longer gain anything.
const MAX_SCALE: f32 = 16_777_216.0;

/// The scale of this step and how it goes on.
pub(super) struct LossScale {
    options: LossScaling,
    scale: (crate::Buffer, ValueId),
    good_steps: (crate::Buffer, ValueId),
}

impl LossScale {
    /// Declares the states, named as in PyTorch's `GradScaler`.
    pub(super) fn new(g: &mut Graph, options: LossScaling) -> Result<LossScale, NnError> {
        let scalar = TensorType::fp32(mil::Shape::scalar());
        let count = TensorType::scalar(DataType::Int32);
        Ok(LossScale {
            options,
            scale: g.buffer("grad_scaler.scale", scalar, Init::Constant(options.initial))?,
            good_steps: g.buffer("grad_scaler.growth_tracker", count, Init::Zeros)?,
        })
    }

    /// The scale that this step's loss is multiplied by.
    pub(super) fn value(&self) -> ValueId {
        self.scale.1
    }

    /// Halves the scale when the step overflowed, doubles it after enough good ones. `due` marks the steps that
    /// end in an update (all but those that only accumulate).
    pub(super) fn advance(self, g: &mut Graph, finite: ValueId, due: Option<ValueId>) -> Result<(), NnError> {
        let (scale_state, scale) = self.scale;
        let (good_state, good) = self.good_steps;
        let one = g.int(1);
        let zero = g.int(0);
        let counted = g.add(good, one)?;
        let interval = g.int(self.options.growth_interval.min(i32::MAX as u32) as i32);
        let grown = g.greater_equal(counted, interval)?;
        let doubled = g.mul(scale, 2.0)?;
        let doubled = g.minimum(doubled, MAX_SCALE)?;
        let good_scale = g.select(grown, doubled, scale)?;
        let good_count = g.select(grown, zero, counted)?;
        let halved = g.mul(scale, 0.5)?;
        let halved = g.maximum(halved, 1.0)?;
        let mut next_scale = g.select(finite, good_scale, halved)?;
        let mut next_count = g.select(finite, good_count, zero)?;
        if let Some(due) = due {
            next_scale = g.select(due, next_scale, scale)?;
            next_count = g.select(due, next_count, good)?;
        }
        g.update_buffer(scale_state, next_scale);
        g.update_buffer(good_state, next_count);
        Ok(())
    }
}
