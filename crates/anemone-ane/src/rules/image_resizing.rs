//! Resizing of images.

use super::declare::{FLOORS, OpRule, Placement, Rule, Scope, Severity, absent, native, reachable};
use super::site::{Hit, Site};
use crate::chips::Family;
use crate::facts::{Cite, Conflict, Grade, HOLLANCE};

const TEXTURE: Placement = Placement::Refused {
    why: "engines before H14 have no texture unit",
    way_out: "resize outside, or by a convolution with fixed weights",
};
const SOFTWARE: Placement = Placement::Refused {
    why: "engines before H14 have no texture unit: the compiler falls back to software",
    way_out: "upsample_nearest_neighbor or conv_transpose",
};

/// Placements.
pub(super) static OPS: &[OpRule] = &[
    reachable("affine").from(Family::A14, TEXTURE, FLOORS),
    native("crop"),
    absent(
        "crop_resize",
        "the compiler does not reach the texture unit from this op",
        "crop and resize outside",
    )
    .but(&[Conflict { claim: "from A14 on", cite: FLOORS }]),
    reachable("resample").from(Family::A14, TEXTURE, FLOORS).newest(Grade::Derived, FLOORS),
    reachable("resize").from(Family::A14, SOFTWARE, FLOORS),
    reachable("resize_bilinear").from(Family::A14, SOFTWARE, FLOORS),
    native("resize_nearest_neighbor").from(Family::A14, SOFTWARE, FLOORS),
    reachable("upsample_bilinear").from(Family::A14, SOFTWARE, FLOORS),
    native("upsample_nearest_neighbor"),
];

/// Conditions.
pub(super) static RULES: &[Rule] = &[Rule::on(
    "large-upsampling",
    &["upsample_nearest_neighbor", "upsample_bilinear"],
    Severity::Note,
    Scope::EVERYWHERE,
    Cite::of(&HOLLANCE, "layers that Core ML does not place, marked as possibly wrong"),
    |site: &Site<'_>| {
        let (from, to) = (site.shape("x"), &site.op.output(0).shape);
        let factor = from.iter().zip(to.iter()).map(|(&from, &to)| to / from.max(1)).max()?;
        (factor > 2).then(|| Hit::new(format!("a factor of {factor}")))
    },
)
.says(
    "Core ML was seen not to place upsampling by more than 2 on the engine",
    "factors up to 2",
    "several steps of 2",
)
.graded(Grade::Derived)];
