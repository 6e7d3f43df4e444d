//! Passes: MIL programs in, MIL programs out. None of them executes anything.

pub mod autodiff;
mod classify;
mod precision;
mod rewrite;
mod simplify;
mod states;

pub use classify::{Classifier, classifiers_to_scores};
pub use precision::{PrecisionOptions, to_fp16};
pub use rewrite::compact;
pub use simplify::simplify;
pub use states::{StatePassError, freeze, states_to_io};
