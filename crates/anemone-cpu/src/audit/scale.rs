//! Scaling products by powers of two, so that none is flushed and no sum overflows.
//!
//! The engine's products lose what lies below 2^-16, whatever the size of the result: factors of size 1/√K, the usual ones, lose
//! 2.7 % at K = 4096. Scaled by a power of two, a product keeps all of its bits, and the scale is taken back, exactly, after it.
//!
//! [`scale_for_ane`] walks a function on calibration inputs. A product gets the largest scale for which the sum of all its products'
//! sizes, whatever their signs and order, stays a factor of 4 below 2^15 (of 32 where Winograd's algorithm adds inputs first). The
//! scale goes into a constant factor; where both factors come at run time, into a `mul` before the first. The inverse goes into the
//! constant of a following `mul`, into the weights of a following product, or into a `mul` of its own. Everything that is scaled
//! stays an exact `fp16` number, or the scale is made smaller.
//!
//! A scale stays only where the simulated error of the operation falls by a tenth or more, and a function's outputs are compared
//! before and after: scales are given up until none of them is worse. So on the inputs it saw, the pass never raises an error.

use super::measure::Comparison;
use super::rewrite::rewritten;
use super::walk::{self, Evaluated, Walk, evaluate, halves, wide};
use super::{AuditError, OutputAudit};
use crate::numerics::rounding::round_half_away;
use crate::{AneGeneration, Numerics};
use anemone_runtime::{States, Tensor};
use half::f16;
use mil::{Constant, DataType, Function, OpView, Operation, ValueId, Verified};
use serde::{Deserialize, Serialize};

/// The largest scale: its inverse must be an `fp16` number that is not subnormal.
const MOST: i32 = 14;
/// What is gained at least: the error afterwards, as a part of that before.
const GAIN: f64 = 0.9;
/// How often scales are given up before all of them are.
const ATTEMPTS: usize = 24;

/// What became of a function.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// The program, in which the function is the only one that changed.
    pub program: Verified,
    /// Every product that was scaled.
    pub ops: Vec<ScaledOp>,
    /// The function's outputs before.
    pub before: Vec<OutputAudit>,
    /// And after.
    pub after: Vec<OutputAudit>,
}

/// One scaled product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScaledOp {
    /// The op.
    pub op: String,
    /// Name of its output.
    pub value: String,
    /// The scale is 2 to this power.
    pub exponent: i32,
    /// Relative L2 error of the operation by itself before.
    pub before: f64,
    /// And after.
    pub after: f64,
    /// Overflowing elements before.
    pub overflows_before: usize,
    /// And after.
    pub overflows_after: usize,
    /// Where the inverse went: `mul` of its own, `folded` into what follows.
    pub inverse: String,
}

/// A decision about one operation of the function.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// Index of the operation.
    pub(super) at: usize,
    pub(super) exponent: i32,
    /// The parameter whose argument is scaled.
    pub(super) param: &'static str,
    before: Comparison,
    after: Comparison,
}

/// Scales the products of a function (the first one where `function` is `None`) for what the engine of a generation computes, judged on
/// calibration inputs. The other arguments are those of [`audit`](super::audit). Runs on the current rayon pool.
///
/// # Errors
/// As [`audit`](super::audit).
pub fn scale_for_ane(
    program: &Verified,
    function: Option<&str>,
    inputs: &[&Tensor],
    states: &States,
    generation: AneGeneration,
) -> Result<Scaled, AuditError> {
    let source = walk::find(program, function)?;
    let name = source.name.clone();
    let outputs = |program: &Verified| {
        Walk::new(walk::find(program, Some(&name))?, inputs, states, Numerics::Ane(generation))?
            .run(|_, _| Ok(None))
    };
    let before = outputs(program)?;
    let mut choices = Vec::new();
    let mut at = 0;
    Walk::new(source, inputs, states, Numerics::Ane(generation))?.run(|view, evaluated| {
        at = position(source, view.operation, at);
        let Some((choice, results)) = choose(view, evaluated, at, generation)? else { return Ok(None) };
        choices.push(choice);
        Ok(Some(results))
    })?;
    for _ in 0..ATTEMPTS {
        if choices.is_empty() {
            break;
        }
        if let Some((scaled, inverses)) = rewritten(program, source, &choices) {
            let after = outputs(&scaled)?;
            if no_worse(&after, &before) {
                let ops =
                    choices.iter().zip(inverses).map(|(choice, inverse)| report(source, choice, inverse));
                let ops = ops.collect();
                return Ok(Scaled { program: scaled, ops, before, after });
            }
        }
        give_up(&mut choices);
    }
    Ok(Scaled { program: program.clone(), ops: Vec::new(), after: before.clone(), before })
}

fn position(source: &Function, operation: &Operation, from: usize) -> usize {
    let own = |other: &Operation| std::ptr::eq(other, operation);
    source.body.ops[from..].iter().position(own).map_or(from, |at| from + at)
}

fn no_worse(after: &[OutputAudit], before: &[OutputAudit]) -> bool {
    after.iter().zip(before).all(|(after, before)| {
        after.overflows < before.overflows
            || (after.overflows == before.overflows && after.error <= before.error)
    })
}

/// Gives up the half of the scales that gain least.
fn give_up(choices: &mut Vec<Choice>) {
    let gain = |choice: &Choice| choice.after.error() / choice.before.error().max(f64::MIN_POSITIVE);
    choices.sort_by(|a, b| gain(a).total_cmp(&gain(b)));
    choices.truncate(choices.len() / 2);
    choices.sort_by_key(|choice| choice.at);
}

fn report(source: &Function, choice: &Choice, inverse: &str) -> ScaledOp {
    let operation = &source.body.ops[choice.at];
    ScaledOp {
        op: operation.op.name.to_string(),
        value: source.display_name(operation.outputs[0]),
        exponent: choice.exponent,
        before: choice.before.error(),
        after: choice.after.error(),
        overflows_before: choice.before.overflows,
        overflows_after: choice.after.overflows,
        inverse: inverse.to_string(),
    }
}

/// The parameter that is scaled: a constant factor, or the first one.
fn factor(view: &OpView<'_>) -> Option<&'static str> {
    let fp16 = |param: &'static str| view.dtype(param).is_ok_and(|dtype| dtype == DataType::Fp16);
    let constant = |param: &'static str| view.constant(param).is_some();
    if view.output(0).dtype != DataType::Fp16 {
        return None;
    }
    match view.name() {
        "matmul" if fp16("x") && fp16("y") => Some(if constant("y") { "y" } else { "x" }),
        "linear" | "conv" | "conv_transpose" if fp16("x") && fp16("weight") => {
            // A bias known at run time would have to be scaled too.
            let bias = view.value("bias").is_none() || constant("bias");
            (constant("weight") && bias).then_some("weight")
        }
        _ => None,
    }
}

/// 2 to this power, which `f32` holds as a normal number.
pub(super) fn power(exponent: i32) -> f32 {
    f32::from_bits(((127 + exponent) as u32) << 23)
}

/// The exponent of a normal number.
fn floor_log2(value: f32) -> i32 {
    (value.to_bits() >> 23 & 0xff) as i32 - 127
}

/// Numbers times 2 to this power, where they stay exact.
pub(super) fn scaled(constant: &Constant, exponent: i32) -> Option<Constant> {
    let factor = power(exponent);
    let values = constant.as_slice::<f16>()?;
    let scaled: Option<Vec<f16>> = values
        .iter()
        .map(|x| {
            let wide = x.to_f32() * factor;
            let half = f16::from_f32(wide);
            (half.is_finite() && half.to_f32() == wide).then_some(half)
        })
        .collect();
    halves(constant.ty(), scaled?)
}

/// The largest number of a constant.
fn largest(constants: &[Constant]) -> f32 {
    let all = constants.iter().filter_map(|constant| constant.to_f32());
    all.map(|values| values.iter().fold(0.0f32, |most, x| most.max(x.abs()))).fold(0.0, f32::max)
}

/// A scale for an operation, if one helps, and what the engine then computes.
fn choose(
    view: &OpView<'_>,
    evaluated: &Evaluated<'_>,
    at: usize,
    generation: AneGeneration,
) -> Result<Option<(Choice, Vec<Constant>)>, AuditError> {
    let Some(param) = factor(view) else { return Ok(None) };
    let Some(id) = view.value(param) else { return Ok(None) };
    // The sum of sizes bounds every partial sum, in whatever order.
    let sizes: Vec<(ValueId, Constant)> =
        evaluated.arguments.iter().map(|(id, constant)| (*id, size(&wide(constant)))).collect();
    let bound = largest(&evaluate(view.function, view.operation, Numerics::Ieee, &sizes)?);
    if bound == 0.0 || !bound.is_finite() {
        return Ok(None);
    }
    let winograd = generation.has_winograd() && view.name() == "conv";
    let limit = if winograd { 10 } else { 13 };
    let mut exponent = (limit - 1 - floor_log2(bound)).min(MOST);
    if exponent <= 0 && bound < 32768.0 {
        return Ok(None);
    }
    exponent = exponent.max(-MOST);
    let mut before = Comparison::default();
    before.add(&evaluated.engine[0], &evaluated.same[0]);
    while exponent != 0 {
        if let Some(arguments) = arguments(view, evaluated.arguments, id, exponent) {
            let product = evaluate(view.function, view.operation, Numerics::Ane(generation), &arguments)?;
            let results = vec![unscaled(&product[0], exponent)];
            let mut after = Comparison::default();
            after.add(&results[0], &evaluated.same[0]);
            let better = after.overflows < before.overflows || after.error() < GAIN * before.error();
            if better && after.is_no_worse(&before) {
                return Ok(Some((Choice { at, exponent, param, before, after }, results)));
            }
            return Ok(None);
        }
        exponent -= exponent.signum();
    }
    Ok(None)
}

fn size(constant: &Constant) -> Constant {
    match constant.as_slice::<f32>() {
        Some(values) => {
            let sizes = values.iter().map(|x| x.abs()).collect();
            Constant::new(constant.ty().shape.clone(), sizes).unwrap_or_else(|_| constant.clone())
        }
        None => constant.clone(),
    }
}

/// The operands with one factor (and the bias) scaled; `None` where that is not exact.
fn arguments(
    view: &OpView<'_>,
    own: &[(ValueId, Constant)],
    factor: ValueId,
    exponent: i32,
) -> Option<Vec<(ValueId, Constant)>> {
    let bias = view.value("bias").filter(|_| view.name() != "matmul");
    let mut done = false;
    own.iter()
        .map(|(id, constant)| {
            // In the product of a value with itself, one of the two is scaled.
            let first = *id == factor && !done;
            done |= first;
            let scale = first || Some(*id) == bias;
            let constant = if scale { scaled(constant, exponent)? } else { constant.clone() };
            Some((*id, constant))
        })
        .collect()
}

/// What a following `mul` gives.
fn unscaled(product: &Constant, exponent: i32) -> Constant {
    let Some(values) = product.as_slice::<f16>() else { return product.clone() };
    let factor = power(-exponent);
    let values = values.iter().map(|x| f16::from_f32(round_half_away(x.to_f32() * factor))).collect();
    halves(product.ty(), values).unwrap_or_else(|| product.clone())
}
