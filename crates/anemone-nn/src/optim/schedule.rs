//! Learning-rate schedules, computed inside the step program from the number of updates made.

use crate::{Graph, NnError};
use mil::ValueId;
use serde::{Deserialize, Serialize};

/// How the learning rate changes over the updates of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// Rises linearly over `warmup` updates, then falls along half a cosine to `min_ratio` of its peak at
    /// update `total`, and stays there.
    WarmupCosine {
        /// Updates of linear rise.
        warmup: u32,
        /// Updates until the minimum is reached.
        total: u32,
        /// The minimum, as a fraction of the peak.
        min_ratio: f32,
    },
    /// Multiplied by `gamma` after every `size` updates.
    Step {
        /// Updates between two changes.
        size: u32,
        /// Factor.
        gamma: f32,
    },
}

impl Schedule {
    /// Refuses parameters that make no sense.
    pub fn check(&self) -> Result<(), NnError> {
        match *self {
            Schedule::Constant => Ok(()),
            Schedule::WarmupCosine { warmup, total, min_ratio } => {
                super::in_range("the schedule's min_ratio", min_ratio, 0.0, 1.0)?;
                if warmup >= total {
                    let message = format!("is {warmup} updates of {total}; it must be shorter than the run");
                    return Err(NnError::config("the warm-up", message));
                }
                Ok(())
            }
            Schedule::Step { size, gamma } => {
                super::in_range("the schedule's gamma", gamma, 0.0, 1e3)?;
                if size == 0 {
                    return Err(NnError::config(
                        "the schedule's size",
                        "is 0, but must be at least 1 update",
                    ));
                }
                Ok(())
            }
        }
    }

    /// The learning rate for the next update, where `done` (an `fp32` scalar) updates have been made.
    pub fn learning_rate(&self, g: &mut Graph, peak: f32, done: ValueId) -> Result<ValueId, NnError> {
        match *self {
            Schedule::Constant => Ok(g.float(mil::DataType::Fp32, peak)),
            Schedule::WarmupCosine { warmup, total, min_ratio } => {
                let falling = cosine(g, warmup, total, min_ratio, done)?;
                let factor = if warmup == 0 {
                    falling
                } else {
                    let next = g.add(done, 1.0)?;
                    let rising = g.mul(next, 1.0 / warmup as f32)?;
                    let warming = g.less(done, warmup as f32)?;
                    g.select(warming, rising, falling)?
                };
                Ok(g.mul(factor, peak)?)
            }
            Schedule::Step { size, gamma } => {
                let exact = g.mul(done, 1.0 / size as f32)?;
                // Half an update of slack keeps multiples of `size` from rounding down.
                let slack = g.add(exact, 0.5 / size as f32)?;
                let count = g.unary("floor", slack)?;
                let factor = g.pow(gamma, count)?;
                Ok(g.mul(factor, peak)?)
            }
        }
    }
}

fn cosine(g: &mut Graph, warmup: u32, total: u32, min_ratio: f32, done: ValueId) -> Result<ValueId, NnError> {
    let since = g.sub(done, warmup as f32)?;
    let part = g.mul(since, 1.0 / (total - warmup) as f32)?;
    let part = g.op("clip").arg("x", part).float("alpha", 0.0).float("beta", 1.0).one()?;
    let angle = g.mul(part, std::f32::consts::PI)?;
    let cosine = g.unary("cos", angle)?;
    let raised = g.add(cosine, 1.0)?;
    let scaled = g.mul(raised, 0.5 * (1.0 - min_ratio))?;
    Ok(g.add(scaled, min_ratio)?)
}
