//! The simulated engine: its numbers, its split with the host, its limits, its meter.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::{CHIPS, Chip, Convolution};
use anemone_ane::cost::{EstimateOptions, Path, estimate};
use anemone_ane::simulated::{HostWork, SimulatedEngine, SimulatedOptions, Stages, generation};
use anemone_cpu::{AneGeneration, CpuBackend, Numerics};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{Program, Verified, verify};

fn program(body: &str) -> Verified {
    let text = format!("program(1.3) {{ func main<ios18>{body} }}");
    let program: Program = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(program).unwrap()
}

fn engine(chip: &str, options: SimulatedOptions) -> SimulatedEngine {
    SimulatedEngine::new(Chip::named(chip).unwrap(), SimulatedOptions { threads: 1, ..options }).unwrap()
}

/// All of it is the engine's.
const PRODUCT: &str = "(tensor<fp16, [1, 64, 128]> x, tensor<fp16, [1, 128, 96]> w) {
    tensor<fp16, [1, 64, 96]> product = matmul(x = x, y = w, transpose_x = bool(false), transpose_y = bool(false));
    tensor<fp16, [1, 64, 96]> y = relu(x = product);
} -> (y);";

/// The engine, the host in fp32, the engine again, and something of the engine's that depends on neither.
const MIXED: &str = "(tensor<fp16, [1, 8, 16, 16]> x) {
    tensor<fp16, [1, 8, 16, 16]> a = relu(x = x);
    tensor<fp32, [1, 8, 16, 16]> wide = cast(x = a, dtype = string(\"fp32\"));
    tensor<fp32, [1, 8, 16, 16]> doubled = add(x = wide, y = wide);
    tensor<fp16, [1, 8, 16, 16]> narrow = cast(x = doubled, dtype = string(\"fp16\"));
    tensor<fp16, [1, 8, 16, 16]> aside = sigmoid(x = x);
    tensor<fp16, [1, 8, 16, 16]> b = mul(x = narrow, y = aside);
} -> (b);";

fn ramp(shape: [usize; 3]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values: Vec<f16> =
        (0..count).map(|i| f16::from_f32(((i * 37 % 101) as f32 - 50.0) / 900.0)).collect();
    Tensor::new(shape, &values).unwrap()
}

#[test]
fn it_computes_with_the_numbers_of_its_generation() {
    let program = self::program(PRODUCT);
    let (x, w) = (ramp([1, 64, 128]), ramp([1, 128, 96]));
    let bits = |backend: &dyn Backend| {
        let mut executable = backend.compile(&program, &CompileOptions::default()).unwrap();
        executable.call(&[&x, &w]).unwrap()[0].bytes().to_vec()
    };
    let cpu = CpuBackend::with_threads(1).unwrap();
    let simulated = bits(&engine("M1", SimulatedOptions::default()));
    assert_eq!(simulated, bits(&cpu.clone().numerics(Numerics::Ane(AneGeneration::H13))));
    assert_ne!(simulated, bits(&cpu), "products this small are flushed by the engine");
}

#[test]
fn every_call_costs_what_is_estimated() {
    let program = self::program(PRODUCT);
    let engine = self::engine("M4", SimulatedOptions::default());
    let mut executable = engine.compile(&program, &CompileOptions::default()).unwrap();
    for _ in 0..3 {
        executable.call(&[&ramp([1, 64, 128]), &ramp([1, 128, 96])]).unwrap();
    }
    let meter = engine.meter().unwrap();
    let one = estimate(&program, "main", engine.chip(), &EstimateOptions::default()).unwrap();
    assert_eq!((meter.calls, meter.dispatches, meter.compiled), (3, 3, 1));
    assert_eq!((meter.on_device, meter.on_host), (2, 0));
    assert!((meter.seconds / (3e-3 * one.latency_ms.mid) - 1.0).abs() < 1e-9, "{meter:?} {one:?}");
    assert!((meter.millijoules / (3.0 * one.energy_mj.mid) - 1.0).abs() < 1e-9);
    assert!(meter.seconds_low < meter.seconds && meter.seconds < meter.seconds_high);
}

#[test]
fn what_is_not_the_engines_is_the_hosts() {
    let program = self::program(MIXED);
    let stages = Stages::new(&program.functions[0], Chip::named("M5").unwrap());
    // `aside` waits for nothing, so it is in the first program.
    assert_eq!(stages.parts(), [vec![0, 4], vec![5]]);
    let hosted: Vec<_> = stages.reasons().map(|hosted| hosted.value.as_str()).collect();
    assert_eq!(hosted, ["wide", "doubled", "narrow"]);

    let engine = self::engine("M5", SimulatedOptions::default());
    let mut executable = engine.compile(&program, &CompileOptions::default()).unwrap();
    let x = Tensor::new([1, 8, 16, 16], &[f16::from_f32(0.5); 2048]).unwrap();
    executable.call(&[&x]).unwrap();
    assert_eq!(engine.meter().unwrap().dispatches, 2);

    let strict = engine_that_refuses("M5");
    let error = strict.compile(&program, &CompileOptions::default()).err().unwrap().to_string();
    assert!(error.contains("`wide`") && error.contains("M5 would not run it"), "{error}");
    let whole = self::program(PRODUCT);
    assert!(strict.compile(&whole, &CompileOptions::default()).is_ok());
}

fn engine_that_refuses(chip: &str) -> SimulatedEngine {
    engine(chip, SimulatedOptions { host: HostWork::Refused, ..SimulatedOptions::default() })
}

#[test]
fn a_process_holds_so_many_programs() {
    let program = self::program(PRODUCT);
    let full = engine("M1", SimulatedOptions::default());
    let mut held = Vec::new();
    let error = loop {
        match full.compile(&program, &CompileOptions::default()) {
            Ok(executable) => held.push(executable),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(held.len(), 128);
    assert!(error.contains("holds 128 programs") && error.contains("drop"), "{error}");
    held.pop();
    assert!(full.compile(&program, &CompileOptions::default()).is_ok(), "a program was unloaded");

    // On the in-memory route what was compiled counts, loaded or not.
    let direct = EstimateOptions { path: Path::Direct, ..EstimateOptions::default() };
    let leaking = engine("M1", SimulatedOptions { estimate: direct, ..SimulatedOptions::default() });
    let compiled =
        (0..200).take_while(|_| leaking.compile(&program, &CompileOptions::default()).is_ok()).count();
    assert_eq!(compiled, 119);
}

#[test]
fn every_chip_that_takes_mil_is_simulated() {
    for chip in CHIPS {
        let built =
            SimulatedEngine::new(chip, SimulatedOptions { threads: 1, ..SimulatedOptions::default() });
        match (generation(chip), chip.family().limits()) {
            (Some(generation), Some(_)) => {
                assert!(built.is_ok(), "{}", chip.name);
                let winograd = match chip.convolution {
                    Convolution::Direct => false,
                    Convolution::Winograd => true,
                    Convolution::Unknown => continue,
                };
                assert_eq!(generation.has_winograd(), winograd, "{}", chip.name);
            }
            (None, None) => {
                let error = built.err().unwrap().to_string();
                assert!(error.contains(chip.name) && error.contains("cannot be simulated"), "{error}");
            }
            other => panic!("{}: {other:?}", chip.name),
        }
    }
}
