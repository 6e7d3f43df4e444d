//! What can be chosen about a training run.

use crate::NnError;
use crate::optim::{AdamW, Optimizer, Schedule};
use serde::{Deserialize, Serialize};

/// Dynamic loss scaling: the loss is multiplied by a scale so that small gradients survive `fp16`; a step whose
/// gradients overflow is skipped and the scale halved; after enough good steps it doubles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScaling {
    /// First scale.
    pub initial: f32,
    /// Good steps in a row before the scale doubles.
    pub growth_interval: u32,
}

impl Default for LossScaling {
    /// The defaults of `torch.amp.GradScaler`.
    fn default() -> LossScaling {
        LossScaling { initial: 65536.0, growth_interval: 2000 }
    }
}

/// In which precision the model computes. Weights, moments and updates are `fp32` either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Precision {
    /// Everything in `fp32`.
    #[default]
    Fp32,
    /// Forward and backward in `fp16`; losses and normalization statistics in `fp32`.
    Fp16(LossScaling),
}

/// What the step program does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOptions {
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Gradients whose global norm exceeds this are scaled down to it.
    pub clip_norm: Option<f32>,
    /// Batches whose gradients are averaged into one update.
    pub accumulate: u32,
    /// Whether weight decay leaves vectors (biases, norm weights) alone.
    pub decay_matrices_only: bool,
    /// Precision.
    pub precision: Precision,
}

impl Default for StepOptions {
    fn default() -> StepOptions {
        StepOptions {
            optimizer: Optimizer::AdamW(AdamW::default()),
            schedule: Schedule::Constant,
            clip_norm: None,
            accumulate: 1,
            decay_matrices_only: false,
            precision: Precision::Fp32,
        }
    }
}

impl StepOptions {
    /// Refuses options that make no sense.
    pub fn check(&self) -> Result<(), NnError> {
        self.optimizer.check()?;
        self.schedule.check()?;
        if self.accumulate == 0 {
            return Err(NnError::config("accumulate", "is 0, but must be at least 1 batch"));
        }
        if let Some(norm) = self.clip_norm
            && !(norm > 0.0 && norm.is_finite())
        {
            return Err(NnError::config("clip_norm", format!("is {norm}, but must be a positive number")));
        }
        if let Precision::Fp16(scaling) = self.precision
            && !(scaling.initial >= 1.0 && scaling.initial.is_finite() && scaling.growth_interval > 0)
        {
            return Err(NnError::config(
                "loss scaling",
                "needs a scale of at least 1 and a positive interval",
            ));
        }
        Ok(())
    }
}

/// What the loop around the step program does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// Batches to train on in all (with accumulation: micro-batches).
    pub steps: u64,
    /// Rows in a batch.
    pub batch_size: usize,
    /// Seed of initial weights, data order and dropout.
    pub seed: u64,
    /// Evaluate on held-out data every this many steps (and at the end).
    pub eval_every: u64,
    /// Held-out batches per evaluation; all when absent.
    pub eval_batches: Option<usize>,
    /// Write a checkpoint every this many steps (and at the end).
    pub save_every: u64,
    /// What the step does.
    pub step: StepOptions,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions {
            steps: 1000,
            batch_size: 16,
            seed: 0,
            eval_every: 250,
            eval_batches: None,
            save_every: 250,
            step: StepOptions::default(),
        }
    }
}

impl TrainOptions {
    /// Refuses options that make no sense.
    pub fn check(&self) -> Result<(), NnError> {
        for (what, value) in [
            ("steps", self.steps),
            ("batch_size", self.batch_size as u64),
            ("eval_every", self.eval_every),
            ("save_every", self.save_every),
        ] {
            if value == 0 {
                return Err(NnError::config(what, "is 0, but must be at least 1"));
            }
        }
        if self.steps > i32::MAX as u64 {
            return Err(NnError::config(
                "steps",
                format!("is {}, but at most {} are counted", self.steps, i32::MAX),
            ));
        }
        self.step.check()
    }
}
