//! What the audit says, and that scaling helps where it should and hurts nowhere.

use super::numpy::Rng;
use anemone_cpu::AneGeneration;
use anemone_cpu::audit::{Audit, OpAudit, Scaled, audit, scale_for_ane};
use anemone_runtime::{States, Tensor};
use half::f16;
use mil::{BuildError, Constant, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify};

type Failure = Box<dyn std::error::Error>;

fn halves(rng: &mut Rng, shape: &[usize], scale: f64) -> Vec<f16> {
    (0..shape.iter().product()).map(|_| f16::from_f32((rng.normal() * scale) as f32)).collect()
}

/// A function of `fp16` inputs.
struct Model {
    f: FunctionBuilder,
    rng: Rng,
    inputs: Vec<Tensor>,
}

impl Model {
    fn new(seed: u32) -> Model {
        Model { f: FunctionBuilder::new("main", Opset::Ios18), rng: Rng::new(seed), inputs: Vec::new() }
    }

    fn input(&mut self, shape: &[usize], scale: f64) -> Result<ValueId, Failure> {
        let values = halves(&mut self.rng, shape, scale);
        self.inputs.push(Tensor::new(shape, &values)?);
        Ok(self.f.input(format!("x{}", self.inputs.len()), TensorType::fp16(shape))?)
    }

    fn constant(&mut self, shape: &[usize], scale: f64) -> Result<ValueId, Failure> {
        let values = halves(&mut self.rng, shape, scale);
        Ok(self.f.constant(Constant::new(shape.to_vec(), values)?))
    }

    fn finish(self, outputs: &[ValueId]) -> Result<(Verified, Vec<Tensor>), Failure> {
        let program = verify(Program::single(self.f.finish(outputs)?)).map_err(|faults| faults[0].clone())?;
        Ok((program, self.inputs))
    }
}

fn audited(program: &Verified, inputs: &[Tensor], generation: AneGeneration) -> Result<Audit, Failure> {
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    Ok(audit(program, None, &inputs, &States::new(), generation)?)
}

fn scaled(program: &Verified, inputs: &[Tensor], generation: AneGeneration) -> Result<Scaled, Failure> {
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let scaled = scale_for_ane(program, None, &inputs, &States::new(), generation)?;
    // What it reports is what an audit of its program says.
    let again = audit(&scaled.program, None, &inputs, &States::new(), generation)?;
    assert_eq!(again.outputs, scaled.after);
    for (after, before) in scaled.after.iter().zip(&scaled.before) {
        assert!(after.overflows <= before.overflows, "{after:?} {before:?}");
        assert!(after.overflows < before.overflows || after.error <= before.error, "{after:?} {before:?}");
    }
    Ok(scaled)
}

#[test]
fn products_of_one_over_root_k_are_flushed_and_scaling_keeps_them() -> Result<(), Failure> {
    for k in [512, 1024, 2048, 4096, 8192] {
        for constant in [true, false] {
            let mut model = Model::new(0);
            let scale = 1.0 / (k as f64).sqrt();
            let x = model.input(&[16, k], scale)?;
            let w = if constant { model.constant(&[48, k], scale)? } else { model.input(&[48, k], scale)? };
            let y = model.f.matmul(x, w, false, true)?;
            let (program, inputs) = model.finish(&[y])?;
            let audit = audited(&program, &inputs, AneGeneration::H13)?;
            let flushed = audit.ops[0].flushed.unwrap_or(0.0);
            let scaled = scaled(&program, &inputs, AneGeneration::H13)?;
            let (before, after) = (scaled.before[0].error, scaled.after[0].error);
            println!(
                "K = {k}, {}: {:.1} % flushed, error {before:.2e} before, {after:.2e} after ({:.0} x), 2^{}",
                if constant { "constant weights" } else { "two operands" },
                100.0 * flushed,
                before / after,
                scaled.ops[0].exponent
            );
            assert_eq!(scaled.ops.len(), 1);
            let least = if k >= 4096 { 10.0 } else { 3.0 };
            assert!(before / after >= least, "K = {k}");
        }
    }
    Ok(())
}

#[test]
fn sums_beyond_the_range_come_back() -> Result<(), Failure> {
    let mut model = Model::new(4);
    let x = model.input(&[4, 64], 250.0)?;
    let w = model.constant(&[32, 64], 8.0)?;
    let y = model.f.matmul(x, w, false, true)?;
    let (program, inputs) = model.finish(&[y])?;
    let scaled = scaled(&program, &inputs, AneGeneration::H16)?;
    assert!(scaled.before[0].overflows > 0);
    assert_eq!(scaled.after[0].overflows, 0, "{:?}", scaled.ops);
    Ok(())
}

#[test]
fn inverses_go_into_what_follows() -> Result<(), Failure> {
    let mut model = Model::new(6);
    let x = model.input(&[8, 1024], 1.0 / 32.0)?;
    let [first, second] =
        [model.constant(&[1024, 1024], 1.0 / 32.0)?, model.constant(&[64, 1024], 1.0 / 32.0)?];
    let y = model.f.op("linear").arg("x", x).arg("weight", first).one()?;
    let y = model.f.op("linear").arg("x", y).arg("weight", second).one()?;
    let eight = model.f.constant(Constant::scalar(f16::from_f32(8.0)));
    let y = model.f.mul(y, eight)?;
    let (program, inputs) = model.finish(&[y])?;
    let scaled = scaled(&program, &inputs, AneGeneration::H13)?;
    let inverses: Vec<&str> = scaled.ops.iter().map(|op| op.inverse.as_str()).collect();
    println!("{:?}", scaled.ops);
    assert_eq!(inverses, ["folded", "folded"]);
    assert_eq!(scaled.program.functions[0].body.ops.len(), 3);
    assert!(scaled.before[0].error > 3.0 * scaled.after[0].error);
    Ok(())
}

/// Attention and a feed-forward layer over a residual stream, initialized as is usual.
fn transformer(model: &mut Model, blocks: usize) -> Result<ValueId, Failure> {
    const LENGTH: usize = 24;
    const WIDTH: usize = 128;
    const HEADS: usize = 4;
    let mut x = model.input(&[1, LENGTH, WIDTH], 1.0)?;
    let scale = 0.02;
    for _ in 0..blocks {
        let norm = model.f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one()?;
        let mut heads = Vec::new();
        for _ in 0..3 {
            let weight = model.constant(&[WIDTH, WIDTH], scale)?;
            let y = model.f.op("linear").arg("x", norm).arg("weight", weight).one()?;
            let y = model.f.reshape(y, &[1, LENGTH, HEADS, WIDTH / HEADS])?;
            heads.push(model.f.transpose(y, &[0, 2, 1, 3])?);
        }
        let scores = model.f.matmul(heads[0], heads[1], false, true)?;
        let root = model.f.constant(Constant::scalar(f16::from_f32((HEADS as f32 / WIDTH as f32).sqrt())));
        let scores = model.f.mul(scores, root)?;
        let weights = model.f.op("softmax").arg("x", scores).int("axis", -1).one()?;
        let y = model.f.matmul(weights, heads[2], false, false)?;
        let y = model.f.transpose(y, &[0, 2, 1, 3])?;
        let y = model.f.reshape(y, &[1, LENGTH, WIDTH])?;
        let weight = model.constant(&[WIDTH, WIDTH], scale)?;
        let y = model.f.op("linear").arg("x", y).arg("weight", weight).one()?;
        x = model.f.add(x, y)?;
        let y = model.f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one()?;
        let [up, down] =
            [model.constant(&[4 * WIDTH, WIDTH], scale)?, model.constant(&[WIDTH, 4 * WIDTH], scale)?];
        let y = model.f.op("linear").arg("x", y).arg("weight", up).one()?;
        let y = model.f.op("gelu").arg("x", y).string("mode", "EXACT").one()?;
        let y = model.f.op("linear").arg("x", y).arg("weight", down).one()?;
        x = model.f.add(x, y)?;
    }
    let norm = model.f.op("layer_norm").arg("x", x).ints("axes", &[-1]).one()?;
    let head = model.constant(&[100, WIDTH], scale)?;
    Ok(model.f.op("linear").arg("x", norm).arg("weight", head).one()?)
}

#[test]
fn a_transformer_gets_better() -> Result<(), Failure> {
    for generation in [AneGeneration::H13, AneGeneration::H17] {
        let mut model = Model::new(8);
        let y = transformer(&mut model, 2)?;
        let (program, inputs) = model.finish(&[y])?;
        let audit = audited(&program, &inputs, generation)?;
        assert_eq!(audit.ops.len(), program.functions[0].body.ops.len());
        let text = serde_json::to_string(&audit)?;
        assert_eq!(serde_json::from_str::<Audit>(&text)?, audit);
        let scaled = scaled(&program, &inputs, generation)?;
        let (before, after) = (&scaled.before[0], &scaled.after[0]);
        println!(
            "{generation}: {} products scaled, error {:.3e} before, {:.3e} after",
            scaled.ops.len(),
            before.error,
            after.error
        );
        for op in &scaled.ops {
            println!("  {op:?}");
        }
        assert!(!scaled.ops.is_empty());
        assert!(scaled.ops.iter().all(|op| op.after < op.before));
        assert!(after.error < before.error);
    }
    Ok(())
}

/// A program of products, sums and functions of numbers of very different sizes.
fn random(seed: u32) -> Result<(Verified, Vec<Tensor>), Failure> {
    const SIDE: usize = 16;
    let mut model = Model::new(seed);
    let sizes = [1e-4, 3e-3, 0.02, 0.2, 1.0, 7.0, 60.0];
    let mut pick = {
        let mut state = u64::from(seed) * 77 + 1;
        move |count: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % count
        }
    };
    let mut pool = Vec::new();
    for _ in 0..2 {
        let size = sizes[pick(sizes.len())];
        pool.push(model.input(&[1, SIDE, 6, SIDE], size)?);
    }
    for _ in 0..3 + pick(8) {
        let (x, y) = (pool[pool.len() - 1 - pick(pool.len().min(3))], pool[pick(pool.len())]);
        let size = sizes[pick(sizes.len())];
        let result: Result<ValueId, BuildError> = match pick(8) {
            0 | 1 => {
                let weight = model.constant(&[SIDE, SIDE], size)?;
                let bias = model.constant(&[SIDE], size)?;
                let op = model.f.op("linear").arg("x", x).arg("weight", weight);
                if pick(2) == 0 { op.arg("bias", bias).one() } else { op.one() }
            }
            2 => {
                let weight = model.constant(&[SIDE, SIDE, 3, 3], size)?;
                model.f.op("conv").arg("x", x).arg("weight", weight).string("pad_type", "same").one()
            }
            3 => {
                let scores = model.f.matmul(x, y, false, true)?;
                model.f.matmul(scores, y, false, false)
            }
            4 => model.f.add(x, y),
            5 => {
                let factor = model.f.constant(Constant::scalar(f16::from_f32(size as f32)));
                model.f.mul(x, factor)
            }
            6 => model.f.unary(["relu", "tanh", "sigmoid"][pick(3)], x),
            _ => model.f.op("softmax").arg("x", x).int("axis", -1).one(),
        };
        pool.push(result?);
    }
    let outputs: Vec<ValueId> = pool.iter().rev().take(2).copied().collect();
    model.finish(&outputs)
}

#[test]
fn nothing_gets_worse_in_random_programs() -> Result<(), Failure> {
    let (mut changed, mut products) = (0, 0);
    let (mut outputs, mut better, mut worse) = (0, 0, 0);
    for seed in 0..200 {
        let (program, inputs) = random(seed)?;
        let generation = AneGeneration::ALL[seed as usize % 5];
        let scaled = scaled(&program, &inputs, generation)?;
        changed += usize::from(!scaled.ops.is_empty());
        products += scaled.ops.len();
        if scaled.ops.is_empty() {
            continue;
        }
        // Inputs that the pass has not seen, of the same sizes: turned round.
        let others = inputs.iter().map(|input| -> Result<Tensor, Failure> {
            let mut values = input.as_slice::<f16>()?.to_vec();
            values.reverse();
            Ok(Tensor::new(input.shape().clone(), &values)?)
        });
        let others = others.collect::<Result<Vec<_>, _>>()?;
        let before = audited(&program, &others, generation)?.outputs;
        let after = audited(&scaled.program, &others, generation)?.outputs;
        for (after, before) in after.iter().zip(&before) {
            outputs += 1;
            let fewer = after.overflows < before.overflows;
            let same = after.overflows == before.overflows;
            better += usize::from(fewer || (same && after.error < 0.99 * before.error));
            worse += usize::from(!(fewer || same) || (same && after.error > 1.01 * before.error));
            if !(fewer || same) || after.error > 1.01 * before.error {
                println!("seed {seed}, {generation}: {before:?} {after:?}");
            }
        }
    }
    println!("{changed} of 200 programs changed, {products} products scaled");
    println!("on other inputs: {better} outputs better by a hundredth, {worse} worse, of {outputs}");
    assert!(changed > 20);
    assert!(worse * 20 < better);
    Ok(())
}

#[test]
fn audits_see_the_errors_of_tables() -> Result<(), Failure> {
    // Against the function of the very operands that the engine had, so without the rounding of those.
    for (op, least, most, grade) in [
        ("gelu", 2.3e-3, 2.5e-3, "exact"),
        ("silu", 7e-3, 9e-3, "exact"),
        ("sigmoid", 2.5e-3, 3.5e-3, "exact"),
        ("tanh", 1e-3, 1.4e-3, "exact"),
        ("exp", 4e-4, 1.2e-3, "exact"),
        ("softplus", 4e-4, 9e-4, "fitted"),
    ] {
        let mut model = Model::new(2);
        let x = model.input(&[64, 512], 1.0)?;
        let call = model.f.op(op).arg("x", x);
        let y = if op == "gelu" { call.string("mode", "EXACT").one()? } else { call.one()? };
        let (program, inputs) = model.finish(&[y])?;
        for generation in AneGeneration::ALL {
            let audit = audited(&program, &inputs, generation)?;
            let OpAudit { alone, grade: found, .. } = &audit.ops[0];
            assert!((least..most).contains(alone), "{op} on {generation}: {alone}");
            assert_eq!(found, grade, "{op} on {generation}");
        }
    }
    Ok(())
}

#[test]
fn faults_are_told() -> Result<(), Failure> {
    let (program, inputs) = random(1)?;
    let states = States::new();
    let all: Vec<&Tensor> = inputs.iter().collect();
    let message = |result: Result<Audit, _>| {
        result.err().map(|error: anemone_cpu::audit::AuditError| error.to_string())
    };
    let text = message(audit(&program, Some("nothing"), &all, &states, AneGeneration::H13));
    assert_eq!(text.as_deref(), Some("there is no function `nothing`; the program has: main"));
    let text = message(audit(&program, None, &all[..1], &states, AneGeneration::H13)).unwrap_or_default();
    assert!(text.starts_with("input 1 is missing"), "{text}");
    Ok(())
}
