//! Building, joining, splitting, filling and ordering tensors.

use super::Lower;

mod create;
mod join;
mod order;
mod pad;
mod suppression;

/// The family's kernels.
pub(crate) static OPS: &[(&str, Lower)] = &[
    ("argsort", order::argsort),
    ("band_part", order::band_part),
    ("concat", join::concat),
    ("cumsum", order::cumsum),
    ("fill", create::fill),
    ("non_maximum_suppression", suppression::lower),
    ("non_zero", create::non_zero),
    ("one_hot", create::one_hot),
    ("pad", pad::pad),
    ("range_1d", create::range_1d),
    ("shape", create::shape),
    ("split", join::split),
    ("stack", join::stack),
    ("tile", join::tile),
    ("topk", order::topk),
];
