//! How the engine runs each op: what the coverage page of the documentation tells.

use crate::{elementwise, kernels};
use mil::{Effect, Family, Op};

/// How the CPU runs an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// As an instruction of the elementwise machine, fused with its neighbours.
    Elementwise,
    /// By a kernel.
    Kernel,
    /// Not at all: its result is its operand's memory under another type, or a state's memory.
    View,
    /// Once, when the program is compiled.
    Compiling,
    /// By the interpreter, which runs blocks and lists.
    Interpreter,
    /// The probabilities come as a tensor; `anemone_passes::classifiers_to_scores` and the facade's `Session` make the rest.
    Facade,
}

/// How the CPU runs `op`; `None` if it does not.
pub fn support(op: Op) -> Option<Support> {
    let name = op.declaration().name;
    if op.family == Family::Classify {
        return Some(Support::Facade);
    }
    if super::graph::VIEWS.contains(&name) || matches!(op.effect, Effect::Read | Effect::Write) {
        return Some(Support::View);
    }
    if super::interpret::runs(name) {
        return Some(Support::Interpreter);
    }
    if elementwise::is_elementwise(name) {
        return Some(Support::Elementwise);
    }
    if name == super::quantized_conv::OP {
        return kernels::find("conv").map(|_| Support::Kernel);
    }
    let how = if op.family == Family::Constexpr { Support::Compiling } else { Support::Kernel };
    kernels::find(name).map(|_| how)
}
