//! Errors of reading and writing models.

use crate::proto::wire::{Fault, Problem, shortened};
use mil::text::BlobError;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a model could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Input or output failed.
    #[error("{}: {doing}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `cannot be opened`, …
        doing: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// The path is none of the forms in which models come.
    #[error("{}: {message}", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What was found, and what is allowed.
        message: String,
    },
    /// The package's list of contents is damaged, or names something that it must not.
    #[error("{}: {message}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The model is of a kind that is not an ML Program.
    #[error("{}: {message}", path.display())]
    Kind {
        /// The model file.
        path: PathBuf,
        /// Field of `Model` in Apple's schema: `neuralNetwork`, `pipeline`, …
        kind: &'static str,
        /// What it is and what to do, in one sentence.
        message: String,
    },
    /// The model file is damaged, or says something that no model may say.
    #[error("{}: {}{message}", path.display(), at(.place))]
    Model {
        /// The model file.
        path: PathBuf,
        /// Where in it; empty for the whole.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// The model file has a field that is not known here, so that it could not be kept.
    #[error(
        "{}: {}field {field} of message {message} is not known here; the model was made for a later version of \
         Core ML, and reading on would lose what the field says",
        path.display(), at(.place)
    )]
    UnknownField {
        /// The model file.
        path: PathBuf,
        /// Where in it; empty for the whole.
        place: String,
        /// Name of the message in Apple's schema.
        message: &'static str,
        /// Number of the field.
        field: u32,
    },
    /// A weight file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The weight file.
        path: PathBuf,
        /// What is wrong.
        source: BlobError,
    },
    /// The MIL text of a compiled model cannot be read.
    #[error("{}: {source}", path.display())]
    Text {
        /// The text file.
        path: PathBuf,
        /// What is wrong, and where.
        source: mil::text::ParseError,
    },
    /// The description beside MIL text is of another program.
    #[error("{}: does not describe {} any more ({message}); delete it to go by the text alone, or change both", path.display(), text.display())]
    Beside {
        /// The description.
        path: PathBuf,
        /// The text.
        text: PathBuf,
        /// Where they differ.
        message: String,
    },
    /// The program or its description cannot be written as a model.
    #[error("{}{message}", at(.place))]
    Unwritable {
        /// The function, operation or feature at fault; empty for the whole.
        place: String,
        /// What is wrong, and what to do.
        message: String,
    },
    /// Something stands where the package would go.
    #[error("{}: there is something already; {advice}", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
        /// The way out.
        advice: &'static str,
    },
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}

impl Error {
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { path: path.to_path_buf(), doing, source }
    }

    pub(crate) fn fault(path: &Path) -> impl FnOnce(Fault) -> Error {
        move |fault| {
            let (path, place) = (path.to_path_buf(), fault.place());
            match fault.problem {
                Problem::Unknown { message, field } => Error::UnknownField { path, place, message, field },
                Problem::Invalid(message) => Error::Model { path, place, message: shortened(&message, 500) },
            }
        }
    }

    /// For a description that could be written, but not read again.
    pub(crate) fn unreadable(fault: Fault) -> Error {
        let fault = fault.within("description");
        let place = fault.place();
        match fault.problem {
            Problem::Invalid(message) => Error::unwritable(place, message),
            Problem::Unknown { message, field } => {
                Error::unwritable(place, format!("{message} has no field {field}"))
            }
        }
    }

    pub(crate) fn unwritable(place: impl Into<String>, message: impl Into<String>) -> Error {
        Error::Unwritable { place: place.into(), message: message.into() }
    }
}
