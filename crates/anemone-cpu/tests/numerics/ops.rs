//! Single operations: published errors, cliffs, and that nothing else changes.

use super::fingerprints::run;
use super::numpy::Rng;
use super::reference::error;
use anemone_cpu::{AneGeneration, CpuBackend, Mode, Numerics};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{BuildError, Constant, DataType, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};

type Failure = Box<dyn std::error::Error>;

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&x| f16::from_f32(x)).collect()
}

fn floats(values: &[f16]) -> Vec<f32> {
    values.iter().map(|x| x.to_f32()).collect()
}

/// The error of an op on rows of 4096 numbers, for 64, 256 and 1024 rows drawn one after the other.
fn errors(
    build: impl Fn(&mut FunctionBuilder, ValueId) -> Result<ValueId, BuildError>,
    reference: impl Fn(&[f32]) -> Vec<f64>,
) -> Result<Vec<f64>, Failure> {
    let mut rng = Rng::new(11);
    let mut errors = Vec::new();
    for rows in [64, 256, 1024] {
        let x = rng.floats(rows * 4096);
        let got = run(AneGeneration::H17, &[rows, 4096], &halves(&x), &build)?;
        let want: Vec<f64> = x.chunks(4096).flat_map(&reference).collect();
        errors.push(error(got.iter().map(|x| f64::from(x.to_f32())), &want));
    }
    Ok(errors)
}

#[test]
fn relu_rounds_its_operand_only() -> Result<(), Failure> {
    let errors =
        errors(|f, x| f.unary("relu", x), |row| row.iter().map(|&x| f64::from(x.max(0.0))).collect())?;
    for (error, measured) in
        errors.iter().zip([0.000_208_669_094_197_982, 0.000_207_560_538_737_466, 0.000_207_546_301_299_324])
    {
        assert!((error / measured - 1.0).abs() < 1e-12, "{error} {measured}");
    }
    Ok(())
}

#[test]
fn sums_err_as_much_as_measured() -> Result<(), Failure> {
    let errors = errors(
        |f, x| f.reduce("reduce_sum", x, &[1], false),
        |row| vec![row.iter().map(|&x| f64::from(x)).sum()],
    )?;
    for (error, measured) in errors.iter().zip([0.000_759_227, 0.000_819_289, 0.000_826_419]) {
        assert!((error / measured - 1.0).abs() < 0.03, "{error} {measured}");
    }
    Ok(())
}

#[test]
fn softmax_and_norms_err_less_than_measured_and_more_than_rounding() -> Result<(), Failure> {
    let softmax = errors(
        |f, x| f.op("softmax").arg("x", x).int("axis", -1).one(),
        |row| {
            let max = row.iter().copied().fold(f32::MIN, f32::max);
            let e: Vec<f64> = row.iter().map(|&x| libm::exp(f64::from(x) - f64::from(max))).collect();
            let sum: f64 = e.iter().sum();
            e.iter().map(|e| e / sum).collect()
        },
    )?;
    assert!(softmax.iter().all(|error| (0.0006..0.0011).contains(error)), "{softmax:?}");
    let norm = errors(
        |f, x| f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one(),
        |row| {
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / row.len() as f64;
            let square = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            row.iter().map(|&x| (f64::from(x) - mean) / (square + 1e-5).sqrt()).collect()
        },
    )?;
    assert!(norm.iter().all(|error| (0.0003..0.0007).contains(error)), "{norm:?}");
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
        assert_eq!(got, [11.0, 0.0, 0.0], "{generation}");
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
