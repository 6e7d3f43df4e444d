//! Every op with a rule, applied: the gradients verify and have their values' types, in fp32 and in fp16.

use super::*;
use std::collections::BTreeSet;

type Make = fn(&mut Maker) -> Vec<ValueId>;

/// Builds one operation on fresh inputs.
struct Maker {
    f: FunctionBuilder,
    dtype: DataType,
    inputs: Vec<ValueId>,
}

impl Maker {
    /// A float input to differentiate by.
    fn x(&mut self, shape: &[usize]) -> ValueId {
        let name = format!("x{}", self.inputs.len());
        let input = self.f.input(name, TensorType::new(self.dtype, shape)).unwrap();
        self.inputs.push(input);
        input
    }

    fn ids(&mut self, shape: &[usize]) -> ValueId {
        let name = format!("ids{}", self.f.function().values.len());
        self.f.input(name, TensorType::int32(shape)).unwrap()
    }

    fn unary(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3]);
        vec![self.f.unary(op, x).unwrap()]
    }

    fn with_alpha(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3]);
        vec![self.f.op(op).arg("x", x).float("alpha", 0.5).one().unwrap()]
    }

    fn with_alpha_and_beta(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3]);
        vec![self.f.op(op).arg("x", x).float("alpha", 0.5).float("beta", 2.0).one().unwrap()]
    }

    fn binary(&mut self, op: &str) -> Vec<ValueId> {
        let (x, y) = (self.x(&[2, 3, 1]), self.x(&[3, 4]));
        vec![self.f.op(op).arg("x", x).arg("y", y).one().unwrap()]
    }

    fn reduction(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3, 4]);
        let dropped = self.f.reduce(op, x, &[0, 2], false).unwrap();
        vec![self.f.reduce(op, x, &[1], true).unwrap(), dropped]
    }

    /// A list that is written and read in both ways; of a fixed length for the ops of several elements.
    fn list(&mut self, op: &str) -> Vec<ValueId> {
        let (x, y, index) = (self.x(&[2, 3]), self.x(&[4, 2, 3]), self.ids(&[]));
        let several = matches!(op, "list_gather" | "list_scatter");
        let indices = self.ids(&[4]);
        let f = &mut self.f;
        let dims = [f.int(2), f.int(3)];
        let make = f.op("make_list").args("elem_shape", &dims).bool("dynamic_length", !several);
        let list = make.string("dtype", self.dtype.name()).int("init_length", 5).one().unwrap();
        let list =
            f.op("list_scatter").arg("ls", list).arg("indices", indices).arg("value", y).one().unwrap();
        let list = f.op("list_write").arg("ls", list).arg("index", index).arg("value", x).one().unwrap();
        let one = f.op("list_read").arg("ls", list).arg("index", index).one().unwrap();
        let all = f.op("list_gather").arg("ls", list).ints("indices", &[0, 1, 1]).one().unwrap();
        vec![one, all]
    }

    fn channels(&mut self, op: &str, params: &[&str]) -> Vec<ValueId> {
        let x = self.x(&[2, 3, 4, 5]);
        let dtype = self.dtype;
        let vector = self.f.constant(Constant::splat(&TensorType::new(dtype, [3]), 0.5).unwrap());
        let op = params.iter().fold(self.f.op(op).arg("x", x), |op, param| op.arg(param, vector));
        vec![op.one().unwrap()]
    }

    fn pool(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3, 7, 6]);
        let mut windows = |kernel: &[i32], strides: &[i32], pad_type: &str| {
            let op = self.f.op(op).arg("x", x).ints("kernel_sizes", kernel).ints("strides", strides);
            op.string("pad_type", pad_type).one().unwrap()
        };
        vec![
            windows(&[2, 2], &[2, 2], "valid"),
            windows(&[3, 2], &[2, 1], "same"),
            windows(&[7, 6], &[1, 1], "valid"),
            windows(&[2, 2], &[3, 3], "valid"),
        ]
    }

    /// A recurrent op over three steps with every weight there is. `options` are strings; an empty one stands for another
    /// kind of option.
    fn recurrent(
        &mut self,
        op: &str,
        gates: usize,
        sequence: bool,
        options: &[(&str, &str)],
    ) -> Vec<ValueId> {
        let both = options.contains(&("direction", "bidirectional"));
        let states = if both { 6 } else { 3 };
        let (x, h) = (self.x(&[3, 2, 5]), self.x(&[2, states]));
        let c = if op == "lstm" { Some(self.x(&[2, states])) } else { None };
        let mut weights = vec![
            ("weight_ih", vec![gates * 3, 5]),
            ("weight_hh", vec![gates * 3, 3]),
            ("bias", vec![gates * 3]),
        ];
        match op {
            "lstm" => weights.push(("peephole", vec![9])),
            "gru" => weights.push(("input_bias", vec![9])),
            _ => {}
        }
        if both {
            weights.extend([("weight_ih_back", vec![12, 5]), ("weight_hh_back", vec![12, 3])]);
            weights.extend([("bias_back", vec![12]), ("peephole_back", vec![9])]);
        }
        let mut values = Vec::new();
        for (param, shape) in weights {
            let constant = Constant::splat(&TensorType::new(self.dtype, shape), 0.5).unwrap();
            let id = self.f.constant(constant);
            // Constants are differentiated by as well.
            self.inputs.push(id);
            values.push((param, id));
        }
        let mut builder = self.f.op(op).arg("x", x).arg("initial_h", h).maybe("initial_c", c);
        for (param, id) in values {
            builder = builder.arg(param, id);
        }
        for &(param, value) in options {
            builder = match param {
                "clip" => builder.float(param, 0.5),
                "reset_after" => builder.bool(param, true),
                _ => builder.string(param, value),
            };
        }
        builder.bool("output_sequence", sequence).many().unwrap()
    }

    fn sized(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3, 4]);
        let mut resize = |height: i32, width: i32| {
            let op = self.f.op(op).arg("x", x).int("target_size_height", height);
            op.int("target_size_width", width).one().unwrap()
        };
        vec![resize(6, 8), resize(5, 2), resize(3, 4)]
    }

    fn by_factor(&mut self, op: &str) -> Vec<ValueId> {
        let x = self.x(&[2, 3, 4]);
        let whole = self.f.op(op).arg("x", x).int("scale_factor_height", 2).int("scale_factor_width", 3);
        let whole = whole.one().unwrap();
        let part = self.f.op(op).arg("x", x).constant("scale_factor_height", Constant::scalar(0.7f32));
        vec![whole, part.constant("scale_factor_width", Constant::scalar(1.5f32)).one().unwrap()]
    }

    fn scatter(&mut self, op: &str, mode: &str) -> ValueId {
        let data = self.x(&[5, 3]);
        let (indices, updates) = match op {
            "scatter" => (self.ids(&[2]), self.x(&[2, 3])),
            "scatter_along_axis" => (self.ids(&[2, 3]), self.x(&[2, 3])),
            _ => (self.ids(&[4, 1]), self.x(&[4, 3])),
        };
        let scatter = self.f.op(op).arg("data", data).arg("indices", indices).arg("updates", updates);
        scatter.string("mode", mode).one().unwrap()
    }

    fn blocks(&mut self, op: &str, shape: &[usize], param: &str) -> Vec<ValueId> {
        let x = self.x(shape);
        let op = self.f.op(op).arg("x", x);
        let op = if param == "downscale_factor" {
            op.constant(param, Constant::scalar(2u32))
        } else {
            op.int(param, 2)
        };
        vec![op.one().unwrap()]
    }

    fn batches(&mut self, op: &str, shape: &[usize], param: &str) -> Vec<ValueId> {
        let x = self.x(shape);
        let amounts = Constant::new([2, 2], vec![1i32, 1, 0, 2]).unwrap();
        vec![self.f.op(op).arg("x", x).ints("block_shape", &[2, 2]).constant(param, amounts).one().unwrap()]
    }
}

/// Several scatter modes at once.
fn scatters(m: &mut Maker, op: &str) -> Vec<ValueId> {
    mil::ops::scatter_gather::MODES.iter().map(|mode| m.scatter(op, mode)).collect()
}

const UNARY: &[&str] = &[
    "abs", "acos", "asin", "atan", "atanh", "cos", "cosh", "erf", "exp", "exp2", "inverse", "log", "relu",
    "relu6", "rsqrt", "sigmoid", "silu", "sin", "sinh", "softmax", "softplus", "softsign", "sqrt", "square",
    "tan", "tanh", "identity",
];
const WITH_ALPHA: &[&str] = &["elu", "leaky_relu", "threshold", "thresholded_relu"];
const WITH_ALPHA_AND_BETA: &[&str] =
    &["clamped_relu", "clip", "linear_activation", "scaled_tanh", "sigmoid_hard"];
const BINARY: &[&str] = &["add", "maximum", "minimum", "mod", "mul", "pow", "real_div", "sub"];
const REDUCTIONS: &[&str] = &[
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
];

const OTHERS: &[(&str, Make)] = &[
    ("batch_norm", |m| m.channels("batch_norm", &["mean", "variance", "gamma", "beta"])),
    ("instance_norm", |m| m.channels("instance_norm", &["gamma", "beta"])),
    ("prelu", |m| m.channels("prelu", &["alpha"])),
    ("softplus_parametric", |m| m.channels("softplus_parametric", &["alpha", "beta"])),
    ("l2_norm", |m| m.channels("l2_norm", &[])),
    ("layer_norm", |m| {
        let x = m.x(&[2, 3, 4]);
        vec![m.f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one().unwrap()]
    }),
    ("rnn", |m| {
        let mut outputs = m.recurrent("rnn", 1, false, &[("activation", "relu")]);
        outputs.extend(m.recurrent("rnn", 1, true, &[("direction", "reverse"), ("activation", "linear")]));
        outputs
    }),
    ("gru", |m| {
        let mut outputs = m.recurrent("gru", 3, true, &[("activation", "sigmoid_hard")]);
        outputs.extend(m.recurrent("gru", 3, false, &[("direction", "reverse"), ("reset_after", "")]));
        outputs
    }),
    ("lstm", |m| {
        let mut outputs = m.recurrent("lstm", 4, true, &[("direction", "bidirectional")]);
        outputs.extend(m.recurrent("lstm", 4, false, &[("direction", "reverse"), ("clip", "")]));
        // The last cell alone.
        outputs.extend(m.recurrent("lstm", 4, false, &[("cell_activation", "scaled_tanh")]).pop());
        outputs
    }),
    ("local_response_norm", |m| {
        let x = m.x(&[2, 5, 3]);
        vec![m.f.op("local_response_norm").arg("x", x).int("size", 3).one().unwrap()]
    }),
    ("gelu", |m| {
        let x = m.x(&[3]);
        let modes = ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"];
        modes.map(|mode| m.f.op("gelu").arg("x", x).string("mode", mode).one().unwrap()).to_vec()
    }),
    ("cast", |m| {
        let x = m.x(&[3]);
        let other = if m.dtype == DataType::Fp16 { DataType::Fp32 } else { DataType::Fp16 };
        let there = m.f.cast(x, other).unwrap();
        vec![m.f.cast(there, m.dtype).unwrap()]
    }),
    ("avg_pool", |m| m.pool("avg_pool")),
    ("l2_pool", |m| m.pool("l2_pool")),
    ("max_pool", |m| m.pool("max_pool")),
    ("conv", |m| {
        let (x, weight) = (m.x(&[2, 4, 7, 6]), m.x(&[6, 2, 3, 2]));
        let bias = m.x(&[6]);
        let conv = m.f.op("conv").arg("x", x).arg("weight", weight).arg("bias", bias).int("groups", 2);
        vec![conv.ints("strides", &[2, 1]).string("pad_type", "same").one().unwrap()]
    }),
    ("conv_transpose", |m| {
        let (x, weight, bias) = (m.x(&[2, 4, 3]), m.x(&[4, 3, 3]), m.x(&[6]));
        let op = m.f.op("conv_transpose").arg("x", x).arg("weight", weight).arg("bias", bias);
        vec![op.int("groups", 2).ints("strides", &[2]).ints("dilations", &[2]).one().unwrap()]
    }),
    ("conv_quantized", |m| {
        let x = m.x(&[2, 4, 7, 6]);
        let levels = Constant::new([6, 2, 3, 2], (0..72).collect::<Vec<u8>>()).unwrap();
        let scale = m.f.constant(Constant::splat(&TensorType::new(m.dtype, [6]), 0.5).unwrap());
        let op = m.f.op("conv_quantized").arg("x", x).constant("weight", levels).int("groups", 2);
        let op = op.string("quantization_type", "linear").arg("quant_scale", scale).float("quant_bias", -1.0);
        vec![op.ints("strides", &[2, 1]).string("pad_type", "same").one().unwrap()]
    }),
    ("dequantize", |m| {
        let input = m.f.input("levels", TensorType::new(DataType::Int8, [2, 3, 4])).unwrap();
        let scale = m.f.constant(Constant::splat(&TensorType::new(m.dtype, [3]), 0.5).unwrap());
        m.inputs.push(scale);
        let op = m.f.op("dequantize").arg("input", input).arg("scale", scale).int("axis", -2);
        vec![op.constant("zero_point", Constant::new([3], vec![1i8, 2, 3]).unwrap()).one().unwrap()]
    }),
    ("linear", |m| {
        let x = m.x(&[2, 3, 4]);
        let weight = m.f.constant(Constant::splat(&TensorType::new(m.dtype, [5, 4]), 0.5).unwrap());
        vec![m.f.op("linear").arg("x", x).arg("weight", weight).one().unwrap()]
    }),
    ("matmul", |m| {
        let mut product = |x: &[usize], y: &[usize], tx: bool, ty: bool| {
            let (x, y) = (m.x(x), m.x(y));
            m.f.matmul(x, y, tx, ty).unwrap()
        };
        vec![
            product(&[2, 3], &[4, 3], false, true),
            product(&[2, 5, 3, 4], &[4, 6], false, false),
            product(&[2, 5, 4, 3], &[6, 4], true, true),
            product(&[3, 4], &[2, 6, 4], false, true),
            product(&[4, 3], &[2, 4, 6], true, false),
            product(&[2, 1, 3, 4], &[5, 4, 6], false, false),
        ]
    }),
    ("einsum", |m| {
        let (x, y) = (m.x(&[2, 3, 1, 4]), m.x(&[2, 4, 5, 6]));
        let first =
            m.f.op("einsum").args("values", &[x, y]).string("equation", "nchw,nwhu->nchu").one().unwrap();
        let (x, y) = (m.x(&[2, 3]), m.x(&[3, 4]));
        vec![first, m.f.op("einsum").args("values", &[x, y]).string("equation", "ij,jk->k").one().unwrap()]
    }),
    ("scaled_dot_product_attention", |m| {
        let (query, key, value) = (m.x(&[2, 4, 3, 8]), m.x(&[2, 4, 5, 8]), m.x(&[2, 4, 5, 6]));
        let mask = m.x(&[3, 5]);
        let op =
            m.f.op("scaled_dot_product_attention").arg("query", query).arg("key", key).arg("value", value);
        vec![op.arg("attn_mask", mask).one().unwrap()]
    }),
    ("cond", |m| {
        let (a, b) = (m.x(&[2, 3]), m.x(&[3]));
        let pred = m.f.input("pred", TensorType::bool([])).unwrap();
        let both = |f: &mut FunctionBuilder| Ok(vec![f.mul(a, b)?, f.unary("tanh", a)?]);
        m.f.cond(pred, both, |_| Ok(vec![a, a])).unwrap()
    }),
    ("while_loop", |m| {
        let (a, b) = (m.x(&[2, 3]), m.x(&[3]));
        let turns = m.ids(&[]);
        let loops = m.f.while_loop(
            &[turns, a, a],
            |f, vars| f.greater(vars[0], 0.0),
            |f, vars| {
                let product = f.mul(vars[1], b)?;
                Ok(vec![f.sub(vars[0], 1.0)?, f.add(product, vars[2])?, vars[2]])
            },
        );
        loops.unwrap()[1..].to_vec()
    }),
    ("list_read", |m| m.list("list_read")),
    ("list_write", |m| m.list("list_write")),
    ("list_gather", |m| m.list("list_gather")),
    ("list_scatter", |m| m.list("list_scatter")),
    ("select", |m| {
        let (a, b) = (m.x(&[2, 3]), m.x(&[3]));
        let cond = m.f.greater(a, 0.0).unwrap();
        vec![m.f.select(cond, a, b).unwrap()]
    }),
    ("gather", |m| {
        let (x, ids) = (m.x(&[2, 5, 3, 4]), m.ids(&[2, 6]));
        let plain = m.f.op("gather").arg("x", x).arg("indices", ids).int("axis", 1).one().unwrap();
        vec![
            plain,
            m.f.op("gather")
                .arg("x", x)
                .arg("indices", ids)
                .int("axis", 2)
                .int("batch_dims", 1)
                .one()
                .unwrap(),
        ]
    }),
    ("crop", |m| {
        let x = m.x(&[2, 4, 5]);
        vec![
            m.f.op("crop")
                .arg("x", x)
                .ints("crop_height", &[1, 0])
                .ints("crop_width", &[0, 2])
                .one()
                .unwrap(),
        ]
    }),
    ("resize", |m| {
        let x = m.x(&[2, 3, 4]);
        let mut resize = |interpolation: &str, sampling: &str| {
            let op = m.f.op("resize").arg("x", x).ints("shape", &[4, 3, 7]);
            let op = op.constant("resized_dims", Constant::scalar(3u32));
            op.string("interpolation_mode", interpolation).string("sampling_mode", sampling).one().unwrap()
        };
        vec![resize("LINEAR", "OFFSET_CORNERS"), resize("NEAREST_NEIGHBOR", "DEFAULT")]
    }),
    ("resize_bilinear", |m| m.sized("resize_bilinear")),
    ("resize_nearest_neighbor", |m| m.sized("resize_nearest_neighbor")),
    ("upsample_bilinear", |m| m.by_factor("upsample_bilinear")),
    ("upsample_nearest_neighbor", |m| m.by_factor("upsample_nearest_neighbor")),
    ("resample", |m| {
        let (x, points) = (m.x(&[2, 3, 4, 5]), m.x(&[2, 2, 3, 2]));
        let paddings = ["constant", "border", "reflection", "symmetric"];
        let modes = ["unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one", "unnormalized"];
        let mut outputs = Vec::new();
        for (sampling, align) in [("bilinear", true), ("bilinear", false), ("nearest", true)] {
            for (padding, mode) in paddings.into_iter().zip(modes) {
                let op =
                    m.f.op("resample")
                        .arg("x", x)
                        .arg("coordinates", points)
                        .string("sampling_mode", sampling);
                let op = op.string("padding_mode", padding).float("padding_value", 0.5);
                outputs.push(op.string("coordinates_mode", mode).bool("align_corners", align).one().unwrap());
            }
        }
        outputs
    }),
    ("affine", |m| {
        let (x, all, each) = (m.x(&[2, 3, 4, 5]), m.x(&[1, 6]), m.x(&[2, 6]));
        let mut affine = |matrix: ValueId, align: bool| {
            let op = m.f.op("affine").arg("x", x).arg("transform_matrix", matrix).int("output_height", 3);
            let op =
                op.int("output_width", 2).string("sampling_mode", "bilinear").float("padding_value", 0.0);
            let op = op.string("padding_mode", "constant").bool("align_corners", align);
            op.string("coordinates_mode", "normalized_minus_one_to_one").one().unwrap()
        };
        vec![affine(all, true), affine(each, false)]
    }),
    ("crop_resize", |m| {
        let (x, boxes, ids) = (m.x(&[3, 2, 4, 5]), m.x(&[2, 4]), m.ids(&[2]));
        let modes = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "UNALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS"];
        let mut outputs = Vec::new();
        for (i, sampling) in modes.into_iter().enumerate() {
            let op = m.f.op("crop_resize").arg("x", x).arg("boxes", boxes).string("sampling_mode", sampling);
            let op =
                op.maybe("box_indices", (i % 2 == 0).then_some(ids)).bool("normalized_coordinates", i > 2);
            let layout = if i % 2 == 0 { "CORNERS_WIDTH_FIRST" } else { "CENTER_SIZE_HEIGHT_FIRST" };
            let op = op.string("box_coordinate_mode", layout).int("target_height", 3);
            outputs.push(op.int("target_width", 2).one().unwrap());
        }
        outputs
    }),
    ("gather_along_axis", |m| {
        let (x, ids) = (m.x(&[5, 3]), m.ids(&[2, 3]));
        vec![m.f.op("gather_along_axis").arg("x", x).arg("indices", ids).one().unwrap()]
    }),
    ("gather_nd", |m| {
        let (x, ids) = (m.x(&[2, 5, 3]), m.ids(&[2, 4, 1]));
        vec![m.f.op("gather_nd").arg("x", x).arg("indices", ids).int("batch_dims", 1).one().unwrap()]
    }),
    ("scatter", |m| scatters(m, "scatter")),
    ("scatter_along_axis", |m| scatters(m, "scatter_along_axis")),
    ("scatter_nd", |m| scatters(m, "scatter_nd")),
    ("read_state", |m| {
        let x = m.x(&[3]);
        let state = m.f.state("state", TensorType::new(m.dtype, [3])).unwrap();
        m.f.update_state(state, x).unwrap();
        vec![m.f.read_state(state).unwrap()]
    }),
    ("coreml_update_state", |m| {
        let x = m.x(&[3]);
        let state = m.f.state("state", TensorType::new(m.dtype, [3])).unwrap();
        vec![m.f.update_state(state, x).unwrap()]
    }),
    ("band_part", |m| {
        let x = m.x(&[3, 4]);
        vec![m.f.op("band_part").arg("x", x).int("lower", 0).one().unwrap()]
    }),
    ("concat", |m| {
        let (a, b) = (m.x(&[2, 3]), m.x(&[2, 3]));
        let plain = m.f.op("concat").args("values", &[a, b]).int("axis", 1).one().unwrap();
        vec![
            plain,
            m.f.op("concat").args("values", &[a, b]).int("axis", 0).bool("interleave", true).one().unwrap(),
        ]
    }),
    ("cumsum", |m| {
        let x = m.x(&[3, 4]);
        vec![m.f.op("cumsum").arg("x", x).int("axis", 1).one().unwrap()]
    }),
    ("flatten2d", |m| m.unary("flatten2d")),
    ("pad", |m| {
        let x = m.x(&[3, 4]);
        let modes = ["constant", "reflect", "replicate"];
        modes
            .map(|mode| m.f.op("pad").arg("x", x).ints("pad", &[2, 1]).string("mode", mode).one().unwrap())
            .to_vec()
    }),
    ("split", |m| {
        let x = m.x(&[6, 2]);
        let parts =
            m.f.op("split").arg("x", x).ints("split_sizes", &[1, 2, 3]).int("axis", 0).many().unwrap();
        vec![parts[0], parts[2]]
    }),
    ("stack", |m| {
        let (a, b) = (m.x(&[2, 3]), m.x(&[2, 3]));
        vec![m.f.op("stack").args("values", &[a, b]).int("axis", 1).one().unwrap()]
    }),
    ("tile", |m| {
        let x = m.x(&[2, 1, 3]);
        vec![m.f.op("tile").arg("x", x).ints("reps", &[3, 2, 1]).one().unwrap()]
    }),
    ("topk", |m| {
        let x = m.x(&[2, 5]);
        let both = m.f.op("topk").arg("x", x).int("k", 2).int("axis", 1).many().unwrap();
        vec![both[0], m.f.op("topk").arg("x", x).int("k", 3).bool("return_indices", false).one().unwrap()]
    }),
    ("batch_to_space", |m| m.batches("batch_to_space", &[4, 2, 3, 4], "crops")),
    ("space_to_batch", |m| m.batches("space_to_batch", &[1, 2, 4, 4], "paddings")),
    ("depth_to_space", |m| m.blocks("depth_to_space", &[1, 8, 2, 3], "block_size")),
    ("space_to_depth", |m| m.blocks("space_to_depth", &[1, 2, 4, 6], "block_size")),
    ("pixel_shuffle", |m| m.blocks("pixel_shuffle", &[1, 8, 2, 3], "upscale_factor")),
    ("pixel_unshuffle", |m| m.blocks("pixel_unshuffle", &[1, 2, 4, 6], "downscale_factor")),
    ("expand_dims", |m| {
        let x = m.x(&[2, 3]);
        vec![m.f.op("expand_dims").arg("x", x).ints("axes", &[1]).one().unwrap()]
    }),
    ("squeeze", |m| {
        let x = m.x(&[2, 1, 3]);
        vec![m.f.op("squeeze").arg("x", x).one().unwrap()]
    }),
    ("reshape", |m| {
        let x = m.x(&[2, 3]);
        vec![m.f.reshape(x, &[3, 2]).unwrap()]
    }),
    ("reshape_like", |m| {
        let (x, like) = (m.x(&[2, 3]), m.x(&[6, 5]));
        let number = |m: &mut Maker, value| m.f.int(value);
        let (begin, end) = (number(m, 0), number(m, 1));
        let mask = m.f.constant(Constant::bool(false));
        let op =
            m.f.op("reshape_like").arg("x", x).arg("ref_tensors", like).arg("begins", begin).arg("ends", end);
        vec![op.arg("end_masks", mask).one().unwrap()]
    }),
    ("reverse", |m| m.unary("reverse")),
    ("reverse_sequence", |m| {
        let (x, lengths) = (m.x(&[4, 3]), m.ids(&[3]));
        let op = m.f.op("reverse_sequence").arg("x", x).arg("lengths", lengths);
        vec![op.int("seq_axis", 0).int("batch_axis", 1).one().unwrap()]
    }),
    ("slice_by_index", |m| {
        let x = m.x(&[7, 5, 4]);
        let op = m.f.op("slice_by_index").arg("x", x).ints("begin", &[6, 1, 2]).ints("end", &[0, 4, 3]);
        vec![op.ints("stride", &[-2, 1, 1]).bools("squeeze_mask", &[false, false, true]).one().unwrap()]
    }),
    ("slice_by_size", |m| {
        let (x, begin) = (m.x(&[4, 5]), m.ids(&[2]));
        let fixed =
            m.f.op("slice_by_size").arg("x", x).ints("begin", &[1, 2]).ints("size", &[2, 3]).one().unwrap();
        vec![
            fixed,
            m.f.op("slice_by_size").arg("x", x).arg("begin", begin).ints("size", &[2, 3]).one().unwrap(),
        ]
    }),
    ("slice_update", |m| {
        let (x, update) = (m.x(&[4, 5]), m.x(&[2, 5]));
        let (begin, end) = (m.ids(&[2]), m.ids(&[2]));
        let op =
            m.f.op("slice_update")
                .arg("x", x)
                .arg("update", update)
                .ints("begin", &[1, 0])
                .ints("end", &[3, 5]);
        let fixed = op.one().unwrap();
        let op = m.f.op("slice_update").arg("x", x).arg("update", update).arg("begin", begin).arg("end", end);
        vec![fixed, op.bools("begin_mask", &[false, true]).one().unwrap()]
    }),
    ("sliding_windows", |m| {
        let x = m.x(&[2, 7]);
        vec![
            m.f.op("sliding_windows")
                .arg("x", x)
                .int("axis", 1)
                .int("size", 3)
                .int("stride", 2)
                .one()
                .unwrap(),
        ]
    }),
    ("transpose", |m| {
        let x = m.x(&[2, 3, 4]);
        vec![m.f.transpose(x, &[2, 0, -2]).unwrap()]
    }),
];

/// Differentiates the sum of the squares of every output by every input, and verifies the result.
fn apply(op: &str, dtype: DataType, make: impl Fn(&mut Maker) -> Vec<ValueId>) {
    let mut m = Maker { f: builder(), dtype, inputs: Vec::new() };
    let outputs = make(&mut m);
    let mut f = m.f;
    assert!(count(&f, op) > 0, "the case of `{op}` does not use it");
    let mut terms = Vec::new();
    for output in outputs {
        let square = f.mul(output, output).unwrap();
        let sum = total(&mut f, square);
        terms.push(f.reshape(sum, &[1]).unwrap());
    }
    let loss = f.op("concat").args("values", &terms).int("axis", 0).one().unwrap();
    let loss = total(&mut f, loss);
    let grads = gradients(&mut f, loss, &m.inputs).unwrap_or_else(|error| panic!("{op} in {dtype}: {error}"));
    for (&input, &grad) in m.inputs.iter().zip(&grads) {
        assert_eq!(f.ty(input), f.ty(grad), "gradient of {op}");
    }
    verify(Program::single(f.finish(&grads).unwrap()))
        .unwrap_or_else(|faults| panic!("{op} in {dtype}: {faults:?}"));
}

#[test]
fn every_rule_gives_gradients_that_verify() {
    let mut seen = BTreeSet::new();
    for dtype in [DataType::Fp32, DataType::Fp16] {
        let mut run = |op: &'static str, make: &dyn Fn(&mut Maker) -> Vec<ValueId>| {
            seen.insert(op);
            apply(op, dtype, make);
        };
        UNARY.iter().for_each(|op| run(op, &|m| m.unary(op)));
        WITH_ALPHA.iter().for_each(|op| run(op, &|m| m.with_alpha(op)));
        WITH_ALPHA_AND_BETA.iter().for_each(|op| run(op, &|m| m.with_alpha_and_beta(op)));
        BINARY.iter().for_each(|op| run(op, &|m| m.binary(op)));
        REDUCTIONS.iter().for_each(|op| run(op, &|m| m.reduction(op)));
        OTHERS.iter().for_each(|(op, make)| run(op, make));
    }
    let with_rule: BTreeSet<&str> =
        Op::all().filter(|&op| matches!(rule(op), Rule::Vjp(_))).map(|op| op.declaration().name).collect();
    assert_eq!(seen, with_rule, "cases and rules differ");
}
