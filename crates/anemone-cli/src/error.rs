//! How a command fails: what it prints and how it exits.

use anemone::ModelError;
use anemone::arrays::ArrayError;
use anemone::export::ExportError;
use anemone::nn::NnError;
use anemone::nn::data::DataError;
use anemone::nn::tokenizer::TokenizerError;
use anemone::runtime::CompileError;
use std::io;
use thiserror::Error;

/// Why a command ended early.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The command was given something it cannot take: exit code 2.
    #[error("{message}")]
    Usage {
        /// What is wrong, in one line.
        message: String,
        /// The way out, if there is one to name.
        remedy: Option<String>,
    },
    /// It was understood but did not work out: exit code 1.
    #[error("{message}")]
    Failed {
        /// What is wrong, in one line.
        message: String,
        /// The way out, if there is one to name.
        remedy: Option<String>,
    },
    /// Ctrl-C, after everything was saved: exit code 130.
    #[error("interrupted")]
    Interrupted,
    /// Whoever read our output went away, as `head` does: nothing to say, exit code 0.
    #[error("the output was closed")]
    Closed,
}

impl CliError {
    /// A usage error.
    pub(crate) fn usage(message: impl Into<String>, remedy: impl Into<String>) -> CliError {
        CliError::Usage { message: message.into(), remedy: Some(remedy.into()) }
    }

    /// A failure.
    pub(crate) fn failed(message: impl Into<String>) -> CliError {
        CliError::Failed { message: message.into(), remedy: None }
    }

    /// A failure with a way out.
    pub(crate) fn failed_try(message: impl Into<String>, remedy: impl Into<String>) -> CliError {
        CliError::Failed { message: message.into(), remedy: Some(remedy.into()) }
    }

    /// The lines to print on standard error; none for a quiet end.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            CliError::Usage { message, remedy } | CliError::Failed { message, remedy } => {
                let mut lines = vec![format!("error: {}", one_line(message))];
                lines.extend(remedy.iter().map(|remedy| format!("try: {}", one_line(remedy))));
                lines
            }
            CliError::Interrupted | CliError::Closed => Vec::new(),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            CliError::Usage { .. } => 2,
            CliError::Failed { .. } => 1,
            CliError::Interrupted => 130,
            CliError::Closed => 0,
        }
    }
}

/// Messages quote paths and texts of users, which may hold line breaks and escape sequences: those are shown, not obeyed.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// Failure to write to standard output.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::Closed,
            _ => CliError::failed(format!("the output cannot be written: {error}")),
        }
    }
}

impl From<NnError> for CliError {
    fn from(error: NnError) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<DataError> for CliError {
    fn from(error: DataError) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<TokenizerError> for CliError {
    fn from(error: TokenizerError) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<ModelError> for CliError {
    fn from(error: ModelError) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<anemone::mlpackage::Error> for CliError {
    fn from(error: anemone::mlpackage::Error) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<ArrayError> for CliError {
    fn from(error: ArrayError) -> CliError {
        CliError::failed(error.to_string())
    }
}

impl From<CompileError> for CliError {
    fn from(error: CompileError) -> CliError {
        CliError::failed(error.to_string())
    }
}
