//! Every published error of a product or convolution on a real engine, recomputed from its seed.
//!
//! `tests/golden/numerics/fingerprints.csv` holds what was measured: the L2 error of whole results against the same
//! computation in floats. A model whose arithmetic differs in any element would not meet it to twelve digits.

use super::numpy::Rng;
use super::reference::{convolution, error, product};
use anemone_cpu::{AneGeneration, CpuBackend, Numerics};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{Constant, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};
use std::time::Instant;

const MEASURED: &str = include_str!("../../../../tests/golden/numerics/fingerprints.csv");
/// Rows of `x` of which the published error is taken.
const ROWS: usize = 256;

type Failure = Box<dyn std::error::Error>;

/// The nearest `fp16` number of an `f64`, ties to even, as a host makes it.
fn half(value: f64) -> f16 {
    // Towards zero, with the last bit set where something was cut off, `f32` keeps what decides.
    let near = value as f32;
    let inexact = f64::from(near) != value;
    let over = f64::from(near).abs() > value.abs();
    f16::from_f32(f32::from_bits((near.to_bits() - u32::from(over)) | u32::from(inexact)))
}

/// Runs a program of one `fp16` operand on the engine of a generation.
pub(crate) fn run(
    generation: AneGeneration,
    shape: &[usize],
    x: &[f16],
    build: impl FnOnce(&mut FunctionBuilder, ValueId) -> Result<ValueId, mil::BuildError>,
) -> Result<Vec<f16>, Failure> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let input = f.input("x", TensorType::fp16(shape))?;
    let y = build(&mut f, input)?;
    let program = verify(Program::single(f.finish(&[y])?)).map_err(|faults| faults[0].clone())?;
    let backend = CpuBackend::new()?.numerics(Numerics::Ane(generation));
    let mut executable = backend.compile(&program, &CompileOptions::default())?;
    let outputs = executable.call(&[&Tensor::new(shape, x)?])?;
    Ok(outputs[0].as_slice::<f16>()?.to_vec())
}

/// `x · wᵀ`.
fn matmul(generation: AneGeneration, x: &[f16], w: &[f16], k: usize) -> Result<Vec<f16>, Failure> {
    let weight = Constant::new([w.len() / k, k], w.to_vec())?;
    run(generation, &[x.len() / k, k], x, |f, x| {
        let weight = f.constant(weight);
        f.matmul(x, weight, false, true)
    })
}

/// `relu` of 3x3 convolutions, one after another; without `relu` if `plain`.
fn convolutions(
    generation: AneGeneration,
    x: &[f16],
    [channels, height, width]: [usize; 3],
    weights: &[Vec<f16>],
    plain: bool,
) -> Result<Vec<f16>, Failure> {
    run(generation, &[1, channels, height, width], x, |f, x| {
        let (mut y, mut channels) = (x, channels);
        for weight in weights {
            let outputs = weight.len() / (9 * channels);
            let weight = f.constant(Constant::new([outputs, channels, 3, 3], weight.clone())?);
            let conv = f.op("conv").arg("x", y).arg("weight", weight);
            y = conv.string("pad_type", "custom").ints("pad", &[1; 4]).one()?;
            y = if plain { y } else { f.unary("relu", y)? };
            channels = outputs;
        }
        Ok(y)
    })
}

fn error_of(got: &[f16], want: &[f64]) -> f64 {
    error(got.iter().map(|x| f64::from(x.to_f32())), want)
}

/// `x [m, k] · wᵀ [k, n]`, both N(0, 1) / sqrt(k); divided in `fp32` or not (NumPy's `float64` scalar widens the array).
fn gemm(generations: &[AneGeneration], [m, k, n]: [usize; 3], narrow: bool) -> Result<Vec<f64>, Failure> {
    let mut rng = Rng::new(0);
    let scale = (k as f64).sqrt();
    let mut draw = |count: usize, kept: usize| {
        let mut numbers = Vec::with_capacity(kept);
        for at in 0..count {
            let x = rng.normal() as f32;
            if at < kept {
                numbers.push(if narrow { f64::from(x / scale as f32) } else { f64::from(x) / scale });
            }
        }
        numbers
    };
    let rows = m.min(ROWS);
    let (x, w) = (draw(m * k, rows * k), draw(n * k, n * k));
    let halves = [&x, &w].map(|data| data.iter().map(|&x| half(x)).collect::<Vec<_>>());
    let want = product(&x, &w, k);
    let one = |&generation| Ok(error_of(&matmul(generation, &halves[0], &halves[1], k)?, &want));
    generations.iter().map(one).collect()
}

/// The mean of the errors of both parts of a discrete Fourier transform.
fn dft(generations: &[AneGeneration], n: usize) -> Result<Vec<f64>, Failure> {
    let x = Rng::new(2).normals(n);
    let halves: Vec<f16> = x.iter().map(|&x| half(x)).collect();
    let mut errors = vec![0.0; generations.len()];
    for function in [libm::cos, libm::sin] {
        let angle = |at: usize| -2.0 * std::f64::consts::PI * ((at / n) * (at % n)) as f64 / n as f64;
        let matrix: Vec<f64> = (0..n * n).map(|at| function(angle(at))).collect();
        let want = product(&x, &matrix, n);
        let matrix: Vec<f16> = matrix.iter().map(|&x| half(x)).collect();
        for (sum, &generation) in errors.iter_mut().zip(generations) {
            *sum += error_of(&matmul(generation, &halves, &matrix, n)?, &want) / 2.0;
        }
    }
    Ok(errors)
}

/// He initialization; NumPy's `float64` factor widens the array.
fn weights(rng: &mut Rng, outputs: usize, channels: usize) -> Vec<f64> {
    let scale = (2.0 / (channels * 9) as f64).sqrt();
    rng.floats(outputs * channels * 9).into_iter().map(|x| f64::from(x) * scale).collect()
}

fn halves(data: &[f64]) -> Vec<f16> {
    data.iter().map(|&x| half(x)).collect()
}

/// The first item of a batch of 64x64 images through one convolution.
fn one_convolution(
    generations: &[AneGeneration],
    channels: usize,
    batch: usize,
) -> Result<Vec<f64>, Failure> {
    let mut rng = Rng::new(1);
    let mut x = rng.floats(batch * channels * 64 * 64);
    x.truncate(channels * 64 * 64);
    let weight = weights(&mut rng, channels, channels);
    let want = convolution(&x, &weight, [channels, 64, 64]);
    let x: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
    let one = |&generation| {
        let got = convolutions(generation, &x, [channels, 64, 64], &[halves(&weight)], true)?;
        Ok(error_of(&got, &want))
    };
    generations.iter().map(one).collect()
}

/// Convolutions with `relu` after each; the floats are `fp32` between them.
fn chain(
    generations: &[AneGeneration],
    [channels, outputs]: [usize; 2],
    depth: usize,
) -> Result<Vec<f64>, Failure> {
    let mut rng = Rng::new(1);
    let x = rng.floats(channels * 32 * 32);
    let inputs = |layer: usize| if layer == 0 { channels } else { outputs };
    let layers: Vec<Vec<f64>> = (0..depth).map(|layer| weights(&mut rng, outputs, inputs(layer))).collect();
    let mut hidden = x.clone();
    let mut want = Vec::new();
    for (layer, weight) in layers.iter().enumerate() {
        want = convolution(&hidden, weight, [inputs(layer), 32, 32]);
        want.iter_mut().for_each(|x| *x = x.max(0.0));
        hidden = want.iter().map(|&x| x as f32).collect();
    }
    let x: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
    let layers: Vec<Vec<f16>> = layers.iter().map(|weight| halves(weight)).collect();
    let one = |&generation| {
        let got = convolutions(generation, &x, [channels, 32, 32], &layers, false)?;
        Ok(error_of(&got, &want))
    };
    generations.iter().map(one).collect()
}

/// 32 steps of diffusion on a plane; the floats are `fp32` throughout, a tap after the other.
fn stencil(generations: &[AneGeneration]) -> Result<Vec<f64>, Failure> {
    const SIDE: usize = 256;
    let x = Rng::new(3).floats(SIDE * SIDE);
    let kernel = [0.0, 0.1, 0.0, 0.1, 0.1f32 * -4.0 + 1.0, 0.1, 0.0, 0.1, 0.0];
    let mut u = x.clone();
    for _ in 0..32 {
        let at = |y: usize, z: usize| if y < SIDE && z < SIDE { u[y * SIDE + z] } else { 0.0 };
        u = (0..SIDE * SIDE)
            .map(|i| {
                let (y, z) = (i / SIDE, i % SIDE);
                (0..9).fold(0.0f32, |sum, tap| {
                    let x = at((y + tap / 3).wrapping_sub(1), (z + tap % 3).wrapping_sub(1));
                    libm::fmaf(kernel[tap], x, sum)
                })
            })
            .collect();
    }
    let want: Vec<f64> = u.iter().map(|&x| f64::from(x)).collect();
    let x: Vec<f16> = x.iter().map(|&x| f16::from_f32(x)).collect();
    let kernel: Vec<f16> = kernel.iter().map(|&x| f16::from_f32(x)).collect();
    let layers = vec![kernel; 32];
    let one = |&generation| {
        let got = convolutions(generation, &x, [1, SIDE, SIDE], &layers, true)?;
        Ok(error_of(&got, &want))
    };
    generations.iter().map(one).collect()
}

/// The numbers in a name such as `gemm 64x256x256`.
fn numbers(name: &str) -> Vec<usize> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

fn recompute(case: &str, generations: &[AneGeneration]) -> Result<Vec<f64>, Failure> {
    match (case, &numbers(case)[..]) {
        ("gemv 512" | "gemv 8192", &[n]) => gemm(generations, [1, n, n], false),
        (case, &[k, n]) if case.starts_with("gemv") => gemm(generations, [1, k, n], false),
        (case, &[n]) if case.starts_with("gemm sat") => gemm(generations, [n, n, n], true),
        (case, &[m, k, n]) if case.starts_with("gemm") => gemm(generations, [m, k, n], false),
        (case, &[n]) if case.starts_with("dft") => dft(generations, n),
        (case, &[channels, batch]) if case.starts_with("conv sat") => {
            one_convolution(generations, channels, batch)
        }
        (case, &[channels, outputs, _, _]) if case.starts_with("conv C") => {
            chain(generations, [channels, outputs], 1)
        }
        (case, &[channels, outputs, depth]) if case.starts_with("conv chain") => {
            chain(generations, [channels, outputs], depth)
        }
        (case, _) if case.starts_with("stencil") => stencil(generations),
        (case, _) => Err(format!("there is no recipe for `{case}`").into()),
    }
}

fn generation(chips: &str) -> AneGeneration {
    match chips {
        "all" => AneGeneration::H13,
        "M1..M4" => AneGeneration::H14,
        chips if chips.starts_with("M5") || chips.starts_with("M6") => AneGeneration::H17,
        chips if chips.starts_with("M4") => AneGeneration::H16,
        _ => AneGeneration::H13,
    }
}

#[test]
fn every_published_error_is_reproduced() {
    let rows: Vec<(String, String, f64)> = MEASURED
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("case,"))
        .map(|line| {
            let (case, rest) = line.split_once(',').unwrap();
            let (chips, measured) = rest.rsplit_once(',').unwrap();
            (case.to_string(), chips.trim_matches('"').to_string(), measured.parse().unwrap())
        })
        .collect();
    assert_eq!(rows.len(), 32);
    let mut cases: Vec<&str> = rows.iter().map(|(case, ..)| case.as_str()).collect();
    cases.dedup();
    cases.sort_unstable();
    cases.dedup();
    let mut worst: f64 = 0.0;
    for case in cases {
        let start = Instant::now();
        let own: Vec<_> = rows.iter().filter(|row| row.0 == case).collect();
        let generations: Vec<AneGeneration> = own.iter().map(|(_, chips, _)| generation(chips)).collect();
        let errors = recompute(case, &generations).unwrap();
        for ((error, (_, chips, measured)), generation) in errors.iter().zip(&own).zip(generations) {
            let difference = (error / measured - 1.0).abs();
            worst = worst.max(difference);
            println!(
                "{case:<24} {chips:<14} {generation} measured {measured:.16} computed {error:.16} {difference:.1e} {:.1?}",
                start.elapsed()
            );
        }
    }
    assert!(worst <= 1e-12, "the worst of them is {worst:e} away");
}
