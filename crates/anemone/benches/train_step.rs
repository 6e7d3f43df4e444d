//! Time of one training step on the CPU, for comparison with `benches/torch_train.py`.
//!
//! `cargo bench -p anemone --bench train_step -- stories15m 4 256 [steps] [fp16] [profile]` or `-- cifar 64`.
//! Prints one JSON object; with `profile` also where the time went, by op.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anemone::cpu::CpuBackend;
use anemone::mil::DataType;
use anemone::nn::models::{CifarCnn, Llama};
use anemone::nn::optim::{AdamW, Optimizer};
use anemone::nn::train::{LossScaling, Model, Precision, Programs, StepOptions, programs};
use anemone::runtime::{CompileOptions, Executable, States, Tensor};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let name = words.first().map_or("stories15m", String::as_str);
    let batch = numbers.first().copied().unwrap_or(4);
    let (model, steps): (Box<dyn Model>, usize) = match Llama::preset(name) {
        Some(llama) => {
            let seq_len = numbers.get(1).copied().unwrap_or(256);
            (Box::new(Llama { seq_len, ..llama }), numbers.get(2).copied().unwrap_or(10))
        }
        None => (Box::new(CifarCnn::new()), numbers.get(1).copied().unwrap_or(10)),
    };
    let mut options = StepOptions {
        optimizer: Optimizer::AdamW(AdamW::default()),
        clip_norm: Some(1.0),
        ..StepOptions::default()
    };
    if words.iter().any(|word| word == "fp16") {
        options.precision = Precision::Fp16(LossScaling::default());
    }
    run(name, &*model, batch, steps, &options, words.iter().any(|word| word == "profile"))
}

fn run(
    name: &str,
    model: &dyn Model,
    batch: usize,
    steps: usize,
    options: &StepOptions,
    profile: bool,
) -> Result<(), Failure> {
    let started = Instant::now();
    let built = programs(model, batch, options)?;
    let states = States::new();
    for spec in &built.states {
        states.ensure(&spec.name, &spec.ty)?;
        states.set(&spec.name, &spec.init.tensor(&spec.ty, 0, &spec.name)?)?;
    }
    let compile = CompileOptions::sharing(&states).function(Programs::TRAIN);
    let mut executable = CpuBackend::new()?.compile_cpu(&built.program, &compile)?;
    let compiled = started.elapsed();
    let inputs = inputs(&executable, model, batch)?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let mut outputs = executable.new_outputs()?;
    executable.run(&inputs, &mut outputs)?;
    if profile {
        executable.start_profile();
    }
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps {
        let start = Instant::now();
        executable.run(&inputs, &mut outputs)?;
        times.push(start.elapsed());
    }
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (best, median) = (times.first().copied(), times.get(times.len() / 2).copied());
    println!(
        "{{\"model\": \"{name}\", \"batch\": {batch}, \"parameters\": {}, \"best_ms\": {:.1}, \"median_ms\": {:.1}, \"compile_ms\": {:.1}, \"steps_in_program\": {}, \"arena_mib\": {}, \"states_mib\": {}, \"peak_rss_mib\": {}, \"loss\": {}}}",
        built.parameter_count(),
        ms(best.unwrap_or_default()),
        ms(median.unwrap_or_default()),
        ms(compiled),
        executable.step_count(),
        executable.arena_bytes() >> 20,
        states.bytes() >> 20,
        peak_rss_mib().unwrap_or(0),
        outputs[0].item()?,
    );
    if profile {
        print_profile(&executable, steps);
    }
    Ok(())
}

/// Inputs of the right types with plausible contents: token ids and labels below 10, pixels in a ramp.
fn inputs(executable: &dyn Executable, model: &dyn Model, batch: usize) -> Result<Vec<Tensor>, Failure> {
    let mut tensors = Vec::new();
    for ((_, ty), feature) in model.inputs(batch).into_iter().zip(executable.inputs()) {
        let mut tensor = Tensor::zeros(feature.ty.clone())?;
        match ty.dtype {
            DataType::Int32 => {
                let data = tensor.as_mut_slice::<i32>()?;
                data.iter_mut().enumerate().for_each(|(i, value)| *value = (i * 7 % 10) as i32);
            }
            _ => {
                let data = tensor.as_mut_slice::<f32>()?;
                data.iter_mut().enumerate().for_each(|(i, value)| *value = (i % 97) as f32 / 48.5 - 1.0);
            }
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn print_profile(executable: &anemone::cpu::CpuExecutable, steps: usize) {
    let mut by_kind: BTreeMap<String, (Duration, usize)> = BTreeMap::new();
    for step in executable.profile() {
        let entry = by_kind.entry(format!("{} {}", step.op, step.types)).or_default();
        entry.0 += step.time;
        entry.1 += 1;
    }
    let mut rows: Vec<_> = by_kind.into_iter().collect();
    rows.sort_by_key(|(_, (time, _))| std::cmp::Reverse(*time));
    for (kind, (time, count)) in rows.into_iter().take(40) {
        let shortened: String = kind.chars().take(150).collect();
        println!("{:9.3} ms  x{count:<4} {shortened}", time.as_secs_f64() * 1e3 / steps as f64);
    }
}

/// The process's peak memory, from Linux's `/proc`.
fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
}
