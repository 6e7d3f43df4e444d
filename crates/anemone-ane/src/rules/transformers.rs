//! Attention.

use super::declare::{OpRule, Rule, Scope, Severity, native};
use super::site::Hit;
use crate::facts::{ANEFORGE, Cite, Conflict, MADERIX};

/// Placements.
pub(super) static OPS: &[OpRule] = &[native("scaled_dot_product_attention").but(&[Conflict {
    claim: "goes to the engine as one operation only from 64 heads and 496 positions on, 64 wide",
    cite: Cite::of(&ANEFORGE, "walls, M5"),
}])];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "attention-mask",
        &["scaled_dot_product_attention"],
        Severity::Wrong,
        Scope::seen(&["H16", "H17"]),
        Cite::of(&MADERIX, "the output is the same with and without"),
        |site| site.op.value("attn_mask").map(|_| Hit::new("an attn_mask")),
    )
    .says("`attn_mask` is ignored", "no mask", "matmul, add the mask, softmax, matmul"),
    Rule::on(
        "attention-size",
        &["scaled_dot_product_attention"],
        Severity::Wrong,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls, M5"),
        |site| {
            let positions =
                |param: &str| site.shape(param).iter().rev().nth(1).copied().filter(|&n| n != mil::UNKNOWN);
            let (queries, keys) = (positions("query")?, positions("key")?);
            let (most, least) = (queries.max(keys), queries.min(keys));
            (most > 2048 || least >= 512).then(|| Hit::new(format!("{queries} queries and {keys} keys")))
        },
    )
    .says(
        "attention over many positions gives garbage",
        "at most 2048 positions, and fewer than 512 of queries or of keys",
        "matmul, softmax, matmul, in tiles of queries",
    ),
];
