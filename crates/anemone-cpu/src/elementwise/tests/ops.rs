//! Operations as programs have them: attributes, defaults, element types, values.

use super::{Tensor, run};
use crate::elementwise::{ElementOp, Group, Instruction, Source};
use half::f16;
use mil::{Constant, DataType, Family, FunctionBuilder, Op, Opset, TensorType, ValueId};

use DataType::{Bool, Fp16, Fp32, Int8, Int16, Int32, Uint8, Uint16};

/// An argument of the operation under test.
enum Given {
    Input(Vec<f64>, DataType),
    Constant(Constant),
}

fn tensor(dtype: DataType, dims: &[usize], values: &[f64]) -> Tensor {
    let lane = |&x: &f64| if dtype.is_float() { (x as f32).to_bits() } else { x as i64 as u32 };
    Tensor::new(&TensorType::new(dtype, dims), values.iter().map(lane).collect::<Vec<_>>())
}

/// Runs one operation; inputs have shape `dims`, or are scalars if they have one value.
fn apply(op: &str, dims: &[usize], given: Vec<(&str, Given)>) -> (DataType, Vec<f64>) {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let mut inputs: Vec<(ValueId, Tensor)> = Vec::new();
    let mut args: Vec<(&str, ValueId)> = Vec::new();
    for (param, given) in given {
        let id = match given {
            Given::Input(values, dtype) => {
                let dims = if values.len() == 1 { &[][..] } else { dims };
                let id = f.input(format!("in_{param}"), TensorType::new(dtype, dims)).unwrap();
                inputs.push((id, tensor(dtype, dims, &values)));
                id
            }
            Given::Constant(constant) => {
                let id = f.constant(constant.clone());
                if !constant.bytes().is_empty() && constant.ty().shape.rank() > 0 {
                    let values: Vec<f64> = constant.to_f32().unwrap().iter().map(|&x| x as f64).collect();
                    inputs.push((id, tensor(constant.ty().dtype, &constant.ty().shape, &values)));
                }
                id
            }
        };
        args.push((param, id));
    }
    let mut builder = f.op(op);
    for (param, id) in args {
        builder = builder.arg(param, id);
    }
    let output = builder.one().unwrap();
    let function = f.finish(&[output]).unwrap();
    let view = function.view(&function.body.ops[0]);
    let element = ElementOp::from_view(&view).unwrap().unwrap();
    let operands = ElementOp::operands(&view);
    let leaves: Vec<Tensor> = operands
        .iter()
        .map(|operand| inputs.iter().find(|(id, _)| id == operand).unwrap().1.clone())
        .collect();
    let ty = view.output(0);
    let group = Group {
        shape: ty.shape.clone(),
        leaves: operands.iter().map(|&id| function.tensor(id).clone()).collect(),
        instructions: vec![Instruction {
            op: element,
            args: (0..operands.len()).map(Source::Leaf).collect(),
            dtype: ty.dtype,
        }],
        outputs: vec![0],
    };
    let lanes = run(&group.clone().compile(), &group, &leaves, &[])[0].lanes();
    let value = |lane: u32| match ty.dtype {
        Fp16 | Fp32 => f32::from_bits(lane) as f64,
        _ => lane as i32 as f64,
    };
    (ty.dtype, lanes.into_iter().map(value).collect())
}

fn close(op: &str, found: f64, expected: f64, relative: f64) {
    let near = (found - expected).abs() <= relative * expected.abs() + 1e-7;
    assert!(
        near || found == expected || (found.is_nan() && expected.is_nan()),
        "{op}: {found}, expected {expected}"
    );
}

const X: [f64; 12] = [-3.5, -2.0, -1.0, -0.75, -0.25, -0.0, 0.0, 0.125, 0.5, 1.0, 2.5, 6.75];

/// One float argument and constants `a` (for `alpha` or `epsilon`) and `b`.
fn unary(op: &str, params: &[&str], expected: fn(f64, f64, f64) -> f64) {
    let constants = [0.3f32, 1.75];
    for dtype in [Fp32, Fp16] {
        let mut given = vec![("x", Given::Input(X.to_vec(), dtype))];
        for (&param, &value) in params.iter().zip(&constants) {
            given.push((param, Given::Constant(Constant::float(dtype, value))));
        }
        let (ty, found) = apply(op, &[3, 4], given);
        assert_eq!(ty, dtype, "{op}");
        let [a, b] = constants.map(|x| if dtype == Fp16 { f16::from_f32(x).to_f64() } else { x as f64 });
        for (x, found) in X.into_iter().zip(found) {
            close(op, found, expected(x, a, b), if dtype == Fp16 { 5e-4 } else { 3e-7 });
        }
    }
}

#[test]
fn functions_of_one_float() {
    unary("abs", &[], |x, _, _| x.abs());
    unary("acos", &[], |x, _, _| x.acos());
    unary("asin", &[], |x, _, _| x.asin());
    unary("atan", &[], |x, _, _| x.atan());
    unary("atanh", &[], |x, _, _| x.atanh());
    unary("ceil", &[], |x, _, _| x.ceil());
    unary("clip", &["alpha", "beta"], |x, a, b| x.max(a).min(b));
    unary("cos", &[], |x, _, _| x.cos());
    unary("cosh", &[], |x, _, _| x.cosh());
    unary("exp", &[], |x, _, _| x.exp());
    unary("exp2", &[], |x, _, _| x.exp2());
    unary("floor", &[], |x, _, _| x.floor());
    unary("inverse", &["epsilon"], |x, a, _| 1.0 / (x + a));
    unary("log", &["epsilon"], |x, a, _| (x + a).ln());
    unary("round", &[], |x, _, _| x.round_ties_even());
    unary("rsqrt", &["epsilon"], |x, a, _| 1.0 / (x + a).sqrt());
    unary("sign", &[], |x, _, _| if x == 0.0 { 0.0 } else { x.signum() });
    unary("sin", &[], |x, _, _| x.sin());
    unary("sinh", &[], |x, _, _| x.sinh());
    unary("sqrt", &[], |x, _, _| x.sqrt());
    unary("square", &[], |x, _, _| x * x);
    unary("tan", &[], |x, _, _| x.tan());
    unary("tanh", &[], |x, _, _| x.tanh());
    unary("threshold", &["alpha"], |x, a, _| x.max(a));
    unary("identity", &[], |x, _, _| x);
}

#[test]
fn activations() {
    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }
    unary("clamped_relu", &["alpha", "beta"], |x, a, b| (if x >= 0.0 { x } else { a * x }).min(b));
    unary("elu", &["alpha"], |x, a, _| if x >= 0.0 { x } else { a * x.exp_m1() });
    unary("leaky_relu", &["alpha"], |x, a, _| if x >= 0.0 { x } else { a * x });
    unary("linear_activation", &["alpha", "beta"], |x, a, b| a * x + b);
    unary("relu", &[], |x, _, _| x.max(0.0));
    unary("relu6", &[], |x, _, _| x.clamp(0.0, 6.0));
    unary("scaled_tanh", &["alpha", "beta"], |x, a, b| a * (b * x).tanh());
    unary("sigmoid", &[], |x, _, _| sigmoid(x));
    unary("sigmoid_hard", &["alpha", "beta"], |x, a, b| (a * x + b).clamp(0.0, 1.0));
    unary("silu", &[], |x, _, _| x * sigmoid(x));
    unary("softplus", &[], |x, _, _| x.exp().ln_1p());
    unary("softsign", &[], |x, _, _| x / (1.0 + x.abs()));
    unary("thresholded_relu", &["alpha"], |x, a, _| if x >= a { x } else { 0.0 });
}

#[test]
fn gelu_in_each_mode() {
    // Values of x Phi(x) to 7 digits.
    let exact = [(-1.0, -0.158_655_25), (0.5, 0.345_731_23), (1.0, 0.841_344_75), (2.5, 2.484_475_8)];
    let tanh =
        |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
    let gelu = |mode: &str| {
        let mode = ("mode", Given::Constant(Constant::string(mode)));
        apply("gelu", &[3, 4], vec![("x", Given::Input(X.to_vec(), Fp32)), mode]).1
    };
    let plain = apply("gelu", &[3, 4], vec![("x", Given::Input(X.to_vec(), Fp32))]).1;
    assert_eq!(plain, gelu("EXACT"));
    for (x, expected) in exact {
        let at = X.iter().position(|&other| other == x).unwrap();
        close("gelu", plain[at], expected, 3e-7);
    }
    for (at, x) in X.into_iter().enumerate() {
        close("gelu tanh", gelu("TANH_APPROXIMATION")[at], tanh(x), 1e-6);
        close("gelu sigmoid", gelu("SIGMOID_APPROXIMATION")[at], x / (1.0 + (-1.702 * x).exp()), 1e-6);
    }
}

#[test]
fn coefficients_per_channel_come_from_constants() {
    let channels = |values: &[f32]| Given::Constant(Constant::new([2], values.to_vec()).unwrap());
    let x = || ("x", Given::Input(X.to_vec(), Fp32));
    let (_, prelu) = apply("prelu", &[1, 2, 2, 3], vec![x(), ("alpha", channels(&[0.5, 3.0]))]);
    let (_, softplus) = apply(
        "softplus_parametric",
        &[1, 2, 2, 3],
        vec![x(), ("alpha", channels(&[0.5, 3.0])), ("beta", channels(&[2.0, -1.0]))],
    );
    for (i, x) in X.into_iter().enumerate() {
        let (alpha, beta) = if i < 6 { (0.5, 2.0) } else { (3.0, -1.0) };
        close("prelu", prelu[i], if x >= 0.0 { x } else { alpha * x }, 1e-7);
        close("softplus_parametric", softplus[i], alpha * (beta * x).exp().ln_1p(), 3e-7);
    }
}

#[test]
fn defaults_take_the_type_of_x() {
    // 1e-4 as fp16 is 1.0001659e-4.
    let zero = |dtype| ("x", Given::Input(vec![0.0, 0.0], dtype));
    let (_, half) = apply("inverse", &[2], vec![zero(Fp16)]);
    assert_eq!(half[0], f16::from_f64(1.0 / f16::from_f64(1e-4).to_f64()).to_f64());
    let (_, full) = apply("inverse", &[2], vec![zero(Fp32)]);
    close("inverse", full[0], 1e4, 1e-6);
    // The default of log vanishes in fp16, but not in fp32.
    assert_eq!(apply("log", &[2], vec![zero(Fp16)]).1[0], f64::NEG_INFINITY);
    close("log", apply("log", &[2], vec![zero(Fp32)]).1[0], -103.278_93, 1e-6);
}

fn binary(op: &str, dtype: DataType, pairs: &[(f64, f64, f64)]) {
    let x = pairs.iter().map(|pair| pair.0).collect();
    let y = pairs.iter().map(|pair| pair.1).collect();
    let given = vec![("x", Given::Input(x, dtype)), ("y", Given::Input(y, dtype))];
    let (_, found) = apply(op, &[pairs.len()], given);
    for (&(x, y, expected), found) in pairs.iter().zip(found) {
        close(&format!("{op}({x}, {y}) of {dtype}"), found, expected, 1e-7);
    }
}

#[test]
fn functions_of_two_numbers() {
    for dtype in [Fp32, Fp16, Int32] {
        binary("add", dtype, &[(5.0, -7.0, -2.0), (1.0, 2.0, 3.0)]);
        binary("sub", dtype, &[(5.0, -7.0, 12.0), (1.0, 2.0, -1.0)]);
        binary("mul", dtype, &[(5.0, -7.0, -35.0), (0.0, 2.0, 0.0)]);
        binary("real_div", dtype, &[(6.0, -3.0, -2.0), (8.0, 2.0, 4.0)]);
        binary(
            "floor_div",
            dtype,
            &[(7.0, 2.0, 3.0), (-7.0, 2.0, -4.0), (7.0, -2.0, -4.0), (-7.0, -2.0, 3.0)],
        );
        binary("mod", dtype, &[(7.0, 3.0, 1.0), (-7.0, 3.0, 2.0), (7.0, -3.0, -2.0), (-7.0, -3.0, -1.0)]);
        binary("pow", dtype, &[(3.0, 4.0, 81.0), (-2.0, 3.0, -8.0), (5.0, 0.0, 1.0), (0.0, 0.0, 1.0)]);
        binary("maximum", dtype, &[(5.0, -7.0, 5.0), (1.0, 2.0, 2.0)]);
        binary("minimum", dtype, &[(5.0, -7.0, -7.0), (1.0, 2.0, 1.0)]);
        binary("equal", dtype, &[(5.0, 5.0, 1.0), (1.0, 2.0, 0.0)]);
        binary("not_equal", dtype, &[(5.0, 5.0, 0.0), (1.0, 2.0, 1.0)]);
        binary("greater", dtype, &[(5.0, 5.0, 0.0), (3.0, -2.0, 1.0), (-3.0, 2.0, 0.0)]);
        binary("greater_equal", dtype, &[(5.0, 5.0, 1.0), (3.0, -2.0, 1.0), (-3.0, 2.0, 0.0)]);
        binary("less", dtype, &[(5.0, 5.0, 0.0), (3.0, -2.0, 0.0), (-3.0, 2.0, 1.0)]);
        binary("less_equal", dtype, &[(5.0, 5.0, 1.0), (3.0, -2.0, 0.0), (-3.0, 2.0, 1.0)]);
    }
    for dtype in [Fp32, Fp16] {
        binary("maximum", dtype, &[(f64::NAN, 1.0, f64::NAN), (1.0, f64::NAN, f64::NAN)]);
        binary("pow", dtype, &[(-8.0, 1.0 / 3.0, f64::NAN), (0.0, -1.0, f64::INFINITY), (4.0, 0.5, 2.0)]);
        binary("real_div", dtype, &[(1.0, 0.0, f64::INFINITY), (0.0, 0.0, f64::NAN)]);
    }
}

#[test]
fn integers_neither_trap_nor_saturate() {
    let (low, high) = (i32::MIN as f64, i32::MAX as f64);
    binary(
        "floor_div",
        Int32,
        &[(5.0, 0.0, 0.0), (low, -1.0, low), (high, -1.0, -high), (low, 3.0, -715_827_883.0)],
    );
    binary("mod", Int32, &[(5.0, 0.0, 0.0), (low, -1.0, 0.0), (high, 10.0, 7.0), (low, 10.0, 2.0)]);
    binary(
        "real_div",
        Int32,
        &[(5.0, 0.0, 0.0), (low, -1.0, low), (-7.0, 2.0, -3.0), (high, 2.0, 1_073_741_823.0)],
    );
    binary("add", Int32, &[(high, 1.0, low), (16_777_217.0, 1.0, 16_777_218.0)]);
    binary("mul", Int32, &[(65_536.0, 65_536.0, 0.0), (46_341.0, 46_341.0, -2_147_479_015.0)]);
    binary("pow", Int32, &[(2.0, 31.0, low), (3.0, -1.0, 0.0), (-1.0, -5.0, -1.0)]);
    let abs = apply("abs", &[2], vec![("x", Given::Input(vec![low, -3.0], Int32))]);
    assert_eq!(abs.1, [low, 3.0]);
    let alpha = ("alpha", Given::Constant(Constant::scalar(16_777_217i32)));
    let threshold = apply("threshold", &[2], vec![("x", Given::Input(vec![-5.0, high], Int32)), alpha]);
    assert_eq!(threshold.1, [16_777_217.0, high]);
    let sign = apply("sign", &[3], vec![("x", Given::Input(vec![low, 0.0, 9.0], Int32))]);
    assert_eq!(sign.1, [-1.0, 0.0, 1.0]);
}

#[test]
fn logic_and_choice() {
    let [f, t] = [0.0, 1.0];
    binary("logical_and", Bool, &[(f, f, f), (f, t, f), (t, f, f), (t, t, t)]);
    binary("logical_or", Bool, &[(f, f, f), (f, t, t), (t, f, t), (t, t, t)]);
    binary("logical_xor", Bool, &[(f, f, f), (f, t, t), (t, f, t), (t, t, f)]);
    let not = apply("logical_not", &[2], vec![("x", Given::Input(vec![f, t], Bool))]);
    assert_eq!(not.1, [t, f]);
    for dtype in [Fp32, Fp16, Int32, Bool] {
        let given = vec![
            ("cond", Given::Input(vec![t, f, t], Bool)),
            ("a", Given::Input(vec![1.0, 0.0, 1.0], dtype)),
            ("b", Given::Input(vec![1.0], dtype)),
        ];
        assert_eq!(apply("select", &[3], given), (dtype, vec![1.0, 1.0, 1.0]));
    }
}

#[test]
fn casts_between_all_stored_types() {
    let stored = [Fp16, Fp32, Int8, Uint8, Int16, Uint16, Int32, Bool];
    for from in stored {
        for to in stored {
            let values = if from == Bool { vec![0.0, 1.0] } else { vec![0.0, 1.0, 5.0, 100.0] };
            let dtype = ("dtype", Given::Constant(Constant::string(to.name())));
            let given = vec![("x", Given::Input(values.clone(), from)), dtype];
            let expected = values.iter().map(|&x| if to == Bool { f64::from(x != 0.0) } else { x }).collect();
            assert_eq!(apply("cast", &[values.len()], given), (to, expected), "{from} to {to}");
        }
    }
    let cast = |from, to: DataType, values: &[f64]| {
        let dtype = ("dtype", Given::Constant(Constant::string(to.name())));
        apply("cast", &[values.len()], vec![("x", Given::Input(values.to_vec(), from)), dtype]).1
    };
    assert_eq!(cast(Fp32, Int32, &[-2.9, 2.9, 1e12, f64::NAN]), [-2.0, 2.0, i32::MAX as f64, 0.0]);
    assert_eq!(cast(Fp32, Int8, &[-2.9, 200.0, -1e9, f64::NAN]), [-2.0, 127.0, -128.0, 0.0]);
    assert_eq!(cast(Fp32, Uint8, &[-2.9, 200.0, 1e9]), [0.0, 200.0, 255.0]);
    assert_eq!(cast(Int32, Int8, &[-1.0, 200.0, 256.0]), [-1.0, -56.0, 0.0]);
    assert_eq!(cast(Int32, Uint16, &[-1.0, 65_537.0]), [65_535.0, 1.0]);
    assert_eq!(cast(Fp32, Bool, &[0.5, -0.0, f64::NAN]), [1.0, 0.0, 1.0]);
    assert_eq!(cast(Fp32, Fp16, &[1e-9, 65_519.0, 65_520.0]), [0.0, 65_504.0, f64::INFINITY]);
    assert_eq!(cast(Int32, Fp32, &[16_777_217.0, -5.0]), [16_777_216.0, -5.0]);
}

#[test]
fn every_elementwise_op_of_the_language_is_known() {
    let ours = [Family::ElementwiseBinary, Family::ElementwiseUnary, Family::Activation];
    let others = ["softmax"];
    for op in Op::all().filter(|op| ours.contains(&op.family) && !others.contains(&op.name)) {
        let x = op.params[0];
        for dtype in x.constraint(Opset::Ios18).0.iter() {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let mut args = Vec::new();
            for param in op.params.iter().filter(|param| !param.is_optional()) {
                let id = if !param.constant {
                    f.input(param.name, TensorType::new(dtype, [2, 3, 4])).unwrap()
                } else if param.name == "dtype" {
                    f.constant(Constant::string("int32"))
                } else if matches!(op.name, "prelu" | "softplus_parametric") {
                    f.constant(Constant::splat(&TensorType::new(dtype, [3]), 0.5).unwrap())
                } else if dtype == Int32 {
                    f.constant(Constant::scalar(1i32))
                } else {
                    f.constant(Constant::float(dtype, if param.name == "beta" { 1.0 } else { 0.5 }))
                };
                args.push((param.name, id));
            }
            let mut builder = f.op(op.name);
            for (param, id) in args {
                builder = builder.arg(param, id);
            }
            let output = builder.one().unwrap();
            let function = f.finish(&[output]).unwrap();
            let view = function.view(&function.body.ops[0]);
            let element =
                ElementOp::from_view(&view).unwrap_or_else(|| panic!("{} is not known", op.name)).unwrap();
            let operands = ElementOp::operands(&view);
            let group = Group {
                shape: view.output(0).shape.clone(),
                leaves: operands.iter().map(|&id| function.tensor(id).clone()).collect(),
                instructions: vec![Instruction {
                    op: element,
                    args: (0..operands.len()).map(Source::Leaf).collect(),
                    dtype: view.output(0).dtype,
                }],
                outputs: vec![0],
            };
            // Panics if there is no loop for the type.
            group.compile();
        }
    }
}
