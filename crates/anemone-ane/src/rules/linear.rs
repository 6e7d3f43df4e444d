//! Matrix products.

use super::declare::{OpRule, Rule, Scope, Severity, native};
use super::site::{Hit, Site};
use crate::facts::{ANEFORGE, Cite, Conflict, IMPERATORMK, M6_STUDY, RUSTANE};
use mil::ops::linear::matmul_geometry;

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("linear").into("a 1x1 convolution").but(&[Conflict {
        claim: "not taken on the private route: use matmul or a 1x1 convolution",
        cite: Cite::of(&RUSTANE, "luengnat's list"),
    }]),
    native("matmul").decoded().but(&[Conflict {
        claim: "a constant y is refused on the private route",
        cite: Cite::of(&IMPERATORMK, "cheatsheet"),
    }]),
    native("einsum").into("a matmul").but(&[Conflict {
        claim: "only nchw,nwhu->nchu is taken as it is",
        cite: Cite::of(&ANEFORGE, "einsum_native"),
    }]),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "contraction",
        &["matmul", "linear", "scaled_dot_product_attention"],
        Severity::Refused,
        Scope::EVERYWHERE,
        Cite::of(&M6_STUDY, "limits: 40000 fails, 32768 does not; before H16 ANEForge's family limits"),
        contraction,
    )
    .says("sums of too many products", "", "split the sum and add the parts")
    .but(&[Conflict { claim: "65536 from H16 on", cite: Cite::of(&ANEFORGE, "family limits") }]),
    Rule::on(
        "linear-rank",
        &["linear"],
        Severity::Risk,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "spellings"),
        |site| {
            let rank = site.shape("x").len();
            (rank > 3).then(|| Hit::new(format!("rank {rank}")))
        },
    )
    .says("`linear` takes up to three dimensions", "at most 3", "a matmul with the transposed weight"),
    Rule::on(
        "two-transposed-products",
        &["matmul"],
        Severity::Risk,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "#115, item 3, open"),
        |site| {
            let product = |param: &str| {
                let definition = site.op.value(param).and_then(|id| site.graph.definition(id));
                definition.filter(|op| op.op.name == "matmul")
            };
            let turned = |op: &mil::Operation| op.uses().any(|id| site.graph.defined_by(id) == Some("transpose"));
            let inner = product("x").or_else(|| product("y"))?;
            (turned(inner) && turned(site.op.operation))
                .then(|| Hit::new("a product of transposed operands, of such a product"))
        },
    )
    .says(
        "two products in a row that are both fed by transposes gave infinities, for reasons that are not understood",
        "another operation in between",
        "transpose through `transpose_x` and `transpose_y`",
    ),
];

fn contraction(site: &Site<'_>) -> Option<Hit> {
    let terms = match site.op.name() {
        "matmul" => vec![matmul_geometry(&site.op).ok()?.k],
        "linear" => vec![*site.shape("x").last()?],
        _ => vec![*site.shape("key").last()?, *site.shape("value").iter().rev().nth(1)?],
    };
    let (terms, most) =
        (terms.into_iter().filter(|&k| k != mil::UNKNOWN).max()?, site.graph.limits.contraction.count()?);
    (terms > most).then(|| Hit::over(format!("sums of {terms} products"), format!("at most {most}")))
}
