//! Programs as protobuf: `MILSpec.Program` and what is in it.
//!
//! The form on disk differs from [`mil::Program`] in three ways. Constants are operations (`const`, without inputs, its value
//! an attribute), one for every parameter; here they are values. Values are told apart by name, with nested blocks
//! seeing the names around them; here by index. And `coreml_update_state` is two operations, `write_state` and, when its
//! result is used, `read_state`; here it is one.

mod defaults;
mod layout;
mod read;
mod types;
mod values;
mod write;

pub(crate) use read::{function_names, read};
pub(crate) use write::{Options, write};

use crate::description::Description;
use mil::ops::constexpr;
use mil::{Family, Op, Opset, Program};

/// The serialized half of a state update.
const WRITE_STATE: &str = "write_state";
/// What coremltools adds to the name of an update for its first half.
const WRITE_SUFFIX: &str = "_write_state";
/// The op that stands for both halves here.
const UPDATE_STATE: &str = "coreml_update_state";

/// An opset's name in files. Source: coremltools' `_OPSET`.
fn opset_name(opset: Opset) -> Option<&'static str> {
    Some(match opset {
        Opset::Ios15 => "CoreML5",
        Opset::Ios16 => "CoreML6",
        Opset::Ios17 => "CoreML7",
        Opset::Ios18 => "CoreML8",
        Opset::Ios26 => "CoreML9",
        _ => return None,
    })
}

/// The least specification version that a model of this program can have.
pub(crate) fn version_for(program: &Program, description: &Description) -> i32 {
    // Lists of functions came with Core ML 8.
    let least = if description.multi_function { Opset::Ios18 } else { Opset::Ios15 };
    let opsets = program.functions.iter().map(|function| function.opset);
    specification_version(opsets.max().map_or(least, |newest| newest.max(least)))
}

/// The specification version in which an opset appeared.
fn specification_version(opset: Opset) -> i32 {
    match opset {
        Opset::Ios15 => 6,
        Opset::Ios16 => 7,
        Opset::Ios17 => 8,
        Opset::Ios18 => 9,
        _ => 10,
    }
}

/// How an argument is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By the name of the value, which is an operation of its own when it is a constant.
    Name,
    /// A constant in place, among the operation's inputs.
    Inline,
    /// A constant in place, among the operation's inputs, as a list of its elements.
    List,
    /// A constant in place, among the operation's attributes.
    Attribute,
}

/// How coremltools writes the constant argument `param` of `op`. Source: `MILProtoExporter.create_block` and
/// `translate_constexpr`.
fn constant_form(op: Op, param: &str, opset: Opset) -> Form {
    match (op.name, param) {
        ("classify", "classes") => Form::List,
        ("reshape_like", "begins" | "ends" | "end_masks") => Form::Inline,
        _ if constexpr::in_attributes(op, opset) => Form::Attribute,
        _ if op.family == Family::Constexpr => Form::Inline,
        _ => Form::Name,
    }
}
