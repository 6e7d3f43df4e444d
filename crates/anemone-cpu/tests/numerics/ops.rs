//! Single operations: published errors, cliffs, and that nothing else changes.

use super::fingerprints::run;
use super::numpy::Rng;
use super::reference::error;
use anemone_cpu::{AneGeneration, CpuBackend, Mode, Numerics};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{BuildError, Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};

type Failure = Box<dyn std::error::Error>;

const MEASURED: &str = include_str!("../../../../tests/golden/numerics/op_relerr.csv");

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&x| f16::from_f32(x)).collect()
}

fn floats(values: &[f16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

/// What was drawn on two chips: numbers of rows, one after the other.
const M5_PRO: [usize; 3] = [64, 256, 1024];
const M6: [usize; 2] = [256, 2048];

/// The published errors of an op on a chip, in the order of the file.
fn published(op: &str, chip: &str) -> Vec<f64> {
    let number = |line: &str| -> Option<f64> {
        let (_, rest) = line.strip_prefix(op)?.strip_prefix(',')?.split_once(',')?;
        let (chips, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\",")?,
            None => rest.split_once(',')?,
        };
        let is_meant = chips.split(',').any(|name| name == chip);
        is_meant.then(|| rest.split(',').next()?.parse().ok()).flatten()
    };
    MEASURED.lines().filter_map(number).collect()
}

/// The error of an op on rows of 4096 numbers, drawn one after the other.
fn errors(
    rows: &[usize],
    build: impl Fn(&mut FunctionBuilder, ValueId) -> Result<ValueId, BuildError>,
    reference: impl Fn(&[f32]) -> Vec<f64>,
) -> Result<Vec<f64>, Failure> {
    let mut rng = Rng::new(11);
    let mut errors = Vec::new();
    for &rows in rows {
        let x = rng.floats(rows * 4096);
        let got = run(AneGeneration::H17, &[rows, 4096], &halves(&x), &build)?;
        let want: Vec<f64> = x.chunks(4096).flat_map(&reference).collect();
        errors.push(error(got.iter().map(|x| f64::from(x.to_f32())), &want));
    }
    Ok(errors)
}

/// Prints errors and those published, and checks that their ratios are within a range.
#[expect(clippy::print_stdout, reason = "the figures of a test, shown with --nocapture")]
fn compare(op: &str, errors: &[f64], measured: &[f64], range: std::ops::Range<f64>) {
    assert!(!errors.is_empty() && errors.len() <= measured.len(), "{op}");
    for (error, measured) in errors.iter().zip(measured) {
        println!("{op}: {error:.10} measured {measured:.10}, {:+.2e}", error / measured - 1.0);
        assert!(range.contains(&(error / measured)), "{op}: {error} {measured}");
    }
}

#[test]
fn relu_rounds_its_operand_only() -> Result<(), Failure> {
    let errors = errors(
        &M5_PRO,
        |f, x| f.unary("relu", x),
        |row| row.iter().map(|&x| f64::from(x.max(0.0))).collect(),
    )?;
    let measured = [0.000_208_669_094_197_982, 0.000_207_560_538_737_466, 0.000_207_546_301_299_324];
    compare("relu", &errors, &measured, 1.0 - 1e-12..1.0 + 1e-12);
    Ok(())
}

#[test]
fn sums_err_as_much_as_measured() -> Result<(), Failure> {
    for (chip, rows) in [("M5 Pro", &M5_PRO[..]), ("M6", &M6)] {
        let errors = errors(
            rows,
            |f, x| f.reduce("reduce_sum", x, &[1], false),
            |row| vec![row.iter().map(|&x| f64::from(x)).sum()],
        )?;
        compare("reduce_sum", &errors, &published("reduce_sum last", chip), 0.94..1.06);
    }
    Ok(())
}

#[test]
fn gelu_errs_exactly_as_measured() -> Result<(), Failure> {
    // The benchmark's reference is the approximation by tanh, of which NumPy computes the polynomial in `fp32`.
    let by_tanh = |&x: &f32| {
        let polynomial = x + 0.044_715 * f64::from(x).powi(3) as f32;
        let tanh = libm::tanh((2.0 / std::f64::consts::PI).sqrt() * f64::from(polynomial));
        f64::from(x) * 0.5 * (1.0 + tanh)
    };
    for (chip, rows) in [("M5 Pro", &M5_PRO[..]), ("M6", &M6)] {
        let errors = errors(
            rows,
            |f, x| f.op("gelu").arg("x", x).string("mode", "EXACT").one(),
            |row| row.iter().map(by_tanh).collect(),
        )?;
        compare("gelu", &errors, &published("gelu", chip), 1.0 - 1e-8..1.0 + 1e-8);
    }
    Ok(())
}

#[test]
fn softmax_errs_nearly_as_measured() -> Result<(), Failure> {
    for (chip, rows) in [("M5 Pro", &M5_PRO[..]), ("M6", &M6)] {
        let errors = errors(
            rows,
            |f, x| f.op("softmax").arg("x", x).int("axis", -1).one(),
            |row| {
                let max = row.iter().copied().fold(f32::MIN, f32::max);
                let e: Vec<f64> = row.iter().map(|&x| libm::exp(f64::from(x) - f64::from(max))).collect();
                let sum: f64 = e.iter().sum();
                e.iter().map(|e| e / sum).collect()
            },
        )?;
        compare("softmax", &errors, &published("softmax", chip), 0.95..1.05);
    }
    Ok(())
}

/// Mean and variance, as floats have them.
fn moments(row: &[f32]) -> (f64, f64) {
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / row.len() as f64;
    (mean, row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / row.len() as f64)
}

/// Scales and shifts of a normalization, as the benchmarks draw them.
fn affine(rng: &mut Rng, count: usize) -> [Vec<f32>; 2] {
    let scale = rng.floats(count).iter().map(|x| x * 0.1 + 1.0).collect();
    [scale, rng.floats(count).iter().map(|x| x * 0.1).collect()]
}

#[test]
fn layer_norm_errs_nearly_as_measured() -> Result<(), Failure> {
    let normal = |row: &[f32], [gamma, beta]: &[Vec<f32>; 2]| -> Vec<f64> {
        let (mean, variance) = moments(row);
        let affine = gamma.iter().zip(beta);
        let normal = row.iter().map(|&x| (f64::from(x) - mean) / (variance + 1e-5).sqrt());
        normal.zip(affine).map(|(x, (&gamma, &beta))| x * f64::from(gamma) + f64::from(beta)).collect()
    };
    let layer = |f: &mut FunctionBuilder, x: ValueId, parameters: &[Vec<f32>; 2]| {
        let [gamma, beta] = [0, 1].map(|i| Constant::new([parameters[i].len()], halves(&parameters[i])));
        let (gamma, beta) = (f.constant(gamma?), f.constant(beta?));
        f.op("layer_norm").arg("x", x).ints("axes", &[-1]).arg("gamma", gamma).arg("beta", beta).one()
    };
    let parameters = affine(&mut Rng::new(13), 4096);
    for (chip, rows) in [("M5 Pro", &M5_PRO[..]), ("M6", &M6)] {
        let errors = errors(rows, |f, x| layer(f, x, &parameters), |row| normal(row, &parameters))?;
        compare("layer_norm", &errors, &published("layer_norm", chip), 0.95..1.05);
    }
    let mut rng = Rng::new(7);
    let x = rng.floats(197 * 768);
    let parameters = affine(&mut rng, 768);
    let got = run(AneGeneration::H16, &[197, 768], &halves(&x), |f, x| layer(f, x, &parameters))?;
    let want: Vec<f64> = x.chunks(768).flat_map(|row| normal(row, &parameters)).collect();
    let error = error(got.iter().map(|x| f64::from(x.to_f32())), &want);
    compare("layer_norm", &[error], &published("layer_norm", "M4"), 0.96..1.04);
    Ok(())
}

/// Root mean square and groups, by the operations that programs have for them.
#[test]
fn composed_norms_err_nearly_as_measured() -> Result<(), Failure> {
    let mut rng = Rng::new(7);
    let x = rng.floats(197 * 768);
    let [gamma, _] = affine(&mut rng, 768);
    let got = run(AneGeneration::H16, &[197, 768], &halves(&x), |f, x| {
        let gamma = f.constant(Constant::new([768], halves(&gamma))?);
        let square = f.mul(x, x)?;
        let mean = f.reduce("reduce_mean", square, &[-1], true)?;
        let scale = f.op("rsqrt").arg("x", mean).float("epsilon", 1e-5).one()?;
        let y = f.mul(x, scale)?;
        f.mul(y, gamma)
    })?;
    let want = x.chunks(768).flat_map(|row| {
        let square = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / 768.0;
        row.iter().zip(&gamma).map(move |(&x, &g)| f64::from(x) / (square + 1e-5).sqrt() * f64::from(g))
    });
    let rms = error(got.iter().map(|x| f64::from(x.to_f32())), &want.collect::<Vec<_>>());
    compare("rms_norm", &[rms], &published("rms_norm", "M4"), 0.9..1.1);

    let (groups, size) = (32, 8 * 64 * 64);
    let mut rng = Rng::new(7);
    let x = rng.floats(groups * size);
    let [gamma, beta] = affine(&mut rng, 256);
    let got = run(AneGeneration::H16, &[32, 8 * 64 * 64], &halves(&x), |f, x| {
        let [gamma, beta] =
            [&gamma, &beta].map(|values| Constant::new([256, 1], halves(values)).map(|c| f.constant(c)));
        let y = f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one()?;
        let y = f.reshape(y, &[256, 64 * 64])?;
        let y = f.mul(y, gamma?)?;
        f.add(y, beta?)
    })?;
    let want = x.chunks(size).enumerate().flat_map(|(group, values)| {
        let (mean, variance) = moments(values);
        let (gamma, beta) = (&gamma, &beta);
        values.iter().enumerate().map(move |(i, &x)| {
            let channel = group * 8 + i / (64 * 64);
            (f64::from(x) - mean) / (variance + 1e-5).sqrt() * f64::from(gamma[channel])
                + f64::from(beta[channel])
        })
    });
    let group = error(got.iter().map(|x| f64::from(x.to_f32())), &want.collect::<Vec<_>>());
    compare("group_norm", &[group], &published("group_norm", "M4"), 0.93..1.07);
    Ok(())
}

#[test]
fn cliffs_are_where_they_were_measured() -> Result<(), Failure> {
    for generation in AneGeneration::ALL {
        // A slice inside the last axis, before and after H15.
        let x = halves(&[0.0, 4094.0, -4094.0, 4096.0, -60000.0]);
        let got = run(generation, &[1, 5], &x, |f, x| {
            f.op("slice_by_index").arg("x", x).ints("begin", &[0, 1]).ints("end", &[1, 5]).one()
        })?;
        let limited = generation <= AneGeneration::H14;
        let (high, low) = if limited { (f32::INFINITY, f32::NEG_INFINITY) } else { (4096.0, -60000.0) };
        assert_eq!(floats(&got), [4094.0, -4094.0, high, floats(&halves(&[low]))[0]], "{generation}");
        let whole = run(generation, &[1, 5], &x, |f, x| {
            f.op("slice_by_index").arg("x", x).ints("begin", &[0, 0]).ints("end", &[1, 5]).one()
        })?;
        assert_eq!(whole, x, "{generation}");
        // Products from 2^15 on.
        for (x, want) in [(32752.0, 32752.0), (32768.0, f32::INFINITY), (-32768.0, f32::NEG_INFINITY)] {
            let one = Constant::new([1, 1], vec![f16::ONE])?;
            let got = run(generation, &[1, 1], &halves(&[x]), |f, x| {
                let one = f.constant(one);
                f.matmul(x, one, false, true)
            })?;
            assert_eq!(floats(&got), [want], "{generation}");
        }
        // A sum of eight: 2048 is the last integer that is exact.
        for (last, want) in [(256.0, 2048.0), (257.0, 2050.0)] {
            let x = halves(&[256.0, 256.0, 256.0, 256.0, 256.0, 256.0, 256.0, last]);
            let got = run(generation, &[1, 8], &x, |f, x| f.reduce("reduce_sum", x, &[1], false))?;
            assert_eq!(floats(&got), [want], "{generation}");
        }
        // Beyond log 65504, and of infinity.
        let x = halves(&[11.0, 11.1, f32::INFINITY]);
        let got = floats(&run(generation, &[3], &x, |f, x| f.unary("softplus", x))?);
        assert!((got[0] - 11.0).abs() < 0.02, "{generation}: {}", got[0]);
        assert_eq!(got[1..], [0.0, 0.0], "{generation}");
        let got = run(generation, &[1], &halves(&[f32::INFINITY]), |f, x| f.op("log").arg("x", x).one())?;
        assert_eq!(floats(&got), [0.0], "{generation}");
    }
    Ok(())
}

#[test]
fn ties_go_away_from_zero() -> Result<(), Failure> {
    // 1 + 2^-11 lies between two numbers, 1 is the even one.
    let got = run(AneGeneration::H13, &[2], &halves(&[1.0, -1.0]), |f, x| {
        let small = f.constant(Constant::new([2], halves(&[0.5f32.powi(11), -0.5f32.powi(11)]))?);
        f.add(x, small)
    })?;
    assert_eq!(floats(&got), [1.000_976_6, -1.000_976_6]);
    // A cast is the host's.
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::fp32([1]))?;
    let y = f.cast(x, DataType::Fp16)?;
    let program = verify(Program::single(f.finish(&[y])?)).map_err(|faults| faults[0].clone())?;
    let backend = CpuBackend::new()?.numerics(Numerics::Ane(AneGeneration::H13));
    let x = Tensor::new([1], &[1.0 + 0.5f32.powi(11)])?;
    let outputs = backend.compile(&program, &CompileOptions::default())?.call(&[&x])?;
    assert_eq!(outputs[0].to_f32()?[0], 1.0);
    Ok(())
}

/// A small network with most kinds of operations.
fn network(f: &mut FunctionBuilder, x: ValueId, dtype: DataType) -> Result<ValueId, BuildError> {
    let mut state = 7u32;
    let mut constant = |f: &mut FunctionBuilder, shape: &[usize]| {
        let count = shape.iter().product();
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let values: Vec<f32> = (0..count).map(|_| next()).collect();
        let constant = match dtype {
            DataType::Fp16 => Constant::new(shape.to_vec(), halves(&values)),
            _ => Constant::new(shape.to_vec(), values),
        };
        constant.map(|constant| f.constant(constant))
    };
    let (first, grouped, narrow) =
        (constant(f, &[8, 4, 3, 3])?, constant(f, &[8, 1, 3, 3])?, constant(f, &[6, 8, 1, 1])?);
    let (gamma, back) = (constant(f, &[7])?, constant(f, &[6, 4, 2, 2])?);
    let y = f.op("conv").arg("x", x).arg("weight", first).string("pad_type", "same").one()?;
    let y =
        f.op("conv").arg("x", y).arg("weight", grouped).string("pad_type", "same").int("groups", 8).one()?;
    let y = f.op("gelu").arg("x", y).string("mode", "EXACT").one()?;
    let y = f.op("conv").arg("x", y).arg("weight", narrow).one()?;
    let y = f.op("instance_norm").arg("x", y).one()?;
    let pooled = f.op("avg_pool").arg("x", y).ints("kernel_sizes", &[2, 2]).ints("strides", &[1, 1]);
    let pooled = pooled.string("pad_type", "same").one()?;
    let y = f.add(y, pooled)?;
    let y = f.op("layer_norm").arg("x", y).ints("axes", &[-1]).arg("gamma", gamma).one()?;
    let y = f.op("softmax").arg("x", y).int("axis", 1).one()?;
    let scores = f.matmul(y, y, false, true)?;
    let y = f.matmul(scores, y, false, false)?;
    let y = f.op("conv_transpose").arg("x", y).arg("weight", back).ints("strides", &[2, 2]).one()?;
    let mean = f.reduce("reduce_mean", y, &[2, 3], true)?;
    f.sub(y, mean)
}

fn outputs(dtype: DataType, backend: &CpuBackend) -> Result<Vec<f32>, Failure> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let x = f.input("x", TensorType::new(dtype, [2, 4, 9, 7]))?;
    let y = network(&mut f, x, dtype)?;
    let program = verify(Program::single(f.finish(&[y])?)).map_err(|faults| faults[0].clone())?;
    let values = Rng::new(5).floats(2 * 4 * 9 * 7);
    let x = match dtype {
        DataType::Fp16 => Tensor::new([2, 4, 9, 7], &halves(&values))?,
        _ => Tensor::new([2, 4, 9, 7], &values[..])?,
    };
    let outputs = backend.compile(&program, &CompileOptions::default())?.call(&[&x])?;
    Ok(outputs[0].to_f32()?.into_owned())
}

#[test]
fn networks_are_near_ieee_and_depend_on_nothing_else() -> Result<(), Failure> {
    let ieee = outputs(DataType::Fp16, &CpuBackend::new()?)?;
    let wide = outputs(DataType::Fp32, &CpuBackend::new()?)?;
    let size = ieee.iter().map(|x| x.abs()).fold(0.0, f32::max);
    for generation in AneGeneration::ALL {
        let backend =
            |threads| CpuBackend::with_threads(threads).map(|b| b.numerics(Numerics::Ane(generation)));
        let got = outputs(DataType::Fp16, &backend(1)?)?;
        for (got, want) in got.iter().zip(&ieee) {
            assert!((got - want).abs() < 0.03 * size, "{generation}: {got} {want}");
        }
        assert_ne!(got, ieee, "{generation}");
        assert_eq!(got, outputs(DataType::Fp16, &backend(3)?)?, "{generation}: threads show");
        assert_eq!(
            got,
            outputs(DataType::Fp16, &backend(2)?.mode(Mode::Strict))?,
            "{generation}: the mode shows"
        );
        assert_eq!(wide, outputs(DataType::Fp32, &backend(2)?)?, "{generation}: fp32 is the host's");
    }
    Ok(())
}
