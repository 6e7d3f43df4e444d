//! The simulated engine: its numbers, its split with the host, its limits, its meter.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::{CHIPS, Chip, Convolution};
use anemone_ane::cost::{EstimateOptions, Path, compile_time, estimate, estimate_parts};
use anemone_ane::simulated::{HostWork, SimulatedEngine, SimulatedOptions, Stages, generation};
use anemone_cpu::{AneGeneration, CpuBackend, Numerics};
use anemone_runtime::{Backend, CompileError, CompileOptions, States, Tensor};
use half::f16;
use mil::{Constant, FunctionBuilder, Opset, Program, TensorType, Verified, verify};
use std::sync::Arc;

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
    // Compiling is another clock, and the host has nothing to do.
    let compile = compile_time(engine.chip(), 2, one.weight_bytes);
    assert_eq!(meter.compile_seconds, compile.mid, "once, whatever the calls");
    assert_eq!((meter.compile_seconds_low, meter.compile_seconds_high), (compile.low, compile.high));
    assert_eq!((meter.host_operations, meter.host_bytes), (0, 0));
    let copied = EstimateOptions { host_copy: true, ..EstimateOptions::default() };
    let copied = estimate(&program, "main", engine.chip(), &copied).unwrap().terms.host_copy_us;
    assert!((meter.copy_seconds / (3e-6 * copied) - 1.0).abs() < 1e-9, "{}", meter.copy_seconds);
    // A call that fails is no call.
    assert!(executable.call(&[&ramp([1, 64, 128])]).is_err());
    assert_eq!(engine.meter().unwrap(), meter);
}

#[test]
fn what_the_host_does_is_counted() {
    let program = self::program(MIXED);
    let engine = self::engine("M5", SimulatedOptions::default());
    let mut executable = engine.compile(&program, &CompileOptions::default()).unwrap();
    let x = Tensor::new([1, 8, 16, 16], &[f16::from_f32(0.5); 2048]).unwrap();
    for calls in 1..=2 {
        executable.call(&[&x]).unwrap();
        let meter = engine.meter().unwrap();
        // A cast of 2048 elements from 2 bytes to 4, the sum of two such tensors, a cast back.
        let bytes = 2048 * ((2 + 4) + 3 * 4 + (4 + 2));
        assert_eq!((meter.host_operations, meter.host_bytes), (3 * calls, bytes * calls));
        assert_eq!((meter.on_device, meter.on_host), (3, 3), "of the function, not of the calls");
    }
}

/// Two chains that change sides: engine, host, engine, and host, engine, host.
const CROSSED: &str = "(tensor<fp16, [1, 8, 16, 16]> x, tensor<fp32, [1, 8, 16, 16]> y) {
    tensor<fp16, [1, 8, 16, 16]> a = relu(x = x);
    tensor<fp32, [1, 8, 16, 16]> b = cast(x = a, dtype = string(\"fp32\"));
    tensor<fp32, [1, 8, 16, 16]> c = add(x = b, y = b);
    tensor<fp16, [1, 8, 16, 16]> d = cast(x = c, dtype = string(\"fp16\"));
    tensor<fp16, [1, 8, 16, 16]> e = sigmoid(x = d);
    tensor<fp32, [1, 8, 16, 16]> p = mul(x = y, y = y);
    tensor<fp16, [1, 8, 16, 16]> q = cast(x = p, dtype = string(\"fp16\"));
    tensor<fp16, [1, 8, 16, 16]> r = tanh(x = q);
    tensor<fp32, [1, 8, 16, 16]> s = cast(x = r, dtype = string(\"fp32\"));
    tensor<fp32, [1, 8, 16, 16]> t = add(x = s, y = s);
} -> (e, t);";

#[test]
fn there_are_as_few_programs_as_the_order_allows() {
    let program = self::program(CROSSED);
    let stages = Stages::new(&program.functions[0], Chip::named("M5").unwrap());
    // `r` waits for the host, but for nothing of the engine's: it is in the first program.
    assert_eq!(stages.parts(), [vec![0, 7], vec![4]]);
    assert_eq!(stages.host(), [1, 2, 3, 5, 6, 8, 9]);
}

/// The host writes a state, and the engine works on what was written.
const WRITTEN: &str = "(state<tensor<fp16, [1, 8, 16, 16]>> memory, tensor<fp16, [1, 8, 16, 16]> x) {
    tensor<fp16, [1, 8, 16, 16]> before = read_state(input = memory);
    tensor<fp16, [1, 8, 16, 16]> a = add(x = before, y = x);
    tensor<fp32, [1, 8, 16, 16]> wide = cast(x = a, dtype = string(\"fp32\"));
    tensor<fp32, [1, 8, 16, 16]> doubled = add(x = wide, y = wide);
    tensor<fp16, [1, 8, 16, 16]> narrow = cast(x = doubled, dtype = string(\"fp16\"));
    tensor<fp16, [1, 8, 16, 16]> stored = coreml_update_state(state = memory, value = narrow);
    tensor<fp16, [1, 8, 16, 16]> after = read_state(input = memory);
    tensor<fp16, [1, 8, 16, 16]> y = relu(x = after);
} -> (y);";

#[test]
fn what_is_read_from_a_state_waits_for_what_was_written() {
    let program = self::program(WRITTEN);
    let stages = Stages::new(&program.functions[0], Chip::named("M5").unwrap());
    assert_eq!(stages.parts(), [vec![1], vec![7]], "`relu` needs what the host wrote");
    assert_eq!(stages.on_host(), 3, "states are no work of the host");
}

/// A state that stays on the engine is not copied by the host; one that the host makes is.
#[test]
fn the_host_copies_what_it_hands_over() {
    let resident = self::program(
        "(state<tensor<fp16, [1, 8, 16, 16]>> memory, tensor<fp16, [1, 8, 16, 16]> x) {
            tensor<fp16, [1, 8, 16, 16]> before = read_state(input = memory);
            tensor<fp16, [1, 8, 16, 16]> y = add(x = before, y = x);
            tensor<fp16, [1, 8, 16, 16]> stored = coreml_update_state(state = memory, value = y);
        } -> (y);",
    );
    let copies = |program: &Verified| {
        let engine = self::engine("M5", SimulatedOptions::default());
        let mut executable = engine.compile(program, &CompileOptions::default()).unwrap();
        executable.call(&[&Tensor::zeros(TensorType::fp16([1, 8, 16, 16])).unwrap()]).unwrap();
        engine.meter().unwrap().copy_seconds
    };
    // `x` and `y`; with the host's work `before`, `x` and `a`, and `after` and `y`, for the memory is what the host
    // has written.
    let (two, more) = (copies(&resident), copies(&self::program(WRITTEN)));
    assert!((more / two - 2.5).abs() < 1e-9, "{more} {two}");
}

/// Parts have ports of their own: what one gives to another is no traffic within either, and no copy of the host.
#[test]
fn a_part_costs_what_it_would_as_a_program() {
    let whole = self::program(
        "(tensor<fp16, [1, 64, 256, 256]> x) {
            tensor<fp16, [1, 64, 256, 256]> a = sigmoid(x = x);
            tensor<fp16, [1, 64, 256, 256]> b = tanh(x = a);
        } -> (b);",
    );
    let alone = self::program(
        "(tensor<fp16, [1, 64, 256, 256]> x) { tensor<fp16, [1, 64, 256, 256]> a = sigmoid(x = x); } -> (a);",
    );
    let chip = Chip::named("M1").unwrap();
    let parts = [vec![0], vec![1]];
    let cost = |options: &EstimateOptions| estimate_parts(&whole.functions[0], &parts, chip, options);
    let options = EstimateOptions::default();
    let one = estimate(&alone, "main", chip, &options).unwrap();
    for part in cost(&options) {
        let apart = part.latency_ms.mid / one.latency_ms.mid - 1.0;
        assert!(apart.abs() < 1e-9, "{} and {} ms", part.latency_ms.mid, one.latency_ms.mid);
    }
    // The caller's tensors are copied, what passes between the parts is not.
    let copied = EstimateOptions { host_copy: true, ..options };
    let both = estimate(&alone, "main", chip, &copied).unwrap().terms.host_copy_us;
    for part in cost(&copied) {
        assert!((part.terms.host_copy_us / (both / 2.0) - 1.0).abs() < 1e-9, "{:?}", part.terms);
    }
}

/// An activation is part of the product before it only where both are in one program.
#[test]
fn nothing_is_fused_across_a_cut() {
    let program = self::program(PRODUCT);
    let chip = Chip::named("M4").unwrap();
    let cut = estimate_parts(&program.functions[0], &[vec![0], vec![1]], chip, &EstimateOptions::default());
    let whole = estimate_parts(&program.functions[0], &[vec![0, 1]], chip, &EstimateOptions::default());
    assert_eq!(whole[0].ops[1].time_us, 0.0);
    assert!(cut[1].ops[0].time_us > 0.0, "{:?}", cut[1].ops);
    // Nothing is a program too, and so is what is not there.
    let none = [vec![], vec![2, usize::MAX]];
    let none = estimate_parts(&program.functions[0], &none, chip, &EstimateOptions::default());
    assert!(none.iter().all(|part| part.ops.is_empty() && part.latency_ms.mid > 0.0));
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
    // Ports of other types are converted by a host; here there is none.
    let wide = self::program(
        "(tensor<int32, [1, 8, 16, 16]> x) {
            tensor<fp16, [1, 8, 16, 16]> a = cast(x = x, dtype = string(\"fp16\"));
            tensor<fp16, [1, 8, 16, 16]> b = relu(x = a);
        } -> (b);",
    );
    let error = strict.compile(&wide, &CompileOptions::default()).err().unwrap().to_string();
    assert!(error.contains("`x`") || error.contains("`a`"), "{error}");
    let state = self::program(
        "(state<tensor<fp32, [4]>> memory, tensor<fp16, [4]> x) {
            tensor<fp32, [4]> held = read_state(input = memory);
            tensor<fp32, [4]> stored = coreml_update_state(state = memory, value = held);
            tensor<fp16, [4]> y = relu(x = x);
        } -> (y);",
    );
    let error = strict.compile(&state, &CompileOptions::default()).err().unwrap().to_string();
    assert!(error.contains("`memory`") && error.contains("io-type"), "{error}");
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
    let meter = leaking.meter().unwrap();
    assert_eq!(meter.compiled, 119);
    let one = estimate(&program, "main", leaking.chip(), &direct).unwrap();
    let one = compile_time(leaking.chip(), 2, one.weight_bytes).mid;
    assert!((meter.compile_seconds / (119.0 * one) - 1.0).abs() < 1e-9, "{}", meter.compile_seconds);
}

/// A compilation that fails leaves slots, meter and states as they were.
#[test]
fn what_cannot_be_compiled_costs_nothing() {
    let program = self::program(WRITTEN);
    let engine = self::engine("M1", SimulatedOptions::default());
    let fresh = engine.meter().unwrap();
    let held = States::new();
    held.ensure("memory", &TensorType::fp16([3])).unwrap();
    for _ in 0..100 {
        let error = engine.compile(&program, &CompileOptions::sharing(&held)).err().unwrap();
        assert!(matches!(error, CompileError::State { .. }), "{error}");
    }
    assert_eq!(engine.meter().unwrap(), fresh);
    // Two programs each: 64 functions, if none of the slots above was kept.
    let all: Vec<_> =
        (0..64).map(|_| engine.compile(&program, &CompileOptions::default()).unwrap()).collect();
    let states = States::new();
    let error = engine.compile(&program, &CompileOptions::sharing(&states)).err().unwrap();
    assert!(matches!(error, CompileError::Limit(_)), "{error}");
    assert!(states.names().is_empty(), "a refused compilation added states");
    assert_eq!(engine.meter().unwrap().compiled, 2 * all.len() as u64);
}

/// Threads that compile at once never hold more programs than fit.
#[test]
fn limits_hold_for_threads_together() {
    let program = self::program(PRODUCT);
    let direct = EstimateOptions { path: Path::Direct, ..EstimateOptions::default() };
    let engine = self::engine("M1", SimulatedOptions { estimate: direct, ..SimulatedOptions::default() });
    let compiled: usize = std::thread::scope(|scope| {
        let one = || (0..40).filter(|_| engine.compile(&program, &CompileOptions::default()).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(compiled, 119);
    assert_eq!(engine.meter().unwrap().compiled, 119);
}

/// From 3.4 GB of constants on, all compilations were seen to fail.
#[test]
fn a_program_holds_so_many_constants() {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let mut x = f.input("x", TensorType::fp16([1, 16384])).unwrap();
    let ty = TensorType::fp16([16384, 16384]);
    let weight = Constant::from_storage(ty.clone(), Arc::new(vec![0u8; ty.bytes()])).unwrap();
    for _ in 0..7 {
        let weight = f.constant(weight.clone());
        x = f.op("linear").arg("x", x).arg("weight", weight).one().unwrap();
    }
    f.name(x, "y");
    let program = verify(Program::single(f.finish(&[x]).unwrap())).unwrap();
    let engine = self::engine("M5", SimulatedOptions::default());
    let error = engine.compile(&program, &CompileOptions::default()).err().unwrap();
    assert!(
        matches!(&error, CompileError::Limit(text) if text.contains("3.76 GB") && !text.contains("  ")),
        "{error}"
    );
    assert_eq!(engine.meter().unwrap().compiled, 0);
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
