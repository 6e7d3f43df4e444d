//! Convolutions.

use super::declare::{OpRule, Rule, Scope, Severity, native, walled};
use super::site::{Hit, Site};
use crate::facts::{
    ANEFORGE, Cite, Conflict, FIELD_GUIDE, HOLLANCE, M6_STUDY, MADERIX, MIDASMULLI, ORION, RUSTANE,
};
use mil::ops::conv::{ConvGeometry, geometry, transpose_geometry};

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    native("conv").decoded().but(&[
        Conflict {
            claim: "`bias` is refused on the private route: add it",
            cite: Cite::of(&ORION, "op list"),
        },
        Conflict {
            claim: "dilated ones are not placed by Core ML",
            cite: Cite::of(&HOLLANCE, "unsupported layers"),
        },
    ]),
    walled("conv_quantized", "Core ML takes it in its older format only", "`conv` of a compressed constant"),
    native("conv_transpose"),
];

const KERNELS: &[Conflict] = &[
    Conflict {
        claim: "square kernels up to 16, 1xK up to 15, Kx1 up to 31",
        cite: Cite::of(&M6_STUDY, "limits"),
    },
    Conflict { claim: "29x29 (fp16 13x13) on M1, 32x32 on M5", cite: Cite::of(&ANEFORGE, "op catalogue") },
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[
    Rule::on(
        "conv-kernel-width",
        &["conv", "conv_transpose"],
        Severity::Refused,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "family limits, walls"),
        |site| kernel(site, |limits| &limits.kernel_width, 0, "wide"),
    )
    .says("the kernel is too wide", "", "split the kernel along its width and add the results")
    .but(KERNELS),
    Rule::on(
        "conv-kernel-height",
        &["conv", "conv_transpose"],
        Severity::Risk,
        Scope::EVERYWHERE,
        Cite::of(&M6_STUDY, "limits"),
        |site| kernel(site, |limits| &limits.kernel_height, 1, "tall"),
    )
    .says("the kernel is too tall", "", "split the kernel along its height and add the results")
    .but(&[Conflict { claim: "the height is not limited", cite: Cite::of(&ANEFORGE, "family limits") }]),
    Rule::on(
        "conv-in-channels",
        &["conv"],
        Severity::Risk,
        Scope::EVERYWHERE,
        Cite::of(&MADERIX, "classifier of 32000 tokens"),
        |site| {
            let channels = *site.shape("x").get(1)?;
            (channels >= 32000).then(|| Hit::new(format!("{channels} input channels")))
        },
    )
    .says(
        "32000 input channels were refused, where 32000 output channels were not",
        "fewer",
        "use a matmul",
    ),
    Rule::on(
        "conv-runtime-weight",
        &["conv"],
        Severity::Wrong,
        Scope::seen(&["H15"]).not(&["H16"]),
        Cite::of(&FIELD_GUIDE, "M3 Max: the weight is ignored"),
        |site| {
            let batch = *site.shape("x").first()?;
            site.is_runtime("weight")
                .then(|| Hit::new(format!("a weight that is no constant, batch {batch}")))
        },
    )
    .says("a weight that is no constant was ignored", "a constant weight", "use a matmul")
    .but(&[
        Conflict { claim: "works when small, M1", cite: Cite::of(&ANEFORGE, "dynamic_conv") },
        Conflict {
            claim: "exact on M4 Max, a quarter to half slower than matmul",
            cite: Cite::of(&RUSTANE, ""),
        },
    ]),
    Rule::on(
        "conv-runtime-weight-batch",
        &["conv"],
        Severity::Refused,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls"),
        |site| {
            let batch = *site.shape("x").first()?;
            (site.is_runtime("weight") && batch > 1).then(|| Hit::new(format!("batch {batch}")))
        },
    )
    .says("a weight that is no constant takes batch 1 only", "batch 1", "use a matmul"),
    Rule::on(
        "conv-transpose-same",
        &["conv_transpose"],
        Severity::Refused,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "spellings"),
        |site| {
            let pad = site.op.string("pad_type").ok()?;
            pad.starts_with("same").then(|| Hit::new(format!("pad_type \"{pad}\"")))
        },
    )
    .says(
        "`pad_type` \"same\" is refused",
        "\"valid\" or \"custom\"",
        "write the padding out as \"custom\"",
    ),
    Rule::on(
        "patch-conv",
        &["conv"],
        Severity::Risk,
        Scope::seen(&["H17"]),
        Cite::of(&ANEFORGE, "walls"),
        patches,
    )
    .says(
        "a convolution that steps by its own size, as patch embeddings do, did not compile",
        "steps smaller than the kernel",
        "space_to_depth, then a 1x1 convolution",
    ),
    Rule::on(
        "accumulator-overflow",
        &["conv", "conv_transpose", "matmul", "linear", "einsum"],
        Severity::Note,
        Scope::EVERYWHERE,
        Cite::of(&ANEFORGE, "numeric cliffs, M1 to M5 Pro"),
        |_| Some(Hit::new("sums of products")),
    )
    .says(
        "sums of products of 32768 and more become infinite, and products below 2^-16 are dropped",
        "sums below 32768",
        "scale one operand by a power of two and undo it after",
    )
    .but(&[Conflict {
        claim: "no saturation on an M5, an accumulator of the fp32 class",
        cite: Cite::of(&MIDASMULLI, "and arXiv 2606.22283"),
    }])
    .once(),
];

fn sizes(site: &Site<'_>) -> Option<ConvGeometry> {
    match site.op.name() {
        "conv_transpose" => transpose_geometry(&site.op).ok(),
        _ => geometry(&site.op).ok(),
    }
}

fn kernel(
    site: &Site<'_>,
    limit: fn(&crate::chips::Limits) -> &crate::facts::Figure,
    from_end: usize,
    word: &str,
) -> Option<Hit> {
    let sizes = sizes(site)?;
    let rank = sizes.rank();
    // One spatial dimension is a width.
    let size = *sizes.kernel.get(rank.checked_sub(1 + from_end)?)?;
    let most = limit(site.graph.limits).count()?;
    (size > most).then(|| Hit::over(format!("a kernel {size} {word}"), format!("at most {most}")))
}

/// Patches: as wide as they step, square, without padding.
pub(crate) fn patch_size(sizes: &ConvGeometry) -> Option<usize> {
    let size = *sizes.kernel.first()?;
    let square = sizes.rank() == 2
        && sizes.kernel.iter().all(|&k| k == size)
        && sizes.strides.iter().all(|&stride| stride == size)
        && sizes.dilations.iter().all(|&dilation| dilation == 1)
        && sizes.pad_before.iter().chain(&sizes.pad_after).all(|&pad| pad == 0);
    (square && size > 1).then_some(size)
}

fn patches(site: &Site<'_>) -> Option<Hit> {
    let sizes = sizes(site).filter(|_| !site.is_runtime("weight"))?;
    let size = patch_size(&sizes)?;
    Some(Hit::new(format!("{size}x{size} patches")))
}
