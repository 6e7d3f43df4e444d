//! Passes: MIL programs in, MIL programs out. None of them executes anything.

pub mod autodiff;
mod carry;
mod classify;
mod conv_affine;
mod flexible;
mod opset;
mod precision;
mod rewrite;
mod selects;
mod simplify;
mod states;

pub use carry::{hold_states, start_states};
pub use classify::{Classifier, classifiers_to_scores};
pub use conv_affine::merge_conv_affine;
pub use flexible::{FlexibleError, flexible};
pub use opset::lowest_opset;
pub use precision::{PrecisionOptions, io_to_fp16, to_fp16};
pub use rewrite::{compact, remove_dead};
pub use selects::fill_selects;
pub use simplify::simplify;
pub use states::{StatePassError, freeze, states_to_io};
