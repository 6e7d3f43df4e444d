//! Gathering and scattering.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;

#[test]
fn gathers() {
    gives(&[
        ("gather", "x: fp32[10,4]; indices: int32[2,3]", "fp32[2,3,4]"),
        ("gather", "x: fp32[10,4]; indices: int32[]; axis = -1", "fp32[10]"),
        ("gather", "x: fp32[5]; indices: int32[]", "fp32[]"),
        ("gather", "x: int8[2,10,4]; indices: uint8[2,3]; axis = 1; batch_dims = 1", "int8[2,3,4]"),
        ("gather", "x: fp32[2,3,4,5]; indices: int16[2,7]; axis = 2; batch_dims = 1", "fp32[2,3,7,5]"),
        ("gather", "x: fp32[3]; indices = [0, 2]; validate_indices = true", "fp32[2]"),
        // Unchecked: what it reads is undefined, but the type is not.
        ("gather", "x: fp32[3]; indices = [0, 9]", "fp32[2]"),
        ("gather_along_axis", "x: fp32[2,3]; indices: int32[2,5]; axis = 1", "fp32[2,5]"),
        ("gather_nd", "x: fp32[2,3,4]; indices: int32[7,2]", "fp32[7,4]"),
        ("gather_nd", "x: fp32[2,3,4]; indices: int32[3]", "fp32[]"),
        ("gather_nd", "x: fp32[2,3,4]; indices: int32[2,5,1]; batch_dims = 1", "fp32[2,5,4]"),
        ("gather_nd", "x: fp32[2,3,4]; indices: int32[6,0]", "fp32[6,2,3,4]"),
    ]);
    gives_in(Opset::Ios16, &[("gather", "x: fp32[3]; indices: uint16[2]; batch_dims = 0", "fp32[2]")]);
    refuses(&[
        ("gather", "x: fp32[3]; indices: fp32[2]", "`indices` has element type fp32"),
        ("gather", "x: fp32[3]; indices: int32[2]; axis = 1", "axes -1 to 0"),
        ("gather", "x: fp32[2,3]; indices: int32[3,2]; axis = 1; batch_dims = 1", "do not share as many"),
        ("gather", "x: fp32[2,3]; indices: int32[2,3]; axis = 1; batch_dims = 2", "must not exceed axis 1"),
        ("gather", "x: fp32[2,3]; indices: int32[2]; batch_dims = -1", "`batch_dims` is -1"),
        ("gather", "x: fp32[3]; indices = [0, 3]; validate_indices = true", "`indices` holds 3"),
        ("gather", "x: fp32[3]; indices = [-1]; validate_indices = true", "`indices` holds -1"),
        ("gather_along_axis", "x: fp32[2,3]; indices: int32[3,3]; axis = 1", "outside axis 1"),
        ("gather_along_axis", "x: fp32[2,3]; indices: int32[3]", "must have shape [2, 3]"),
        ("gather_nd", "x: fp32[2,3]; indices: int32[4,3]", "at most 2 dimensions"),
        ("gather_nd", "x: fp32[2,3]; indices: int32[]", "last dimension"),
        ("gather_nd", "x: fp32[2,3]; indices: int32[2,2]; batch_dims = 1", "at most 1 dimensions"),
        (
            "gather_nd",
            "x: fp32[2,3]; indices = [[0, 2], [2, 0]]; validate_indices = true",
            "`indices` holds 2, which is outside the dimension of size 2",
        ),
    ]);
    refuses_in(
        Opset::Ios15,
        &[
            ("gather", "x: fp32[3]; indices: int32[2]; batch_dims = 0", "`batch_dims` is new in ios16"),
            ("gather", "x: fp32[3]; indices: uint16[2]", "in ios15 must have one of int32"),
        ],
    );
    refuses_in(
        Opset::Ios16,
        &[
            ("gather", "x: fp32[3]; indices: uint8[2]", "in ios16 must have one of int16, uint16, int32"),
            ("gather", "x: fp32[3]; indices: int32[2]; validate_indices = true", "is new in ios17"),
        ],
    );
}

#[test]
fn scatters() {
    gives(&[
        ("scatter", "data: fp32[10,4]; indices: int32[3]; updates: fp32[3,4]", "fp32[10,4]"),
        (
            "scatter",
            "data: fp32[10,4]; indices: int32[2,3]; updates: fp32[2,3,4]; mode = \"update\"",
            "fp32[10,4]",
        ),
        ("scatter", "data: fp32[10,4]; indices: int32[]; updates: fp32[10]; axis = -1", "fp32[10,4]"),
        (
            "scatter_along_axis",
            "data: int32[2,3]; indices: int32[2,5]; updates: int32[2,5]; axis = 1; mode = \"max\"",
            "int32[2,3]",
        ),
        ("scatter_nd", "data: fp32[2,3,4]; indices: int32[7,2]; updates: fp32[7,4]", "fp32[2,3,4]"),
    ]);
    refuses(&[
        ("scatter", "data: fp32[10,4]; indices: int32[3]; updates: fp32[4,3]", "must have shape [3, 4]"),
        (
            "scatter",
            "data: fp32[10]; indices: int32[3]; updates: fp32[3]; mode = \"plus\"",
            "update, add, sub",
        ),
        ("scatter", "data: fp32[10]; indices: int16[3]; updates: fp32[3]", "must have one of int32"),
        ("scatter", "data: fp32[10]; indices: int32[3]; updates: fp16[3]", "the element type of `data`"),
        (
            "scatter",
            "data: fp32[2]; indices = [2]; updates: fp32[1]; validate_indices = true",
            "outside the dimension of size 2",
        ),
        ("scatter_along_axis", "data: fp32[2,3]; indices: int32[2,2]; updates: fp32[2,2]", "outside axis 0"),
        (
            "scatter_along_axis",
            "data: fp32[2,3]; indices: int32[1,3]; updates: fp32[2,3]",
            "must have shape [1, 3]",
        ),
        ("scatter_nd", "data: fp32[2,3]; indices: int32[4,1]; updates: fp32[4]", "must have shape [4, 3]"),
        ("scatter_nd", "data: fp32[2,3]; indices: int32[4,5]; updates: fp32[4]", "at most 2 dimensions"),
    ]);
}
