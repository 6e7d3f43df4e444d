//! Passes: MIL programs in, MIL programs out. None of them executes anything.

pub mod autodiff;
mod carry;
mod classify;
mod flexible;
mod opset;
mod precision;
mod rewrite;
mod simplify;
mod states;

pub use carry::{hold_states, start_states};
pub use classify::{Classifier, classifiers_to_scores};
pub use flexible::{FlexibleError, flexible};
pub use opset::lowest_opset;
pub use precision::{PrecisionOptions, io_to_fp16, to_fp16};
pub use rewrite::compact;
pub use simplify::simplify;
pub use states::{StatePassError, freeze, states_to_io};
