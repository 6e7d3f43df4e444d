//! `anemone simulate`: the same training run in `fp32`, in IEEE's `fp16`, and on simulated engines, and how far they part.

use crate::args::{DeviceArgs, Dtype, SimulateArgs, TrainArgs};
use crate::check;
use crate::config::RunConfig;
use crate::device;
use crate::error::CliError;
use crate::interrupt;
use crate::output::{Output, duration};
use crate::plan::Plan;
use crate::progress::{Outlook, Watcher};
use crate::report::{compiling, count, meter_json, on_the_host};
use crate::source::{self, Source};
use crate::train::fitted;
use anemone::Device;
use anemone::ane::chips::Chip;
use anemone::ane::simulated::generation;
use anemone::nn::tokenizer::Tokenizer;
use anemone::nn::train::{Data, Event, LossScaling, Outcome, Precision, Trainer};
use anemone::runtime::Meter;
use serde_json::json;

/// One run of the comparison.
struct Run {
    name: String,
    /// Training loss of each step.
    losses: Vec<f32>,
    held_out: Option<f32>,
    /// Wall-clock seconds here.
    seconds: f64,
    meter: Option<Meter>,
}

/// Runs the command.
pub(crate) fn simulate(args: &mut SimulateArgs, out: &mut Output) -> Result<(), CliError> {
    let chips = chips(&args.chips)?;
    if args.fresh.dtype == Some(Dtype::Fp32) {
        return Err(CliError::usage(
            "--dtype fp32 cannot be simulated: the engine computes in fp16",
            "leave --dtype out; a run in fp32 is made for comparison in any case",
        ));
    }
    if args.fresh.out.is_some() {
        return Err(CliError::usage(
            "--out is for `anemone train`: nothing is saved here",
            "leave --out out",
        ));
    }
    let train = TrainArgs {
        task: Some(args.task),
        resume: None,
        fresh: std::mem::take(&mut args.fresh),
        steps: args.steps,
        eval_every: Some(u64::MAX),
        save_every: Some(u64::MAX),
        device: DeviceArgs { device: None, threads: args.threads },
        quiet: args.quiet,
    };
    let plan = Plan::new(args.task, &train)?;
    out.say(&format!("data     {}", plan.data.describe()))?;
    let tokenizer = source::new_tokenizer(&plan.data, plan.tokenizer.as_deref(), plan.vocab)?;
    let vocab_size = tokenizer.as_ref().map_or(plan.model.vocab_size(), Tokenizer::vocab_size);
    let source = Source::open(&plan.data, tokenizer.as_ref(), vocab_size)?;
    interrupt::check()?;
    let model = fitted(plan.model, &source, vocab_size);
    let kind = tokenizer.as_ref().map(source::kind_of);
    let config = RunConfig::new(args.task, plan.data, model, kind, plan.options);
    config.check().map_err(CliError::failed)?;
    let data = source.batches(&config.options, config.model.seq_len())?;
    out.say(&format!("model    {}", config.model.describe()))?;
    out.say(&format!("steps    {}, the same batches and first weights in every run", config.options.steps))?;

    let half = Precision::Fp16(LossScaling::default());
    let mut plans = vec![
        ("fp32".to_string(), Device::Cpu, Precision::Fp32),
        ("fp16, IEEE".to_string(), Device::Cpu, half),
    ];
    plans.extend(chips.into_iter().map(|device| (device_name(device), device, half)));
    let mut runs: Vec<Run> = Vec::new();
    for (name, device, precision) in plans {
        out.say(&format!("\n{name}"))?;
        let run = one(name, device, precision, &config, &*data, args.threads, out)?;
        out.json(&json!({
            "event": "run", "name": run.name, "held_out_loss": run.held_out, "losses": run.losses,
            "seconds": run.seconds, "simulated": run.meter.as_ref().map(meter_json),
        }))?;
        runs.push(run);
    }
    table(&runs, out)
}

fn device_name(device: Device) -> String {
    match device {
        Device::Simulated(chip) => chip.name.to_string(),
        other => other.to_string(),
    }
}

fn chips(names: &[String]) -> Result<Vec<Device>, CliError> {
    // Before anything runs: chips that no MIL program reaches are none to simulate.
    let one = |chip: &'static Chip| match generation(chip) {
        Some(_) => Ok(Device::Simulated(chip)),
        None => Err(CliError::usage(
            format!("the engine of {} cannot be simulated: no MIL program reaches it", chip.name),
            "--chips m1,m5",
        )),
    };
    check::chips(names)?.into_iter().map(one).collect()
}

/// Trains once.
fn one(
    name: String,
    device: Device,
    precision: Precision,
    config: &RunConfig,
    data: &dyn Data,
    threads: Option<usize>,
    out: &mut Output,
) -> Result<Run, CliError> {
    let device = DeviceArgs { device: Some(device.to_string()), threads };
    let running = device::choose(&device)?.start()?;
    let mut options = config.options.clone();
    options.step.precision = precision;
    let outlook = Outlook {
        first: 0,
        steps: options.steps,
        unit: data.unit(),
        must_be_finite: options.step.precision == Precision::Fp32,
    };
    let mut trainer = Trainer::new(config.model.model(), data, &*running.backend, options)?;
    let (mut losses, mut meter) = (Vec::new(), None);
    let mut watcher = Watcher::new(out, outlook);
    let report = trainer.run(&mut |event| {
        if let Event::Step { values, .. } = &event {
            losses.push(values.get("loss").copied().unwrap_or(f32::NAN));
            // What comes after the last step is evaluation.
            meter = running.backend.meter();
        }
        watcher.observe(&event)
    });
    watcher.finish()?;
    let report = report?;
    if report.outcome == Outcome::Stopped {
        return Err(CliError::Interrupted);
    }
    let held_out = report.held_out.as_ref().map(|evaluation| evaluation.loss());
    Ok(Run { name, losses, held_out, seconds: report.seconds, meter })
}

/// Largest and mean distance of two runs' losses, as parts of the second's.
fn drift(run: &Run, from: &Run) -> (f64, f64) {
    let apart =
        run.losses.iter().zip(&from.losses).map(|(a, b)| f64::from((a - b).abs() / b.abs().max(1e-12)));
    let (mut largest, mut sum, mut count) = (0.0, 0.0, 0);
    for part in apart {
        // `max` would lose what is not a number.
        largest = if part.is_nan() || part > largest { part } else { largest };
        sum += part;
        count += 1;
    }
    (largest, sum / f64::from(count.max(1)))
}

fn table(runs: &[Run], out: &mut Output) -> Result<(), CliError> {
    let drifts: Vec<_> = runs
        .iter()
        .enumerate()
        .flat_map(|(at, run)| runs[..at].iter().map(move |from| (run, from, drift(run, from))))
        .map(|(run, from, (largest, mean))| {
            json!({"run": run.name, "from": from.name, "largest": largest, "mean": mean})
        })
        .collect();
    out.json(&json!({"event": "end", "drifts": drifts}))?;
    if out.is_json() {
        return Ok(());
    }
    out.result("")?;
    let mut head = format!(
        "{:<12} {:>10} {:>10} {:>8} {:>12} {:>10}",
        "run", "train loss", "held-out", "here", "a step there", "a step"
    );
    for from in runs.iter().take(runs.len().saturating_sub(1)) {
        head += &format!("  {:>12}", format!("to {}", from.name));
    }
    out.result(&head)?;
    for (at, run) in runs.iter().enumerate() {
        let last = run.losses.len().saturating_sub(20);
        let tail = &run.losses[last..];
        let loss = tail.iter().sum::<f32>() / tail.len().max(1) as f32;
        let per_step = |total: f64| total / run.losses.len().max(1) as f64;
        let (time, energy) = match &run.meter {
            Some(meter) => (
                format!("{:.3} ms", per_step(meter.seconds) * 1e3),
                format!("{:.2} mJ", per_step(meter.millijoules)),
            ),
            None => ("-".into(), "-".into()),
        };
        let held_out = run.held_out.map_or("-".into(), |loss| format!("{loss:.4}"));
        let mut row = format!(
            "{:<12} {loss:>10.4} {held_out:>10} {:>8} {time:>12} {energy:>10}",
            run.name,
            duration(run.seconds)
        );
        for from in &runs[..at] {
            row += &format!("  {:>12}", format!("{:.3} %", drift(run, from).1 * 100.0));
        }
        out.result(&row)?;
    }
    out.say("")?;
    out.paragraph(
        "`to …` is how far the training losses are from another run's, on average over the steps. `a step there` and its energy are \
         estimates for the operations that the engine takes. The rest (fp32: optimizer, loss) is left to the host: its time is not estimated \
         and in no figure. Compiling is not in a step either. Weights that train are operands, and for those the engine is taken not to use \
         Winograd's algorithm, so generations differ \
         little here; deployed, they do (`anemone check --numerics`). The arithmetic is a model of the engine's, fitted to published figures; nothing ran on a device.",
    )?;
    for run in runs {
        if let Some(meter) = &run.meter {
            let steps = meter.calls.max(1);
            out.say("")?;
            out.paragraph(&format!(
                "{}: a step is {} of the engine; on the host, {}. Compiling the step and its evaluation: {}.",
                run.name,
                count(meter.dispatches / steps, "program", "programs"),
                on_the_host(meter, steps),
                compiling(meter),
            ))?;
        }
    }
    Ok(())
}
