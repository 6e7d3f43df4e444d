//! `quantize`, `dequantize` and `conv_quantized`.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::Opset;

#[test]
fn quantize() {
    let op = "quantize";
    gives_in(
        Opset::Ios17,
        &[
            (op, "input: fp32[2,3]; scale = 0.5; output_dtype = \"int8\"", "int8[2,3]"),
            (
                op,
                "input: fp16[2,3]; scale = fp16 [1, 2, 3]; zero_point = uint8 [4, 5, 6]; axis = -1; output_dtype = \"uint8\"",
                "uint8[2,3]",
            ),
            (op, "input: fp32[2,3]; scale = [0.5, 0.0]; axis = 0; output_dtype = \"int8\"", "int8[2,3]"),
        ],
    );
    refuses(&[
        (op, "input: fp32[2,3]; scale = 0.5; output_dtype = \"int4\"", "must be one of: int8, uint8"),
        (op, "input: fp32[2,3]; scale = 0.0; output_dtype = \"int8\"", "`scale` is 0"),
        (
            op,
            "input: fp32[2,3]; scale = fp16 1; output_dtype = \"int8\"",
            "must have the element type of `input`",
        ),
        (
            op,
            "input: fp32[2,3]; scale = 0.5; zero_point = uint8 1; output_dtype = \"int8\"",
            "is uint8, but must be int8",
        ),
        (
            op,
            "input: fp32[2,3]; scale = 0.5; axis = 0; output_dtype = \"int8\"",
            "`axis` is given, but `scale` is one number",
        ),
        (
            op,
            "input: fp32[2,3]; scale = 0.5; zero_point = int8 [1, 2]; output_dtype = \"int8\"",
            "`zero_point` has shape [2], but must have shape []",
        ),
        (op, "input: fp32[2,3]; scale = [0.5, 1.5]; output_dtype = \"int8\"", "`axis` is missing"),
        (
            op,
            "input: fp32[2,3]; scale = [0.5, 1.5]; axis = 1; output_dtype = \"int8\"",
            "`scale` has shape [2], but must have shape [3]",
        ),
        (
            op,
            "input: fp32[2,3]; scale = [0.5, 1.5]; zero_point = int8 1; axis = 0; output_dtype = \"int8\"",
            "`zero_point` has shape []",
        ),
        (
            op,
            "input: fp32[2,3]; scale: const fp32[1,1]; output_dtype = \"int8\"",
            "`scale` must have rank 0 to 1",
        ),
        (op, "input: fp32[2,3]; scale = [0.5, 1.5]; axis = 2; output_dtype = \"int8\"", "has axes -2 to 1"),
        (op, "input: int8[2,3]; scale = 0.5; output_dtype = \"int8\"", "has element type int8"),
        (op, "input: fp32[2,3]; scale: fp32[]; output_dtype = \"int8\"", "`scale` must be a constant"),
    ]);
    refuses_in(
        Opset::Ios16,
        &[(op, "input: fp32[2,3]; scale = 0.5; output_dtype = \"int8\"", "needs opset ios17")],
    );
}

#[test]
fn dequantize() {
    let op = "dequantize";
    gives(&[
        (op, "input: int8[2,3]; scale = 0.5", "fp32[2,3]"),
        (op, "input: uint8[2,3]; scale = fp16 [1, 2]; zero_point = uint8 [3, 4]; axis = 0", "fp16[2,3]"),
        (op, "input: const int8[4]; scale = 0.5; zero_point = int8 3", "fp32[4]"),
    ]);
    refuses(&[
        (
            op,
            "input: int8[2,3]; scale = 0.5; zero_point = uint8 3",
            "must have the element type of `input`, int8",
        ),
        (op, "input: int32[2,3]; scale = 0.5", "has element type int32"),
        (op, "input: int8[2,3]; scale = [0.5, 1.5, 2.5]", "`axis` is missing"),
        (op, "input: int8[]; scale = [0.5]; axis = 0", "a scalar has no axes"),
    ]);
}

#[test]
fn conv_quantized() {
    let op = "conv_quantized";
    let x = "x: fp32[1,2,5,5]; weight: const uint8[4,2,3,3]; quantization_type = \"linear\"";
    for opset in Opset::ALL {
        gives_in(
            opset,
            &[
                (op, &format!("{x}; quant_scale = 0.5; quant_bias = 0.5"), "fp32[1,4,3,3]"),
                (
                    op,
                    &format!(
                        "{x}; quant_scale = [0.5]; quant_bias: const fp32[4]; nbits = 4; bias = uint8 [1, 2, 3, 4]"
                    ),
                    "fp32[1,4,3,3]",
                ),
                (
                    op,
                    &format!(
                        "{x}; quant_scale: const fp32[4]; quant_bias = 0.5; strides = [2, 2]; pad_type = \"same\""
                    ),
                    "fp32[1,4,3,3]",
                ),
            ],
        );
    }
    let of = |rest: &str| format!("{x}; {rest}");
    refuses(&[
        (
            op,
            &of("quant_scale = [0.5, 1.5]; quant_bias = 0.5"),
            "`quant_scale` has shape [2], but must be one number or one for each of the 4",
        ),
        (op, &of("quant_scale = 0.5; quant_bias: const fp32[4,1]"), "`quant_bias` must have rank 0 to 1"),
        (op, &of("quant_scale = fp16 1; quant_bias = 0.5"), "must have the element type of `x`"),
        (op, &of("quant_scale = 0.5; quant_bias = 0.5; nbits = 9"), "`nbits` is 9, but must be 1 to 8"),
        (op, &of("quant_scale = 0.5; quant_bias = 0.5; nbits = 0"), "`nbits` is 0"),
        (op, &of("quant_scale = 0.5; quant_bias = 0.5; bias: const fp32[4]"), "has element type fp32"),
        (op, &of("quant_scale = 0.5; quant_bias = 0.5; groups = 3"), "does not divide"),
        (op, &of("quant_scale = 0.5"), "`quant_bias` is missing"),
        (
            op,
            "x: fp32[1,1,2]; weight = uint8 [3]; quantization_type = \"linear\"; quant_scale = 0.5; quant_bias = 0.5",
            "`weight` must have rank 3",
        ),
        (op, &x.replace("linear", "table"), "is missing"),
    ]);
    let weight = "x: fp32[1,1,2,2]; weight: const uint8[1,1,1,1]; quant_scale = 0.5; quant_bias = 0.5";
    refuses(&[(op, &format!("{weight}; quantization_type = \"table\""), "must be one of: linear, lut")]);
}
