//! Which kernel computes an operation as the engine does.

use super::AneGeneration;
use crate::elementwise::{Group, Kernel, Rounding};
use crate::kernels::{self, Lowered};
use mil::{DataType, InferError, OpView};

/// The kernel of an elementwise operation.
pub(crate) fn elementwise(op: &OpView<'_>, _: AneGeneration, group: Group) -> Kernel {
    let rounding = if op.output(0).dtype == DataType::Fp16 { Rounding::HalfAway } else { Rounding::HalfEven };
    group.compile_rounding(rounding)
}

/// The kernel of another operation; `None` where the ordinary one gives the engine's numbers, or those of the host.
pub(crate) fn kernel(op: &OpView<'_>, generation: AneGeneration) -> Option<Result<Lowered, InferError>> {
    if !op.operation.outputs.iter().any(|&id| op.function.dtype(id) == DataType::Fp16) {
        return None;
    }
    if op.name() == "conv"
        && generation.has_winograd()
        && let Some(lowered) = kernels::conv::winograd(op)
    {
        return Some(lowered);
    }
    kernels::find_fixed(op.name()).map(|lower| lower(op))
}
