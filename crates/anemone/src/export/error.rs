//! Why a model could not be exported.

use anemone_nn::NnError;
use anemone_passes::{FlexibleError, StatePassError};
use anemone_runtime::{CompileError, TensorError};
use thiserror::Error;

/// Why a model could not be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The model does not fit its weights, or its sizes do not fit together.
    #[error(transparent)]
    Model(#[from] NnError),
    /// The weights could not be frozen.
    #[error(transparent)]
    Freeze(#[from] StatePassError),
    /// The program could not be rewritten.
    #[error(transparent)]
    Build(#[from] mil::BuildError),
    /// The program could not be made to take several lengths.
    #[error(transparent)]
    Flexible(#[from] FlexibleError),
    /// Constants could not be folded.
    #[error(transparent)]
    Fold(#[from] CompileError),
    /// A weight could not be made a constant.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A rewritten program breaks MIL's rules.
    #[error("the program made breaks MIL's rules: {0}")]
    Invalid(#[from] mil::VerifyError),
    /// The package could not be made.
    #[error(transparent)]
    Package(#[from] anemone_mlpackage::Error),
    /// Something was asked for that cannot be.
    #[error("{what} {message}")]
    Option {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        message: String,
    },
}
