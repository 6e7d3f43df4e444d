//! Elementwise operations of two tensors, with NumPy-style broadcasting.

use super::infer::{broadcast_xy, compare_xy};
use super::{BOOL, Effect, Family, Infer, NUMBER, OpDecl, Opset, Param};

const fn binary(name: &'static str, summary: &'static str, params: &'static [Param], infer: Infer) -> OpDecl {
    OpDecl {
        name,
        family: Family::ElementwiseBinary,
        since: Opset::Ios15,
        summary,
        params,
        effect: Effect::Pure,
        infer,
    }
}

const NUMBERS: &[Param] = &[Param::tensor("x", b'T', NUMBER), Param::tensor("y", b'T', NUMBER)];
const BOOLS: &[Param] = &[Param::tensor("x", b'T', BOOL), Param::tensor("y", b'T', BOOL)];

/// The family's declarations.
pub static OPS: &[OpDecl] = &[
    binary("add", "`x + y`.", NUMBERS, broadcast_xy),
    binary("sub", "`x - y`.", NUMBERS, broadcast_xy),
    binary("mul", "`x * y`.", NUMBERS, broadcast_xy),
    binary("real_div", "`x / y`.", NUMBERS, broadcast_xy),
    binary("floor_div", "`floor(x / y)`.", NUMBERS, broadcast_xy),
    binary("mod", "Remainder with the sign of `y`: `x - y * floor(x / y)`.", NUMBERS, broadcast_xy),
    binary("pow", "`x` to the power of `y`.", NUMBERS, broadcast_xy),
    binary("maximum", "The larger of both.", NUMBERS, broadcast_xy),
    binary("minimum", "The smaller of both.", NUMBERS, broadcast_xy),
    binary("equal", "Whether `x == y`.", NUMBERS, compare_xy),
    binary("not_equal", "Whether `x != y`.", NUMBERS, compare_xy),
    binary("greater", "Whether `x > y`.", NUMBERS, compare_xy),
    binary("greater_equal", "Whether `x >= y`.", NUMBERS, compare_xy),
    binary("less", "Whether `x < y`.", NUMBERS, compare_xy),
    binary("less_equal", "Whether `x <= y`.", NUMBERS, compare_xy),
    binary("logical_and", "Logical and.", BOOLS, broadcast_xy),
    binary("logical_or", "Logical or.", BOOLS, broadcast_xy),
    binary("logical_xor", "Logical exclusive or.", BOOLS, broadcast_xy),
];
