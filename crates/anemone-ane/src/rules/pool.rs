//! Pooling.

use super::declare::{OpRule, Rule, Scope, Severity, native};
use super::site::{Hit, Site};
use crate::facts::{ANEFORGE, Cite, Conflict, Grade, HOLLANCE, M6_STUDY};
use mil::ops::pool::geometry;

/// Placements.
pub(super) static OPS: &[OpRule] = &[native("avg_pool"), native("l2_pool"), native("max_pool")];

const CORE_ML: &[Conflict] = &[Conflict {
    claim: "Core ML places no windows above 13 and no strides above 2",
    cite: Cite::of(&HOLLANCE, "unsupported layers"),
}];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "avg-pool-window",
        &["avg_pool", "l2_pool"],
        Severity::Refused,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "family limits"),
        |site| window(site, site.graph.limits.average_window.count()?),
    )
    .says("the window is too large", "", "reduce_mean over the whole axes, or two poolings in a row")
    .graded(Grade::Derived)
    .but(CORE_ML),
    Rule::on(
        "max-pool-window",
        &["max_pool"],
        Severity::Refused,
        Scope::EVERYWHERE,
        Cite::of(&M6_STUDY, "limits: at most 8 on H16G and H18G; before H16 hollance's 13"),
        |site| window(site, site.graph.limits.max_window.count()?),
    )
    .says("the window is too large", "", "several poolings in a row: k and l make k + l - 1")
    .but(CORE_ML),
];

fn window(site: &Site<'_>, most: usize) -> Option<Hit> {
    let sizes = geometry(&site.op).ok()?;
    let size = sizes.kernel.iter().copied().max()?;
    (size > most).then(|| Hit::over(format!("a window of {size}"), format!("at most {most}")))
}
