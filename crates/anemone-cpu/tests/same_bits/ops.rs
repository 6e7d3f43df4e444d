//! Programs of single operations: everything that computes with floats, on shapes with odd remainders, in `fp32` and `fp16`.

use crate::set::{Set, Values};
use half::f16;
use mil::{Constant, DataType, ValueId};

/// Numbers of the ordinary size.
const UNIT: Values = Values::Between(-1.5, 1.5);

/// All programs.
pub(crate) fn sets() -> impl Iterator<Item = Set> {
    let makers: [fn(DataType) -> Set; 10] = [
        |dtype| elementwise_unary("any_bits", dtype, Values::AnyBits, 1 << 16),
        |dtype| elementwise_unary("moderate", dtype, Values::Between(-12.0, 12.0), 4099),
        |dtype| elementwise_binary("any_bits_of_two", dtype, Values::AnyBits),
        |dtype| elementwise_binary("moderate_two", dtype, Values::Between(-6.0, 6.0)),
        products,
        convolutions,
        reductions,
        normalizations,
        pools,
        random,
    ];
    let floats = makers.into_iter().flat_map(|make| [DataType::Fp32, DataType::Fp16].map(make));
    floats.chain([integers()])
}

/// Functions of one number, casts included.
fn elementwise_unary(name: &'static str, dtype: DataType, values: Values, count: usize) -> Set {
    let mut set = Set::new(name, dtype);
    // A remainder in the channels: not a multiple of any vector.
    let x = set.input(&[1, 1, count], values);
    for op in [
        "abs", "acos", "asin", "atan", "atanh", "ceil", "cos", "cosh", "erf", "exp", "exp2", "floor",
        "inverse", "log", "relu", "relu6", "round", "rsqrt", "sigmoid", "sign", "silu", "sin", "sinh",
        "softplus", "softsign", "sqrt", "square", "tan", "tanh",
    ] {
        let y = set.f.unary(op, x);
        set.result(op, y);
    }
    let (alpha, beta) = (set.number(0.3), set.number(1.7));
    for op in ["clamped_relu", "clip", "linear_activation", "scaled_tanh", "sigmoid_hard"] {
        let y = set.f.op(op).arg("x", x).arg("alpha", alpha).arg("beta", beta).one();
        set.result(op, y);
    }
    for op in ["elu", "leaky_relu", "threshold", "thresholded_relu"] {
        let y = set.f.op(op).arg("x", x).arg("alpha", alpha).one();
        set.result(op, y);
    }
    for mode in ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"] {
        let y = set.f.op("gelu").arg("x", x).string("mode", mode).one();
        set.result(format!("gelu_{mode}"), y);
    }
    let (alpha, beta) = (given(&mut set, &[1], vec![0.7]), given(&mut set, &[1], vec![1.3]));
    let y = set.f.op("prelu").arg("x", x).arg("alpha", alpha).one();
    set.result("prelu", y);
    let y = set.f.op("softplus_parametric").arg("x", x).arg("alpha", alpha).arg("beta", beta).one();
    set.result("softplus_parametric", y);
    let other = if dtype == DataType::Fp32 { DataType::Fp16 } else { DataType::Fp32 };
    for to in [other, DataType::Int32, DataType::Int8, DataType::Uint8, DataType::Int16, DataType::Bool] {
        let y = set.f.cast(x, to);
        set.result(format!("cast_{}", to.name()), y);
    }
    // A chain, which fused mode runs in one pass.
    let chain = (|| {
        let y = set.f.mul(x, 0.25)?;
        let y = set.f.unary("tanh", y)?;
        let z = set.f.unary("exp", y)?;
        let y = set.f.add(y, z)?;
        set.f.unary("rsqrt", y)
    })();
    set.result("chain", chain);
    set
}

/// Functions of two numbers.
fn elementwise_binary(name: &'static str, dtype: DataType, values: Values) -> Set {
    let mut set = Set::new(name, dtype);
    let count = 1 << 14;
    let x = set.input(&[count], values);
    let y = set.input(&[count], values);
    // In `fp16` any bits are all numbers in order, so these are shuffled against each other.
    let y = set.f.op("reverse").arg("x", y).ints("axes", &[0]).one().unwrap();
    for op in [
        "add",
        "equal",
        "floor_div",
        "greater",
        "greater_equal",
        "less",
        "less_equal",
        "maximum",
        "minimum",
        "mod",
        "mul",
        "not_equal",
        "pow",
        "real_div",
        "sub",
    ] {
        let z = set.f.op(op).arg("x", x).arg("y", y).one();
        set.result(op, z);
    }
    let greater = set.f.greater(x, y).unwrap();
    let z = set.f.select(greater, x, y);
    set.result("select", z);
    set
}

/// Arithmetic of integers.
fn integers() -> Set {
    let mut set = Set::new("integers", DataType::Int32);
    let x = set.int_input(&[1031], i32::MIN, i32::MAX);
    let y = set.int_input(&[1031], -40, 40);
    for op in ["add", "maximum", "minimum", "mul", "pow", "sub"] {
        let z = set.f.op(op).arg("x", x).arg("y", y).one();
        set.result(op, z);
    }
    let divisor = set.int_input(&[1031], 1, 1000);
    for op in ["floor_div", "mod", "real_div"] {
        let z = set.f.op(op).arg("x", x).arg("y", divisor).one();
        set.result(op, z);
    }
    for op in ["abs", "sign", "square"] {
        let z = set.f.unary(op, x);
        set.result(op, z);
    }
    for dtype in [DataType::Fp32, DataType::Fp16, DataType::Int8, DataType::Bool] {
        let z = set.f.cast(x, dtype);
        set.result(format!("cast_{}", dtype.name()), z);
    }
    for op in ["reduce_sum", "reduce_log_sum", "reduce_l2_norm", "reduce_max"] {
        let z = set.f.reduce(op, divisor, &[0], true);
        set.result(op, z);
    }
    set
}

/// Matrix products: every remainder of every tile, long and short sums, all transpositions, vectors, batches.
fn products(dtype: DataType) -> Set {
    let mut set = Set::new("products", dtype);
    let matrix = |set: &mut Set, transposed: bool, [rows, columns]: [usize; 2]| {
        set.input(&if transposed { [columns, rows] } else { [rows, columns] }, UNIT)
    };
    let shapes = (1..=17).map(|m| [m, 31 - m, 19]).chain([
        [1, 600, 70],
        [70, 600, 1],
        [5, 1, 5],
        [13, 255, 49],
        [13, 256, 50],
        [13, 257, 51],
        [33, 1030, 37],
        [130, 70, 131],
    ]);
    for [m, k, n] in shapes {
        for (tx, ty) in [(false, false), (false, true), (true, false), (true, true)] {
            let x = matrix(&mut set, tx, [m, k]);
            let y = matrix(&mut set, ty, [k, n]);
            let z = set.f.matmul(x, y, tx, ty);
            set.result(
                format!("matmul_{m}x{k}x{n}_{}{}", if tx { 't' } else { 'n' }, if ty { 't' } else { 'n' }),
                z,
            );
        }
    }
    let (x, y) = (set.input(&[3, 2, 11, 40], UNIT), set.input(&[2, 40, 9], UNIT));
    let z = set.f.matmul(x, y, false, false);
    set.result("matmul_batch", z);
    let y = set.input(&[3, 40, 11, 5], UNIT);
    let z = set.f.op("einsum").args("values", &[x, y]).string("equation", "nchw,nwhu->nchu").one();
    set.result("einsum", z);
    let x = set.input(&[7, 45], UNIT);
    let (weight, bias) = (constant(&mut set, &[23, 45]), constant(&mut set, &[23]));
    let z = set.f.op("linear").arg("x", x).arg("weight", weight).arg("bias", bias).one();
    set.result("linear", z);
    let query = set.input(&[2, 3, 21, 24], UNIT);
    let (key, value) = (set.input(&[2, 3, 33, 24], UNIT), set.input(&[2, 3, 33, 10], UNIT));
    let mask = set.input(&[21, 33], Values::Between(-3.0, 3.0));
    let attention =
        set.f.op("scaled_dot_product_attention").arg("query", query).arg("key", key).arg("value", value);
    let z = attention.arg("attn_mask", mask).one();
    set.result("scaled_dot_product_attention", z);
    set
}

/// A constant tensor of small fractions, exact in `fp16`.
fn constant(set: &mut Set, shape: &[usize]) -> ValueId {
    let count: usize = shape.iter().product();
    given(set, shape, (0..count).map(|at| ((at * 37 + count) % 61) as f32 / 32.0 - 0.9375).collect())
}

/// A constant tensor of the program's element type.
fn given(set: &mut Set, shape: &[usize], data: Vec<f32>) -> ValueId {
    let constant = match set.dtype {
        DataType::Fp16 => Constant::new(shape, data.into_iter().map(f16::from_f32).collect()),
        _ => Constant::new(shape, data),
    };
    set.f.constant(constant.unwrap())
}

fn convolutions(dtype: DataType) -> Set {
    let mut set = Set::new("convolutions", dtype);
    let x = set.input(&[2, 12, 19, 17], UNIT);
    let bias = constant(&mut set, &[24]);
    for (name, groups, kernel, stride, dilation, pad) in [
        ("1x1", 1, 1, 1, 1, "valid"),
        ("3x3", 1, 3, 1, 1, "same"),
        ("3x3_stride", 1, 3, 2, 1, "valid"),
        ("3x3_dilated", 1, 3, 1, 2, "same"),
        ("groups", 3, 3, 1, 1, "same"),
        ("depthwise", 12, 3, 1, 1, "same"),
        ("depthwise_5x5_stride", 12, 5, 2, 1, "same"),
    ] {
        let weight = set.input(&[24, 12 / groups, kernel, kernel], UNIT);
        let conv = set.f.op("conv").arg("x", x).arg("weight", weight).arg("bias", bias);
        let conv =
            conv.string("pad_type", pad).ints("strides", &[stride; 2]).ints("dilations", &[dilation; 2]);
        let y = conv.int("groups", groups as i32).one();
        set.result(format!("conv_{name}"), y);
        let weight = set.input(&[12, 24 / groups, kernel, kernel], UNIT);
        let conv = set.f.op("conv_transpose").arg("x", x).arg("weight", weight).arg("bias", bias);
        let conv = conv.ints("strides", &[stride; 2]).ints("dilations", &[dilation; 2]);
        let y = conv.int("groups", groups as i32).one();
        set.result(format!("conv_transpose_{name}"), y);
    }
    let (x, weight) = (set.input(&[1, 6, 101], UNIT), set.input(&[9, 6, 7], UNIT));
    let y = set.f.op("conv").arg("x", x).arg("weight", weight).string("pad_type", "same").one();
    set.result("conv_1d", y);
    let (x, weight) = (set.input(&[1, 3, 7, 8, 9], UNIT), set.input(&[5, 3, 2, 3, 2], UNIT));
    let y = set.f.op("conv").arg("x", x).arg("weight", weight).string("pad_type", "valid").one();
    set.result("conv_3d", y);
    set
}

fn reductions(dtype: DataType) -> Set {
    let mut set = Set::new("reductions", dtype);
    let any = set.input(&[5, 21, 67], Values::Between(-3.0, 3.0));
    let positive = set.input(&[5, 21, 67], Values::Between(0.5, 1.6));
    for op in [
        "reduce_argmax",
        "reduce_argmin",
        "reduce_l1_norm",
        "reduce_l2_norm",
        "reduce_log_sum",
        "reduce_log_sum_exp",
        "reduce_max",
        "reduce_mean",
        "reduce_min",
        "reduce_prod",
        "reduce_sum",
        "reduce_sum_square",
    ] {
        let x = if matches!(op, "reduce_log_sum" | "reduce_prod") { positive } else { any };
        for (name, axes) in
            [("inner", &[2][..]), ("middle", &[1]), ("outer", &[0]), ("ends", &[0, 2]), ("all", &[0, 1, 2])]
        {
            let y = match op {
                "reduce_argmax" | "reduce_argmin" if axes.len() > 1 => continue,
                "reduce_argmax" | "reduce_argmin" => set.f.op(op).arg("x", x).int("axis", axes[0]).one(),
                _ => set.f.reduce(op, x, axes, true),
            };
            set.result(format!("{op}_{name}"), y);
        }
    }
    for axis in [-1, 1, 0] {
        let y = set.f.op("softmax").arg("x", any).int("axis", axis).one();
        set.result(format!("softmax_{axis}"), y);
        let y = set.f.op("cumsum").arg("x", any).int("axis", axis).one();
        set.result(format!("cumsum_{axis}"), y);
    }
    let indices = set.int_input(&[50], 0, 20);
    let updates = set.input(&[5, 50, 67], UNIT);
    for mode in ["add", "mul", "max"] {
        let scatter = set.f.op("scatter").arg("data", any).arg("indices", indices).arg("updates", updates);
        let y = scatter.int("axis", 1).string("mode", mode).bool("validate_indices", false).one();
        set.result(format!("scatter_{mode}"), y);
    }
    set
}

fn normalizations(dtype: DataType) -> Set {
    let mut set = Set::new("normalizations", dtype);
    let x = set.input(&[2, 13, 9, 11], Values::Between(-2.0, 3.0));
    let [gamma, beta, mean] = [(); 3].map(|()| constant(&mut set, &[13]));
    let variance = given(&mut set, &[13], (1..=13).map(|at| at as f32 / 8.0).collect());
    let norm = set.f.op("batch_norm").arg("x", x).arg("mean", mean).arg("variance", variance);
    let y = norm.arg("gamma", gamma).arg("beta", beta).one();
    set.result("batch_norm", y);
    let y = set.f.op("instance_norm").arg("x", x).arg("gamma", gamma).arg("beta", beta).one();
    set.result("instance_norm", y);
    let y = set.f.unary("l2_norm", x);
    set.result("l2_norm", y);
    for axes in [&[-1][..], &[1], &[1, 2, 3]] {
        let y = set.f.op("layer_norm").arg("x", x).ints("axes", axes).one();
        set.result(format!("layer_norm_{}", axes.len() as i32 * axes[0]), y);
    }
    let y = set.f.op("local_response_norm").arg("x", x).int("size", 5).float("alpha", 0.5).one();
    set.result("local_response_norm", y);
    set
}

fn pools(dtype: DataType) -> Set {
    let mut set = Set::new("pools", dtype);
    let x = set.input(&[2, 5, 23, 19], UNIT);
    for op in ["avg_pool", "l2_pool", "max_pool"] {
        for (kernel, stride) in [(2, 2), (3, 1), (5, 3)] {
            let pool =
                set.f.op(op).arg("x", x).ints("kernel_sizes", &[kernel; 2]).ints("strides", &[stride; 2]);
            let y = pool.string("pad_type", "same").one();
            set.result(format!("{op}_{kernel}_{stride}"), y);
        }
    }
    set
}

fn random(dtype: DataType) -> Set {
    let mut set = Set::new("random", dtype);
    let (zero, one, two) = (set.number(0.0), set.number(1.0), set.number(2.5));
    let normal = set.f.op("random_normal").ints("shape", &[4001]).arg("mean", one).arg("stddev", two);
    let y = normal.int("seed", 7).one();
    set.result("normal", y);
    let uniform = set.f.op("random_uniform").ints("shape", &[4001]).arg("low", zero).arg("high", two);
    let y = uniform.int("seed", 8).one();
    set.result("uniform", y);
    let y = set.f.op("random_bernoulli").ints("shape", &[4001]).arg("prob", one).int("seed", 9).one();
    set.result("bernoulli", y);
    let x = set.input(&[20, 33], Values::Between(-4.0, 4.0));
    let y = set.f.op("random_categorical").arg("x", x).int("size", 11).int("seed", 10).one();
    set.result("categorical", y);
    set
}
