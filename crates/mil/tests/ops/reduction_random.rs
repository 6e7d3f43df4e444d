//! Reductions and random numbers.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;

#[test]
fn reductions() {
    gives(&[
        ("reduce_sum", "x: fp32[2,3,4]", "fp32[]"),
        ("reduce_sum", "x: fp32[2,3,4]; keep_dims = true", "fp32[1,1,1]"),
        ("reduce_mean", "x: fp16[2,3,4]; axes = [-1, 0]", "fp16[3]"),
        ("reduce_max", "x: int32[2,3,4]; axes = [1]; keep_dims = true", "int32[2,1,4]"),
        ("reduce_prod", "x: fp32[]", "fp32[]"),
        ("reduce_log_sum_exp", "x: fp32[2,3]; axes = []", "fp32[2,3]"),
        ("reduce_argmax", "x: fp32[2,3,4]", "int32[2,3]"),
        (
            "reduce_argmin",
            "x: fp32[2,3,4]; axis = 0; keep_dims = true; output_dtype = \"uint16\"",
            "uint16[1,3,4]",
        ),
    ]);
    for op in ["reduce_l1_norm", "reduce_l2_norm", "reduce_log_sum", "reduce_min", "reduce_sum_square"] {
        gives_in(Opset::Ios15, &[(op, "x: fp16[2,3]; axes = [0]", "fp16[3]")]);
    }
    refuses(&[
        ("reduce_sum", "x: fp32[2,3]; axes = [2]", "`axes` is 2, but a tensor of rank 2 has axes -2 to 1"),
        ("reduce_sum", "x: fp32[2,3]; axes = [0, 0]", "names axis 0 twice"),
        ("reduce_sum", "x: bool[2,3]", "has element type bool"),
        ("reduce_sum", "x: fp32[2,3]; axes: int32[1]", "`axes` must be a constant"),
        ("reduce_argmax", "x: fp32[]", "a scalar has no axes"),
        ("reduce_argmax", "x: fp32[2,0]", "has no elements"),
        ("reduce_argmax", "x: fp32[2]; output_dtype = \"int64\"", "must be one of: int32, uint16"),
        ("reduce_argmax", "x: fp32[2]; axis = [0, 1]", "must be one integer, but has 2 elements"),
    ]);
    refuses_in(
        Opset::Ios16,
        &[(
            "reduce_argmax",
            "x: fp32[2]; output_dtype = \"int32\"",
            "`output_dtype` is new in ios17, but the function is written for ios16",
        )],
    );
}

#[test]
fn random_numbers() {
    gives(&[
        ("random_normal", "shape = [2, 3]", "fp32[2,3]"),
        ("random_normal", "shape = [2]; mean = fp16 0.5; stddev = fp16 1.5; seed = 7", "fp16[2]"),
        ("random_uniform", "shape = []; high = 2.5", "fp32[]"),
        ("random_bernoulli", "shape = [0, 4]; prob = fp16 0.5", "fp16[0,4]"),
        ("random_categorical", "x: fp16[2,10]", "fp16[2,1]"),
        ("random_categorical", "x: fp32[10]; mode = \"probs\"; size = 5", "fp32[5]"),
    ]);
    refuses(&[
        ("random_normal", "shape = [2, -1]", "`shape` holds -1, but dimensions must not be negative"),
        ("random_normal", "shape = 2", "`shape` must be a vector"),
        ("random_normal", "shape: int32[2]", "`shape` is computed at run time"),
        (
            "random_uniform",
            "shape = [2]; low = fp16 0.5; high = 1.5",
            "must have the element type of `low`, fp16",
        ),
        ("random_categorical", "x: fp32[2]; mode = \"odds\"", "must be one of: logits, probs"),
        ("random_categorical", "x: fp32[]", "rank 1 or more"),
        ("random_categorical", "x: fp32[2,0]", "without a category"),
        ("random_categorical", "x: fp32[2]; size = 0", "must be 1 or more"),
    ]);
}
