//! Training: the step program, the loop around it, checkpoints and reports.

mod checkpoint;
mod curve;
mod data;
mod evaluate;
mod log;
mod loss_scale;
mod options;
mod program;
mod trainer;

pub use checkpoint::{Checkpoint, read_states, write_states};
pub use curve::{Curve, write_curve};
pub use data::{Batch, Data, ImageData, TokenData};
pub use evaluate::{Evaluation, Evaluator};
pub use options::{LossScaling, Precision, StepOptions, TrainOptions};
pub(crate) use program::first_fault;
pub use program::{Loss, Model, NamedValue, Programs, StateSpec, programs};
pub use trainer::{Event, Outcome, Report, Trainer};
