//! Elementwise operations of one tensor.

use super::declare::{
    FLOORS, OpRule, Placement, Rule, STUDY_OPS, Scope, Severity, absent, native, reachable,
};
use super::site::{Hit, Site};
use crate::chips::Family;
use crate::facts::{ANEFORGE, Cite, Conflict, Grade, IMPERATORMK, MADERIX, RUSTANE};

const NO_FUNCTION: &str = "the engine has no such function";
const POLYNOMIAL: Placement = Placement::Refused {
    why: "engines before H15 have no such function",
    way_out: "a polynomial after reducing the angle",
};

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("abs").decoded(),
    absent("acos", NO_FUNCTION, "a polynomial, beyond 1/2 of sqrt((1 - abs(x)) / 2)")
        .newest(Grade::Measured, STUDY_OPS),
    absent("asin", NO_FUNCTION, "a polynomial, beyond 1/2 of sqrt((1 - abs(x)) / 2)")
        .newest(Grade::Measured, STUDY_OPS),
    native("atan"),
    absent("atanh", NO_FUNCTION, "a polynomial, beyond 1/2 of abs(x) -0.5 * log((1 - x) / (1 + x))"),
    native("ceil"),
    native("cos").from(Family::A15, POLYNOMIAL, FLOORS),
    absent("cosh", NO_FUNCTION, "exp(abs(x) / 2) squared and exp(-abs(x)), half of each")
        .newest(Grade::Measured, STUDY_OPS),
    native("erf"),
    native("exp").decoded(),
    native("exp2"),
    native("floor"),
    native("round"),
    native("sign"),
    native("sin").from(Family::A15, POLYNOMIAL, FLOORS),
    absent("sinh", NO_FUNCTION, "a polynomial, beyond 1 (exp(x) - exp(-x)) * 0.5")
        .newest(Grade::Measured, STUDY_OPS),
    native("sqrt").decoded(),
    native("square"),
    absent("tan", NO_FUNCTION, "sin(x) / cos(x)").newest(Grade::Measured, STUDY_OPS),
    native("tanh").decoded(),
    native("clip").decoded(),
    native("inverse"),
    native("log"),
    reachable("logical_not"),
    native("rsqrt").decoded(),
    native("threshold"),
    absent("cast", "the engine computes in fp16 alone", "keep the program in fp16 from input to output").but(
        &[Conflict {
            claim: "fp32 to fp16 at the edges works on the private route from M3 on, not on M1 and M2",
            cite: Cite::of(&MADERIX, "PR #6"),
        }],
    ),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "round-large",
        &["round"],
        Severity::Wrong,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "miscompiles"),
        |site| (site.magnitude("x") >= 1024.0).then(|| Hit::new(bound(site))),
    )
    .says(
        "round of 1024 and more adds 0.5, and halves go away from zero in place of to even",
        "values below 1024, none half-way",
        "round by floor below 1024, and keep larger values as they are",
    ),
    Rule::on(
        "round-half",
        &["round"],
        Severity::Wrong,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "miscompiles"),
        |site| (site.magnitude("x") < 1024.0).then(|| Hit::new(bound(site))),
    )
    .says(
        "halves are rounded away from zero, where MIL says to even",
        "values that are not half-way",
        "round by floor",
    ),
    Rule::on(
        "square-fused",
        &["square"],
        Severity::Wrong,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "miscompiles"),
        |site| {
            let width = *site.shape("x").last()?;
            (width % 128 > 64).then(|| Hit::new(format!("{width} elements along the last axis")))
        },
    )
    .says(
        "square is wrong when it is fused and the last axis leaves more than 64 beyond a multiple of 128",
        "other widths",
        "mul(x, x)",
    ),
    Rule::on(
        "root-of-reduction",
        &["sqrt", "rsqrt"],
        Severity::Risk,
        Scope::only(&["H16"]),
        Cite::of(&RUSTANE, "M4"),
        |site| {
            let x = site.op.value("x")?;
            let op = site.graph.defined_by(x).filter(|op| op.starts_with("reduce_"))?;
            Some(Hit::new(format!("{} of {op}", site.op.name())))
        },
    )
    .says(
        "a root right after a reduction fails",
        "an operation in between",
        "pow with the exponent 0.5 or -0.5",
    )
    .but(&[Conflict {
        claim: "sqrt fails before a broadcast, M1",
        cite: Cite::of(&IMPERATORMK, "cheatsheet"),
    }]),
];

fn bound(site: &Site<'_>) -> String {
    match site.magnitude("x") {
        bound if bound.is_finite() => format!("values up to {bound}"),
        _ => "values without a bound".into(),
    }
}
