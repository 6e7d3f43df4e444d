//! Programs that a rule speaks against, and ones that are much the same and that it lets pass.

use super::common::verified;
use mil::{BuildError, Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified};

type Built = Result<ValueId, BuildError>;
type Body = fn(&mut FunctionBuilder, ValueId, ValueId) -> Built;

/// One rule.
pub(crate) struct Case {
    /// Its name.
    pub(crate) rule: &'static str,
    /// A chip on which it was seen or is sure to hold.
    pub(crate) chip: &'static str,
    /// One on which it does not hold, if there is one.
    pub(crate) spared: Option<&'static str>,
    /// Shape of the two inputs.
    pub(crate) shape: &'static [usize],
    /// What breaks it.
    pub(crate) hit: Body,
    /// What does not.
    pub(crate) miss: Body,
    /// Whether `legalize` has an answer.
    pub(crate) fixable: bool,
}

impl Case {
    pub(crate) fn program(&self, body: Body, dtype: DataType) -> Verified {
        let mut f = FunctionBuilder::new("main", Opset::Ios18);
        let ty = TensorType::new(dtype, self.shape);
        let x = f.input("x", ty.clone()).unwrap();
        let z = f.input("z", ty).unwrap();
        let y = body(&mut f, x, z).unwrap_or_else(|error| panic!("{}: {error}", self.rule));
        let y = if f.dtype(y) == DataType::Bool { f.select(y, x, z).unwrap() } else { y };
        let y = f.mul(y, 0.5).unwrap();
        verified(Program::single(f.finish(&[y]).unwrap()))
    }
}

const CUBE: &[usize] = &[1, 8, 16, 16];

const fn case(rule: &'static str, chip: &'static str, hit: Body, miss: Body) -> Case {
    Case { rule, chip, spared: None, shape: CUBE, hit, miss, fixable: false }
}

impl Case {
    const fn fixed(mut self) -> Case {
        self.fixable = true;
        self
    }

    const fn not_on(mut self, chip: &'static str) -> Case {
        self.spared = Some(chip);
        self
    }

    const fn of(mut self, shape: &'static [usize]) -> Case {
        self.shape = shape;
        self
    }
}

/// Numbers between -1 and 1 that are not all equal, in the type of a value.
fn weight(f: &mut FunctionBuilder, like: ValueId, shape: &[usize]) -> ValueId {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| ((i * 37 + 11) % 64) as f32 / 32.0 - 1.0).collect();
    let constant = match f.dtype(like) {
        DataType::Fp16 => Constant::new(shape, values.into_iter().map(half::f16::from_f32).collect()),
        _ => Constant::new(shape, values),
    };
    f.constant(constant.unwrap())
}

fn conv(f: &mut FunctionBuilder, x: ValueId, kernel: [usize; 2], pads: [i32; 4]) -> Built {
    let w = weight(f, x, &[4, 8, kernel[0], kernel[1]]);
    let b = weight(f, x, &[4]);
    f.op("conv")
        .arg("x", x)
        .arg("weight", w)
        .arg("bias", b)
        .string("pad_type", "custom")
        .ints("pad", &pads)
        .one()
}

fn slice(f: &mut FunctionBuilder, x: ValueId, begin: [i32; 4], size: [i32; 4]) -> Built {
    f.op("slice_by_size").arg("x", x).ints("begin", &begin).ints("size", &size).one()
}

fn attention(f: &mut FunctionBuilder, x: ValueId, z: ValueId, masked: bool) -> Built {
    let mask = f.less(z, 0.2)?;
    let call = f.op("scaled_dot_product_attention").arg("query", x).arg("key", z).arg("value", x);
    call.maybe("attn_mask", masked.then_some(mask)).one()
}

fn affine(f: &mut FunctionBuilder, x: ValueId, width: usize) -> Built {
    let flat = f.reshape(x, &[2, width])?;
    let (gamma, beta) = (weight(f, x, &[width]), weight(f, x, &[width]));
    let y =
        f.op("layer_norm").arg("x", flat).ints("axes", &[-1]).arg("gamma", gamma).arg("beta", beta).one()?;
    f.reshape(y, &[1, 2, width])
}

fn pool(f: &mut FunctionBuilder, op: &str, x: ValueId, size: i32) -> Built {
    f.op(op)
        .arg("x", x)
        .ints("kernel_sizes", &[size, size])
        .string("pad_type", "custom")
        .ints("pad", &[1, 1, 2, 2])
        .ints("strides", &[1, 2])
        .one()
}

fn logic(f: &mut FunctionBuilder, op: &str, x: ValueId, z: ValueId) -> Built {
    let (a, b) = (f.greater(x, z)?, f.less(x, 0.3)?);
    f.op(op).arg("x", a).arg("y", b).one()
}

/// Every rule about single operations that has an example.
pub(crate) const CASES: &[Case] = &[
    case(
        "softplus-overflow",
        "M5",
        |f, x, _| f.unary("softplus", x),
        |f, x, _| {
            let x = f.op("clip").arg("x", x).float("alpha", -9.0).float("beta", 9.0).one()?;
            f.unary("softplus", x)
        },
    )
    .fixed(),
    case(
        "softplus-overflow",
        "M5",
        |f, x, _| {
            let (a, b) = (weight(f, x, &[8]), weight(f, x, &[8]));
            f.op("softplus_parametric").arg("x", x).arg("alpha", a).arg("beta", b).one()
        },
        |f, x, _| f.unary("relu", x),
    )
    .fixed(),
    case(
        "round-large",
        "M5",
        |f, x, _| f.unary("round", x),
        |f, x, _| {
            let x = f.unary("tanh", x)?;
            f.unary("round", x)
        },
    )
    .fixed(),
    case(
        "round-half",
        "M5",
        |f, x, _| {
            let x = f.op("clip").arg("x", x).float("alpha", -64.0).float("beta", 64.0).one()?;
            f.unary("round", x)
        },
        |f, x, _| f.unary("floor", x),
    )
    .fixed(),
    case(
        "scale-after-rounding",
        "M5",
        |f, x, _| {
            let y = f.unary("floor", x)?;
            f.mul(y, 0.25)
        },
        |f, x, _| {
            let y = f.unary("floor", x)?;
            let y = f.add(y, 1.0)?;
            f.mul(y, 0.25)
        },
    )
    .fixed(),
    case(
        "reduction-times-zero",
        "M5",
        |f, x, _| {
            let y = f.reduce("reduce_sum", x, &[1], true)?;
            f.mul(y, 0.0)
        },
        |f, x, _| {
            let y = f.reduce("reduce_sum", x, &[1], true)?;
            f.mul(y, 0.5)
        },
    )
    .fixed(),
    case("square-fused", "M5", |f, x, _| f.unary("square", x), |f, x, _| f.mul(x, x))
        .of(&[1, 2, 3, 100])
        .fixed(),
    case(
        "root-of-reduction",
        "M4",
        |f, x, _| {
            let y = f.mul(x, x)?;
            let y = f.reduce("reduce_mean", y, &[-1], true)?;
            f.op("rsqrt").arg("x", y).float("epsilon", 0.01).one()
        },
        |f, x, _| {
            let y = f.mul(x, x)?;
            let y = f.reduce("reduce_mean", y, &[-1], true)?;
            f.pow(y, 0.5)
        },
    )
    .not_on("M5")
    .fixed(),
    case(
        "width-offset-slice",
        "M1",
        |f, x, _| slice(f, x, [0, 1, 2, 3], [1, 4, 5, 6]),
        |f, x, _| slice(f, x, [0, 1, 2, 0], [1, 4, 5, 6]),
    )
    .not_on("M4")
    .fixed(),
    case(
        "width-offset-slice",
        "M2",
        |f, x, _| {
            let call =
                f.op("slice_by_index").arg("x", x).ints("begin", &[0, 1, 0, 3]).ints("end", &[1, 5, 16, 14]);
            let y = call
                .ints("stride", &[1, 2, 1, 3])
                .bools("squeeze_mask", &[true, false, false, false])
                .one()?;
            f.unary("relu", y)
        },
        |f, x, _| {
            let x = f.unary("tanh", x)?;
            slice(f, x, [0, 1, 2, 3], [1, 4, 5, 6])
        },
    )
    .not_on("M5")
    .fixed(),
    case(
        "width-offset-slice",
        "M1",
        |f, x, _| {
            let parts = f.op("split").arg("x", x).ints("split_sizes", &[4, 12]).int("axis", 3).many()?;
            let y = f.reduce("reduce_max", parts[1], &[3], true)?;
            f.sub(parts[0], y)
        },
        |f, x, _| Ok(f.op("split").arg("x", x).int("num_splits", 2).int("axis", 1).many()?[1]),
    )
    .not_on("M4")
    .fixed(),
    case(
        "width-offset-slice",
        "M1",
        |f, x, _| f.op("crop").arg("x", x).ints("crop_height", &[1, 2]).ints("crop_width", &[3, 1]).one(),
        |f, x, _| f.op("crop").arg("x", x).ints("crop_height", &[1, 2]).ints("crop_width", &[0, 1]).one(),
    )
    .not_on("M4")
    .fixed(),
    case(
        "concat-of-width-slices",
        "M1 Max",
        |f, x, _| {
            let (a, b) =
                (slice(f, x, [0, 0, 0, 3], [1, 8, 16, 4])?, slice(f, x, [0, 0, 0, 9], [1, 8, 16, 2])?);
            f.op("concat").args("values", &[a, b]).int("axis", 3).bool("interleave", false).one()
        },
        |f, x, _| {
            let (a, b) =
                (slice(f, x, [0, 0, 0, 0], [1, 8, 16, 4])?, slice(f, x, [0, 0, 0, 9], [1, 8, 16, 2])?);
            f.op("concat").args("values", &[a, b]).int("axis", 3).bool("interleave", false).one()
        },
    )
    .not_on("M4")
    .fixed(),
    case(
        "concat-of-width-slices",
        "M2",
        |f, x, _| {
            let x = f.unary("tanh", x)?;
            let parts = f.op("split").arg("x", x).int("num_splits", 4).int("axis", 3).many()?;
            f.op("concat")
                .args("values", &[parts[2], parts[1], parts[0]])
                .int("axis", 3)
                .bool("interleave", false)
                .one()
        },
        |f, x, _| {
            let x = f.unary("tanh", x)?;
            let parts = f.op("split").arg("x", x).int("num_splits", 2).int("axis", 3).many()?;
            f.op("concat")
                .args("values", &[parts[1], parts[0]])
                .int("axis", 3)
                .bool("interleave", false)
                .one()
        },
    )
    .not_on("M4")
    .fixed(),
    case(
        "log-sum-exp-overflow",
        "M1",
        |f, x, _| f.reduce("reduce_log_sum_exp", x, &[1, 2], false),
        |f, x, _| {
            let x = f.unary("tanh", x)?;
            f.reduce("reduce_log_sum_exp", x, &[1, 2], false)
        },
    )
    .fixed(),
    case("attention-mask", "M4", |f, x, z| attention(f, x, z, true), |f, x, z| attention(f, x, z, false))
        .of(&[1, 2, 8, 8])
        .fixed(),
    case(
        "attention-size",
        "M5",
        |f, x, z| attention(f, x, z, false),
        |f, x, z| {
            let x = slice(f, x, [0, 0, 0, 0], [1, 1, 100, 4])?;
            attention(f, x, z, false).or_else(|_| attention(f, x, x, false))
        },
    )
    .of(&[1, 1, 600, 4])
    .fixed(),
    case(
        "layer-norm-affine",
        "M2 Pro",
        |f, x, _| affine(f, x, 1024),
        |f, x, _| {
            let flat = f.reshape(x, &[2, 1024])?;
            let gamma = f.constant(Constant::splat(&TensorType::fp16([1024]), 0.5).unwrap());
            let y = f.op("layer_norm").arg("x", flat).ints("axes", &[-1]).arg("gamma", gamma).one()?;
            f.reshape(y, &[1, 2, 1024])
        },
    )
    .fixed(),
    case(
        "epsilon-type",
        "M4",
        |f, x, _| {
            let other = if f.dtype(x) == DataType::Fp16 { DataType::Fp32 } else { DataType::Fp16 };
            let call = f.op("layer_norm").arg("x", x).ints("axes", &[-1]);
            call.constant("epsilon", Constant::float(other, 0.015625)).one()
        },
        |f, x, _| f.op("layer_norm").arg("x", x).ints("axes", &[-1]).float("epsilon", 0.015625).one(),
    )
    .fixed(),
    case(
        "layer-norm-wide",
        "M5 Pro",
        |f, x, _| affine(f, x, 10240),
        |f, x, _| {
            let y = f.reshape(x, &[2, 10240])?;
            f.op("layer_norm").arg("x", y).ints("axes", &[-1]).one()
        },
    )
    .of(&[1, 2, 80, 128])
    .fixed(),
    case(
        "norm-extent",
        "M1",
        |f, x, _| f.unary("instance_norm", x),
        |f, x, _| f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one(),
    )
    .of(&[1, 2, 256, 128])
    .not_on("M4"),
    case(
        "lrn-channels",
        "M5",
        |f, x, _| f.op("local_response_norm").arg("x", x).int("size", 3).one(),
        |f, x, _| {
            let x = slice(f, x, [0, 0, 0, 0], [1, 8, 4, 4])?;
            f.op("local_response_norm").arg("x", x).int("size", 3).one()
        },
    )
    .of(&[1, 16, 4, 4]),
    case(
        "conv-kernel-width",
        "M1",
        |f, x, _| conv(f, x, [1, 15], [0, 0, 7, 7]),
        |f, x, _| conv(f, x, [1, 13], [0, 0, 6, 6]),
    )
    .not_on("M4")
    .fixed(),
    case(
        "conv-kernel-width",
        "M4",
        |f, x, _| conv(f, x, [3, 33], [1, 1, 20, 3]),
        |f, x, _| conv(f, x, [3, 15], [1, 1, 7, 7]),
    )
    .of(&[1, 8, 4, 40])
    .fixed(),
    case(
        "conv-kernel-width",
        "M2",
        |f, x, _| {
            let w = weight(f, x, &[4, 4, 2, 17]);
            f.op("conv")
                .arg("x", x)
                .arg("weight", w)
                .ints("strides", &[1, 3])
                .ints("dilations", &[2, 2])
                .int("groups", 2)
                .string("pad_type", "same")
                .one()
        },
        |f, x, _| conv(f, x, [3, 13], [1, 1, 7, 7]),
    )
    .of(&[1, 8, 6, 50])
    .fixed(),
    case(
        "conv-kernel-height",
        "M4",
        |f, x, _| conv(f, x, [33, 1], [16, 16, 0, 0]),
        |f, x, _| conv(f, x, [31, 1], [15, 15, 0, 0]),
    )
    .of(&[1, 8, 40, 4])
    .fixed(),
    case(
        "conv-runtime-weight",
        "M3 Max",
        |f, x, z| f.op("conv").arg("x", x).arg("weight", z).one(),
        |f, x, _| conv(f, x, [3, 3], [1, 1, 1, 1]),
    )
    .not_on("M4 Max"),
    case(
        "conv-runtime-weight-batch",
        "M5",
        |f, x, z| f.op("conv").arg("x", x).arg("weight", z).one(),
        |f, x, z| {
            let x = slice(f, x, [0, 0, 0, 0], [1, 8, 3, 3])?;
            f.op("conv").arg("x", x).arg("weight", z).one()
        },
    )
    .of(&[2, 8, 3, 3]),
    case(
        "conv-transpose-same",
        "M1",
        |f, x, _| {
            let w = weight(f, x, &[8, 4, 3, 3]);
            f.op("conv_transpose")
                .arg("x", x)
                .arg("weight", w)
                .string("pad_type", "same")
                .ints("strides", &[2, 2])
                .one()
        },
        |f, x, _| {
            let w = weight(f, x, &[8, 4, 3, 3]);
            f.op("conv_transpose").arg("x", x).arg("weight", w).string("pad_type", "valid").one()
        },
    )
    .fixed(),
    case(
        "patch-conv",
        "M5",
        |f, x, _| {
            let (w, b) = (weight(f, x, &[6, 8, 4, 4]), weight(f, x, &[6]));
            f.op("conv").arg("x", x).arg("weight", w).arg("bias", b).ints("strides", &[4, 4]).one()
        },
        |f, x, _| {
            let w = weight(f, x, &[6, 8, 4, 4]);
            f.op("conv").arg("x", x).arg("weight", w).ints("strides", &[2, 2]).one()
        },
    )
    .fixed(),
    case("max-pool-window", "M4", |f, x, _| pool(f, "max_pool", x, 13), |f, x, _| pool(f, "max_pool", x, 8))
        .not_on("M1")
        .fixed(),
    case("avg-pool-window", "M1", |f, x, _| pool(f, "avg_pool", x, 30), |f, x, _| pool(f, "avg_pool", x, 29))
        .of(&[1, 2, 40, 40])
        .not_on("M4"),
    case(
        "contraction",
        "M1",
        |f, x, z| f.matmul(x, z, false, true),
        |f, x, z| {
            let (x, z) = (f.reshape(x, &[4, 5000])?, f.reshape(z, &[4, 5000])?);
            f.matmul(x, z, false, true)
        },
    )
    .of(&[1, 20000])
    .not_on("M4")
    .fixed(),
    case(
        "contraction",
        "M4",
        |f, x, z| {
            let (x, z) = (f.reshape(x, &[40000, 1])?, f.reshape(z, &[40000, 1])?);
            f.matmul(x, z, true, false)
        },
        |f, x, z| {
            let (x, z) = (f.reshape(x, &[2, 20000])?, f.reshape(z, &[2, 20000])?);
            f.matmul(x, z, false, true)
        },
    )
    .of(&[2, 20000])
    .fixed(),
    case(
        "linear-rank",
        "M1",
        |f, x, _| {
            let (w, b) = (weight(f, x, &[4, 16]), weight(f, x, &[4]));
            f.op("linear").arg("x", x).arg("weight", w).arg("bias", b).one()
        },
        |f, x, _| {
            let x = f.reshape(x, &[8, 16, 16])?;
            let w = weight(f, x, &[4, 16]);
            f.op("linear").arg("x", x).arg("weight", w).one()
        },
    )
    .fixed(),
    case(
        "two-transposed-products",
        "M5",
        |f, x, z| {
            let (x, z) = (f.transpose(x, &[0, 1, 3, 2])?, f.transpose(z, &[0, 1, 3, 2])?);
            let y = f.matmul(x, z, false, false)?;
            f.matmul(y, z, false, false)
        },
        |f, x, z| {
            let y = f.matmul(x, z, false, true)?;
            f.matmul(y, z, false, true)
        },
    ),
    case(
        "transpose-chain",
        "M5",
        |f, x, _| {
            let y = f.transpose(x, &[0, 2, 1, 3])?;
            let y = f.reshape(y, &[1, 16, 16, 8])?;
            f.transpose(y, &[0, 2, 1, 3])
        },
        |f, x, _| {
            let y = f.transpose(x, &[0, 2, 1, 3])?;
            f.reshape(y, &[1, 16, 16, 8])
        },
    ),
    case("transpose-extent", "M1", |f, x, _| f.transpose(x, &[0, 1, 3, 2]), |f, x, _| f.unary("relu", x))
        .of(&[1, 3, 2000, 2000])
        .not_on("M4"),
    case(
        "topk-of-few",
        "M5",
        |f, x, _| Ok(f.op("topk").arg("x", x).int("k", 4).int("axis", 3).many()?[0]),
        |f, x, _| Ok(f.op("topk").arg("x", x).int("k", 5).int("axis", 3).many()?[0]),
    ),
    case(
        "tile",
        "M3 Max",
        |f, x, _| f.op("tile").arg("x", x).ints("reps", &[1, 2, 3, 1]).one(),
        |f, x, _| f.op("concat").args("values", &[x, x]).int("axis", 1).bool("interleave", false).one(),
    )
    .not_on("M5")
    .fixed(),
    case(
        "flattened-repeat",
        "M5",
        |f, x, _| {
            let y = f.op("tile").arg("x", x).ints("reps", &[1, 1, 40, 1]).one()?;
            f.reshape(y, &[8, 163840])
        },
        |f, x, _| {
            let y = f.op("tile").arg("x", x).ints("reps", &[1, 1, 40, 1]).one()?;
            f.reshape(y, &[512, 2560])
        },
    )
    .of(&[1, 8, 16, 256]),
    case(
        "batch-broadcast",
        "M3",
        |f, x, z| {
            let z = slice(f, z, [0, 0, 0, 0], [1, 8, 4, 4])?;
            f.mul(x, z)
        },
        |f, x, z| f.mul(x, z),
    )
    .of(&[2, 8, 4, 4])
    .not_on("M4"),
    case(
        "infinite-constant",
        "M1",
        |f, x, _| {
            let mask: Vec<half::f16> = (0..256)
                .map(|i| if i % 17 > i / 17 { half::f16::NEG_INFINITY } else { half::f16::ZERO })
                .collect();
            let mask = f.constant(Constant::new([16, 16], mask).unwrap());
            let x = f.cast(x, DataType::Fp16)?;
            let y = f.add(x, mask)?;
            f.unary("softmax", y)
        },
        |f, x, _| {
            let y = f.add(x, -1000.0)?;
            f.unary("softmax", y)
        },
    )
    .fixed(),
    case(
        "dynamic-slice",
        "M4",
        |f, x, z| {
            let at = f.reduce("reduce_max", z, &[0, 1, 2], false)?;
            let at = f.op("slice_by_size").arg("x", at).ints("begin", &[0]).ints("size", &[4]).one()?;
            let at = f.cast(at, DataType::Int32)?;
            f.op("slice_by_size").arg("x", x).arg("begin", at).ints("size", &[1, 2, 4, 4]).one()
        },
        |f, x, _| slice(f, x, [0, 1, 0, 0], [1, 2, 4, 4]),
    ),
    case(
        "rank",
        "M5",
        |f, x, _| f.op("expand_dims").arg("x", x).ints("axes", &[0, 1]).one(),
        |f, x, _| f.op("expand_dims").arg("x", x).ints("axes", &[0]).one(),
    ),
    case(
        "matrix-rank",
        "M5",
        |f, x, _| {
            let y = f.reshape(x, &[1, 2, 4, 16, 16])?;
            f.transpose(y, &[0, 1, 2, 4, 3])
        },
        |f, x, _| f.transpose(x, &[0, 1, 3, 2]),
    ),
    case("dimension", "M2", |f, x, _| f.reshape(x, &[1, 20000]), |f, x, _| f.reshape(x, &[1, 20000, 1, 1]))
        .of(&[2, 100, 100])
        .not_on("M4"),
    case(
        "integer-compute",
        "M5",
        |f, x, _| {
            let y = f.cast(x, DataType::Int32)?;
            let y = f.add(y, y)?;
            f.cast(y, DataType::Fp16).or_else(|_| f.cast(y, DataType::Fp32))
        },
        |f, x, _| f.add(x, x),
    ),
    case("unsupported-op", "M5", |f, x, z| logic(f, "logical_and", x, z), |f, x, z| f.less(x, z)).fixed(),
    case("unsupported-op", "M5", |f, x, z| logic(f, "logical_or", x, z), |f, x, z| f.less(x, z)).fixed(),
    case("unsupported-op", "M5", |f, x, z| logic(f, "logical_xor", x, z), |f, x, z| f.less(x, z)).fixed(),
    case(
        "unsupported-op",
        "M1",
        |f, x, _| {
            f.op("cumsum").arg("x", x).int("axis", 1).bool("exclusive", true).bool("reverse", true).one()
        },
        |f, x, _| f.unary("relu", x),
    )
    .fixed(),
    case(
        "unsupported-op",
        "M1",
        |f, x, _| f.op("cumsum").arg("x", x).int("axis", 3).one(),
        |f, x, _| f.unary("relu", x),
    )
    .fixed(),
    case(
        "unsupported-op",
        "M1",
        |f, x, _| f.op("band_part").arg("x", x).int("lower", 2).int("upper", -1).one(),
        |f, x, _| f.unary("relu", x),
    )
    .fixed(),
    case("unsupported-op", "M1", |f, x, _| f.unary("identity", x), |f, x, _| f.unary("relu", x)).fixed(),
    case("unsupported-op", "M4", |f, x, _| f.unary("tan", x), |f, x, _| f.unary("sin", x)).fixed(),
    case("unsupported-op", "M4", |f, x, _| f.unary("cosh", x), |f, x, _| f.unary("exp", x)).fixed(),
    case("unsupported-op", "M4", |f, x, _| f.unary("sinh", x), |f, x, _| f.unary("exp", x)).fixed(),
    case("unsupported-op", "M5", |f, x, _| f.unary("asin", x), |f, x, _| f.unary("atan", x)).fixed(),
    case("unsupported-op", "M1", |f, x, _| f.unary("acos", x), |f, x, _| f.unary("atan", x)).fixed(),
    case("unsupported-op", "M5", |f, x, _| f.unary("atanh", x), |f, x, _| f.unary("tanh", x)).fixed(),
    case(
        "unsupported-op",
        "M5",
        |f, x, _| {
            let two = f.float(f.dtype(x), 2.0);
            f.op("mod").arg("x", x).arg("y", two).one()
        },
        |f, x, _| f.unary("floor", x),
    )
    .fixed(),
    case(
        "unsupported-op",
        "M1",
        |f, x, _| {
            let x = f.op("clip").arg("x", x).float("alpha", -1.0).float("beta", 1.0).one()?;
            let product = f.reduce("reduce_prod", x, &[3], true)?;
            f.add(product, x)
        },
        |f, x, _| f.reduce("reduce_sum", x, &[3], true),
    )
    .fixed(),
    case(
        "unsupported-op",
        "M1",
        |f, x, _| f.op("gather").arg("x", x).ints("indices", &[3, 4, 5, 0, 9]).int("axis", 3).one(),
        |f, x, _| slice(f, x, [0, 3, 0, 0], [1, 2, 16, 16]),
    )
    .fixed(),
    case(
        "unsupported-op",
        "M5",
        |f, x, z| {
            let u = slice(f, z, [0, 0, 0, 0], [1, 4, 16, 16])?;
            f.op("slice_update")
                .arg("x", x)
                .arg("update", u)
                .ints("begin", &[0, 3, 0, 0])
                .ints("end", &[1, 7, 16, 16])
                .one()
        },
        |f, x, _| f.unary("relu", x),
    )
    .fixed(),
    case("unsupported-op", "M1", |f, x, _| f.unary("sin", x), |f, x, _| f.unary("erf", x))
        .not_on("M3")
        .fixed(),
    case("unsupported-op", "M2", |f, x, _| f.unary("cos", x), |f, x, _| f.unary("erf", x))
        .not_on("M4")
        .fixed(),
];
