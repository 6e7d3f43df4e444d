//! Steps: what the executable runs, one after another.

use super::graph::Graph;
use super::memory::StepUse;
use crate::elementwise::{ElementOp, Group, Instruction, Kernel, Source};
use crate::kernels::{self, Lowered};
use crate::numerics::{self, Numerics};
use anemone_runtime::CompileError;
use mil::{Function, InferError, OpView, TensorType, ValueId};
use smallvec::SmallVec;

/// The computation of a step.
pub(crate) enum Work {
    /// A kernel.
    Kernel(Lowered),
    /// A group of elementwise operations (or one).
    Elementwise(Kernel),
}

/// A step before memory is planned.
pub(crate) struct Step {
    /// The computation.
    pub(crate) work: Work,
    /// Operands as the program has them: the value gives the type, its root the memory.
    pub(crate) operands: Vec<ValueId>,
    /// Values computed.
    pub(crate) outputs: Vec<ValueId>,
    /// The op (the last one of a group), for messages.
    pub(crate) op: &'static str,
}

/// Lowers one operation to kernels that compute these numbers.
pub(crate) fn single(graph: &Graph<'_>, op: usize, numerics: Numerics) -> Result<Step, CompileError> {
    let view = graph.view(op);
    let outputs = view.operation.outputs.to_vec();
    let all_operands = || view.operands().map(|(_, id)| id).collect();
    if let Some(lowered) = numerics::lower::kernel(&view, numerics) {
        let lowered = lowered.map_err(|error| unsupported(&view, &error))?;
        return Ok(Step { work: Work::Kernel(lowered), operands: all_operands(), outputs, op: view.name() });
    }
    if let Some(element) = ElementOp::from_view(&view) {
        let element = element.map_err(|error| unsupported(&view, &error))?;
        let operands = ElementOp::operands(&view);
        let group = Group {
            shape: view.output(0).shape.clone(),
            leaves: operands.iter().map(|&id| graph.function.tensor(id).clone()).collect(),
            instructions: vec![Instruction {
                op: element,
                args: (0..operands.len()).map(Source::Leaf).collect(),
                dtype: view.output(0).dtype,
            }],
            outputs: vec![0],
        };
        let kernel = group.compile_rounding(numerics::lower::rounding(&view, numerics));
        return Ok(Step { work: Work::Elementwise(kernel), operands, outputs, op: view.name() });
    }
    let lower = kernels::find(view.name()).ok_or_else(|| CompileError::Unsupported {
        backend: "cpu",
        op: view.name(),
        value: name_of(&view),
        reason: None,
    })?;
    let lowered = lower(&view).map_err(|error| unsupported(&view, &error))?;
    Ok(Step { work: Work::Kernel(lowered), operands: all_operands(), outputs, op: view.name() })
}

/// Lowers a group of elementwise operations of one shape. `escapes` tells which values are needed outside.
pub(crate) fn group(
    graph: &Graph<'_>,
    ops: &[usize],
    escapes: impl Fn(ValueId) -> bool,
) -> Result<Step, CompileError> {
    let function = graph.function;
    let mut operands: Vec<ValueId> = Vec::new();
    let mut computed: Vec<ValueId> = Vec::new();
    let mut instructions = Vec::with_capacity(ops.len());
    let mut outputs = Vec::new();
    for &op in ops {
        let view = graph.view(op);
        let element = match ElementOp::from_view(&view) {
            Some(element) => element.map_err(|error| unsupported(&view, &error))?,
            None => return Err(unsupported(&view, &InferError::new("x", "is of an op that no group takes"))),
        };
        let args: SmallVec<[Source; 3]> = ElementOp::operands(&view)
            .into_iter()
            .map(|id| source(graph, id, &computed, &mut operands))
            .collect();
        let output = view.operation.outputs[0];
        if escapes(output) {
            outputs.push((instructions.len(), output));
        }
        instructions.push(Instruction { op: element, args, dtype: function.dtype(output) });
        computed.push(output);
    }
    let last = ops.last().map_or("", |&op| graph.operation(op).op.declaration().name);
    let group = Group {
        shape: computed.first().map(|&id| function.shape(id).clone()).unwrap_or_default(),
        leaves: operands.iter().map(|&id| function.tensor(id).clone()).collect(),
        instructions,
        outputs: outputs.iter().map(|&(at, _)| at).collect(),
    };
    let outputs = outputs.into_iter().map(|(_, id)| id).collect();
    Ok(Step { work: Work::Elementwise(group.compile()), operands, outputs, op: last })
}

fn source(graph: &Graph<'_>, id: ValueId, computed: &[ValueId], operands: &mut Vec<ValueId>) -> Source {
    let root = graph.root(id);
    if let Some(at) = computed.iter().position(|&value| value == root) {
        return Source::Instruction(at);
    }
    let same = |&other: &ValueId| {
        graph.root(other) == root && graph.function.tensor(other) == graph.function.tensor(id)
    };
    let at = operands.iter().position(same).unwrap_or_else(|| {
        operands.push(id);
        operands.len() - 1
    });
    Source::Leaf(at)
}

impl Step {
    /// What the memory plan needs to know.
    pub(crate) fn usage(&self, graph: &Graph<'_>) -> StepUse {
        let reads: Vec<ValueId> = self.operands.iter().map(|&id| graph.root(id)).collect();
        let mut takeovers = Vec::new();
        let scratch = match &self.work {
            Work::Kernel(lowered) => {
                let operand = lowered.in_place.and_then(|at| reads.get(at).copied());
                let once = |root: &ValueId| reads.iter().filter(|read| *read == root).count() == 1;
                if let (Some(from), Some(&to)) = (operand.filter(once), self.outputs.first()) {
                    takeovers.push((to, from));
                }
                lowered.scratch
            }
            Work::Elementwise(_) => {
                for &output in &self.outputs {
                    let same_type = |id: &&ValueId| same_memory(graph.function, output, **id);
                    takeovers
                        .extend(self.operands.iter().filter(same_type).map(|&id| (output, graph.root(id))));
                }
                0
            }
        };
        StepUse { reads, computes: self.outputs.clone(), takeovers, scratch }
    }
}

/// Whether an elementwise output may stand in an operand's memory: the same element type and count, so that
/// element `i` of the one is element `i` of the other.
fn same_memory(function: &Function, output: ValueId, operand: ValueId) -> bool {
    let (a, b): (&TensorType, &TensorType) = (function.tensor(output), function.tensor(operand));
    a.dtype == b.dtype && a.shape.count() == b.shape.count()
}

/// Name of an operation's output, for messages.
fn name_of(view: &OpView<'_>) -> String {
    view.operation.outputs.first().map_or_else(String::new, |&id| view.function.display_name(id))
}

/// The error of an operation that cannot be lowered.
pub(crate) fn unsupported(view: &OpView<'_>, error: &InferError) -> CompileError {
    CompileError::Unsupported {
        backend: "cpu",
        op: view.name(),
        value: name_of(view),
        reason: Some(error.to_string()),
    }
}
