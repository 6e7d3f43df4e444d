//! Errors of tensors, of compiling and of running.

use mil::{DataType, TensorType};
use thiserror::Error;

/// Why a tensor could not be made or read.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The number of bytes does not match the type.
    #[error("a tensor of type {ty} needs {expected} bytes, but {found} were given")]
    Bytes {
        /// Type of the tensor.
        ty: TensorType,
        /// Bytes needed.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The type needs more bytes than can be had.
    #[error("{ty} has more elements than memory can hold")]
    TooLarge {
        /// The type.
        ty: TensorType,
    },
    /// Read as another element type.
    #[error("the tensor holds {found}, but was read as {asked}")]
    DataType {
        /// Element type asked for.
        asked: DataType,
        /// Element type of the tensor.
        found: DataType,
    },
    /// A `bool` byte that is neither 0 nor 1.
    #[error("a bool element must be 0 or 1, but {found} was found")]
    NotBool {
        /// The byte.
        found: u8,
    },
    /// More than one element where one is needed.
    #[error("one element is needed, but the tensor has {found}")]
    NotScalar {
        /// Elements found.
        found: usize,
    },
    /// Tensors do not hold strings.
    #[error("strings are constants of a program; a tensor cannot hold them")]
    Strings,
    /// The constant form refused the data.
    #[error(transparent)]
    Constant(#[from] mil::ConstantError),
}

/// Why a program could not be compiled.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// No function of that name.
    #[error("the program has no function `{name}`; it has: {available}")]
    NoFunction {
        /// The function asked for.
        name: String,
        /// The functions that exist.
        available: String,
    },
    /// The back end does not run this op.
    #[error("op `{op}` (value `{value}`) is not supported by the {backend} back end{}", .reason.as_ref().map_or_else(String::new, |r| format!(": {r}")))]
    Unsupported {
        /// The back end.
        backend: &'static str,
        /// The op.
        op: &'static str,
        /// Name of its output.
        value: String,
        /// Why, when there is more to say.
        reason: Option<String>,
    },
    /// A state held by the caller has another type than the program's.
    #[error("state `{name}` holds {found}, but the program declares {expected}")]
    State {
        /// The state.
        name: String,
        /// Type that the program declares.
        expected: TensorType,
        /// Type that the caller holds.
        found: TensorType,
    },
    /// The program needs more memory than can be had.
    #[error("the program needs {bytes} bytes of working memory, which this machine cannot give")]
    Memory {
        /// Bytes needed.
        bytes: usize,
    },
    /// A pass of the back end failed.
    #[error("{0}")]
    Pass(String),
    /// The device cannot hold the program, or one more of them.
    #[error("{0}")]
    Limit(String),
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The number of inputs or outputs is wrong.
    #[error("the function has {expected} {what}, but {found} were given")]
    Count {
        /// `inputs` or `outputs`.
        what: &'static str,
        /// How many the function has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An input or output tensor has the wrong type.
    #[error("{what} `{name}` must be {expected}, but is {found}")]
    Type {
        /// `input` or `output`.
        what: &'static str,
        /// Name of the feature.
        name: String,
        /// Type that the function declares.
        expected: TensorType,
        /// Type given.
        found: TensorType,
    },
    /// An operation met data that it cannot work on (an index out of range, for example).
    #[error("op `{op}` (value `{value}`): {message}")]
    Op {
        /// The op.
        op: &'static str,
        /// Name of its output.
        value: String,
        /// What it met.
        message: String,
    },
    /// There is no state of that name.
    #[error("there is no state `{name}`")]
    NoState {
        /// The state.
        name: String,
    },
    /// A tensor could not be made or read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
