//! A small program around every op.

use mil::{
    BuildError, Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify,
};

type Built = Result<ValueId, BuildError>;

/// A function of two inputs `[1, 8, 16, 16]` and what `body` makes of them.
pub(crate) fn function(
    dtype: DataType,
    body: impl FnOnce(&mut FunctionBuilder, ValueId, ValueId) -> Built,
) -> Result<Verified, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let shape = [1, 8, 16, 16];
    let ty = if dtype == DataType::Fp16 { TensorType::fp16(shape) } else { TensorType::fp32(shape) };
    let x = f.input("x", ty.clone())?;
    let z = f.input("z", ty)?;
    let y = body(&mut f, x, z)?;
    // What is true or false is chosen by; what is an index stays an output.
    let y = if f.dtype(y) == DataType::Bool && f.shape(y) == f.shape(x) { f.select(y, x, z)? } else { y };
    Ok(verified(Program::single(f.finish(&[y])?)))
}

pub(crate) fn verified(program: Program) -> Verified {
    verify(program).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// A program from MIL text: what stands between `func main<ios18>` and the end of the function.
pub(crate) fn parse(body: &str) -> Verified {
    let text = format!("program(1.3) {{ func main<ios18>{body} }}");
    verified(text.parse().unwrap_or_else(|error| panic!("{error}\n{text}")))
}

fn floats(shape: &[usize]) -> Constant {
    let count: usize = shape.iter().product();
    let data = (0..count).map(|i| half::f16::from_f32(0.25 + (i % 7) as f32 * 0.125)).collect();
    Constant::new(shape.to_vec(), data).unwrap()
}

const LOOP: &str = "(tensor<fp16, [4]> x) {
    int32 zero = const()[val = int32(0)];
    int32 count, tensor<fp16, [4]> y = while_loop(loop_vars = (zero, x))
        (int32 i, tensor<fp16, [4]> s) { bool go = less(x = i, y = int32(3)); } -> (go)
        (int32 j, tensor<fp16, [4]> t) {
            int32 next = add(x = j, y = int32(1));
            tensor<fp16, [4]> more = add(x = t, y = t);
        } -> (next, more);
} -> (y);";

/// A program with the op of this name (`gelu` by its modes, as the census has it) and as little else as it needs.
pub(crate) fn program_of(op: &str) -> Verified {
    match special(op) {
        Some(program) => program,
        None => function(DataType::Fp16, |f, x, z| body(f, op, x, z))
            .unwrap_or_else(|error| panic!("{op}: {error}")),
    }
}

fn special(op: &str) -> Option<Verified> {
    Some(match op {
        "while_loop" => parse(LOOP),
        "cond" => {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let x = f.input("x", TensorType::fp16([4])).unwrap();
            let sum = f.reduce("reduce_sum", x, &[0], false).unwrap();
            let pred = f.greater(sum, 0.0).unwrap();
            let y =
                f.cond(pred, |f| Ok(vec![f.unary("exp", x)?]), |f| Ok(vec![f.unary("tanh", x)?])).unwrap();
            verified(Program::single(f.finish(&y).unwrap()))
        }
        "make_list" | "list_gather" | "list_length" | "list_read" | "list_scatter" | "list_write" => list(op),
        "read_state" | "coreml_update_state" => {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let x = f.input("x", TensorType::fp16([1, 32])).unwrap();
            let state = f.state("s", TensorType::fp16([1, 32])).unwrap();
            let y = match op {
                "read_state" => f.read_state(state).unwrap(),
                _ => f.update_state(state, x).unwrap(),
            };
            let y = f.add(y, x).unwrap();
            verified(Program::single(f.finish(&[y]).unwrap()))
        }
        "gru" | "lstm" | "rnn" => recurrent(op).unwrap_or_else(|error| panic!("{op}: {error}")),
        "classify" => {
            let mut f = FunctionBuilder::new("main", Opset::Ios18);
            let x = f.input("x", TensorType::fp32([3])).unwrap();
            let labels = Constant::strings([3], ["a", "b", "c"].map(String::from).to_vec()).unwrap();
            let classes =
                f.op("classify").arg("probabilities", x).constant("classes", labels).many().unwrap();
            verified(Program::single(f.finish(&classes[..1]).unwrap()))
        }
        _ => return None,
    })
}

fn list(op: &str) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp16([1, 4])).unwrap();
    let dims: Vec<ValueId> = [1, 4].iter().map(|&n| f.int(n)).collect();
    let made = f
        .op("make_list")
        .int("init_length", 2)
        .bool("dynamic_length", false)
        .args("elem_shape", &dims)
        .string("dtype", "fp16");
    let list = made.one().unwrap();
    let mut list = f.op("list_write").arg("ls", list).int("index", 0).arg("value", x).one().unwrap();
    if op == "list_scatter" {
        let rows = f.op("stack").args("values", &[x]).int("axis", 0).one().unwrap();
        list = f.op("list_scatter").arg("ls", list).ints("indices", &[0]).arg("value", rows).one().unwrap();
    }
    let y = match op {
        "list_length" => f.op("list_length").arg("ls", list).one().unwrap(),
        "list_gather" => f.op("list_gather").arg("ls", list).ints("indices", &[0]).one().unwrap(),
        _ => f.op("list_read").arg("ls", list).int("index", 0).one().unwrap(),
    };
    verified(Program::single(f.finish(&[y]).unwrap()))
}

fn recurrent(op: &str) -> Result<Verified, BuildError> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp16([3, 1, 4]))?;
    let h = f.input("h", TensorType::fp16([1, 8]))?;
    let gates = match op {
        "lstm" => 4,
        "gru" => 3,
        _ => 1,
    };
    let mut call = f.op(op).arg("x", x).arg("initial_h", h);
    if op == "lstm" {
        call = call.arg("initial_c", h);
    }
    let outputs = call
        .constant("weight_ih", floats(&[8 * gates, 4]))
        .constant("weight_hh", floats(&[8 * gates, 8]))
        .many()?;
    Ok(verified(Program::single(f.finish(&outputs[..1])?)))
}

fn body(f: &mut FunctionBuilder, op: &str, x: ValueId, z: ValueId) -> Built {
    let pooled = |f: &mut FunctionBuilder| {
        f.op(op)
            .arg("x", x)
            .ints("kernel_sizes", &[2, 2])
            .ints("strides", &[2, 2])
            .string("pad_type", "valid")
            .one()
    };
    let at = |f: &mut FunctionBuilder, shape: &[usize]| {
        let count: usize = shape.iter().product();
        let data = (0..count).map(|i| (i % 8) as i32).collect();
        f.constant(Constant::new(shape.to_vec(), data).unwrap())
    };
    // Indices that are computed, so that nothing can be folded.
    let indices = |f: &mut FunctionBuilder| {
        let y = f.op("reduce_argmax").arg("x", z).int("axis", 3).one()?;
        f.reshape(y, &[128])
    };
    let weight = |f: &mut FunctionBuilder, shape: &[usize]| f.constant(floats(shape));
    match op {
        "gelu" | "gelu_exact" => f.op("gelu").arg("x", x).string("mode", "EXACT").one(),
        "gelu_tanh_approx" => f.op("gelu").arg("x", x).string("mode", "TANH_APPROXIMATION").one(),
        "gelu_sigmoid_approx" => f.op("gelu").arg("x", x).string("mode", "SIGMOID_APPROXIMATION").one(),
        "clamped_relu" | "linear_activation" | "scaled_tanh" | "sigmoid_hard" | "clip" => {
            f.op(op).arg("x", x).float("alpha", 0.25).float("beta", 0.5).one()
        }
        "elu" | "leaky_relu" | "thresholded_relu" | "threshold" => {
            f.op(op).arg("x", x).float("alpha", 0.25).one()
        }
        "prelu" => f.op(op).arg("x", x).constant("alpha", floats(&[8])).one(),
        "softplus_parametric" => {
            f.op(op).arg("x", x).constant("alpha", floats(&[8])).constant("beta", floats(&[8])).one()
        }
        "add" | "sub" | "mul" | "real_div" | "floor_div" | "mod" | "pow" | "maximum" | "minimum"
        | "equal" | "not_equal" | "greater" | "greater_equal" | "less" | "less_equal" => {
            f.op(op).arg("x", x).arg("y", z).one()
        }
        "logical_and" | "logical_or" | "logical_xor" => {
            let (a, b) = (f.greater(x, z)?, f.less(x, 1.0)?);
            f.op(op).arg("x", a).arg("y", b).one()
        }
        "logical_not" => {
            let a = f.greater(x, z)?;
            f.unary(op, a)
        }
        "select" => {
            let a = f.greater(x, z)?;
            f.select(a, x, z)
        }
        "cast" => {
            let y = f.cast(x, DataType::Int32)?;
            f.cast(y, DataType::Fp16)
        }
        "constexpr_affine_dequantize"
        | "constexpr_blockwise_shift_scale"
        | "constexpr_cast"
        | "constexpr_lut_to_dense"
        | "constexpr_lut_to_sparse"
        | "constexpr_sparse_blockwise_shift_scale"
        | "constexpr_sparse_to_dense" => {
            let w = compressed(f, op)?;
            f.matmul(x, w, false, false)
        }
        "conv" => {
            let w = weight(f, &[4, 8, 3, 3]);
            f.op(op).arg("x", x).arg("weight", w).one()
        }
        "conv_transpose" => {
            let w = weight(f, &[8, 4, 3, 3]);
            f.op(op).arg("x", x).arg("weight", w).one()
        }
        "conv_quantized" => {
            let w = f.constant(Constant::new([4, 8, 1, 1], vec![3u8; 32]).unwrap());
            f.op(op)
                .arg("x", x)
                .arg("weight", w)
                .string("quantization_type", "linear")
                .float("quant_scale", 0.5)
                .float("quant_bias", 0.0)
                .one()
        }
        "affine" => {
            let t = weight(f, &[1, 6]);
            sampled(
                f.op(op)
                    .arg("x", x)
                    .arg("transform_matrix", t)
                    .int("output_height", 8)
                    .int("output_width", 8),
            )
        }
        "resample" => {
            let c = weight(f, &[1, 4, 4, 2]);
            sampled(f.op(op).arg("x", x).arg("coordinates", c))
        }
        "crop" => f.op(op).arg("x", x).ints("crop_height", &[1, 1]).ints("crop_width", &[0, 1]).one(),
        "crop_resize" => {
            let boxes = f
                .op("slice_by_size")
                .arg("x", z)
                .ints("begin", &[0, 0, 0, 0])
                .ints("size", &[1, 1, 1, 4])
                .one()?;
            let boxes = f.reshape(boxes, &[1, 4])?;
            let i = at(f, &[1]);
            f.op(op)
                .arg("x", x)
                .arg("boxes", boxes)
                .arg("box_indices", i)
                .int("target_height", 4)
                .int("target_width", 4)
                .one()
        }
        "resize" => {
            let shape = f.constant(Constant::ints(&[1, 8, 8, 8]));
            f.op(op)
                .arg("x", x)
                .arg("shape", shape)
                .constant("resized_dims", Constant::new([], vec![2u32]).unwrap())
                .one()
        }
        "resize_bilinear" | "resize_nearest_neighbor" => {
            f.op(op).arg("x", x).int("target_size_height", 8).int("target_size_width", 8).one()
        }
        "upsample_bilinear" | "upsample_nearest_neighbor" => {
            f.op(op).arg("x", x).int("scale_factor_height", 2).int("scale_factor_width", 2).one()
        }
        "linear" => {
            let x = f.reshape(x, &[1, 128, 16])?;
            f.op(op).arg("x", x).constant("weight", floats(&[4, 16])).one()
        }
        "matmul" => f.matmul(x, z, false, true),
        "einsum" => {
            f.op(op).args("values", &[x, z]).string("equation", "nchw,nwhu->nchu").one().or_else(|_| {
                let y = f.transpose(z, &[0, 3, 2, 1])?;
                f.op("einsum").args("values", &[x, y]).string("equation", "nchw,nwhu->nchu").one()
            })
        }
        "batch_norm" => {
            f.op(op).arg("x", x).constant("mean", floats(&[8])).constant("variance", floats(&[8])).one()
        }
        "instance_norm" | "l2_norm" | "relu" | "relu6" | "sigmoid" | "silu" | "softmax" | "softplus"
        | "softsign" => f.unary(op, x),
        "layer_norm" => f.op(op).arg("x", x).ints("axes", &[-1]).one(),
        "local_response_norm" => f.op(op).arg("x", x).int("size", 3).one(),
        "avg_pool" | "max_pool" | "l2_pool" => pooled(f),
        "dequantize" | "quantize" => {
            let q =
                f.op("quantize").arg("input", x).float("scale", 0.5).string("output_dtype", "int8").one()?;
            f.op("dequantize").arg("input", q).constant("scale", Constant::float(DataType::Fp16, 0.5)).one()
        }
        "random_bernoulli" | "random_normal" | "random_uniform" => f.op(op).ints("shape", &[4]).one(),
        "random_categorical" => {
            let p = f.reshape(x, &[8, 256])?;
            f.op(op).arg("x", p).one()
        }
        "reduce_argmax" | "reduce_argmin" => f.op(op).arg("x", x).int("axis", 1).one(),
        reduce if reduce.starts_with("reduce_") => f.reduce(op, x, &[1], true),
        "gather" => {
            let i = indices(f)?;
            f.op(op).arg("x", x).arg("indices", i).int("axis", 3).one()
        }
        "gather_along_axis" => {
            let i = f.op("reduce_argmax").arg("x", z).int("axis", 3).bool("keep_dims", true).one()?;
            f.op(op).arg("x", x).arg("indices", i).int("axis", 3).one()
        }
        "gather_nd" => {
            let i = indices(f)?;
            let i = f.reshape(i, &[128, 1])?;
            f.op(op).arg("x", x).arg("indices", i).one()
        }
        "scatter" => {
            let (data, i) = (f.reshape(x, &[128, 16])?, indices(f)?);
            let updates = f.reshape(z, &[128, 16])?;
            f.op(op).arg("data", data).arg("indices", i).arg("updates", updates).one()
        }
        "scatter_along_axis" => {
            let i = f.op("reduce_argmax").arg("x", z).int("axis", 3).bool("keep_dims", true).one()?;
            let updates = f.reduce("reduce_max", z, &[3], true)?;
            f.op(op).arg("data", x).arg("indices", i).arg("updates", updates).int("axis", 3).one()
        }
        "scatter_nd" => {
            let (data, i) = (f.reshape(x, &[128, 16])?, indices(f)?);
            let (i, updates) = (f.reshape(i, &[128, 1])?, f.reshape(z, &[128, 16])?);
            f.op(op).arg("data", data).arg("indices", i).arg("updates", updates).one()
        }
        "argsort" => f.op(op).arg("x", x).int("axis", 3).one(),
        "band_part" => f.op(op).arg("x", x).int("lower", 1).int("upper", 1).one(),
        "concat" => f.op(op).args("values", &[x, z]).int("axis", 1).bool("interleave", false).one(),
        "stack" => {
            let (x, z) = (f.reshape(x, &[8, 256])?, f.reshape(z, &[8, 256])?);
            f.op(op).args("values", &[x, z]).int("axis", 0).one()
        }
        "cumsum" => f.op(op).arg("x", x).int("axis", 1).one(),
        "fill" => {
            let c = f
                .op(op)
                .ints("shape", &[1, 8, 16, 16])
                .constant("value", Constant::float(DataType::Fp16, 2.0))
                .one()?;
            f.add(x, c)
        }
        "fill_like" => {
            let c = f
                .op(op)
                .arg("ref_tensor", x)
                .constant("value", Constant::float(DataType::Fp16, 2.0))
                .one()?;
            f.add(x, c)
        }
        "non_zero" => {
            let unknown = TensorType::new(DataType::Int32, [mil::UNKNOWN, 4]);
            f.op(op).arg("x", x).declared(&[unknown.into()]).one()
        }
        "flatten2d" | "identity" | "square" | "shape" => f.unary(op, x),
        "non_maximum_suppression" => {
            let (boxes, scores) = (f.reshape(x, &[1, 4, 512])?, f.reshape(z, &[1, 4, 512])?);
            let outputs = f
                .op(op)
                .arg("boxes", boxes)
                .arg("scores", scores)
                .float("iou_threshold", 0.5)
                .int("max_boxes", 4)
                .many()?;
            Ok(outputs[0])
        }
        "one_hot" => {
            let i = indices(f)?;
            f.op(op).arg("indices", i).int("one_hot_vector_size", 16).one()
        }
        "pad" => f
            .op(op)
            .arg("x", x)
            .ints("pad", &[0, 0, 0, 0, 1, 1, 1, 1])
            .string("mode", "constant")
            .float("constant_val", 0.0)
            .one(),
        "range_1d" => {
            let c = f.op(op).float("end", 16.0).float("start", 0.0).float("step", 1.0).one()?;
            let c = f.op("cast").arg("x", c).string("dtype", "fp16").one()?;
            f.add(x, c)
        }
        "split" => Ok(f.op(op).arg("x", x).int("num_splits", 2).int("axis", 1).many()?[0]),
        "tile" => f.op(op).arg("x", x).ints("reps", &[1, 2, 1, 1]).one(),
        "topk" => Ok(f.op(op).arg("x", x).int("k", 2).int("axis", 3).many()?[0]),
        "batch_to_space" => {
            let y = f.reshape(x, &[4, 2, 16, 16])?;
            f.op(op)
                .arg("x", y)
                .ints("block_shape", &[2, 2])
                .constant("crops", Constant::new([2, 2], vec![0i32; 4]).unwrap())
                .one()
        }
        "space_to_batch" => f
            .op(op)
            .arg("x", x)
            .ints("block_shape", &[2, 2])
            .constant("paddings", Constant::new([2, 2], vec![0i32; 4]).unwrap())
            .one(),
        "depth_to_space" | "space_to_depth" => f.op(op).arg("x", x).int("block_size", 2).one(),
        "pixel_shuffle" => f.op(op).arg("x", x).int("upscale_factor", 2).one(),
        "pixel_unshuffle" => {
            f.op(op).arg("x", x).constant("downscale_factor", Constant::new([], vec![2u32]).unwrap()).one()
        }
        "expand_dims" => f.op(op).arg("x", x).ints("axes", &[0]).one(),
        "squeeze" => f.op(op).arg("x", x).ints("axes", &[0]).one(),
        "reshape" => f.reshape(x, &[8, 256]),
        "reshape_like" => {
            let (b, e) = (f.int(0), f.int(4));
            let mask = f.constant(Constant::bool(false));
            f.op(op)
                .arg("x", x)
                .args("ref_tensors", &[z])
                .args("begins", &[b])
                .args("ends", &[e])
                .args("end_masks", &[mask])
                .one()
        }
        "reverse" => f.op(op).arg("x", x).ints("axes", &[1]).one(),
        "reverse_sequence" => {
            f.op(op).arg("x", x).ints("lengths", &[3]).int("seq_axis", 1).int("batch_axis", 0).one()
        }
        "slice_by_index" => {
            f.op(op).arg("x", x).ints("begin", &[0, 1, 0, 0]).ints("end", &[1, 5, 16, 16]).one()
        }
        "slice_by_size" => {
            f.op(op).arg("x", x).ints("begin", &[0, 1, 0, 0]).ints("size", &[1, 4, 16, 16]).one()
        }
        "slice_update" => {
            let u = f
                .op("slice_by_size")
                .arg("x", z)
                .ints("begin", &[0, 0, 0, 0])
                .ints("size", &[1, 4, 16, 16])
                .one()?;
            f.op(op)
                .arg("x", x)
                .arg("update", u)
                .ints("begin", &[0, 1, 0, 0])
                .ints("end", &[1, 5, 16, 16])
                .one()
        }
        "sliding_windows" => f.op(op).arg("x", x).int("axis", 3).int("size", 4).one(),
        "transpose" => f.transpose(x, &[0, 2, 1, 3]),
        "scaled_dot_product_attention" => f.op(op).arg("query", x).arg("key", z).arg("value", z).one(),
        _ => f.unary(op, x),
    }
}

fn sampled(call: mil::OpBuilder<'_>) -> Built {
    call.string("sampling_mode", "bilinear")
        .string("padding_mode", "constant")
        .float("padding_value", 0.0)
        .string("coordinates_mode", "normalized_minus_one_to_one")
        .bool("align_corners", true)
        .one()
}

/// A weight `[16, 16]` in compressed form.
fn compressed(f: &mut FunctionBuilder, op: &str) -> Built {
    let half = |value: f32| Constant::float(DataType::Fp16, value);
    let ones =
        |f: &mut FunctionBuilder| f.constant(Constant::packed(DataType::Uint1, [16, 16], &[1; 256]).unwrap());
    let table = |shape: &[usize]| {
        Constant::new(shape.to_vec(), vec![half::f16::ONE; shape.iter().product()]).unwrap()
    };
    match op {
        "constexpr_affine_dequantize" => f
            .op(op)
            .constant("quantized_data", Constant::new([16, 16], vec![1i8; 256]).unwrap())
            .constant("zero_point", Constant::scalar(0i8))
            .constant("scale", half(0.5))
            .int("axis", 0)
            .one(),
        "constexpr_blockwise_shift_scale" => f
            .op(op)
            .constant("data", Constant::new([16, 16], vec![1i8; 256]).unwrap())
            .constant("scale", table(&[16, 1]))
            .one(),
        "constexpr_cast" => f
            .op(op)
            .constant("source_val", table(&[16, 16]))
            .string("output_dtype", "fp32")
            .one()
            .and_then(|w| f.cast(w, DataType::Fp16)),
        "constexpr_lut_to_dense" => f
            .op(op)
            .constant("indices", Constant::packed(DataType::Uint4, [16, 16], &[1; 256]).unwrap())
            .constant("lut", table(&[1, 1, 16, 1]))
            .one(),
        "constexpr_sparse_to_dense" => {
            let mask = ones(f);
            f.op(op).constant("nonzero_data", table(&[256])).arg("mask", mask).one()
        }
        "constexpr_lut_to_sparse" => {
            let mask = ones(f);
            let parts = f
                .op(op)
                .arg("indices_mask", mask)
                .constant(
                    "indices_nonzero_data",
                    Constant::packed(DataType::Uint4, [256], &[1; 256]).unwrap(),
                )
                .constant("lut", table(&[1, 1, 16, 1]))
                .many()?;
            f.op("constexpr_sparse_to_dense").arg("nonzero_data", parts[1]).arg("mask", parts[0]).one()
        }
        _ => {
            let mask = ones(f);
            let parts = f
                .op(op)
                .arg("data_mask", mask)
                .constant("nonzero_data", Constant::new([256], vec![1i8; 256]).unwrap())
                .constant("scale", table(&[16, 1]))
                .many()?;
            f.op("constexpr_sparse_to_dense").arg("nonzero_data", parts[1]).arg("mask", parts[0]).one()
        }
    }
}
