//! From a verified function to something that runs without allocating.
//!
//! simplify → decompress weights → fold constants → group elementwise operations → lower to kernels → plan memory → bind.

mod alone;
mod decompress;
mod executable;
mod fold;
mod fuse;
mod graph;
mod interpret;
mod lists;
mod memory;
mod quantized_conv;
mod specialize;
mod step;
mod support;

pub(crate) use alone::{Alone, Binding};
pub use executable::{CpuExecutable, StepTime};
pub use fold::fold_constants;
pub(crate) use interpret::runs as is_interpreted;
pub use specialize::specialize;
pub use support::{Support, support};

use crate::{Mode, Numerics, Settings};
use anemone_runtime::{CompileError, CompileOptions, Executable, States};
use graph::Graph;
use mil::{Function, ValueId};
use rayon::ThreadPool;
use std::sync::Arc;
use step::Step;

/// Compiles one function, its flexible inputs bound to `shapes`; what is not static even then is interpreted.
pub(crate) fn compile_any(
    function: &Function,
    settings: Settings,
    options: &CompileOptions,
    pool: Arc<ThreadPool>,
) -> Result<Box<dyn Executable>, CompileError> {
    let bound = bind(function, options, &pool)?;
    if bound.is_static() {
        return Ok(Box::new(compile(bound, settings, &options.states, pool)?));
    }
    tracing::debug!(function = function.name, "interpreted: it has control flow, lists or unknown shapes");
    Ok(Box::new(interpret::Interpreter::new(bound, settings.numerics, &options.states, pool)?))
}

/// The function with its flexible inputs bound. Weights are decompressed first where there is something to bind: what is
/// inferred and computed then asks for constants.
pub(crate) fn bind(
    function: &Function,
    options: &CompileOptions,
    pool: &ThreadPool,
) -> Result<Function, CompileError> {
    let mut plain = function.clone();
    if function.is_static() && options.shapes.is_empty() {
        return Ok(plain);
    }
    pool.install(|| decompress::decompress(&mut plain))?;
    specialize(&plain, &options.shapes)
}

/// Compiles one static function.
pub(crate) fn compile(
    mut function: Function,
    settings: Settings,
    states: &States,
    pool: Arc<ThreadPool>,
) -> Result<CpuExecutable, CompileError> {
    memory::check_room(&function)?;
    anemone_passes::simplify(&mut function);
    pool.install(|| decompress::decompress(&mut function))?;
    fold::fold(&mut function)?;
    anemone_passes::simplify(&mut function);
    let function = anemone_passes::compact(&function);
    let graph = Graph::new(&function);
    let steps = steps(&graph, settings)?;
    let usage: Vec<_> = steps.iter().map(|step| step.usage(&graph)).collect();
    let memory = memory::plan(&graph, &usage);
    tracing::debug!(
        function = function.name,
        steps = steps.len(),
        arena_bytes = memory.arena,
        state_copies = memory.copies.len(),
        "compiled"
    );
    CpuExecutable::bind(&graph, steps, &memory, states, pool)
}

fn steps(graph: &Graph<'_>, settings: Settings) -> Result<Vec<Step>, CompileError> {
    let clusters = match settings {
        // The engine stores `fp16` between operations, and so does what computes its numbers.
        Settings { numerics: Numerics::Ieee, mode: Mode::Fused } => fuse::fuse(graph),
        _ => fuse::separate(graph),
    };
    let escapes = escapes(graph, &clusters);
    clusters
        .iter()
        .map(|ops| match ops.as_slice() {
            [op] => step::single(graph, *op, settings.numerics),
            ops => step::group(graph, ops, |value| escapes[value.index()]),
        })
        .collect()
}

/// For each value, whether something outside its own cluster needs it.
fn escapes(graph: &Graph<'_>, clusters: &[fuse::Cluster]) -> Vec<bool> {
    let mut cluster_of: Vec<Option<usize>> = vec![None; graph.function.values.len()];
    for (at, ops) in clusters.iter().enumerate() {
        for &op in ops {
            graph.operation(op).outputs.iter().for_each(|output| cluster_of[output.index()] = Some(at));
        }
    }
    let mut escapes = vec![false; graph.function.values.len()];
    for (at, ops) in clusters.iter().enumerate() {
        for id in ops.iter().flat_map(|&op| graph.operation(op).uses()) {
            let root = graph.root(id);
            escapes[root.index()] |= cluster_of[root.index()] != Some(at);
        }
    }
    let outputs = graph.function.body.outputs.iter().map(|&output| graph.root(output));
    let written = graph.writes.iter().map(|&(_, value): &(ValueId, ValueId)| value);
    outputs.chain(written).for_each(|root| escapes[root.index()] = true);
    escapes
}
