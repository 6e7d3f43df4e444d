//! Constant folding: operations on constants are computed once, when compiling, by the same kernels that would
//! compute them in every run.

use super::alone::{Alone, Binding, Fault};
use crate::Numerics;
use anemone_runtime::CompileError;
use mil::{Constant, Def, Effect, Function, OpView, Param};

/// Results up to this size are always kept; bigger ones only if they are no bigger than what they come from, so
/// that folding `fill` or `tile` does not trade a cheap loop for megabytes of constants.
pub(super) const SMALL_BYTES: usize = 64 * 1024;

/// Computes once what a static function would compute from constants alone in every run: for programs that go elsewhere. What
/// runs here is folded when it is compiled, to the same bits.
///
/// # Errors
/// When the function is not static.
pub fn fold_constants(function: &mut Function) -> Result<(), CompileError> {
    function.require_static().map_err(|error| CompileError::Pass(error.to_string()))?;
    fold(function)?;
    anemone_passes::simplify(function);
    *function = anemone_passes::compact(function);
    Ok(())
}

/// Replaces operations whose operands are all constants by their results.
pub(crate) fn fold(function: &mut Function) -> Result<(), CompileError> {
    let operations = std::mem::take(&mut function.body.ops);
    let mut kept = Vec::with_capacity(operations.len());
    for operation in operations {
        let view = OpView::new(function, &operation);
        let results = if worth_folding(&view) { evaluate(&view)? } else { None };
        match results {
            Some(results) => {
                for (&output, constant) in operation.outputs.iter().zip(results) {
                    function.values[output.index()].def = Def::Const(constant);
                }
            }
            None => kept.push(operation),
        }
    }
    function.body.ops = kept;
    Ok(())
}

fn worth_folding(view: &OpView<'_>) -> bool {
    let function = view.function;
    let constant = view.operation.op.effect == Effect::Pure
        && view.operation.uses().all(|id| function.constant(id).is_some());
    // A function's outputs must stay the results of operations.
    let output = view.operation.outputs.iter().any(|id| function.body.outputs.contains(id));
    let add = |sum: usize, id| sum.saturating_add(function.tensor(id).bytes());
    let from = view.operation.uses().fold(0, add);
    let to = view.operation.outputs.iter().copied().fold(0, add);
    constant && !output && to <= SMALL_BYTES.max(from)
}

/// The results, or `None` when the op refuses its data (it will say so when the program runs).
pub(super) fn evaluate(view: &OpView<'_>) -> Result<Option<Vec<Constant>>, CompileError> {
    let arguments: Vec<Constant> =
        view.operation.uses().filter_map(|id| view.function.constant(id).cloned()).collect();
    let mut values = arguments.iter();
    let bind = |_: &Param, id| match values.next() {
        Some(constant) => Binding::Value(constant.clone()),
        None => Binding::Type(view.function.tensor(id).clone()),
    };
    match Alone::new(view.function, view.operation, Numerics::Ieee, bind)
        .and_then(|alone| alone.run(&arguments))
    {
        Ok(results) => Ok(Some(results)),
        Err(Fault::Infer(_) | Fault::Run(_)) => Ok(None),
        Err(Fault::Compile(error)) => Err(error),
    }
}
