//! Activations, normalizations, attention and the elementwise ops with rules of their own.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;

#[test]
fn activations_keep_the_type() {
    gives(&[
        ("relu", "x: fp16[2,3]", "fp16[2,3]"),
        ("relu", "x: fp32[]", "fp32[]"),
        ("silu", "x: fp32[0,3]", "fp32[0,3]"),
        ("gelu", "x: fp32[2]; mode = \"TANH_APPROXIMATION\"", "fp32[2]"),
        ("leaky_relu", "x: fp16[2]; alpha = fp32 0.1", "fp16[2]"),
        ("clamped_relu", "x: fp32[2]; alpha = 0.5; beta = 6.5", "fp32[2]"),
        ("softmax", "x: fp32[2,3]; axis = 0", "fp32[2,3]"),
        ("prelu", "x: fp32[1,2,4,4]; alpha = [0.1, 0.2]", "fp32[1,2,4,4]"),
        ("prelu", "x: fp32[1,2,4]; alpha = [0.1, 0.1]", "fp32[1,2,4]"),
        ("softplus_parametric", "x: fp32[1,2,4]; alpha = [1.5, 1.5]; beta = [0.5, 2.5]", "fp32[1,2,4]"),
    ]);
    refuses(&[
        ("relu", "x: int32[2]", "`x` has element type int32, but in ios18 must have one of fp16, fp32"),
        ("gelu", "x: fp32[2]; mode = \"ERF\"", "`mode` is \"ERF\", but must be one of: EXACT"),
        ("leaky_relu", "x: fp32[2]", "required parameter `alpha` is missing"),
        ("leaky_relu", "x: fp32[2]; alpha = [0.1, 0.2]", "`alpha` must be one number, but has shape [2]"),
        ("leaky_relu", "x: fp32[2]; alpha: fp32[]", "`alpha` must be a constant"),
        ("softmax", "x: fp32[2,3]; axis = 2", "a tensor of rank 2 has axes -2 to 1"),
        ("softmax", "x: fp32[]", "a scalar has no axes"),
        ("prelu", "x: fp32[1,2,4]; alpha = [0.1, 0.2]", "needs `x` of rank 4"),
        ("prelu", "x: fp32[1,2,4]; alpha = [0.1]", "must have shape [2] (the channels of `x`)"),
        ("prelu", "x: fp32[2,2]; alpha = [0.1, 0.2]", "rank 3 to 5"),
        ("softplus_parametric", "x: fp32[1,2,4]; alpha = [1.5]; beta = [0.5, 2.5]", "`alpha` has shape [1]"),
    ]);
    refuses_in(
        Opset::Ios16,
        &[("leaky_relu", "x: fp16[2]; alpha = fp32 0.1", "must have the element type of `x`, fp16")],
    );
}

#[test]
fn elementwise_parameters() {
    gives(&[
        ("clip", "x: fp32[2]; alpha = 0.5; beta = 1.5", "fp32[2]"),
        ("log", "x: fp16[2]; epsilon = fp32 0.5", "fp16[2]"),
        ("threshold", "x: int32[2]; alpha = 3", "int32[2]"),
        ("cast", "x: int8[2]; dtype = \"fp16\"", "fp16[2]"),
        ("select", "cond: bool[2,1]; a: fp32[3]; b: fp32[]", "fp32[2,3]"),
        ("add", "x: int32[2,1]; y: int32[3]", "int32[2,3]"),
        ("less", "x: fp16[2]; y: fp16[]", "bool[2]"),
        ("equal", "x: int32[2]; y: int32[3,1]", "bool[3,2]"),
    ]);
    gives_in(Opset::Ios16, &[("clip", "x: fp32[2]; alpha = 1.5; beta = 0.5", "fp32[2]")]);
    refuses(&[
        ("not_equal", "x: bool[2]; y: bool[2]", "has element type bool"),
        ("clip", "x: fp32[2]; alpha = 1.5; beta = 0.5", "`alpha` is 1.5, but must be less than `beta`, 0.5"),
        ("clip", "x: fp32[2]; alpha = [0.5, 0.5]; beta = 1.5", "`alpha` must be one number"),
        ("cast", "x: fp32[2]; dtype = \"fp64\"", "`dtype` is \"fp64\""),
        ("add", "x: fp32[2]; y: fp32[3]", "does not broadcast"),
        ("add", "x: fp32[2]; y: fp16[2]", "must have the element type of `x`, fp32"),
    ]);
}

#[test]
fn normalizations_keep_the_type() {
    let bn = "x: fp16[2,3,4]; mean: const fp32[3]; variance: const fp32[3]; gamma: const fp32[3]; beta: const fp32[3]";
    gives(&[
        ("batch_norm", bn, "fp16[2,3,4]"),
        ("instance_norm", "x: fp32[2,3,4,4]; gamma: const fp32[3]", "fp32[2,3,4,4]"),
        ("l2_norm", "x: fp32[2,3,4,4]", "fp32[2,3,4,4]"),
        ("layer_norm", "x: fp32[2,3]", "fp32[2,3]"),
        ("layer_norm", "x: fp32[2,3,4]; axes = [-1]; gamma: const fp32[4]", "fp32[2,3,4]"),
        (
            "layer_norm",
            "x: fp32[2,3,4]; axes = [2, 1]; gamma: const fp32[3,4]; beta: const fp32[3,4]",
            "fp32[2,3,4]",
        ),
        ("local_response_norm", "x: fp32[2,3,4]; size = 2; k = 2.5", "fp32[2,3,4]"),
    ]);
    refuses(&[
        ("batch_norm", "x: fp32[2,3]; mean: const fp32[3]; variance: const fp32[3]", "rank 3 to 5"),
        (
            "batch_norm",
            "x: fp32[2,3,4]; mean: const fp32[2]; variance: const fp32[3]",
            "`mean` has shape [2]",
        ),
        ("batch_norm", "x: fp32[2,3,4]; mean: fp32[3]; variance: const fp32[3]", "`mean` must be a constant"),
        (
            "batch_norm",
            "x: fp32[2,3,4]; mean: const fp32[3]; variance: const fp16[3]",
            "the element type of `mean`",
        ),
        ("instance_norm", "x: fp32[2,3,4,4,4]", "rank 3 to 4"),
        ("l2_norm", "x: fp32[2,3]", "rank 3 or more"),
        ("layer_norm", "x: fp32[2,3]; axes = [2]", "axes -2 to 1"),
        ("layer_norm", "x: fp32[2,3]; axes = [1, -1]", "names axis 1 twice"),
        ("layer_norm", "x: fp32[2,3]; axes = [1]; gamma: const fp32[2]", "must have shape [3]"),
        ("layer_norm", "x: fp32[2,3]; axes = [1]; beta: const fp32[2]", "`beta` has shape [2]"),
        ("layer_norm", "x: fp32[2,3]; epsilon = [0.1, 0.1]", "`epsilon` must be one number"),
        ("local_response_norm", "x: fp32[2,3,4]; size = 0", "`size` is 0, but must be 1 or more"),
    ]);
}

#[test]
fn attention() {
    let op = "scaled_dot_product_attention";
    gives(&[
        (op, "query: fp16[2,5,8]; key: fp16[2,7,8]; value: fp16[2,7,3]", "fp16[2,5,3]"),
        (
            op,
            "query: fp32[2,4,5,8]; key: fp32[2,4,7,8]; value: fp32[2,4,7,8]; attn_mask: bool[5,7]",
            "fp32[2,4,5,8]",
        ),
        (
            op,
            "query: fp32[2,5,8]; key: fp32[2,7,8]; value: fp32[2,7,8]; attn_mask: fp16[2,1,7]",
            "fp32[2,5,8]",
        ),
    ]);
    refuses(&[
        (op, "query: fp32[5,8]; key: fp32[7,8]; value: fp32[7,8]", "rank 3 or more"),
        (op, "query: fp32[2,5,8]; key: fp32[3,7,8]; value: fp32[2,7,8]", "the batch dimensions of `query`"),
        (op, "query: fp32[2,5,8]; key: fp32[7,8]; value: fp32[2,7,8]", "the batch dimensions of `query`"),
        (op, "query: fp32[2,5,8]; key: fp32[2,7,6]; value: fp32[2,7,8]", "`query` has 8 features"),
        (op, "query: fp32[2,5,8]; key: fp32[2,7,8]; value: fp32[2,6,8]", "`key` has 7 positions"),
        (
            op,
            "query: fp32[2,5,8]; key: fp32[2,7,8]; value: fp32[2,7,8]; attn_mask: bool[5,1]",
            "broadcast to [2, 5, 7]",
        ),
        (op, "query: fp32[2,5,8]; key: fp32[2,7,8]; value: fp32[2,7,8]; attn_mask: bool[3,5,7]", "broadcast"),
        (
            op,
            "query: fp32[2,5,8]; key: fp32[2,7,8]; value: fp32[2,7,8]; attn_mask: bool[4,2,5,7]",
            "broadcast",
        ),
    ]);
    refuses_in(
        Opset::Ios17,
        &[(op, "query: fp32[2,5,8]; key: fp32[2,7,8]; value: fp32[2,7,8]", "needs opset ios18")],
    );
}
