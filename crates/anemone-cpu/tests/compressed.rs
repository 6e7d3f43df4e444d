//! Compressed weights where weights are asked for, and `conv_quantized`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_cpu::{CpuBackend, Mode};
use anemone_passes::autodiff::gradients;
use anemone_passes::{PrecisionOptions, to_fp16};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{Constant, DataType, Function, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};

/// The outputs of a function in both modes, which must agree to the bit.
fn run(function: Function, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
    let program = verify(Program::single(function)).map_err(|faults| faults[0].to_string())?;
    let outputs = [Mode::Strict, Mode::Fused].map(|mode| {
        let backend = CpuBackend::with_threads(2).unwrap().mode(mode);
        let mut executable =
            backend.compile(&program, &CompileOptions::default()).map_err(|error| error.to_string())?;
        executable.call(&inputs.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
    });
    let [strict, fused] = outputs;
    assert_eq!(strict, fused);
    fused
}

fn build(opset: Opset, make: impl FnOnce(&mut FunctionBuilder) -> Vec<ValueId>) -> Function {
    let mut f = FunctionBuilder::new("main", opset);
    let outputs = make(&mut f);
    f.finish(&outputs).unwrap()
}

/// Multiples of 1/8 around 0, which every float type holds.
fn eighths(count: usize) -> Vec<f32> {
    (0..count).map(|at| ((at * 37 + 11) % 61) as f32 / 8.0 - 3.75).collect()
}

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value)).collect()
}

/// `levels * 0.25 + 0.5` for every level, as a weight of a shape: compressed, and plain.
fn weight(f: &mut FunctionBuilder, shape: &[usize], plain: bool) -> ValueId {
    let count: usize = shape.iter().product();
    let levels: Vec<i64> = (0..count).map(|at| (at * 7 % 16) as i64 - 8).collect();
    let values: Vec<f32> = levels.iter().map(|&level| (level as f32 + 2.0) * 0.25).collect();
    if plain {
        return f.constant(Constant::new(shape, values).unwrap());
    }
    let ones = vec![1; shape.len()];
    f.op("constexpr_blockwise_shift_scale")
        .constant("data", Constant::packed(DataType::Int4, shape, &levels).unwrap())
        .constant("scale", Constant::new(&ones[..], vec![0.25f32]).unwrap())
        .constant("offset", Constant::packed(DataType::Int4, &ones[..], &[-2]).unwrap())
        .one()
        .unwrap()
}

/// Everything that asks for constants.
fn network(f: &mut FunctionBuilder, plain: bool) -> Vec<ValueId> {
    let x = f.input("x", TensorType::fp32([2, 6, 5, 5])).unwrap();
    let (w, bias, channels) =
        (weight(f, &[8, 3, 3, 3], plain), weight(f, &[8], plain), weight(f, &[8], plain));
    let conv = f.op("conv").arg("x", x).arg("weight", w).arg("bias", bias).int("groups", 2).one().unwrap();
    let variance = f.constant(Constant::new([8], vec![1f32; 8]).unwrap());
    let normed = f.op("batch_norm").arg("x", conv).arg("mean", channels).arg("variance", variance);
    let normed = normed.arg("gamma", channels).arg("beta", bias).one().unwrap();
    let active = f.op("prelu").arg("x", normed).arg("alpha", channels).one().unwrap();
    let w = weight(f, &[8, 4, 2, 2], plain);
    let up = f.op("conv_transpose").arg("x", active).arg("weight", w).ints("strides", &[2, 2]).one().unwrap();
    let flat = f.reshape(up, &[2, 4 * 36]).unwrap();
    let w = weight(f, &[10, 144], plain);
    let bias = weight(f, &[10], plain);
    let linear = f.op("linear").arg("x", flat).arg("weight", w).arg("bias", bias).one().unwrap();
    let table = weight(f, &[16, 10], plain);
    let product = f.matmul(linear, table, false, true).unwrap();
    vec![up, product]
}

fn input(shape: &[usize]) -> Tensor {
    Tensor::new(shape, &eighths(shape.iter().product())).unwrap()
}

#[test]
fn compressed_weights_are_weights() {
    let x = [input(&[2, 6, 5, 5])];
    let compressed = run(build(Opset::Ios18, |f| network(f, false)), &x).unwrap();
    let plain = run(build(Opset::Ios18, |f| network(f, true)), &x).unwrap();
    assert_eq!(compressed, plain);
}

#[test]
fn compressed_weights_are_weights_in_half_precision() {
    let x = [input(&[2, 6, 5, 5])];
    let half =
        |plain| to_fp16(&build(Opset::Ios18, |f| network(f, plain)), &PrecisionOptions::default()).unwrap();
    let compressed = half(false);
    let scales: Vec<DataType> = compressed
        .body
        .ops
        .iter()
        .filter(|operation| operation.op.name == "constexpr_blockwise_shift_scale")
        .map(|operation| compressed.dtype(operation.outputs[0]))
        .collect();
    assert_eq!(scales, [DataType::Fp16; 7]);
    assert_eq!(run(compressed, &x).unwrap(), run(half(true), &x).unwrap());
}

#[test]
fn results_that_are_returned_stay_constants_for_others() {
    let function = build(Opset::Ios18, |f| {
        let x = f.input("x", TensorType::fp32([2, 3])).unwrap();
        let mask = Constant::packed(DataType::Uint1, [2, 3], &[1, 0, 1, 0, 0, 1]).unwrap();
        let op = f.op("constexpr_sparse_blockwise_shift_scale").constant("data_mask", mask);
        let op = op.constant("nonzero_data", Constant::packed(DataType::Int4, [3], &[-1, 5, 7]).unwrap());
        let sparse = op.constant("scale", Constant::new([1, 1], vec![0.5f32]).unwrap()).many().unwrap();
        let op = f.op("constexpr_sparse_to_dense").arg("mask", sparse[0]).arg("nonzero_data", sparse[1]);
        let dense = op.one().unwrap();
        let y = f.op("linear").arg("x", x).arg("weight", dense).one().unwrap();
        vec![sparse[0], sparse[1], dense, y]
    });
    let found = run(function, &[Tensor::new([2, 3], &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()]).unwrap();
    assert_eq!(found[0].bytes(), [0b10_0101]);
    assert_eq!(found[1].as_slice::<f32>().unwrap(), [-0.5, 2.5, 3.5]);
    assert_eq!(found[2].as_slice::<f32>().unwrap(), [-0.5, 0.0, 2.5, 0.0, 0.0, 3.5]);
    assert_eq!(found[3].as_slice::<f32>().unwrap(), [7.0, 10.5, 13.0, 21.0]);
}

/// What no one but the decompressor can see.
#[test]
fn a_mask_of_another_operation_must_fit_the_values() {
    let function = build(Opset::Ios18, |f| {
        let mask = |ones: [i64; 4]| Constant::packed(DataType::Uint1, [4], &ones).unwrap();
        let scale = Constant::new([1], vec![1f32]).unwrap();
        let op = f.op("constexpr_sparse_blockwise_shift_scale").constant("data_mask", mask([1, 1, 1, 0]));
        let data = Constant::new([3], vec![1i8, 2, 3]).unwrap();
        let three = op.constant("nonzero_data", data).constant("scale", scale).many().unwrap();
        let data = Constant::new([2], vec![1i8, 2]).unwrap();
        let op = f.op("constexpr_sparse_to_dense").arg("mask", three[0]).constant("nonzero_data", data);
        vec![op.one().unwrap()]
    });
    let error = run(function, &[]).unwrap_err();
    assert!(error.contains("`nonzero_data` has 2 elements, but `mask` has 3 ones"), "{error}");
}

#[test]
fn the_first_generation_runs_in_its_opset() {
    let function = build(Opset::Ios16, |f| {
        let x = f.input("x", TensorType::fp32([1, 2, 3])).unwrap();
        let indices = Constant::new([1], vec![0b1110_0100u8]).unwrap();
        let op = f.op("constexpr_lut_to_dense").constant("indices", indices);
        let lut = Constant::new([4], vec![1f32, -1.0, 0.5, 2.0]).unwrap();
        let op = op.constant("lut", lut).constant("shape", Constant::new([3], vec![2u32, 2, 1]).unwrap());
        let weight = op.one().unwrap();
        let op = f.op("constexpr_cast").string("output_dtype", "fp32");
        let bias =
            op.constant("source_val", Constant::new([2], halves(&[10.0, 20.0])).unwrap()).one().unwrap();
        vec![f.op("conv").arg("x", x).arg("weight", weight).arg("bias", bias).one().unwrap()]
    });
    let x = Tensor::new([1, 2, 3], &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let found = run(function, &[x]).unwrap();
    assert_eq!(found[0].as_slice::<f32>().unwrap(), [7.0, 7.0, 7.0, 28.5, 31.0, 33.5]);
}

/// One quantized convolution and the `conv` that it stands for.
fn convolutions(dtype: DataType, constant: bool) -> [Function; 2] {
    let shape = [4usize, 2, 3, 3];
    let levels: Vec<u8> = (0..72).map(|at| (at * 29 % 256) as u8).collect();
    let (scale, shift) = ([0.25f32, 0.5, 1.0, 0.125], [-3.0f32, 0.5, -8.0, 2.0]);
    let floats = |shape: &[usize], values: &[f32]| match dtype {
        DataType::Fp16 => Constant::new(shape, halves(values)).unwrap(),
        _ => Constant::new(shape, values.to_vec()).unwrap(),
    };
    let values: Vec<f32> = levels
        .iter()
        .enumerate()
        .map(|(at, &level)| f32::from(level) * scale[at / 18] + shift[at / 18])
        .collect();
    let whole = |f: &mut FunctionBuilder, name: &str| {
        let x = f.input("x", TensorType::new(dtype, [1, 4, 6, 7])).unwrap();
        let weight = match (constant, name) {
            (true, "conv") => f.constant(floats(&shape, &values)),
            (true, _) => f.constant(Constant::new(shape, levels.clone()).unwrap()),
            (false, "conv") => f.input("w", TensorType::new(dtype, shape)).unwrap(),
            (false, _) => f.input("w", TensorType::new(DataType::Uint8, shape)).unwrap(),
        };
        let op = f.op(name).arg("x", x).arg("weight", weight).int("groups", 2).ints("strides", &[2, 1]);
        let op = op.string("pad_type", "same");
        let op = match name {
            "conv" => op.constant("bias", floats(&[4], &[1.0, 2.0, 3.0, 250.0])),
            _ => op
                .constant("bias", Constant::new([4], vec![1u8, 2, 3, 250]).unwrap())
                .string("quantization_type", "linear")
                .constant("quant_scale", floats(&[4], &scale))
                .constant("quant_bias", floats(&[4], &shift)),
        };
        vec![op.one().unwrap()]
    };
    ["conv_quantized", "conv"].map(|name| build(Opset::Ios17, |f| whole(f, name)))
}

#[test]
fn a_quantized_convolution_is_a_convolution() {
    for dtype in [DataType::Fp32, DataType::Fp16] {
        let x = match dtype {
            DataType::Fp16 => Tensor::new([1, 4, 6, 7], &halves(&eighths(168))).unwrap(),
            _ => Tensor::new([1, 4, 6, 7], &eighths(168)).unwrap(),
        };
        let [quantized, plain] = convolutions(dtype, true);
        let wanted = run(plain, std::slice::from_ref(&x)).unwrap();
        assert_eq!(run(quantized, std::slice::from_ref(&x)).unwrap(), wanted, "{dtype}");
        let [quantized, plain] = convolutions(dtype, false);
        let levels: Vec<u8> = (0..72).map(|at| (at * 29 % 256) as u8).collect();
        let weight = Tensor::new([4, 2, 3, 3], &levels).unwrap();
        assert_eq!(plain.inputs.len(), 2);
        assert_eq!(run(quantized, &[x, weight]).unwrap(), wanted, "{dtype}, weight at run time");
    }
}

#[test]
fn a_quantized_convolution_has_the_gradient_of_a_convolution() {
    let [quantized, plain] = convolutions(DataType::Fp32, true).map(|function| {
        let (x, y) = (function.inputs[0], function.body.outputs[0]);
        let mut f = FunctionBuilder::resume(function);
        let square = f.mul(y, y).unwrap();
        let loss = f.op("reduce_sum").arg("x", square).bool("keep_dims", false).one().unwrap();
        let dx = gradients(&mut f, loss, &[x]).unwrap();
        run(f.finish(&dx).unwrap(), &[input(&[1, 4, 6, 7])]).unwrap()
    });
    assert_eq!(quantized, plain);
    assert!(plain[0].as_slice::<f32>().unwrap().iter().any(|&slope| slope != 0.0));
}

#[test]
fn a_scale_has_the_gradient_of_what_it_multiplies() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let levels = f.input("levels", TensorType::new(DataType::Int8, [2, 3])).unwrap();
    let scale = f.constant(Constant::new([3], vec![0.5f32, 1.0, 2.0]).unwrap());
    let op = f.op("dequantize").arg("input", levels).arg("scale", scale).int("axis", -1);
    let y = op.constant("zero_point", Constant::new([3], vec![1i8, 0, -1]).unwrap()).one().unwrap();
    let weights = f.constant(Constant::new([2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap());
    let product = f.mul(y, weights).unwrap();
    let loss = f.op("reduce_sum").arg("x", product).bool("keep_dims", false).one().unwrap();
    let grads = gradients(&mut f, loss, &[scale]).unwrap();
    let levels = Tensor::new([2, 3], &[10i8, 20, 30, -1, -2, -3]).unwrap();
    let found = run(f.finish(&grads).unwrap(), &[levels]).unwrap();
    // Σ weight * (level - zero_point): 1·9 + 4·(-2), 2·20 + 5·(-2), 3·31 + 6·(-2).
    assert_eq!(found[0].as_slice::<f32>().unwrap(), [1.0, 30.0, 81.0]);
}

#[test]
fn a_table_without_a_table_is_refused() {
    let function = build(Opset::Ios15, |f| {
        let x = f.input("x", TensorType::fp32([1, 1, 3])).unwrap();
        let op = f.op("conv_quantized").arg("x", x).string("quantization_type", "lut");
        let op = op.constant("weight", Constant::new([1, 1, 1], vec![1u8]).unwrap());
        vec![op.float("quant_scale", 1.0).float("quant_bias", 0.0).one().unwrap()]
    });
    let error = run(function, &[input(&[1, 1, 3])]).unwrap_err();
    assert!(error.contains("`quantization_type` is \"lut\", but the op has no parameter"), "{error}");
}
