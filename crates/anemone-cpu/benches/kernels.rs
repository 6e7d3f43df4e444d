//! Times of single operations as the headline models use them: `cargo bench -p anemone-cpu --bench kernels [NAME]`.
//!
//! One line per operation: the best time of several runs, and what that is in moved bytes (operands and outputs) and, for
//! products, in floating-point operations per second.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use anemone_cpu::CpuBackend;
use anemone_runtime::{Backend, CompileOptions, Tensor};
use mil::{BuildError, Constant, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};
use std::time::Instant;

type Build = fn(&mut FunctionBuilder) -> Result<ValueId, BuildError>;

/// An operation, and its multiplications.
struct Case {
    name: &'static str,
    products: usize,
    build: Build,
}

fn x(f: &mut FunctionBuilder, name: &str, shape: &[usize]) -> Result<ValueId, BuildError> {
    f.input(name, TensorType::fp32(shape))
}

/// An `lstm` of steps, batch, features and hidden elements that gives every step.
fn lstm(
    f: &mut FunctionBuilder,
    [steps, batch, features, hidden]: [usize; 4],
) -> Result<ValueId, BuildError> {
    let a = x(f, "a", &[steps, batch, features])?;
    let (h, c) = (x(f, "h", &[batch, hidden])?, x(f, "c", &[batch, hidden])?);
    let weight = |f: &mut FunctionBuilder, columns: usize| {
        let ty = TensorType::fp32([4 * hidden, columns]);
        let constant = Constant::splat(&ty, 0.01);
        constant.map(|constant| f.constant(constant))
    };
    let (input, recurrent) = (weight(f, features), weight(f, hidden));
    let op = f.op("lstm").arg("x", a).arg("initial_h", h).arg("initial_c", c);
    let op = op.maybe("weight_ih", input).maybe("weight_hh", recurrent).bool("output_sequence", true);
    Ok(op.many()?[0])
}

const CASES: &[Case] = &[
    Case {
        name: "matmul_512x768x768",
        products: 512 * 768 * 768,
        build: |f| {
            let (a, b) = (x(f, "a", &[512, 768])?, x(f, "b", &[768, 768])?);
            f.matmul(a, b, false, true)
        },
    },
    Case {
        name: "matmul_heads_8x6x256x64x256",
        products: 8 * 6 * 256 * 64 * 256,
        build: |f| {
            let (a, b) = (x(f, "a", &[8, 6, 256, 64])?, x(f, "b", &[8, 6, 256, 64])?);
            f.matmul(a, b, false, true)
        },
    },
    Case {
        name: "conv_64x32x32x32_to_64",
        products: 64 * 64 * 32 * 9 * 32 * 32,
        build: |f| {
            let (a, w) = (x(f, "a", &[64, 32, 32, 32])?, x(f, "w", &[64, 32, 3, 3])?);
            f.op("conv").arg("x", a).arg("weight", w).string("pad_type", "same").one()
        },
    },
    Case {
        name: "conv_64x128x8x8_to_128",
        products: 64 * 128 * 128 * 9 * 8 * 8,
        build: |f| {
            let (a, w) = (x(f, "a", &[64, 128, 8, 8])?, x(f, "w", &[128, 128, 3, 3])?);
            f.op("conv").arg("x", a).arg("weight", w).string("pad_type", "same").one()
        },
    },
    Case {
        name: "conv_weight_gradient",
        products: 64 * 64 * 32 * 9 * 32 * 32,
        build: |f| {
            let (a, w) = (x(f, "a", &[32, 64, 32, 32])?, x(f, "w", &[64, 64, 32, 32])?);
            let op = f.op("conv").arg("x", a).arg("weight", w).string("pad_type", "custom");
            op.ints("pad", &[1, 1, 1, 1]).one()
        },
    },
    Case {
        name: "conv_transpose_64x64x32x32_to_32",
        products: 64 * 64 * 32 * 9 * 32 * 32,
        build: |f| {
            let (a, w) = (x(f, "a", &[64, 64, 32, 32])?, x(f, "w", &[64, 32, 3, 3])?);
            let op = f.op("conv_transpose").arg("x", a).arg("weight", w).string("pad_type", "custom");
            op.ints("pad", &[1, 1, 1, 1]).one()
        },
    },
    Case {
        name: "conv_depthwise_64x64x32x32",
        products: 64 * 64 * 9 * 32 * 32,
        build: |f| {
            let (a, w) = (x(f, "a", &[64, 64, 32, 32])?, x(f, "w", &[64, 1, 3, 3])?);
            f.op("conv").arg("x", a).arg("weight", w).string("pad_type", "same").int("groups", 64).one()
        },
    },
    Case {
        name: "lstm_128x32x256_to_256",
        products: 128 * 32 * 1024 * 512,
        build: |f| lstm(f, [128, 32, 256, 256]),
    },
    Case {
        name: "lstm_128x1x256_to_256",
        products: 128 * 1024 * 512,
        build: |f| lstm(f, [128, 1, 256, 256]),
    },
    Case {
        name: "max_pool_64x64x32x32",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[64, 64, 32, 32])?;
            let op = f.op("max_pool").arg("x", a).ints("kernel_sizes", &[2, 2]).ints("strides", &[2, 2]);
            op.string("pad_type", "valid").one()
        },
    },
    Case {
        name: "resize_bilinear_64x128x128_to_256",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[1, 64, 128, 128])?;
            let op = f.op("resize_bilinear").arg("x", a).int("target_size_height", 256);
            op.int("target_size_width", 256).string("sampling_mode", "UNALIGN_CORNERS").one()
        },
    },
    Case {
        name: "upsample_nearest_64x128x128_by_2",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[1, 64, 128, 128])?;
            let op = f.op("upsample_nearest_neighbor").arg("x", a).int("scale_factor_height", 2);
            op.int("scale_factor_width", 2).one()
        },
    },
    Case {
        name: "resample_64x128x128",
        products: 0,
        build: |f| {
            let (a, points) = (x(f, "a", &[1, 64, 128, 128])?, x(f, "points", &[1, 128, 128, 2])?);
            let op =
                f.op("resample").arg("x", a).arg("coordinates", points).string("sampling_mode", "bilinear");
            let op =
                op.string("padding_mode", "border").float("padding_value", 0.0).bool("align_corners", true);
            op.string("coordinates_mode", "normalized_minus_one_to_one").one()
        },
    },
    Case {
        name: "softmax_rows_8x6x256x256",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[8, 6, 256, 256])?;
            f.op("softmax").arg("x", a).one()
        },
    },
    Case {
        name: "layer_norm_2048x768",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[2048, 768])?;
            f.op("layer_norm").arg("x", a).ints("axes", &[-1]).one()
        },
    },
    Case {
        name: "reduce_sum_rows_2048x768",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[2048, 768])?;
            f.op("reduce_sum").arg("x", a).ints("axes", &[-1]).one()
        },
    },
    Case {
        name: "reduce_sum_columns_2048x768",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[2048, 768])?;
            f.op("reduce_sum").arg("x", a).ints("axes", &[0]).one()
        },
    },
    Case {
        name: "reduce_mean_batch_64x64x32x32",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[64, 64, 32, 32])?;
            f.op("reduce_mean").arg("x", a).ints("axes", &[0, 2, 3]).one()
        },
    },
    Case {
        name: "transpose_heads_8x256x6x64",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[8, 256, 6, 64])?;
            f.transpose(a, &[0, 2, 1, 3])
        },
    },
    Case {
        name: "transpose_matrix_2048x768",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[2048, 768])?;
            f.transpose(a, &[1, 0])
        },
    },
    Case {
        name: "slice_halves_8x6x256x64",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[8, 6, 256, 64])?;
            f.op("slice_by_index")
                .arg("x", a)
                .ints("begin", &[0, 0, 0, 32])
                .ints("end", &[8, 6, 256, 64])
                .one()
        },
    },
    Case {
        name: "gather_rows_2048_of_32000x768",
        products: 0,
        build: |f| {
            let a = x(f, "a", &[32000, 768])?;
            let indices = f.constant(spread(2048, 32000));
            f.op("gather").arg("x", a).arg("indices", indices).one()
        },
    },
    Case {
        name: "scatter_rows_2048_of_4096x768",
        products: 0,
        build: |f| {
            let (a, updates) = (x(f, "a", &[4096, 768])?, x(f, "b", &[2048, 768])?);
            let indices = f.constant(spread(2048, 4096));
            f.op("scatter").arg("data", a).arg("indices", indices).arg("updates", updates).one()
        },
    },
    Case {
        name: "attention_8x6x256x64",
        products: 2 * 8 * 6 * 256 * 256 * 64,
        build: |f| {
            let shape = [8, 6, 256, 64];
            let (q, k, v) = (x(f, "q", &shape)?, x(f, "k", &shape)?, x(f, "v", &shape)?);
            f.op("scaled_dot_product_attention").arg("query", q).arg("key", k).arg("value", v).one()
        },
    },
];

/// Indices below `size`, spread over all of it.
fn spread(count: i32, size: i32) -> Constant {
    let indices: Vec<i32> = (0..i64::from(count)).map(|i| (i * 7919 % i64::from(size)) as i32).collect();
    Constant::ints(&indices)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted: Option<String> = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let backend = CpuBackend::new()?;
    for case in
        CASES.iter().filter(|case| wanted.as_ref().is_none_or(|name| case.name.contains(name.as_str())))
    {
        time(&backend, case)?;
    }
    Ok(())
}

fn time(backend: &CpuBackend, case: &Case) -> Result<(), Box<dyn std::error::Error>> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let output = (case.build)(&mut f)?;
    let function = f.finish(&[output])?;
    let program = verify(Program::single(function)).map_err(|faults| format!("{faults:?}"))?;
    let mut executable = backend.compile(&program, &CompileOptions::default())?;
    let inputs: Vec<Tensor> = executable
        .inputs()
        .iter()
        .map(|feature| Tensor::new(feature.ty.shape.clone(), &numbers(feature.ty.shape.count())))
        .collect::<Result<_, _>>()?;
    let refs: Vec<&Tensor> = inputs.iter().collect();
    let mut outputs = executable.new_outputs()?;
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        executable.run(&refs, &mut outputs)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let bytes: usize = inputs.iter().chain(&outputs).map(|tensor| tensor.ty().bytes()).sum();
    let (ms, gb, gflops) = (best * 1e3, bytes as f64 / best / 1e9, 2.0 * case.products as f64 / best / 1e9);
    println!("{:36} {ms:9.3} ms {gb:7.1} GB/s {gflops:7.1} GFLOP/s", case.name);
    Ok(())
}

/// Numbers of size 1, the same each time.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 8 & 0xFFFF) as f32 / 32768.0 - 1.0).collect()
}
