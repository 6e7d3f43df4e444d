//! Operations on whole tensors.

use super::declare::{
    FLOORS, OpRule, Placement, Rule, STUDY_OPS, Scope, Severity, absent, native, reachable, walled,
};
use super::site::Hit;
use super::tensor_transformation::joined_slices;
use crate::chips::Family;
use crate::facts::{ANEFORGE, Cite, Conflict, FIELD_GUIDE, Grade, MADERIX, ORION};

const TOPK: Placement = Placement::Refused {
    why: "it passes validation and fails in code generation before H14",
    way_out: "sort outside",
};
const KNOWN: &str = "it is not worked out by the compiler";
const FOLD: &str = "fold it into a constant before";

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    walled("argsort", "the compiler fails", "sort outside")
        .but(&[Conflict { claim: "from A14 on", cite: FLOORS }]),
    absent("band_part", KNOWN, "multiply by a constant mask of 0 and 1"),
    native("concat").but(&[
        Conflict { claim: "refused, M4 Max", cite: Cite::of(&ORION, "op list") },
        Conflict { claim: "2 to 6 inputs work, M1 to M5", cite: Cite::of(&MADERIX, "") },
    ]),
    absent("cumsum", "the engine has no running sum", "a matmul with a triangle of ones")
        .newest(Grade::Measured, STUDY_OPS),
    native("fill"),
    native("fill_like"),
    native("flatten2d"),
    walled(
        "identity",
        "an operation that computes nothing crashes the compiler",
        "leave it out, or multiply by 1 at an output",
    ),
    reachable("non_maximum_suppression"),
    absent("non_zero", "its result is as long as the data make it", "work with masks")
        .newest(Grade::Measured, STUDY_OPS),
    absent("one_hot", "it takes int32 indices", "look up outside, or compare with constants in fp16")
        .newest(Grade::Measured, STUDY_OPS),
    native("pad"),
    native("range_1d"),
    absent("shape", KNOWN, FOLD),
    native("split"),
    native("stack"),
    native("tile"),
    native("topk").from(Family::A14, TOPK, FLOORS),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "concat-of-width-slices",
        &["concat"],
        Severity::Wrong,
        Scope::seen(&["H13", "H14"]).not(&["H16", "H17", "H18", "H18G", "H19"]),
        Cite::of(&ANEFORGE, "miscompiles"),
        |site| {
            let count = joined_slices(site.graph, &site.op);
            (count >= 2).then(|| Hit::new(format!("{count} slices that begin inside the last axis")))
        },
    )
    .says(
        "a concat of two and more slices that begin inside the last axis has wrong elements",
        "one such slice",
        "transpose, slice another axis, transpose back",
    ),
    Rule::on(
        "topk-of-few",
        &["topk"],
        Severity::Refused,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls"),
        |site| {
            let k = site.op.int("k").ok()?;
            matches!(k, 3 | 4).then(|| Hit::new(format!("k = {k}")))
        },
    )
    .says("topk of 3 and of 4 does not compile", "another k", "take 5 and drop the rest"),
    Rule::on(
        "tile",
        &["tile"],
        Severity::Refused,
        Scope::only(&["H15"]),
        Cite::of(&FIELD_GUIDE, "M3 Max: every later call fails until the process ends"),
        |_| Some(Hit::new("tile")),
    )
    .says("tile disables the engine until the process ends", "no tile", "a concat of copies, or broadcasting")
    .but(&[Conflict { claim: "native, M5", cite: Cite::of(&ANEFORGE, "op census") }]),
    Rule::on(
        "flattened-repeat",
        &["tile"],
        Severity::Risk,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls: grouped queries, 256 wide, 512 rows"),
        |site| {
            let output = *site.op.operation.outputs.first()?;
            let flat = site.graph.uses(output).find(|user| user.op.name == "reshape")?;
            let longest = site
                .op
                .function
                .shape(*flat.outputs.first()?)
                .iter()
                .copied()
                .filter(|&d| d != mil::UNKNOWN)
                .max()?;
            (longest > 65536).then(|| Hit::new(format!("an axis of {longest}")))
        },
    )
    .says(
        "repeated heads that are flattened to more than 65536 fail",
        "at most 65536",
        "a matmul for each group",
    ),
];
