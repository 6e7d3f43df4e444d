//! What the engine's numbers do to a program: each operation's error by itself and so far, sums that overflow, products that are
//! flushed, and where generations differ. [`scale_for_ane`] is the remedy for products.
//!
//! A function is walked twice at once: in the engine's numbers, and in `fp32` throughout (of which every `fp16` type is taken to be
//! a rounding). All of it is simulated: see [`provenance`] for how far each operation's numbers are known.

mod measure;
mod rewrite;
mod scale;
mod walk;

pub use scale::{Scaled, ScaledOp, scale_for_ane};

use crate::{AneGeneration, Numerics, OpCase, provenance};
use anemone_runtime::{States, Tensor};
use measure::Comparison;
use mil::{DataType, OpView, Verified};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use walk::{Evaluated, Walk};

/// Why a function could not be audited.
#[derive(Debug, Error)]
pub enum AuditError {
    /// There is no such function.
    #[error("there is no function `{name}`; the program has: {available}")]
    NoFunction {
        /// The name asked for.
        name: String,
        /// Those that there are.
        available: String,
    },
    /// The inputs are not those of the function.
    #[error("input {index} is {found}, but function `{function}` takes {expected}")]
    Input {
        /// The function.
        function: String,
        /// Position of the input.
        index: usize,
        /// What was given.
        found: String,
        /// What it takes.
        expected: String,
    },
    /// An operation that is not one of straight-line tensor computation.
    #[error("`{op}` (value `{value}`) is control flow; audit the functions that it is made of")]
    ControlFlow {
        /// The op.
        op: &'static str,
        /// Its first output.
        value: String,
    },
    /// An operation failed.
    #[error("`{op}` (value `{value}`) failed: {message}")]
    Run {
        /// The op.
        op: &'static str,
        /// Its first output.
        value: String,
        /// Why.
        message: String,
    },
}

/// An audit of one function on given inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// The function.
    pub function: String,
    /// The generation whose numbers were computed: `h13` to `h17`.
    pub generation: String,
    /// Every operation that ran, in order. (What constants alone decide does not run on the engine.)
    pub ops: Vec<OpAudit>,
    /// The function's outputs.
    pub outputs: Vec<OutputAudit>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpAudit {
    /// The op.
    pub op: String,
    /// Name of its first output.
    pub value: String,
    /// Type of its first output.
    pub ty: String,
    /// How well its model is supported: `exact`, `fitted`, `assumed`, or `host` where the engine does not compute it.
    pub grade: String,
    /// What the model rests on.
    pub note: String,
    /// Elements of its outputs.
    pub elements: usize,
    /// Relative L2 error of the operation by itself: against `fp32` on the very operands that the engine had.
    pub alone: f64,
    /// Relative L2 error so far: against the function computed in `fp32`.
    pub cumulative: f64,
    /// Elements that are infinite (or no number) where `fp32` on the same operands is finite; no error counts them.
    pub overflows: usize,
    /// Share of the products of two numbers (neither 0) that the engine flushes to 0. Counted by size along the summed
    /// dimension: exact for one matrix product, an estimate for batches and convolutions. `None` for other operations.
    pub flushed: Option<f64>,
    /// Other generations that compute something else from the same operands.
    pub differs: Vec<String>,
}

/// One output of the function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputAudit {
    /// Its name.
    pub name: String,
    /// Relative L2 error against the function computed in `fp32`.
    pub error: f64,
    /// Elements that are infinite (or no number) where those of `fp32` are finite.
    pub overflows: usize,
}

/// Audits a function (the first one where `function` is `None`) on inputs; states begin with what `states` holds, or zeros. Runs on the
/// current rayon pool.
///
/// # Errors
/// When there is no such function, inputs do not fit, an operation is control flow or fails.
pub fn audit(
    program: &Verified,
    function: Option<&str>,
    inputs: &[&Tensor],
    states: &States,
    generation: AneGeneration,
) -> Result<Audit, AuditError> {
    let function = walk::find(program, function)?;
    let mut ops = Vec::new();
    let numerics = Numerics::Ane(generation);
    let outputs = Walk::new(function, inputs, states, numerics)?.run(|view, evaluated| {
        ops.push(audited(view, evaluated, generation)?);
        Ok(None)
    })?;
    Ok(Audit { function: function.name.clone(), generation: generation.to_string(), ops, outputs })
}

fn audited(
    view: &OpView<'_>,
    evaluated: &Evaluated<'_>,
    generation: AneGeneration,
) -> Result<OpAudit, AuditError> {
    let on_engine = view.output(0).dtype == DataType::Fp16;
    let known = provenance(view.name(), case(view), generation);
    let mut alone = Comparison::default();
    let mut cumulative = Comparison::default();
    for (at, got) in evaluated.engine.iter().enumerate() {
        alone.add(got, &evaluated.same[at]);
        cumulative.add(got, &evaluated.exact[at]);
    }
    let mut differs = Vec::new();
    if on_engine && matches!(view.name(), "conv" | "slice_by_index" | "slice_by_size") {
        for other in AneGeneration::ALL.into_iter().filter(|&other| other != generation) {
            if evaluated.under(Numerics::Ane(other))? != evaluated.engine {
                differs.push(other.to_string());
            }
        }
    }
    Ok(OpAudit {
        op: view.name().to_string(),
        value: view.function.display_name(view.operation.outputs[0]),
        ty: view.output(0).to_string(),
        grade: if on_engine { known.grade.name() } else { "host" }.to_string(),
        note: if on_engine { known.note } else { "not fp16: what the host computes" }.to_string(),
        elements: evaluated.engine.iter().map(|out| out.ty().shape.count()).sum(),
        alone: alone.error(),
        cumulative: cumulative.error(),
        overflows: alone.overflows,
        flushed: if on_engine { measure::flushed(view, evaluated.arguments) } else { None },
        differs,
    })
}

/// The case of an operation that [`provenance`] asks for.
pub fn case(view: &OpView<'_>) -> OpCase {
    let run_time = |param: &str| view.value(param).is_some() && view.constant(param).is_none();
    let two_operands = match view.name() {
        "conv" => run_time("weight"),
        "matmul" => run_time("x") && run_time("y"),
        _ => false,
    };
    let geometry = if view.name() == "conv" { mil::ops::conv::geometry(view).ok() } else { None };
    let dense = geometry.as_ref().is_some_and(|geometry| {
        let ones = |values: &[usize]| values.iter().all(|&value| value == 1);
        let spatial = &geometry.spatial;
        geometry.groups == 1
            && spatial.kernel[..] == [3, 3]
            && ones(&spatial.strides)
            && ones(&spatial.dilations)
    });
    let odd =
        |geometry: &mil::ops::conv::ConvGeometry| geometry.spatial.output.last().is_some_and(|w| w % 2 == 1);
    OpCase { dense_3x3: dense, two_operands, odd_width: dense && geometry.as_ref().is_some_and(odd) }
}
