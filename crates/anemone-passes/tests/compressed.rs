//! Passes over programs with compressed weights and quantization: they go through, and mean the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_passes::autodiff::gradients;
use anemone_passes::{PrecisionOptions, freeze, simplify, states_to_io, to_fp16};
use mil::{
    Constant, DataType, Def, Function, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify,
};
use std::collections::BTreeMap;

fn builder() -> FunctionBuilder {
    FunctionBuilder::new("main", Opset::Ios18)
}

fn checked(function: Function) -> Verified {
    verify(Program::single(function)).unwrap()
}

fn count(function: &Function, op: &str) -> usize {
    function.body.ops.iter().filter(|operation| operation.op.name == op).count()
}

/// A weight of shape `[2, 4]` in fp32.
fn affine(f: &mut FunctionBuilder) -> ValueId {
    let levels = Constant::new([2, 4], vec![1i8, -2, 3, -4, 5, -6, 7, -8]).unwrap();
    let op = f.op("constexpr_affine_dequantize").constant("quantized_data", levels).int("axis", 0);
    let op = op.constant("zero_point", Constant::scalar(0.5f32));
    op.constant("scale", Constant::new([2], vec![0.5f32, 0.25]).unwrap()).one().unwrap()
}

fn linear(f: &mut FunctionBuilder, x: ValueId, weight: ValueId) -> ValueId {
    f.op("linear").arg("x", x).arg("weight", weight).one().unwrap()
}

#[test]
fn equal_weights_become_one() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    let (first, second) = (affine(&mut f), affine(&mut f));
    let y = linear(&mut f, x, first);
    let mut function = f.finish(&[y, second, first]).unwrap();
    simplify(&mut function);
    assert_eq!(count(&function, "constexpr_affine_dequantize"), 1);
    // The weight returned a second time is a copy, which is no compressed constant.
    assert_eq!(function.value(second).def, Def::Op);
    checked(function);
}

#[test]
fn unused_weights_go() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    affine(&mut f);
    let y = f.unary("relu", x).unwrap();
    let mut function = f.finish(&[y]).unwrap();
    simplify(&mut function);
    assert_eq!(function.body.ops.len(), 1);
    checked(function);
}

#[test]
fn half_precision_keeps_weights_compressed() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    let weight = affine(&mut f);
    let y = linear(&mut f, x, weight);
    let bias = Constant::new([2], vec![half::f16::ONE, half::f16::EPSILON]).unwrap();
    let op = f.op("constexpr_cast").constant("source_val", bias);
    let bias = op.string("output_dtype", "fp32").one().unwrap();
    let weight = affine(&mut f);
    let z = f.op("linear").arg("x", x).arg("weight", weight).arg("bias", bias).one().unwrap();
    let op = f.op("quantize").arg("input", z).constant("scale", Constant::scalar(0.5f32));
    let levels = op.string("output_dtype", "int8").one().unwrap();
    let back =
        f.op("dequantize").arg("input", levels).constant("scale", Constant::scalar(0.5f32)).one().unwrap();
    let lowered = to_fp16(&f.finish(&[y, back]).unwrap(), &PrecisionOptions::default()).unwrap();
    for operation in &lowered.body.ops {
        let dtype = lowered.dtype(operation.outputs[0]);
        match operation.op.name {
            "linear" | "constexpr_affine_dequantize" | "dequantize" => assert_eq!(dtype, DataType::Fp16),
            "quantize" => assert_eq!(dtype, DataType::Int8),
            _ => {}
        }
    }
    // The bias is its fp16 source.
    let last = lowered.body.ops.iter().rfind(|operation| operation.op.name == "linear").unwrap();
    let bias = lowered.view(last).value("bias").unwrap();
    assert_eq!(lowered.constant(bias).unwrap().ty().dtype, DataType::Fp16);
    checked(lowered);
}

#[test]
fn what_keeps_a_logarithm_from_zero_still_does_in_half_precision() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([500])).unwrap();
    let limits = f.constant(Constant::new([5], vec![1e-10f32, -1e-10, 0.0, 1e9, -1e9]).unwrap());
    let weights = f.constant(Constant::splat(&TensorType::fp32([500]), 1e-10).unwrap());
    let head = f.op("slice_by_size").arg("x", x).ints("begin", &[0]).ints("size", &[5]).one().unwrap();
    let (y, z) = (f.add(head, limits).unwrap(), f.add(x, weights).unwrap());
    let lowered = to_fp16(&f.finish(&[y, z]).unwrap(), &PrecisionOptions::default()).unwrap();
    let constants =
        lowered.values.iter().enumerate().filter_map(|(at, _)| lowered.constant(ValueId::from_index(at)));
    let halves: Vec<Vec<f32>> = constants
        .filter_map(|c| c.as_slice::<half::f16>())
        .map(|all| all.iter().map(|half| half.to_f32()).collect())
        .collect();
    let least = half::f16::MIN_POSITIVE_SUBNORMAL.to_f32();
    assert_eq!(halves, [vec![least, -least, 0.0, 65504.0, -65504.0], vec![0.0; 500]]);
    checked(lowered);
}

#[test]
fn what_is_kept_in_full_precision_keeps_its_weight() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    let weight = affine(&mut f);
    let y = linear(&mut f, x, weight);
    let keep = |op: &mil::OpView<'_>| op.name() == "linear" || op.name().starts_with("constexpr_");
    let function = f.finish(&[y]).unwrap();
    let kept = to_fp16(&function, &PrecisionOptions { keep: &keep }).unwrap();
    assert_eq!(count(&kept, "cast"), 0);
    checked(kept);
}

#[test]
fn states_freeze_beside_compressed_weights() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    let state = f.state("bias", TensorType::fp32([2])).unwrap();
    let (weight, bias) = (affine(&mut f), f.read_state(state).unwrap());
    let y = linear(&mut f, x, weight);
    let y = f.add(y, bias).unwrap();
    let program = checked(f.finish(&[y, weight]).unwrap());
    let values = BTreeMap::from([("bias".to_string(), Constant::new([2], vec![1f32, 2.0]).unwrap())]);
    let frozen = verify(freeze(&program, &values).unwrap()).unwrap();
    assert_eq!(frozen.functions[0].states().count(), 0);
    assert_eq!(count(&frozen.functions[0], "constexpr_affine_dequantize"), 1);
    let without = verify(states_to_io(&program).unwrap()).unwrap();
    assert_eq!(count(&without.functions[0], "constexpr_affine_dequantize"), 1);
}

#[test]
fn gradients_pass_by_compressed_weights() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    let weight = affine(&mut f);
    let y = linear(&mut f, x, weight);
    let loss = f.op("reduce_sum").arg("x", y).bool("keep_dims", false).one().unwrap();
    let before = f.function().body.ops.len();
    let dx = gradients(&mut f, loss, &[x]).unwrap();
    let appended = &f.function().body.ops[before..];
    assert!(appended.iter().any(|operation| operation.op.name == "matmul"));
    assert_eq!(f.shape(dx[0]), [3, 4]);
    checked(f.finish(&dx).unwrap());
}

#[test]
fn quantization_stops_gradients() {
    let mut f = builder();
    let x = f.input("x", TensorType::fp32([3, 4])).unwrap();
    let op = f.op("quantize").arg("input", x).constant("scale", Constant::scalar(0.5f32));
    let levels = op.string("output_dtype", "uint8").one().unwrap();
    let back =
        f.op("dequantize").arg("input", levels).constant("scale", Constant::scalar(0.5f32)).one().unwrap();
    let loss = f.op("reduce_sum").arg("x", back).bool("keep_dims", false).one().unwrap();
    let before = f.function().body.ops.len();
    let dx = gradients(&mut f, loss, &[x]).unwrap();
    assert_eq!(f.function().body.ops.len() - before, 1, "zeros and nothing else");
    checked(f.finish(&dx).unwrap());
}
