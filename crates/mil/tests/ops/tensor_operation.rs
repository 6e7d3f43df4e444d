//! Building, joining, splitting, filling and ordering tensors.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;

#[test]
fn joining_and_splitting() {
    gives(&[
        ("concat", "values: (fp32[2,3], fp32[2,4]); axis = 1", "fp32[2,7]"),
        ("concat", "values: (int8[2,3]); axis = -2", "int8[2,3]"),
        ("concat", "values: (fp32[2,3], fp32[2,3]); axis = 0; interleave = true", "fp32[4,3]"),
        ("concat", "values: (fp32[], fp32[], fp32[]); axis = 0", "fp32[3]"),
        ("concat", "values: (fp32[0,3], fp32[2,3]); axis = 0", "fp32[2,3]"),
        ("stack", "values: (fp32[2,3], fp32[2,3]); axis = 1", "fp32[2,2,3]"),
        ("stack", "values: (fp32[2,3]); axis = -1", "fp32[2,3,1]"),
        ("stack", "values: (fp32[], fp32[]); axis = 0", "fp32[2]"),
        ("split", "x: fp32[6,2]; num_splits = 3; axis = 0", "fp32[2,2] fp32[2,2] fp32[2,2]"),
        ("split", "x: fp32[6,2]; split_sizes = [1, 0, 5]; axis = -2", "fp32[1,2] fp32[0,2] fp32[5,2]"),
        ("split", "x: fp32[6]; split_sizes = [2, 4]; num_splits = 2; axis = 0", "fp32[2] fp32[4]"),
        ("tile", "x: fp32[2,3]; reps = [1, 4]", "fp32[2,12]"),
        ("flatten2d", "x: fp32[2,3,4]", "fp32[2,12]"),
        ("flatten2d", "x: fp32[2,3,4]; axis = -1", "fp32[6,4]"),
        ("flatten2d", "x: fp32[2,3,4]; axis = 3", "fp32[24,1]"),
        ("flatten2d", "x: fp32[]; axis = 0", "fp32[1,1]"),
        ("identity", "x: uint16[2]", "uint16[2]"),
    ]);
    refuses(&[
        ("concat", "values: (); axis = 0", "`values` is an empty tuple"),
        ("concat", "values: (fp32[2,3], fp32[3,3]); axis = 1", "has shape [3, 3] in place 1"),
        ("concat", "values: (fp32[2,3], fp32[2]); axis = 0", "has shape [2] in place 1"),
        ("concat", "values: (fp32[2], fp16[2]); axis = 0", "must have the element type of `values`, fp32"),
        ("concat", "values: (fp32[2,3], fp32[1,3]); axis = 0; interleave = true", "must have shape [2, 3]"),
        ("concat", "values: (fp32[2], fp32[2]); axis = 1", "axes -1 to 0"),
        ("concat", "values: (fp32[], fp32[2]); axis = 0", "a scalar has no axes"),
        ("concat", "values: (fp32[], fp32[]); axis = 1", "axes -1 to 0"),
        ("stack", "values: (fp32[2], fp32[3]); axis = 0", "has shape [3] in place 1"),
        ("stack", "values: (fp32[2]); axis = 2", "axes -2 to 1"),
        ("split", "x: fp32[6]; axis = 0", "as is `split_sizes`"),
        ("split", "x: fp32[6]; num_splits = 4; axis = 0", "does not divide the dimension of size 6"),
        ("split", "x: fp32[0]; num_splits = 2000000000; axis = 0", "65536 or less"),
        ("split", "x: fp32[6]; split_sizes = [2, 3]; axis = 0", "a sum of 6"),
        ("split", "x: fp32[6]; split_sizes = [7, -1]; axis = 0", "must not be negative"),
        ("split", "x: fp32[6]; split_sizes = [2, 4]; num_splits = 3; axis = 0", "3 sizes with a sum of 6"),
        ("tile", "x: fp32[2,3]; reps = [2]", "one per dimension"),
        ("tile", "x: fp32[2]; reps = [0]", "must be 1 or more everywhere"),
        ("tile", "x: fp32[]; reps = []", "one per dimension"),
        ("flatten2d", "x: fp32[2]; axis = 2", "axes -1 to 0"),
        ("identity", "x: string[]", "has element type string"),
    ]);
}

#[test]
fn creating() {
    gives(&[
        ("fill", "shape = [2, 3]", "fp32[2,3]"),
        ("fill", "shape = [0]; value = 7", "int32[0]"),
        ("fill", "shape = []; value = true", "bool[]"),
        ("fill_like", "ref_tensor: int32[2,3]; value = fp16 0.5", "fp16[2,3]"),
        ("fill_like", "ref_tensor: int32[2,3]", "fp32[2,3]"),
        ("one_hot", "indices: int32[2,3]; one_hot_vector_size = 10", "int32[2,3,10]"),
        (
            "one_hot",
            "indices: int32[2,3]; one_hot_vector_size = 10; axis = 0; on_value = 1.5; off_value = 0.5",
            "fp32[10,2,3]",
        ),
        ("one_hot", "indices: int32[]; one_hot_vector_size = 0; off_value = fp16 0.5", "fp16[0]"),
        ("range_1d", "start = 0; end = 10; step = 3", "int32[4]"),
        ("range_1d", "start = 5; end = 0; step = -2", "int32[3]"),
        ("range_1d", "start = 0; end = 5; step = -1", "int32[0]"),
        ("range_1d", "start = 0.0; end = 1.0; step = 0.25", "fp32[4]"),
        // 2^40 elements need no memory until something computes them.
        ("range_1d", "start = 0.0; end = 1099511627776.0; step = 1.0", "fp32[1099511627776]"),
        ("range_1d", "start = -2147483648; end = 2147483647; step = 1", "int32[4294967295]"),
        ("shape", "x: fp32[2,3,4]", "int32[3]"),
        ("shape", "x: fp32[]", "int32[0]"),
    ]);
    refuses(&[
        ("fill", "shape = [2, -1]", "must not be negative"),
        ("fill", "shape = [2000000000, 2000000000, 2000000000]", "more than memory can hold"),
        ("fill", "shape = [2]; value = [1, 2]", "`value` must be one number"),
        ("one_hot", "indices: int32[2]; one_hot_vector_size = -1", "must be 0 or more"),
        ("one_hot", "indices: int32[2]; one_hot_vector_size = 4; axis = 2", "axes -2 to 1"),
        (
            "one_hot",
            "indices: int32[2]; one_hot_vector_size = 4; on_value = 1.5; off_value = 0",
            "element type",
        ),
        ("one_hot", "indices: int32[2]; one_hot_vector_size: int32[]", "is computed at run time"),
        ("range_1d", "start = 0; end = 5; step = 0", "`step` is 0"),
        ("range_1d", "start = 0.0; end = inf; step = 1.0", "`end` is inf, but must be finite"),
        ("range_1d", "start = 0.0; end = 3e38; step = 1e-38", "more elements than memory can hold"),
        ("range_1d", "start = 0; end = 5; step = 1.0", "element type"),
    ]);
    refuses_in(Opset::Ios15, &[("fill_like", "ref_tensor: int32[2,3]", "needs opset ios16")]);
}

#[test]
fn padding() {
    gives(&[
        ("pad", "x: fp32[2,3]; pad = [1, 2, 3, 4]", "fp32[5,10]"),
        ("pad", "x: fp32[2,3]; pad = [3, 4]", "fp32[2,10]"),
        ("pad", "x: fp16[2,3]; pad = [2, 2]; mode = \"reflect\"", "fp16[2,7]"),
        ("pad", "x: fp32[2,3]; pad = [5, 0]; mode = \"replicate\"", "fp32[2,8]"),
        ("pad", "x: fp32[2,3]; pad = []; constant_val = 1.5", "fp32[2,3]"),
    ]);
    refuses(&[
        ("pad", "x: fp32[2,3]; pad = [1]", "two for each of at most 2 dimensions"),
        ("pad", "x: fp32[3]; pad = [1, 1, 1, 1]", "two for each of at most 1 dimensions"),
        ("pad", "x: fp32[3]; pad = [-1, 1]", "use `slice_by_index`"),
        ("pad", "x: fp32[3]; pad = [3, 0]; mode = \"reflect\"", "adds at most 2"),
        ("pad", "x: fp32[0]; pad = [1, 0]; mode = \"replicate\"", "adds at most 0"),
        ("pad", "x: fp32[3]; pad = [1, 0]; mode = \"wrap\"", "constant, reflect, replicate"),
        ("pad", "x: fp32[3]; pad: int32[2]", "`pad` is computed at run time"),
    ]);
}

#[test]
fn ordering() {
    gives(&[
        ("argsort", "x: fp32[2,3]", "int32[2,3]"),
        ("band_part", "x: bool[4,2,3]; lower = 0", "bool[4,2,3]"),
        ("cumsum", "x: int32[2,3]; axis = -1; reverse = true", "int32[2,3]"),
        ("topk", "x: fp32[2,5]; k = 3", "fp32[2,3] int32[2,3]"),
        (
            "topk",
            "x: int8[5,2]; k = int16 2; axis = 0; output_indices_dtype = \"uint16\"",
            "int8[2,2] uint16[2,2]",
        ),
        ("topk", "x: fp32[2,5]; return_indices = false", "fp32[2,1]"),
    ]);
    gives_in(Opset::Ios15, &[("topk", "x: fp32[5]; k = 5; ascending = true", "fp32[5] int32[5]")]);
    refuses(&[
        ("argsort", "x: fp32[2,3]; axis = 2", "axes -2 to 1"),
        ("band_part", "x: fp32[3]", "rank 2 or more"),
        ("cumsum", "x: fp32[2,3]; axis = -2", "use 0"),
        ("cumsum", "x: fp32[2,3]; axis = 0; reverse = [true, false]", "`reverse` must be one bool"),
        ("argsort", "x: fp32[2,3]; ascending = [true, false]", "`ascending` must be one bool"),
        ("topk", "x: fp32[2,5]; k = 6", "axis 1 of `x` has size 5"),
        ("topk", "x: fp32[2,5]; k = 0", "must be 1 or more"),
        (
            "topk",
            "x: fp32[2,5]; return_indices = false; output_indices_dtype = \"int32\"",
            "`return_indices` is false",
        ),
        ("topk", "x: fp32[2,5]; output_indices_dtype = \"int16\"", "int32, uint16"),
    ]);
    refuses_in(Opset::Ios15, &[("topk", "x: fp32[5]; sort = false", "`sort` is new in ios16")]);
}

#[test]
fn best_boxes() {
    let op = "non_maximum_suppression";
    gives(&[(
        op,
        "boxes: fp32[2,4,9]; scores: fp32[2,3,9]; iou_threshold = 0.5; max_boxes = 5",
        "fp32[2,4,5] fp32[2,3,5] int32[2,5]",
    )]);
    gives_in(
        Opset::Ios15,
        &[(
            op,
            "boxes: fp32[2,9,4]; scores: fp32[2,9,3]; iou_threshold = 0.5; score_threshold = 0.1; max_boxes = 5",
            "fp32[2,5,4] fp32[2,5,3] int32[2,5] int32[2]",
        )],
    );
    refuses(&[
        (op, "boxes: fp32[2,9,4]; scores: fp32[2,9,3]; iou_threshold = 0.5; max_boxes = 5", "4 coordinates"),
        (op, "boxes: fp32[2,4,9]; scores: fp32[2,3,8]; iou_threshold = 0.5; max_boxes = 5", "hold scores"),
        (
            op,
            "boxes: fp32[2,4,9]; scores: fp32[2,3,9]; iou_threshold = 0.5; score_threshold = 0.1; max_boxes = 5",
            "is gone from ios17 on",
        ),
    ]);
    refuses_in(
        Opset::Ios15,
        &[(op, "boxes: fp32[2,9,4]; scores: fp32[2,9,3]; iou_threshold = 0.5; max_boxes = 5", "is missing")],
    );
}
