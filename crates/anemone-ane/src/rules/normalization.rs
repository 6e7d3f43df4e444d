//! Normalizations.

use super::declare::{OpRule, Rule, Scope, Severity, native, reachable};
use super::site::{Hit, Site};
use crate::facts::{ANEFORGE, Cite, Conflict, Grade, RUSTANE};
use mil::ops::normalization::normalized_axes;

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("batch_norm").into("a multiplication and an addition per channel"),
    native("instance_norm").into("3 to 6 tasks: mean, square, mean, quotient"),
    reachable("l2_norm").into("a sum of squares, a root, a quotient"),
    native("layer_norm").decoded().into("3 to 6 tasks: mean, square, mean, quotient").but(&[Conflict {
        claim: "refused on the private route",
        cite: Cite::of(&RUSTANE, "luengnat's list"),
    }]),
    native("local_response_norm"),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "norm-extent",
        &["instance_norm", "layer_norm", "l2_norm"],
        Severity::Refused,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "preflight: normalizations are held to their inner extent"),
        extent,
    )
    .says(
        "inside, what is normalized together is one axis, which is too long",
        "",
        "normalize in more groups, or by reductions axis by axis",
    )
    .graded(Grade::Derived),
    Rule::on(
        "layer-norm-affine",
        &["layer_norm"],
        Severity::Refused,
        Scope::seen(&["H13", "H14"]),
        Cite::of(&ANEFORGE, "#149, #162, #201: M1 Max, M2 Pro"),
        |site| affine(site, 1024),
    )
    .says(
        "between two reshapes, gamma or beta of 1024 elements and more that are not all equal fail to compile",
        "fewer, or equal elements",
        "multiply and add after the normalization",
    ),
    Rule::on(
        "layer-norm-wide",
        &["layer_norm"],
        Severity::Refused,
        Scope::seen(&["H14", "H17"]),
        Cite::of(&ANEFORGE, "#149: M2 Pro, M5 Pro"),
        |site| affine(site, 10240),
    )
    .says(
        "between two reshapes, gamma or beta of 10240 elements and more compile but fail to run",
        "fewer elements",
        "multiply and add after the normalization",
    ),
    Rule::on(
        "epsilon-type",
        &["layer_norm", "instance_norm", "batch_norm", "l2_norm"],
        Severity::Risk,
        Scope::EVERYWHERE,
        Cite::of(&RUSTANE, "luengnat's list: invalid program"),
        |site| {
            let (x, epsilon) = (site.op.dtype("x").ok()?, site.op.constant("epsilon")?.ty().dtype);
            (x != epsilon).then(|| Hit::new(format!("epsilon of {epsilon} for values of {x}")))
        },
    )
    .says(
        "an epsilon of another type than the values was refused",
        "the type of the values",
        "give epsilon in the type of `x`",
    ),
    Rule::on(
        "lrn-channels",
        &["local_response_norm"],
        Severity::Refused,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls"),
        |site| {
            let channels = *site.shape("x").iter().rev().nth(2)?;
            (channels >= 16 && channels != mil::UNKNOWN).then(|| Hit::new(format!("{channels} channels")))
        },
    )
    .says(
        "local_response_norm of 16 channels and more does not compile",
        "fewer than 16",
        "square, avg_pool across channels, pow, real_div",
    ),
];

fn extent(site: &Site<'_>) -> Option<Hit> {
    let x = site.shape("x");
    let normalized: Vec<usize> = match site.op.name() {
        "layer_norm" => normalized_axes(&site.op).ok()?.into_iter().map(|axis| x[axis]).collect(),
        "l2_norm" => x.iter().rev().take(3).copied().collect(),
        _ => x.get(2..)?.to_vec(),
    };
    if normalized.contains(&mil::UNKNOWN) {
        return None;
    }
    let extent = normalized.iter().fold(1usize, |product, &dim| product.saturating_mul(dim));
    let most = site.graph.limits.spatial.count()?;
    (extent > most)
        .then(|| Hit::over(format!("{extent} elements normalized together"), format!("at most {most}")))
}

/// Whether gamma or beta has this many elements or more that are not all equal, between two reshapes.
fn affine(site: &Site<'_>, least: usize) -> Option<Hit> {
    let x = site.op.value("x")?;
    let output = *site.op.operation.outputs.first()?;
    let reshape = |op: &str| matches!(op, "reshape" | "expand_dims" | "squeeze");
    let between = site.graph.defined_by(x).is_some_and(reshape)
        && site.graph.uses(output).any(|user| reshape(user.op.declaration().name));
    let uneven = |param: &str| {
        let constant = site.op.constant(param).filter(|constant| constant.ty().shape.count() >= least)?;
        let size = constant.ty().dtype.size().max(1);
        let first = constant.bytes().get(..size)?;
        constant
            .bytes()
            .chunks_exact(size)
            .any(|element| element != first)
            .then(|| constant.ty().shape.count())
    };
    let count = uneven("gamma").or_else(|| uneven("beta")).filter(|_| between)?;
    Some(Hit::new(format!("{count} elements, not all equal, between two reshapes")))
}
