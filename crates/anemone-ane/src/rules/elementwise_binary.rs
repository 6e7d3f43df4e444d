//! Elementwise operations of two tensors.

use super::declare::{OpRule, Rule, STUDY_OPS, Scope, Severity, absent, native, reachable};
use super::site::{Hit, Site};
use crate::facts::{ANEFORGE, Cite, FIELD_GUIDE, Grade};

const MASKS: &str = "make masks of 0 and 1 by `select`: `mul` is and, `maximum` is or, `not_equal` is xor";
const BOOLS: &str = "it computes with truth values, which the engine only selects by";

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("add").decoded(),
    native("sub").decoded(),
    native("mul").decoded(),
    native("real_div"),
    native("floor_div"),
    absent(
        "mod",
        "the engine has no remainder",
        "y * (x / y - floor(x / y)) by a power of two; by others fp16 has too few digits for the quotient",
    )
    .newest(Grade::Measured, STUDY_OPS),
    native("pow"),
    native("maximum").decoded(),
    native("minimum").decoded(),
    reachable("equal"),
    reachable("not_equal"),
    reachable("greater"),
    reachable("greater_equal"),
    reachable("less"),
    reachable("less_equal"),
    absent("logical_and", BOOLS, MASKS),
    absent("logical_or", BOOLS, MASKS),
    absent("logical_xor", BOOLS, MASKS),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "scale-after-rounding",
        &["mul"],
        Severity::Wrong,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "miscompiles, #112"),
        after_rounding,
    )
    .says(
        "a multiplication by one number right after floor, ceil or round is dropped",
        "another operation in between",
        "multiply by a tensor of that number",
    ),
    Rule::on(
        "reduction-times-zero",
        &["mul"],
        Severity::Refused,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "miscompiles"),
        |site| {
            let reduced = |param: &str| site.comes_from(param).filter(|op| op.starts_with("reduce_"));
            let hit = |by: &str, of: &str| (site.scalar(by) == Some(0.0)).then(|| reduced(of)).flatten();
            hit("y", "x").or_else(|| hit("x", "y")).map(|op| Hit::new(format!("{op} times 0")))
        },
    )
    .says(
        "the product of a reduction and 0 crashes the compiler",
        "another factor",
        "subtract the reduction from itself",
    ),
    Rule::on(
        "batch-broadcast",
        &["mul"],
        Severity::Wrong,
        Scope::only(&["H15"]),
        Cite::of(&FIELD_GUIDE, "M3 Max: unreliable"),
        |site| {
            let (x, y) = (site.shape("x"), site.shape("y"));
            let output = site.op.output(0).shape.first().copied().unwrap_or(1);
            let shorter =
                |dims: &[usize]| dims.len() == site.op.output(0).shape.rank() && dims.first() == Some(&1);
            (site.op.output(0).shape.rank() == 4 && output > 1 && (shorter(x) || shorter(y)))
                .then(|| Hit::new(format!("a batch of {output} times a batch of 1")))
        },
    )
    .says(
        "a multiplication that stretches along the batch gave wrong results",
        "equal batches",
        "repeat the operand",
    ),
];

fn after_rounding(site: &Site<'_>) -> Option<Hit> {
    let rounded = |param: &str| site.comes_from(param).filter(|op| matches!(*op, "floor" | "ceil" | "round"));
    let hit = |by: &str, of: &str| site.scalar(by).zip(rounded(of));
    let (scale, op) = hit("y", "x").or_else(|| hit("x", "y"))?;
    (scale != 1.0).then(|| Hit::new(format!("{op}(x) * {scale}")))
}
