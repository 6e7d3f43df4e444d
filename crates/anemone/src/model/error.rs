//! Why a model could not be opened or run.

use anemone_runtime::{CompileError, RunError, TensorError};
use std::path::PathBuf;
use thiserror::Error;

/// Why a model could not be opened or run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is no model, or a damaged one.
    #[error(transparent)]
    Package(#[from] anemone_mlpackage::Error),
    /// A file could not be read.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The program breaks MIL's rules.
    #[error("{}", faults(.0))]
    Invalid(Vec<mil::VerifyError>),
    /// There is no such function.
    #[error("the model has no function `{name}`; it has: {available}")]
    NoFunction {
        /// The function asked for.
        name: String,
        /// The functions that exist.
        available: String,
    },
    /// An input is missing, unknown, or does not fit.
    #[error("input `{name}` {message}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// An image could not be read as this input.
    #[error("input `{name}`: {message}")]
    Image {
        /// The input.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The program could not be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// It failed while running.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

fn faults(faults: &[mil::VerifyError]) -> String {
    let shown: Vec<String> = faults.iter().take(3).map(ToString::to_string).collect();
    let more = faults.len().saturating_sub(shown.len());
    let more =
        if more > 0 { format!("; and {more} more (`anemone verify` lists them)") } else { String::new() };
    format!("the program breaks MIL's rules: {}{more}", shown.join("; "))
}
