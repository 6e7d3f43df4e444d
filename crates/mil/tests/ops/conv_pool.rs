//! Output shapes of convolutions and pooling; formulas as in `mil::ops::spatial`.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;
use mil::ops::{conv, pool};

#[test]
fn convolutions() {
    gives(&[
        ("conv", "x: fp32[1,4,8,8]; weight: fp32[6,4,3,3]", "fp32[1,6,6,6]"),
        ("conv", "x: fp16[2,3,10]; weight: fp16[5,3,3]; bias: fp16[5]", "fp16[2,5,8]"),
        ("conv", "x: fp32[1,2,5,6,7]; weight: fp32[4,2,1,2,3]", "fp32[1,4,5,5,5]"),
        // floor((9 + 1 + 1 - 3) / 2) + 1 = 5, floor((8 + 2 + 0 - 3) / 3) + 1 = 3
        (
            "conv",
            "x: fp32[1,4,9,8]; weight: fp32[6,4,3,3]; strides = [2, 3]; pad_type = \"custom\"; pad = [1, 1, 2, 0]",
            "fp32[1,6,5,3]",
        ),
        // ceil(9 / 2) and ceil(8 / 2), whatever the kernel
        (
            "conv",
            "x: fp32[1,4,9,8]; weight: fp32[6,4,5,4]; strides = [2, 2]; pad_type = \"same\"",
            "fp32[1,6,5,4]",
        ),
        ("conv", "x: fp32[1,4,9,8]; weight: fp32[6,4,5,4]; pad_type = \"same_lower\"", "fp32[1,6,9,8]"),
        // A stride beyond the kernel: no padding, still ceil.
        ("conv", "x: fp32[1,4,10]; weight: fp32[6,4,1]; strides = [3]; pad_type = \"same\"", "fp32[1,6,4]"),
        // The kernel spans (3 - 1) * 2 + 1 = 5.
        ("conv", "x: fp32[1,4,9,9]; weight: fp32[6,4,3,3]; dilations = [2, 2]", "fp32[1,6,5,5]"),
        ("conv", "x: fp32[1,4,9,9]; weight: fp32[8,1,3,3]; groups = 4", "fp32[1,8,7,7]"),
        // `pad` counts for "custom" only.
        ("conv", "x: fp32[1,4,9,9]; weight: fp32[8,4,3,3]; pad = [5, 5, 5, 5]", "fp32[1,8,7,7]"),
        ("conv", "x: fp16[1,4,9,9]; weight: const fp32[8,4,3,3]; bias: fp32[8]", "fp16[1,8,7,7]"),
        ("conv", "x: fp32[0,4,9,9]; weight: fp32[8,4,3,3]", "fp32[0,8,7,7]"),
    ]);
}

#[test]
fn wrong_convolutions() {
    refuses(&[
        ("conv", "x: fp32[4,8]; weight: fp32[6,4,3]", "`x` must have rank 3 to 5, but has shape [4, 8]"),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,4,3,3]", "`weight` must have rank 3"),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,3,3]", "dimension 1 must be 4"),
        (
            "conv",
            "x: fp32[1,4,8]; weight: fp32[6,4,3]; bias: fp32[4]",
            "`bias` has shape [4], but must have shape [6]",
        ),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,2,3]; groups = 3", "does not divide C_in, 4"),
        ("conv", "x: fp32[1,4,8]; weight: fp32[5,2,3]; groups = 2", "does not divide C_out, 5"),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,4,3]; groups = 0", "`groups` is 0, but must be 1 or more"),
        (
            "conv",
            "x: fp32[1,4,8]; weight: fp32[6,4,9]",
            "spans 9 positions in spatial dimension 0, but `x` has 8",
        ),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,4,0]", "sizes start at 1"),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,4,3]; strides = [0]", "`strides` holds 0"),
        (
            "conv",
            "x: fp32[1,4,8]; weight: fp32[6,4,3]; strides = [1, 1]",
            "one per spatial dimension of `x`: 1",
        ),
        (
            "conv",
            "x: fp32[1,4,8]; weight: fp32[6,4,3]; pad_type = \"custom\"; pad = [1]",
            "`pad` has 1 elements",
        ),
        (
            "conv",
            "x: fp32[1,4,8]; weight: fp32[6,4,3]; pad_type = \"custom\"; pad = [1, -1]",
            "`pad` holds -1",
        ),
        (
            "conv",
            "x: fp32[1,4,8]; weight: fp32[6,4,3]; pad_type = \"full\"",
            "must be one of: valid, custom, same",
        ),
        ("conv", "x: fp32[1,4,8]; weight: fp32[6,4,3]; strides: int32[1]", "`strides` must be a constant"),
        ("conv", "x: fp32[1,4,8]; weight: int32[6,4,3]", "`weight` has element type int32"),
        ("conv", "x: fp32[1,4,8]", "required parameter `weight` is missing"),
    ]);
    refuses_in(
        Opset::Ios15,
        &[
            ("conv", "x: fp32[1,4,8]; weight: fp32[6,4,3]; pad_type = \"same_lower\"", "valid, custom, same"),
            ("conv", "x: fp32[1,4,8]; weight: fp16[6,4,3]", "must have the element type of `x`, fp32"),
            (
                "conv",
                "x: fp32[1,4,8]; weight: fp32[6,4,3]; bias: fp32[6]",
                "`bias` must be a constant before ios17",
            ),
        ],
    );
}

#[test]
fn transposed_convolutions() {
    gives(&[
        // (8 - 1) * 2 + 3 = 17
        ("conv_transpose", "x: fp32[1,4,8,8]; weight: fp32[4,6,3,3]; strides = [2, 2]", "fp32[1,6,17,17]"),
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,3]; strides = [2]; pad_type = \"same\"",
            "fp32[1,6,16]",
        ),
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,1]; strides = [3]; pad_type = \"same\"",
            "fp32[1,6,24]",
        ),
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,4]; strides = [2]; pad_type = \"custom\"; pad = [1, 1]",
            "fp32[1,6,16]",
        ),
        ("conv_transpose", "x: fp32[1,4,8]; weight: fp32[4,3,3]; groups = 2; bias: fp32[6]", "fp32[1,6,10]"),
        // Both 15 and 16 become ceil(n / 2) = 8.
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,3]; strides = [2]; pad_type = \"same\"; output_shape = [1, 6, 15]",
            "fp32[1,6,15]",
        ),
        // floor((18 - 3) / 2) + 1 = 8 as well: one position more than any element reaches.
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,3]; strides = [2]; output_shape = [1, 6, 18]",
            "fp32[1,6,18]",
        ),
    ]);
    refuses(&[
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[3,6,3]",
            "dimension 0 must be the 4 channels of `x`",
        ),
        ("conv_transpose", "x: fp32[1,4,8]; weight: fp32[4,6,3]; bias: fp32[4]", "must have shape [6]"),
        ("conv_transpose", "x: fp32[1,4,8]; weight: fp32[4,6,3]; groups = 3", "does not divide C_in, 4"),
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,3]; strides = [2]; output_shape = [1, 6, 20]",
            "a convolution maps those to [9], not to [8] of `x`",
        ),
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,3]; output_shape = [2, 6, 10]",
            "must be [1, 6] and 1 positive sizes",
        ),
        (
            "conv_transpose",
            "x: fp32[1,4,2]; weight: fp32[4,6,1]; pad_type = \"custom\"; pad = [1, 1]",
            "leaves 0 positions",
        ),
        (
            "conv_transpose",
            "x: fp32[1,4,8]; weight: fp32[4,6,3]; pad_type = \"same_lower\"",
            "valid, custom, same",
        ),
    ]);
    refuses_in(
        Opset::Ios16,
        &[("conv_transpose", "x: fp32[1,4,8]; weight: fp32[4,6,3]", "must be a constant before ios17")],
    );
}

#[test]
fn pooling() {
    gives(&[
        ("max_pool", "x: fp32[1,4,8,8]; kernel_sizes = [2, 2]; pad_type = \"valid\"", "fp32[1,4,7,7]"),
        (
            "avg_pool",
            "x: fp16[1,4,8,8]; kernel_sizes = [2, 2]; strides = [2, 2]; pad_type = \"valid\"; exclude_padding_from_average = true",
            "fp16[1,4,4,4]",
        ),
        ("avg_pool", "x: fp32[1,4,9]; kernel_sizes = [3]; strides = [2]; pad_type = \"same\"", "fp32[1,4,5]"),
        ("max_pool", "x: fp32[1,4,5,6,7]; kernel_sizes = [5, 6, 7]; pad_type = \"valid\"", "fp32[1,4,1,1,1]"),
        // ceil((8 - 3) / 2) + 1 = 4; floor gives 3.
        (
            "max_pool",
            "x: fp32[1,4,8]; kernel_sizes = [3]; strides = [2]; pad_type = \"valid\"",
            "fp32[1,4,3]",
        ),
        (
            "l2_pool",
            "x: fp32[1,4,8]; kernel_sizes = [3]; strides = [2]; pad_type = \"valid\"; ceil_mode = true",
            "fp32[1,4,4]",
        ),
        // ceil((5 + 2 - 2) / 3) + 1 = 3, but the last window would begin at 6 >= 5 + 1.
        (
            "max_pool",
            "x: fp32[1,4,5]; kernel_sizes = [2]; strides = [3]; pad_type = \"custom\"; pad = [1, 1]; ceil_mode = true",
            "fp32[1,4,2]",
        ),
    ]);
    gives_in(
        Opset::Ios16,
        &[("max_pool", "x: fp32[1,4,8]; kernel_sizes = [2]; pad_type = \"same_lower\"", "fp32[1,4,8]")],
    );
    refuses(&[
        ("max_pool", "x: fp32[1,4,8]; kernel_sizes = [3]", "required parameter `pad_type` is missing"),
        (
            "max_pool",
            "x: fp32[1,4,8]; kernel_sizes = [3, 3]; pad_type = \"valid\"",
            "one per spatial dimension",
        ),
        ("l2_pool", "x: fp32[1,4,8,8,8]; kernel_sizes = [3, 3, 3]; pad_type = \"valid\"", "rank 3 to 4"),
        ("max_pool", "x: fp32[1,4,2]; kernel_sizes = [3]; pad_type = \"valid\"", "spans 3 positions"),
        (
            "max_pool",
            "x: fp32[1,4,8]; kernel_sizes = [2]; pad_type = \"custom\"; pad = [2, 2]",
            "a window of spatial dimension 0 with padding only",
        ),
        (
            "max_pool",
            "x: fp32[1,4,8]; kernel_sizes = [2]; pad_type = \"same\"; ceil_mode = true",
            "needs `pad_type` \"valid\" or \"custom\"",
        ),
        (
            "max_pool",
            "x: fp32[1,4,8]; kernel_sizes = [3]; pad_type = \"custom\"; pad = [1, 2]; ceil_mode = true",
            "as much padding before as after",
        ),
        (
            "avg_pool",
            "x: fp32[1,4,8,8,8]; kernel_sizes = [2, 2, 2]; pad_type = \"valid\"; ceil_mode = true",
            "one or two spatial dimensions",
        ),
    ]);
    refuses_in(
        Opset::Ios15,
        &[(
            "max_pool",
            "x: fp32[1,4,8]; kernel_sizes = [2]; pad_type = \"same_lower\"",
            "valid, custom, same",
        )],
    );
}

/// Windows of the last operation of a function that `f.op(...)` built.
fn last(build: impl FnOnce(&mut mil::FunctionBuilder)) -> mil::Function {
    let mut f = mil::FunctionBuilder::new("main", Opset::Ios18);
    build(&mut f);
    f.finish(&[]).expect("nothing to pass through")
}

#[test]
fn odd_padding_goes_where_the_pad_type_says() {
    for (pad_type, before, after) in [("same", 1, 2), ("same_lower", 2, 1)] {
        let function = last(|f| {
            let x = f.input("x", mil::TensorType::fp32([1, 1, 8])).expect("a name");
            let w = f.input("w", mil::TensorType::fp32([1, 1, 4])).expect("a name");
            f.op("conv").arg("x", x).arg("weight", w).string("pad_type", pad_type).one().expect("fits");
        });
        let geometry = conv::geometry(&function.view(&function.body.ops[0])).expect("verified");
        assert_eq!((geometry.pad_before[0], geometry.pad_after[0]), (before, after), "{pad_type}");
        assert_eq!((geometry.output[0], geometry.span(0), geometry.window()), (8, 4, 4));
    }
}

#[test]
fn a_transposed_convolution_has_the_windows_of_the_convolution() {
    let function = last(|f| {
        let x = f.input("x", mil::TensorType::fp32([1, 2, 4])).expect("a name");
        let w = f.input("w", mil::TensorType::fp32([2, 3, 3])).expect("a name");
        let op = f.op("conv_transpose").arg("x", x).arg("weight", w).ints("strides", &[2]);
        op.string("pad_type", "same").one().expect("fits");
    });
    let geometry = conv::transpose_geometry(&function.view(&function.body.ops[0])).expect("verified");
    assert_eq!((geometry.input[0], geometry.output[0]), (8, 4));
    assert_eq!((geometry.pad_before[0], geometry.pad_after[0]), (0, 1));
    assert_eq!((geometry.in_channels, geometry.out_channels), (2, 3));
}

#[test]
fn ceil_mode_windows_may_hang_over() {
    let function = last(|f| {
        let x = f.input("x", mil::TensorType::fp32([1, 1, 8])).expect("a name");
        let op = f.op("max_pool").arg("x", x).ints("kernel_sizes", &[3]).ints("strides", &[2]);
        op.string("pad_type", "valid").bool("ceil_mode", true).one().expect("fits");
    });
    let spatial = pool::geometry(&function.view(&function.body.ops[0])).expect("verified");
    assert_eq!((spatial.output[0], spatial.pad_after[0]), (4, 0));
    assert!((spatial.output[0] - 1) * spatial.strides[0] + spatial.span(0) > spatial.input[0]);
}
