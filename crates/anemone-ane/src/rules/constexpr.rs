//! Constants in compressed form: whether they are read as such, and where they may stand.

use super::declare::{OpRule, Rule, Scope, Severity, native, reachable};
use super::site::{Hit, Site};
use crate::facts::{ANEFORGE, Cite, Conflict, Figure, Grade, M6_STUDY};

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("constexpr_affine_dequantize"),
    native("constexpr_blockwise_shift_scale").but(&[Conflict {
        claim: "4 bits in blocks fail to compile (macOS 27)",
        cite: Cite::of(&M6_STUDY, "weight formats"),
    }]),
    native("constexpr_cast"),
    native("constexpr_lut_to_dense"),
    reachable("constexpr_lut_to_sparse"),
    reachable("constexpr_sparse_blockwise_shift_scale"),
    native("constexpr_sparse_to_dense"),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "weights-expanded",
        &[
            "constexpr_affine_dequantize",
            "constexpr_blockwise_shift_scale",
            "constexpr_lut_to_dense",
            "constexpr_sparse_to_dense",
        ],
        Severity::Note,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "native weight streams"),
        expanded,
    )
    .says(
        "weights in this form are expanded to fp16 when compiled: smaller in the file, no faster",
        "a form that the chip streams",
        "a table of 16 values (int4) or sparse weights stream on every chip",
    )
    .graded(Grade::Derived)
    .once(),
    Rule::on(
        "int8-weights-no-faster",
        &["constexpr_affine_dequantize"],
        Severity::Note,
        Scope::only(&["H17"]),
        Cite::of(&ANEFORGE, "compression sweep, M5 Pro"),
        |_| Some(Hit::new("8-bit weights")),
    )
    .says(
        "8-bit weights are no faster than fp16: 0.99 to 1.03 times from 1024 x 1024 up",
        "any",
        "4-bit tables (1.3 to 1.7 times) or sparse weights (1.4 to 1.8 times)",
    )
    .once(),
    Rule::on(
        "blockwise-weight",
        &["constexpr_blockwise_shift_scale"],
        Severity::Risk,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "spellings: not taken as a weight itself"),
        blockwise,
    )
    .says(
        "weights with scales in blocks cannot be the weight of an operation directly",
        "the sum of it and 0",
        "add 0 to it and use the sum, in a matmul",
    )
    .but(&[Conflict {
        claim: "cosine 0.367 on the engine, 0.999 on the GPU, with int8 in blocks",
        cite: Cite::of(&crate::facts::COREMLTOOLS, "issues about compression"),
    }]),
    Rule::on(
        "int4-blocks",
        &["constexpr_blockwise_shift_scale"],
        Severity::Risk,
        Scope::only(&["H16", "H18G"]),
        Cite::of(&M6_STUDY, "weight formats, macOS 27"),
        |site| {
            let dtype = site.op.dtype("data").ok()?;
            matches!(dtype, mil::DataType::Int4 | mil::DataType::Uint4).then(|| Hit::new(dtype.name()))
        },
    )
    .says(
        "4 bits with scales in blocks failed to compile for the engine on macOS 27; other versions were not tried",
        "8 bits",
        "a table of 16 values, or 8 bits in blocks",
    ),
    Rule::on(
        "vector-palette",
        &["constexpr_lut_to_dense"],
        Severity::Risk,
        Scope::only(&["H16", "H18G"]),
        Cite::of(&M6_STUDY, "weight formats, macOS 27"),
        vector_palette,
    )
    .says(
        "tables whose entries are vectors failed to compile for the engine on macOS 27; other versions were not tried",
        "scalar entries",
        "palettize without vectors",
    ),
    Rule::on(
        "reshape-of-constexpr",
        &["reshape", "expand_dims", "squeeze", "transpose"],
        Severity::Refused,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls"),
        reshaped,
    )
    .says(
        "compressed constants cannot be reshaped",
        "a constant of the wanted shape",
        "compress the weight in the shape that is used",
    ),
];

fn expanded(site: &Site<'_>) -> Option<Hit> {
    let limits = site.graph.limits;
    let stream: &Figure = match site.op.name() {
        "constexpr_affine_dequantize" => &limits.int8_stream,
        "constexpr_blockwise_shift_scale" => &limits.blockwise_stream,
        "constexpr_sparse_to_dense" => &limits.sparse_stream,
        _ => {
            return (entries(site)? != 16)
                .then(|| Hit::new(format!("a table of {} values", entries(site).unwrap_or(0))));
        }
    };
    (stream.value == Some(0.0))
        .then(|| Hit::new(site.op.name().trim_start_matches("constexpr_").replace('_', " ")))
}

/// Entries of a table: the next to last dimension of iOS18's form, all of the older one's.
fn entries(site: &Site<'_>) -> Option<usize> {
    match *site.shape("lut") {
        [entries] => Some(entries),
        [.., entries, _] => Some(entries),
        [] => None,
    }
}

fn vector_palette(site: &Site<'_>) -> Option<Hit> {
    match *site.shape("lut") {
        [_, .., width] if width > 1 => Some(Hit::new(format!("entries of {width} numbers"))),
        _ => None,
    }
}

fn blockwise(site: &Site<'_>) -> Option<Hit> {
    let output = *site.op.operation.outputs.first()?;
    let weight = site.graph.uses(output).find(|user| {
        let view = site.op.function.view(user);
        view.value("weight") == Some(output) || (view.name() == "matmul" && view.value("y") == Some(output))
    })?;
    Some(Hit::new(format!("the weight of a {}", weight.op.declaration().name)))
}

fn reshaped(site: &Site<'_>) -> Option<Hit> {
    let x = site.op.value("x")?;
    matches!(site.op.function.value(x).def, mil::Def::Constexpr).then(|| {
        Hit::new(format!(
            "a {} of {}",
            site.op.name(),
            site.graph.defined_by(x).unwrap_or("a compressed constant")
        ))
    })
}
