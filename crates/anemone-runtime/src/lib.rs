//! What running a program means, whatever runs it: tensors, states, and the interface of back ends.
//!
//! A [`Backend`] compiles one function of a verified program into an [`Executable`]. Everything that
//! outlives a call is held in [`States`], a handle that several executables may share: the training step, the
//! evaluation and the generator of one model all see the same weights. A checkpoint is "all states".

mod backend;
mod buffer;
mod error;
mod states;
mod tensor;

pub use backend::{Backend, CompileOptions, Executable, Feature, Meter};
pub use error::{CompileError, RunError, TensorError};
pub use states::{StateGuard, States};
pub use tensor::Tensor;
