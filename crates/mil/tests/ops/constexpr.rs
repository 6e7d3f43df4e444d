//! The constexpr family: both generations, and how its results stand for constants.

use crate::support::{gives, gives_in, refuses, refuses_in};
use mil::ops::constexpr::{in_attributes, palette, scale_blocks};
use mil::{Constant, DataType, Def, FunctionBuilder, Op, Opset, Program, TensorType, ValueId, verify};

#[test]
fn affine_dequantize() {
    let data = "quantized_data: const int8[3,4]";
    let ok: [(&str, &str); 4] = [
        ("zero_point = int8 0; scale = 0.5; axis = 0", "fp32[3,4]"),
        ("zero_point = int8 [0, 1, 2]; scale = fp16 [1, 2, 3]; axis = -2", "fp16[3,4]"),
        ("zero_point = 0.5; scale = fp16 [1, 2, 3, 4]; axis = 1", "fp16[3,4]"),
        ("zero_point = uint8 3; scale = [1.5, 2.5, 3.5]; axis = 0", "fp32[3,4]"),
    ];
    for (arguments, ty) in ok {
        for opset in [Opset::Ios16, Opset::Ios17, Opset::Ios18, Opset::Ios26] {
            gives_in(opset, &[("constexpr_affine_dequantize", &format!("{data}; {arguments}"), ty)]);
        }
    }
    let wrong: [(&str, &str); 7] = [
        (
            "zero_point = int8 0; scale = 0.5; axis = 2",
            "`axis` is 2, but a tensor of rank 2 has axes -2 to 1",
        ),
        (
            "zero_point = int8 0; scale = [0.5, 1.5]; axis = 0",
            "`scale` has 2 elements, but must have one, or 3",
        ),
        (
            "zero_point = int8 [1, 2]; scale = 0.5; axis = 1",
            "`zero_point` has 2 elements, but must have one, or 4",
        ),
        ("zero_point = int8 0; scale: const fp32[1,3]; axis = 1", "`scale` must have rank 0 to 1"),
        ("zero_point = fp16 0; scale = 0.5; axis = 1", "`zero_point` has element type fp16"),
        ("zero_point = int8 0; scale = int8 1; axis = 1", "`scale` has element type int8"),
        ("zero_point = int8 0; scale: fp32[]; axis = 1", "`scale` must be a constant"),
    ];
    for (arguments, message) in wrong {
        refuses(&[("constexpr_affine_dequantize", &format!("{data}; {arguments}"), message)]);
    }
    refuses(&[
        (
            "constexpr_affine_dequantize",
            "quantized_data = int8 3; zero_point = int8 0; scale = 0.5; axis = 0",
            "a scalar has no axes",
        ),
        (
            "constexpr_affine_dequantize",
            "quantized_data: int8[2]; zero_point = int8 0; scale = 0.5; axis = 0",
            "must be a constant",
        ),
        (
            "constexpr_affine_dequantize",
            "quantized_data = int8 [1, 2]; scale = 0.5; axis = 0",
            "`zero_point` is missing",
        ),
    ]);
    refuses_in(
        Opset::Ios15,
        &[("constexpr_affine_dequantize", &format!("{data}; {}", ok[0].0), "needs opset ios16")],
    );
}

#[test]
fn cast() {
    gives(&[("constexpr_cast", "source_val: const fp16[2,3]; output_dtype = \"fp32\"", "fp32[2,3]")]);
    refuses(&[
        ("constexpr_cast", "source_val: const fp16[2]; output_dtype = \"fp16\"", "must be one of: fp32"),
        ("constexpr_cast", "source_val: const fp32[2]; output_dtype = \"fp32\"", "must have one of fp16"),
    ]);
}

#[test]
fn palettes_of_the_first_generation() {
    let op = "constexpr_lut_to_dense";
    gives_in(
        Opset::Ios16,
        &[
            (op, "indices: const uint8[2]; lut: const fp16[4]; shape = uint32 [5]", "fp16[5]"),
            (op, "indices: const uint8[9]; lut: const int8[64]; shape = uint32 [3, 4]", "int8[3,4]"),
            (op, "indices: const uint8[12]; lut: const fp32[256]; shape = uint32 [3, 4]", "fp32[3,4]"),
            (op, "indices: const uint8[0]; lut: const uint8[2]; shape = uint32 [0]", "uint8[0]"),
        ],
    );
    refuses_in(
        Opset::Ios17,
        &[
            (
                op,
                "indices: const uint8[2]; lut: const fp16[8]; shape = uint32 [5]",
                "has 8 entries, but must have 2, 4, 16, 64 or 256",
            ),
            (
                op,
                "indices: const uint8[3]; lut: const fp16[4]; shape = uint32 [5]",
                "has 3 bytes, but 2 bits for each element of shape [5] take 2",
            ),
            (
                op,
                "indices: const uint8[2]; lut: const fp16[4,1]; shape = uint32 [5]",
                "`lut` must be a vector",
            ),
            (
                op,
                "indices: const uint8[2,1]; lut: const fp16[4]; shape = uint32 [5]",
                "`indices` must be a vector",
            ),
            (op, "indices: const uint8[2]; lut: const fp16[4]", "`shape` is missing"),
            (op, "indices: const uint8[2]; lut: const fp16[4]; shape = [5]", "must have one of uint32"),
            (
                op,
                "indices: const uint2[2]; lut: const fp16[4]; shape = uint32 [5]",
                "in ios17 must have one of uint8",
            ),
            (
                op,
                "indices: const uint8[2]; lut: const fp16[4]; shape = uint32 [5]; vector_axis = 0",
                "`vector_axis` is new in ios18",
            ),
            (
                op,
                "indices: const uint8[2]; lut: const fp16[4]; shape = uint32 [4294967295, 4294967295, 4294967295]",
                "more elements than memory",
            ),
        ],
    );
}

#[test]
fn palettes_of_the_second_generation() {
    let op = "constexpr_lut_to_dense";
    gives(&[
        (op, "indices: const uint2[6,2]; lut: const fp16[2,1,4,1]", "fp16[6,2]"),
        (op, "indices: const uint1[2,2,2]; lut: const int8[1,1,1,2,3]; vector_axis = 1", "int8[2,6,2]"),
        (op, "indices: const uint1[2,2,2]; lut: const int8[1,1,1,2,3]; vector_axis = -1", "int8[2,2,6]"),
        (op, "indices: const uint3[4]; lut: const uint8[2,8,1]; vector_axis = 0", "uint8[4]"),
        (op, "indices: const uint6[2]; lut: const fp32[2,64,1]", "fp32[2]"),
        (op, "indices: const uint8[2]; lut: const fp32[1,256,2]; vector_axis = 0", "fp32[4]"),
        (op, "indices: const uint4[0,2]; lut: const fp32[1,2,16,1]", "fp32[0,2]"),
    ]);
    refuses(&[
        (
            op,
            "indices: const uint2[6,2]; lut: const fp16[4,1,4,1]",
            "has 4 blocks along dimension 0, which do not divide the 6 elements of `indices`",
        ),
        (op, "indices: const uint2[6,2]; lut: const fp16[0,1,4,1]", "has 0 blocks along dimension 0"),
        (op, "indices: const uint2[6,2]; lut: const fp16[1,4,1]", "`lut` must have rank 4"),
        (op, "indices = uint2 1; lut: const fp16[4,1]", "`indices` must have rank 1 or more"),
        (
            op,
            "indices: const uint2[6]; lut: const fp16[1,8,1]",
            "so 8 entries to a table, but indices of uint2 need 4",
        ),
        (op, "indices: const uint2[6]; lut: const fp16[1,4,0]", "an entry must have an element"),
        (
            op,
            "indices: const uint2[6]; lut: const fp16[1,4,2]",
            "`vector_axis` is missing, but the entries of `lut` have 2 elements",
        ),
        (
            op,
            "indices: const uint2[6]; lut: const fp16[1,4,2]; vector_axis = 1",
            "`vector_axis` is 1, but a tensor of rank 1",
        ),
        (
            op,
            "indices: const uint2[6]; lut: const fp16[1,4,2]; vector_axis = [0]",
            "`vector_axis` must have rank 0",
        ),
        (
            op,
            "indices: const uint2[6]; lut: const fp16[1,4,1]; shape = uint32 [6]",
            "`shape` is gone from ios18 on",
        ),
        (op, "indices: const int4[6]; lut: const fp16[1,16,1]", "has element type int4"),
    ]);
}

#[test]
fn sparse_to_dense() {
    let op = "constexpr_sparse_to_dense";
    gives_in(
        Opset::Ios16,
        &[
            (op, "nonzero_data = fp16 [1, 2]; mask = uint8 [12]; shape = uint32 [5]", "fp16[5]"),
            (op, "nonzero_data: const int8[3]; mask = uint8 [129, 2]; shape = uint32 [2, 5]", "int8[2,5]"),
        ],
    );
    refuses_in(
        Opset::Ios16,
        &[
            (
                op,
                "nonzero_data = fp16 [1]; mask = uint8 [12]; shape = uint32 [5]",
                "has 1 elements, but `mask` has 2 ones",
            ),
            (
                op,
                "nonzero_data = fp16 [1, 2]; mask = uint8 [12, 0]; shape = uint32 [5]",
                "has 2 bytes, but 1 bits for each element of shape [5] take 1",
            ),
            (
                op,
                "nonzero_data = fp16 [1, 2]; mask = uint8 [36]; shape = uint32 [5]",
                "has ones beyond the 5 elements",
            ),
            (
                op,
                "nonzero_data: const fp16[2,1]; mask = uint8 [12]; shape = uint32 [5]",
                "`nonzero_data` must be a vector",
            ),
            (
                op,
                "nonzero_data: const int4[2]; mask = uint8 [12]; shape = uint32 [5]",
                "has element type int4",
            ),
        ],
    );
    gives(&[
        (op, "nonzero_data: const int4[2]; mask = uint1 [0, 1, 1, 0, 0, 0, 0, 0, 0]", "int4[9]"),
        (op, "nonzero_data: const fp32[3]; mask = uint1 [[0, 1], [1, 1]]", "fp32[2,2]"),
    ]);
    refuses(&[
        (
            op,
            "nonzero_data: const fp32[4]; mask = uint1 [[0, 1], [1, 1]]",
            "has 4 elements, but `mask` has 3 ones",
        ),
        (op, "nonzero_data: const fp32[1,3]; mask = uint1 [[0, 1], [1, 1]]", "must be a vector"),
        (op, "nonzero_data: const fp32[3]; mask = uint8 [7]", "in ios18 must have one of uint1"),
        (op, "nonzero_data: fp32[3]; mask = uint1 [1, 1, 1]", "must be a constant"),
    ]);
}

#[test]
fn blockwise_shift_scale() {
    let op = "constexpr_blockwise_shift_scale";
    gives(&[
        (op, "data: const int4[4,8]; scale: const fp16[4,2]", "fp16[4,8]"),
        (op, "data: const uint4[4,8]; scale: const fp32[2,1]; offset: const uint4[2,1]", "fp32[4,8]"),
        (op, "data: const int8[4,8]; scale: const fp16[1,1]; offset: const fp32[1,1]", "fp16[4,8]"),
        (op, "data: const fp32[4]; scale: const fp16[4]; offset: const fp16[4]", "fp16[4]"),
    ]);
    refuses(&[
        (
            op,
            "data: const int4[4,8]; scale: const fp16[4,3]",
            "has 3 blocks along dimension 1, which do not divide the 8",
        ),
        (op, "data: const int4[4,8]; scale: const fp16[0,1]", "has 0 blocks"),
        (op, "data: const int4[4,8]; scale: const fp16[4]", "`scale` must have rank 2"),
        (op, "data = int4 1; scale = fp16 1", "`data` must have rank 1 or more"),
        (
            op,
            "data: const int4[4]; scale: const fp16[4]; offset: const int4[1]",
            "`offset` has shape [1], but must have that of `scale`, [4]",
        ),
        (
            op,
            "data: const int4[4]; scale: const fp16[4]; offset: const int8[4]",
            "is int8, but must be fp16, fp32 or int4",
        ),
        (op, "data: const uint6[4]; scale: const fp16[4]", "has element type uint6"),
    ]);
    refuses_in(Opset::Ios17, &[(op, "data: const int8[4]; scale: const fp16[4]", "needs opset ios18")]);
}

#[test]
fn sparse_to_sparse() {
    let lut = "constexpr_lut_to_sparse";
    gives(&[
        (
            lut,
            "indices_mask = uint1 [[1, 0], [1, 1]]; indices_nonzero_data = uint2 [1, 2, 3]; lut: const fp16[1,1,4,1]",
            "uint1[2,2] fp16[3]",
        ),
        (
            lut,
            "indices_mask = uint1 [[1, 0], [1, 1]]; indices_nonzero_data = uint2 [1, 2, 3]; lut: const int8[2,1,4,3]; vector_axis = 0",
            "uint1[6,2] int8[9]",
        ),
    ]);
    refuses(&[
        (
            lut,
            "indices_mask = uint1 [1, 0, 1]; indices_nonzero_data = uint2 [1]; lut: const fp16[1,4,1]",
            "has 1 elements, but `indices_mask` has 2 ones",
        ),
        (
            lut,
            "indices_mask = uint1 [1, 0, 1]; indices_nonzero_data = uint3 [1, 2]; lut: const fp16[1,4,1]",
            "indices of uint3 need 8",
        ),
        (
            lut,
            "indices_mask = uint1 [1, 0, 1]; indices_nonzero_data = uint2 [1, 2]; lut: const fp16[2,4,1]",
            "do not divide the 3 elements of `indices_mask`",
        ),
    ]);
    let scale = "constexpr_sparse_blockwise_shift_scale";
    gives(&[
        (
            scale,
            "data_mask = uint1 [[1, 0], [1, 1]]; nonzero_data = int4 [1, 2, -3]; scale: const fp16[1,2]; offset: const int4[1,2]",
            "uint1[2,2] fp16[3]",
        ),
        (
            scale,
            "data_mask = uint1 [1, 0, 1]; nonzero_data = uint8 [1, 2]; scale: const fp32[1]",
            "uint1[3] fp32[2]",
        ),
    ]);
    refuses(&[
        (
            scale,
            "data_mask = uint1 [1, 0, 1]; nonzero_data = int8 [1]; scale: const fp16[1]",
            "but `data_mask` has 2 ones",
        ),
        (
            scale,
            "data_mask = uint1 [1, 0, 1]; nonzero_data = int8 [1, 2]; scale: const fp16[2]",
            "do not divide the 3",
        ),
        (
            scale,
            "data_mask = uint1 [1, 0, 1]; nonzero_data = int8 [1, 2]; scale: const fp16[1]; offset: const uint8[1]",
            "is uint8, but must be fp16, fp32 or int8",
        ),
    ]);
}

/// A palette of sparse indices, made dense: `[2, 3]` of fp16.
fn joint(f: &mut FunctionBuilder) -> (Vec<ValueId>, ValueId) {
    let mask = Constant::packed(DataType::Uint1, [2, 3], &[1, 0, 1, 1, 0, 0]).unwrap();
    let indices = Constant::packed(DataType::Uint1, [3], &[0, 1, 1]).unwrap();
    let lut = Constant::new([1, 1, 2, 1], vec![half::f16::ONE, half::f16::NEG_ONE]).unwrap();
    let op = f.op("constexpr_lut_to_sparse").constant("indices_mask", mask);
    let sparse = op.constant("indices_nonzero_data", indices).constant("lut", lut).many().unwrap();
    let op = f.op("constexpr_sparse_to_dense").arg("mask", sparse[0]).arg("nonzero_data", sparse[1]);
    let dense = op.one().unwrap();
    (sparse, dense)
}

#[test]
fn results_stand_for_constants() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let (_, weight) = joint(&mut f);
    assert_eq!(f.function().value(weight).def, Def::Constexpr);
    let x = f.input("x", TensorType::fp16([4, 3])).unwrap();
    let y = f.op("linear").arg("x", x).arg("weight", weight).one().unwrap();
    assert_eq!(f.function().value(y).def, Def::Op);
    let scale = Constant::new([2, 1], vec![2f32, 3.0]).unwrap();
    let op = f.op("constexpr_blockwise_shift_scale").arg("data", weight).constant("scale", scale);
    let scaled = op.one().unwrap();
    let program = verify(Program::single(f.finish(&[y, scaled]).unwrap())).unwrap();
    assert_eq!(program.functions[0].ty(scaled).to_string(), "tensor<fp32, [2, 3]>");
}

#[test]
fn other_results_do_not() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let (_, weight) = joint(&mut f);
    let x = f.input("x", TensorType::fp16([4, 3])).unwrap();
    let negative = f.mul(weight, -1.0).unwrap();
    let error = f.op("linear").arg("x", x).arg("weight", negative).one().unwrap_err();
    assert!(error.to_string().contains("`weight` must be a constant, but is computed"), "{error}");
    let scale = Constant::scalar(1f32);
    let op = f.op("constexpr_blockwise_shift_scale").arg("data", x).constant("scale", scale);
    let error = op.one().unwrap_err();
    assert!(error.to_string().contains("`data` must be a constant, but is computed"), "{error}");
}

#[test]
fn attributes_hold_written_out_constants_only() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let mask = Constant::packed(DataType::Uint1, [2], &[1, 0]).unwrap();
    let op = f.op("constexpr_sparse_to_dense").constant("mask", mask);
    let data = op.constant("nonzero_data", Constant::new([1], vec![5i8]).unwrap()).one().unwrap();
    let op = f.op("constexpr_affine_dequantize").arg("quantized_data", data).int("axis", 0);
    let op = op.constant("zero_point", Constant::scalar(0i8)).constant("scale", Constant::scalar(1f32));
    let error = op.one().unwrap_err();
    assert!(error.to_string().contains("`quantized_data` is an attribute of this op"), "{error}");
    let attributes = |name: &str, opset| in_attributes(Op::named(name).unwrap(), opset);
    assert!(attributes("constexpr_affine_dequantize", Opset::Ios18));
    assert!(
        attributes("constexpr_lut_to_dense", Opset::Ios17)
            && !attributes("constexpr_lut_to_dense", Opset::Ios18)
    );
    assert!(!attributes("constexpr_cast", Opset::Ios26) && !attributes("relu", Opset::Ios16));
}

#[test]
fn a_wrong_mark_is_found() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let (sparse, dense) = joint(&mut f);
    let x = f.input("x", TensorType::fp16([4, 3])).unwrap();
    let plain = f.unary("relu", x).unwrap();
    let y = f.op("linear").arg("x", plain).arg("weight", dense).one().unwrap();
    let function = f.finish(&[y]).unwrap();
    for (id, def) in [(plain, Def::Constexpr), (dense, Def::Op), (sparse[1], Def::Op), (x, Def::Constexpr)] {
        let mut function = function.clone();
        function.values[id.index()].def = def;
        let faults = verify(Program::single(function)).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains("defined in another way")), "{faults:?}");
    }
}

#[test]
fn geometry_is_what_decompression_needs() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let zeros = |ty: TensorType| {
        let bytes = vec![0u8; ty.bytes()];
        Constant::from_storage(ty, std::sync::Arc::new(bytes)).unwrap()
    };
    let op =
        f.op("constexpr_lut_to_dense").constant("indices", zeros(TensorType::new(DataType::Uint3, [4, 6])));
    op.constant("lut", zeros(TensorType::fp16([2, 3, 8, 5]))).int("vector_axis", -2).one().unwrap();
    let op = f
        .op("constexpr_blockwise_shift_scale")
        .constant("data", zeros(TensorType::new(DataType::Int4, [4, 6])));
    op.constant("scale", zeros(TensorType::fp16([4, 2]))).one().unwrap();
    let function = f.function();
    let found = palette(&function.view(&function.body.ops[0])).unwrap();
    assert_eq!((found.bits, found.vector, found.axis), (3, 5, 0));
    assert_eq!((&found.tables.blocks[..], &found.output[..]), (&[2, 3][..], &[20, 6][..]));
    let found = scale_blocks(&function.view(&function.body.ops[1])).unwrap();
    assert_eq!((&found.shape[..], &found.blocks[..]), (&[4, 6][..], &[4, 2][..]));
}
