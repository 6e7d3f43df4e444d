//! Activation functions.

use super::declare::{OpRule, Rule, Scope, Severity, native, reachable};
use super::site::{Hit, Site};
use crate::facts::{ANEFORGE, Cite, Conflict, MADERIX, ORION};

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("clamped_relu"),
    native("elu"),
    native("gelu").decoded().but(&[Conflict {
        claim: "refused on the private route: decompose it",
        cite: Cite::of(&ORION, "op list"),
    }]),
    native("leaky_relu").decoded(),
    native("linear_activation"),
    reachable("prelu"),
    native("relu").decoded(),
    native("relu6"),
    native("scaled_tanh"),
    native("sigmoid").decoded(),
    native("sigmoid_hard"),
    native("silu").decoded(),
    native("softmax")
        .newest(crate::facts::Grade::Measured, Cite::of(&MADERIX, "attention, M4 and M5"))
        .decoded()
        .into("4 to 8 tasks: maximum, exponential, sum, quotient"),
    native("softplus"),
    reachable("softplus_parametric"),
    native("softsign"),
    native("thresholded_relu"),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[Rule::on(
    "softplus-overflow",
    &["softplus", "softplus_parametric"],
    Severity::Wrong,
    Scope::seen(&["H17"]),
    Cite::of(&ANEFORGE, "miscompiles, #113"),
    softplus,
)
.says(
    "softplus of 11.09 (ln 65504) or more gives 0, as does softplus of infinity",
    "values below 11.09",
    "max(x, 0) + log(1 + exp(-|x|))",
)];

/// ln 65504: from there on `exp` overflows fp16.
const LIMIT: f64 = 11.09;

fn softplus(site: &Site<'_>) -> Option<Hit> {
    let high = site.op.value("x").map_or(f64::INFINITY, |x| site.graph.range(x).high);
    let beta = site.op.value("beta").map_or(1.0, |beta| site.graph.range(beta).magnitude());
    let reach = if beta == 1.0 { high } else { site.magnitude("x") * beta };
    // Zero times infinity says nothing.
    let safe = reach < LIMIT;
    (!safe).then(|| {
        Hit::new(if high.is_finite() {
            format!("values up to {high}")
        } else {
            "values without a bound".into()
        })
    })
}
