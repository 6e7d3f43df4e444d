//! Rearranging elements.

use super::declare::{FLOORS, OpRule, Rule, STUDY_OPS, Scope, Severity, absent, native, walled};
use super::site::{Graph, Hit};
use crate::facts::{ANEFORGE, Cite, Conflict, Grade};
use mil::ops::tensor_transformation::slice_spec;
use mil::{OpView, ValueId};

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("batch_to_space"),
    native("depth_to_space"),
    native("expand_dims"),
    native("pixel_shuffle"),
    native("pixel_unshuffle"),
    native("reshape"),
    walled("reshape_like", "the compiler fails", "reshape to the shape itself, which is known"),
    native("reverse"),
    absent("reverse_sequence", "lengths are data", "reverse with a fixed length, or outside"),
    native("slice_by_index"),
    native("slice_by_size"),
    absent(
        "slice_update",
        "the engine does not write into a tensor",
        "concat what is before, the update, and what is after",
    ),
    absent("sliding_windows", "the compiler does not reach it", "slices, stacked"),
    native("space_to_batch"),
    native("space_to_depth"),
    native("squeeze"),
    native("transpose"),
];

const NEWER: &[&str] = &["H16", "H17", "H18", "H18G", "H19"];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "width-offset-slice",
        &["slice_by_index", "slice_by_size", "split", "crop"],
        Severity::Wrong,
        Scope::seen(&["H13", "H14"]).not(NEWER),
        Cite::of(&ANEFORGE, "numeric cliffs: M1, M1 Max, M2 Pro"),
        |site| {
            let reach = site.magnitude("x");
            let joined = || site.op.operation.outputs.iter().any(|&id| is_joined(site.graph, id));
            let found = match is_width_offset(&site.op) {
                true if reach == f64::INFINITY => {
                    "begins inside the last axis, values without a bound".into()
                }
                true if reach > 4094.0 => format!("begins inside the last axis, values up to {reach}"),
                true if joined() => "begins inside the last axis, for a concat with another that does".into(),
                _ => return None,
            };
            Some(Hit::new(found))
        },
    )
    .says(
        "a slice that begins inside the last axis makes values beyond 4094 infinite",
        "values up to 4094, and no concat of two such slices",
        "transpose, slice another axis, transpose back",
    ),
    Rule::on(
        "dynamic-slice",
        &["slice_by_index", "slice_by_size"],
        Severity::Refused,
        Scope::EVERYWHERE,
        STUDY_OPS,
        |site| {
            let computed = |param: &str| site.is_runtime(param);
            (computed("begin") || computed("end")).then(|| Hit::new("a slice whose place is computed"))
        },
    )
    .says("slices whose place is computed do not run", "constant bounds", "a mask, or a slice outside")
    .but(&[Conflict { claim: "from A14 on", cite: FLOORS }]),
    Rule::on(
        "transpose-extent",
        &["transpose"],
        Severity::Risk,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "family limits: transpose extent, taken here for elements"),
        |site| {
            let count = site
                .op
                .value("x")
                .map(|x| site.op.function.shape(x))
                .filter(|shape| shape.is_known())?
                .count();
            let most = site.graph.limits.transpose.count()?;
            (count > most).then(|| Hit::over(format!("{count} elements"), format!("at most {most}")))
        },
    )
    .says("the tensor is too large to be transposed", "", "transpose parts of it")
    .graded(Grade::Derived),
    Rule::on(
        "transpose-chain",
        &["transpose"],
        Severity::Wrong,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "miscompiles"),
        |site| {
            let through = site
                .op
                .value("x")
                .and_then(|id| site.graph.definition(id))
                .filter(|op| op.op.name == "reshape")?;
            let before = site.op.function.view(through).value("x")?;
            (site.graph.defined_by(before) == Some("transpose"))
                .then(|| Hit::new("transpose, reshape, transpose"))
        },
    )
    .says(
        "a transpose of a reshape of a transpose gives a wrong order",
        "another operation in between",
        "merge the two transposes, or put an operation between them that computes something",
    ),
];

/// Whether an operation reads from inside the last axis on, which engines before H16 do through a unit of fixed point.
pub(crate) fn is_width_offset(op: &OpView<'_>) -> bool {
    let Some(rank) = op.value("x").map(|x| op.function.shape(x).rank()).filter(|&rank| rank > 0) else {
        return false;
    };
    match op.name() {
        "slice_by_index" | "slice_by_size" => slice_spec(op)
            .is_ok_and(|spec| spec.axes.get(rank - 1).is_some_and(|axis| axis.begin > 0 && axis.count > 0)),
        "split" => {
            let axis = op.int("axis").ok().and_then(|axis| mil::shape::normalize_axis(axis, rank));
            axis == Some(rank - 1) && op.operation.outputs.len() > 1
        }
        "crop" => {
            op.ints("crop_width").ok().flatten().is_some_and(|cut| cut.first().is_some_and(|&left| left > 0))
        }
        _ => false,
    }
}

/// Whether a value is a slice that begins inside the last axis. The first part of a split is not.
pub(crate) fn is_width_slice(graph: &Graph<'_>, id: ValueId) -> bool {
    graph.definition(id).is_some_and(|operation| {
        let first = operation.op.name == "split" && operation.outputs.first() == Some(&id);
        !first && is_width_offset(&graph.function.view(operation))
    })
}

/// How many such slices a concat puts together.
pub(crate) fn joined_slices(graph: &Graph<'_>, concat: &OpView<'_>) -> usize {
    concat.values("values").iter().filter(|&&id| is_width_slice(graph, id)).count()
}

/// Whether a value is such a slice and goes into a concat with another.
fn is_joined(graph: &Graph<'_>, id: ValueId) -> bool {
    is_width_slice(graph, id)
        && graph
            .uses(id)
            .any(|user| user.op.name == "concat" && joined_slices(graph, &graph.function.view(user)) >= 2)
}
