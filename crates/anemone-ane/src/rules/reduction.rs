//! Reductions.

use super::declare::{FLOORS, OpRule, Rule, STUDY_OPS, Scope, Severity, absent, native};
use super::site::Hit;
use crate::facts::{ANEFORGE, Cite, Conflict, Grade};

const INDEX: &str = "it gives int32 indices, which the engine does not make";
const INDEX_OUT: &str = "take the maximum on the engine and find its place outside";
const GLOBAL: &[Conflict] = &[Conflict { claim: "over a whole tensor from A15 on", cite: FLOORS }];

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    absent("reduce_argmax", INDEX, INDEX_OUT).but(GLOBAL),
    absent("reduce_argmin", INDEX, INDEX_OUT).but(GLOBAL),
    native("reduce_l1_norm"),
    native("reduce_l2_norm"),
    native("reduce_log_sum"),
    native("reduce_log_sum_exp"),
    native("reduce_max").decoded(),
    native("reduce_mean").decoded(),
    native("reduce_min").decoded(),
    absent(
        "reduce_prod",
        "the engine has no product over an axis",
        "products of halves, where no part leaves the range of fp16",
    )
    .newest(Grade::Measured, STUDY_OPS),
    native("reduce_sum").decoded(),
    native("reduce_sum_square"),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "log-sum-exp-overflow",
        &["reduce_log_sum_exp"],
        Severity::Wrong,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "miscompiles; coremltools #2726"),
        |site| {
            let high = site.op.value("x").map_or(f64::INFINITY, |x| site.graph.range(x).high);
            // ln 65504, less the logarithm of the number of terms.
            let terms = site
                .shape("x")
                .iter()
                .filter(|&&dim| dim != mil::UNKNOWN)
                .fold(1.0, |n, &dim| n * dim as f64);
            let most = 11.09 - f64::ln(terms.max(1.0));
            let safe = high < most;
            (!safe).then(|| {
                Hit::new(if high.is_finite() {
                    format!("values up to {high}")
                } else {
                    "values without a bound".into()
                })
            })
        },
    )
    .says(
        "the exponentials overflow fp16 from 11.09 on",
        "smaller values",
        "subtract the maximum first and add it after",
    ),
    Rule::on(
        "narrow-sum",
        &["reduce_sum"],
        Severity::Note,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "numeric cliffs, M1 to M5 Pro"),
        |site| {
            let x = site.shape("x");
            let terms = mil::ops::reduction::reduced_axes(&site.op)
                .ok()?
                .into_iter()
                .map(|axis| x[axis])
                .filter(|&dim| dim != mil::UNKNOWN)
                .fold(1usize, |n, dim| n.saturating_mul(dim));
            (terms > 2048).then(|| Hit::new(format!("sums of {terms} terms")))
        },
    )
    .says(
        "sums are held in fp16: integers are exact up to 2048 only",
        "sums up to 2048",
        "a matmul with ones, whose accumulator is wider",
    )
    .once(),
];
