//! Errors of building programs.

use crate::{Opset, TensorType};
use thiserror::Error;

/// Why a constant could not be made.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConstantError {
    /// The number of elements does not match the shape.
    #[error("a constant of type {ty} needs {expected} elements, but {found} were given")]
    Elements {
        /// Declared type.
        ty: TensorType,
        /// Elements that the shape asks for.
        expected: usize,
        /// Elements that were given.
        found: usize,
    },
    /// The number of bytes does not match the type.
    #[error("a constant of type {ty} needs {expected} bytes, but {found} were given")]
    Bytes {
        /// Declared type.
        ty: TensorType,
        /// Bytes that the type asks for.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// The type describes more bytes than can be addressed.
    #[error("{ty} has more elements than memory can hold")]
    TooLarge {
        /// Declared type.
        ty: TensorType,
    },
    /// A `bool` element that is neither 0 nor 1.
    #[error("a bool element must be 0 or 1, but {found} was found")]
    NotBool {
        /// The byte found.
        found: u8,
    },
    /// Values that a packed type cannot hold.
    #[error("a constant of type {ty} cannot hold these values; its elements have {} bits", .ty.dtype.bits())]
    Packed {
        /// Declared type.
        ty: TensorType,
    },
    /// String tensors are made from strings, not from bytes.
    #[error("a string constant cannot be made from bytes; use Constant::strings")]
    StringBytes,
}

/// Why the types of an operation's outputs could not be inferred: the parameter at fault and a sentence.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("parameter `{param}` {message}")]
pub struct InferError {
    /// Name of the parameter at fault.
    pub param: &'static str,
    /// What was expected and what was found; begins with a verb (`has shape …, but …`).
    pub message: String,
    /// Nothing is wrong, but only running the program can tell the types: they must be declared.
    pub at_run_time: bool,
}

impl InferError {
    /// An inference error about one parameter.
    pub fn new(param: &'static str, message: impl Into<String>) -> InferError {
        InferError { param, message: message.into(), at_run_time: false }
    }

    /// The types depend on the value of this parameter, which is computed at run time.
    pub fn at_run_time(param: &'static str, message: impl Into<String>) -> InferError {
        InferError { param, message: message.into(), at_run_time: true }
    }
}

/// Why an operation could not be added to a function.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No such op.
    #[error("there is no op `{op}`{}", suggestion(.nearest))]
    UnknownOp {
        /// The name asked for.
        op: String,
        /// An op with a similar name.
        nearest: Option<&'static str>,
    },
    /// The op has no such parameter.
    #[error("op `{op}` has no parameter `{param}`; it has: {allowed}")]
    UnknownParam {
        /// The op.
        op: &'static str,
        /// The parameter asked for.
        param: String,
        /// The parameters that exist.
        allowed: String,
    },
    /// A required argument is missing.
    #[error("op `{op}`{}: required parameter `{param}` is missing", place(.name))]
    Missing {
        /// The op.
        op: &'static str,
        /// Name of the output.
        name: Option<String>,
        /// The parameter.
        param: &'static str,
    },
    /// The op appears in a later opset.
    #[error("op `{op}`{} needs opset {since}, but the function is written for {opset}", place(.name))]
    Opset {
        /// The op.
        op: &'static str,
        /// Name of the output.
        name: Option<String>,
        /// First opset with this op.
        since: Opset,
        /// The function's opset.
        opset: Opset,
    },
    /// An argument has the wrong type, shape or value.
    #[error("op `{op}`{}: {source}", place(.name))]
    Infer {
        /// The op.
        op: &'static str,
        /// Name of the output.
        name: Option<String>,
        /// What is wrong.
        source: InferError,
    },
    /// A value that is not of this function.
    #[error("op `{op}`: parameter `{param}` refers to value {value}, which this function does not have")]
    UnknownValue {
        /// The op.
        op: &'static str,
        /// The parameter.
        param: &'static str,
        /// Index of the value.
        value: u32,
    },
    /// The op has another number of outputs than asked for.
    #[error("op `{op}` has {found} outputs here, but {expected} were asked for")]
    Outputs {
        /// The op.
        op: &'static str,
        /// Outputs asked for.
        expected: usize,
        /// Outputs that the op has.
        found: usize,
    },
    /// Two inputs or outputs with the same name.
    #[error("function `{function}` has two {what} named `{name}`; give each its own name")]
    Duplicate {
        /// The function.
        function: String,
        /// `inputs`, `outputs`, or one of each.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that MIL cannot print.
    #[error("`{name}` is not a name in MIL: use a letter or _ first, then letters, digits, _ or @")]
    Name {
        /// The name.
        name: String,
    },
    /// A constant that cannot be made.
    #[error(transparent)]
    Constant(#[from] ConstantError),
    /// A function that only an interpreter can run, where everything must be known before.
    #[error(
        "function `{function}` has control flow, lists or unknown shapes; bind its flexible inputs to fixed shapes first \
         (what is left can be run, but not rewritten)"
    )]
    NotStatic {
        /// The function.
        function: String,
    },
    /// A type that cannot exist.
    #[error("{ty} has more elements than memory can hold")]
    TooLarge {
        /// The type.
        ty: TensorType,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn place(name: &Option<String>) -> String {
    name.as_ref().map_or_else(String::new, |name| format!(" (value `{name}`)"))
}
