//! Elementwise groups against plain loops: `cargo bench -p anemone-cpu --bench elementwise [NAME]`.
//!
//! One line per case and size: the best of many short runs (so that a busy machine shows as little as possible), and what
//! that is in bytes read and written. Small sizes stay in a cache; the largest one is as fast as memory.

#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use anemone_cpu::CpuBackend;
use anemone_runtime::{Backend, CompileOptions, Tensor};
use mil::{BuildError, FunctionBuilder, Opset, Program, TensorType, ValueId, verify};
use std::hint::black_box;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A program over vectors of some length, and how many vectors it reads and writes.
struct Case {
    name: &'static str,
    vectors: usize,
    build: fn(&mut FunctionBuilder, usize) -> Result<Vec<ValueId>, BuildError>,
}

const CASES: &[Case] = &[
    Case { name: "add", vectors: 3, build: |f, n| Ok(vec![add(f, n)?]) },
    Case { name: "gelu", vectors: 2, build: |f, n| unary(f, n, "gelu") },
    Case { name: "tanh", vectors: 2, build: |f, n| unary(f, n, "tanh") },
    Case { name: "swiglu", vectors: 3, build: swiglu },
    Case { name: "adamw", vectors: 7, build: adamw },
];

const SIZES: [usize; 5] = [1, 1 << 10, 1 << 14, 1 << 18, 1 << 22];

fn input(f: &mut FunctionBuilder, name: &str, n: usize) -> Result<ValueId, BuildError> {
    f.input(name, TensorType::fp32([n]))
}

fn add(f: &mut FunctionBuilder, n: usize) -> Result<ValueId, BuildError> {
    let (x, y) = (input(f, "x", n)?, input(f, "y", n)?);
    f.add(x, y)
}

fn unary(f: &mut FunctionBuilder, n: usize, op: &str) -> Result<Vec<ValueId>, BuildError> {
    let x = input(f, "x", n)?;
    Ok(vec![f.op(op).arg("x", x).one()?])
}

fn swiglu(f: &mut FunctionBuilder, n: usize) -> Result<Vec<ValueId>, BuildError> {
    let (gate, up) = (input(f, "gate", n)?, input(f, "up", n)?);
    let gate = f.op("silu").arg("x", gate).one()?;
    Ok(vec![f.mul(gate, up)?])
}

/// One step of AdamW: parameter and moments are states, updated in place.
fn adamw(f: &mut FunctionBuilder, n: usize) -> Result<Vec<ValueId>, BuildError> {
    let gradient = input(f, "gradient", n)?;
    let rate = f.input("rate", TensorType::fp32([]))?;
    let read = |f: &mut FunctionBuilder, name: &str| {
        let state = f.state(name, TensorType::fp32([n]))?;
        Ok::<_, BuildError>((state, f.op("read_state").arg("input", state).one()?))
    };
    let ((p_state, p), (m_state, m), (v_state, v)) = (read(f, "p")?, read(f, "m")?, read(f, "v")?);
    let (m_old, m_new) = (f.mul(m, 0.9)?, f.mul(gradient, 0.1)?);
    let m = f.add(m_old, m_new)?;
    let square = f.op("square").arg("x", gradient).one()?;
    let (v_old, v_new) = (f.mul(v, 0.999)?, f.mul(square, 0.001)?);
    let v = f.add(v_old, v_new)?;
    let root = f.op("sqrt").arg("x", v).one()?;
    let root = f.add(root, 1e-8)?;
    let direction = f.op("real_div").arg("x", m).arg("y", root).one()?;
    let decay = f.mul(p, 0.01)?;
    let direction = f.add(direction, decay)?;
    let step = f.mul(direction, rate)?;
    let p = f.sub(p, step)?;
    for (state, value) in [(p_state, p), (m_state, m), (v_state, v)] {
        f.op("coreml_update_state").arg("state", state).arg("value", value).one()?;
    }
    Ok(Vec::new())
}

/// The best time of one call.
fn best(mut call: impl FnMut() -> Outcome<()>) -> Outcome<Duration> {
    let (begin, mut best) = (Instant::now(), Duration::MAX);
    while begin.elapsed() < Duration::from_millis(400) {
        let start = Instant::now();
        call()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn report(name: &str, size: usize, vectors: usize, time: Duration) {
    let rate = (vectors * size * 4) as f64 / time.as_secs_f64() / 1e9;
    let per_element = time.as_secs_f64() * 1e9 / size as f64;
    println!(
        "{name:12} {size:9} {:12.2} us {rate:8.2} GB/s {per_element:9.3} ns/element",
        time.as_secs_f64() * 1e6
    );
}

fn run(backend: &CpuBackend, case: &Case, size: usize) -> Outcome<()> {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let outputs = (case.build)(&mut f, size)?;
    let program = verify(Program::single(f.finish(&outputs)?)).map_err(|faults| format!("{faults:?}"))?;
    let mut executable = backend.compile(&program, &CompileOptions::default())?;
    let inputs: Outcome<Vec<Tensor>> = executable
        .inputs()
        .iter()
        .map(|feature| {
            let value = |i: usize| (i % 1000) as f32 * 0.006 - 3.0;
            let values: Vec<f32> = (0..feature.ty.shape.count()).map(value).collect();
            Ok(Tensor::new(feature.ty.shape.clone(), &values)?)
        })
        .collect();
    let inputs = inputs?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let mut outputs = executable.new_outputs()?;
    let time = best(|| Ok(executable.run(&inputs, &mut outputs)?))?;
    report(case.name, size, case.vectors, time);
    Ok(())
}

/// The same sum in a loop that the compiler vectorises for the baseline of the target, on one thread.
fn plain(size: usize) -> Outcome<()> {
    let (x, y, mut sum) = (vec![1.0f32; size], vec![2.0f32; size], vec![0.0f32; size]);
    let time = best(|| {
        for ((sum, x), y) in sum.iter_mut().zip(&x).zip(&y) {
            *sum = x + y;
        }
        black_box(&mut sum);
        Ok(())
    })?;
    report("add (plain)", size, 3, time);
    Ok(())
}

fn main() -> Outcome<()> {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let backend = CpuBackend::new()?;
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        for size in SIZES {
            run(&backend, case, size)?;
            if case.name == "add" {
                plain(size)?;
            }
        }
    }
    Ok(())
}
