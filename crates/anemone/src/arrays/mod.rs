//! Tensors in files: NumPy's `.npy` and `.npz`.
//!
//! The header of `.npy` is one line, so it is read here rather than by a crate that brings a parser of Python's literals with
//! twenty dependencies; `.npz` is a zip file, which the `zip` crate reads. Nothing is trusted: the type that is wanted bounds
//! what is read.

mod npy;
mod npz;

pub use npy::{Array, Header, read_npy, write_npy};
pub use npz::{NamedArray, Npz, write_npz};

use mil::TensorType;
use std::path::PathBuf;
use thiserror::Error;

/// Why an array could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The file could not be opened, read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The data are no array, or none that is supported.
    #[error("{what}: {message}")]
    Format {
        /// The file or the array in it.
        what: String,
        /// What is wrong.
        message: String,
    },
    /// The array does not fit what is wanted.
    #[error("{what}: it is {found}, but {wanted} is wanted{hint}")]
    Type {
        /// The file or the array in it.
        what: String,
        /// Type found.
        found: String,
        /// Type wanted.
        wanted: TensorType,
        /// The way out, if there is one to name.
        hint: String,
    },
}
