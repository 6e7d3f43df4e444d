//! Errors of building and training models.

use crate::data::DataError;
use crate::tokenizer::TokenizerError;
use anemone_passes::autodiff::AutodiffError;
use anemone_runtime::{CompileError, RunError, TensorError};
use std::path::PathBuf;
use thiserror::Error;

/// What can go wrong between a model's definition and its finished run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NnError {
    /// A layer or model has parameters that do not fit together.
    #[error("{what}: {message}")]
    Config {
        /// The layer, model or option.
        what: String,
        /// What was found, what is allowed.
        message: String,
    },
    /// A constant could not be made.
    #[error(transparent)]
    Constant(#[from] mil::ConstantError),
    /// An operation could not be built.
    #[error(transparent)]
    Build(#[from] mil::BuildError),
    /// The built program is not valid.
    #[error("the program built is not valid: {0}")]
    Verify(#[from] mil::VerifyError),
    /// No gradient can be made.
    #[error(transparent)]
    Autodiff(#[from] AutodiffError),
    /// The back end does not take the program.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A tensor could not be made or read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The data is not what was asked for.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The tokenizer refuses its input.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A file cannot be read or written, or does not hold what it should.
    #[error("{}: {message}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what is expected, the way out.
        message: String,
    },
}

impl NnError {
    /// A configuration error.
    pub fn config(what: impl Into<String>, message: impl Into<String>) -> NnError {
        NnError::Config { what: what.into(), message: message.into() }
    }

    /// A file that the system did not let us write.
    pub(crate) fn not_written(path: impl Into<PathBuf>, error: &std::io::Error) -> NnError {
        NnError::file(path, format!("cannot be written: {error}"))
    }

    /// An error about a file.
    pub fn file(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> NnError {
        NnError::File { path: path.into(), message: message.to_string() }
    }
}
