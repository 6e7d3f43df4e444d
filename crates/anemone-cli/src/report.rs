//! The end of a run in a few lines: how good, how fast, where it lies.

use crate::config::{ModelConfig, RunConfig, TokenizerKind};
use crate::device::Running;
use crate::error::CliError;
use crate::inspect::size;
use crate::numerics::ALL_ON_THE_HOST;
use crate::output::{Output, duration, thousands};
use anemone::nn::train::{Checkpoint, Outcome, Precision, Report};
use anemone::runtime::Meter;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Prints how a run went.
pub(crate) fn show(
    report: &Report,
    config: &RunConfig,
    checkpoint: &Checkpoint,
    running: &Running,
    out: &mut Output,
) -> Result<(), CliError> {
    let device = running.description.as_str();
    let meter = running.backend.meter();
    let files = files(checkpoint, config.tokenizer);
    out.json(&json!({
        "event": "end", "report": report, "device": device, "files": files, "measures": measures(report, config),
        "simulated": meter.as_ref().map(meter_json),
    }))?;
    let word = match report.outcome {
        Outcome::Finished => "finished",
        Outcome::Stopped => "stopped",
    };
    let precision = match config.options.step.precision {
        Precision::Fp32 => "fp32",
        Precision::Fp16(_) => "fp16, weights in fp32",
    };
    let mut rows = vec![
        (
            word,
            format!("{} of {} steps in {}", report.iteration, config.options.steps, duration(report.seconds)),
        ),
        ("rate", format!("{} {} per second", thousands(report.rate), report.unit)),
        ("model", format!("{}; {precision}", config.model.describe())),
        ("parameters", thousands(report.parameters as f64)),
        ("data", config.data.describe()),
    ];
    rows.extend(report.train_loss.map(|loss| ("train loss", format!("{loss:.4}"))));
    if let Some(evaluation) = &report.held_out {
        rows.extend(held_out_rows(&evaluation.values, config));
    }
    rows.push(("ran on", device.to_string()));
    rows.extend(meter.iter().flat_map(meter_rows));
    rows.push(("written to", format!("{}: {}", checkpoint.dir().display(), names(&files))));
    out.result("")?;
    out.table(&rows)
}

/// Rows about what a simulated device would have spent.
pub(crate) fn meter_rows(meter: &Meter) -> Vec<(&'static str, String)> {
    if meter.on_device == 0 && meter.on_host > 0 {
        let host = count(meter.on_host, "operation", "operations");
        let why = format!(
            "nothing ran on the engine of {}: all {host} are the host's, whose time is in no figure",
            meter.device
        );
        return vec![("estimate", why), ("", ALL_ON_THE_HOST.to_string())];
    }
    let energy = match meter.millijoules {
        small if small < 1e3 => format!("{small:.2} mJ"),
        large => format!("{:.2} J", large / 1e3),
    };
    let each = match meter.calls {
        0 | 1 => String::new(),
        calls => format!("; {} a call on average", short(meter.seconds / calls as f64)),
    };
    vec![
        (
            "estimate",
            format!(
                "{} on the engine of {} ({} to {}), {energy}{each}",
                short(meter.seconds),
                meter.device,
                short(meter.seconds_low),
                short(meter.seconds_high),
            ),
        ),
        (
            "",
            format!(
                "{}, {}; functions of {} on the engine, {} on the host",
                count(meter.calls, "call", "calls"),
                count(meter.dispatches, "dispatch", "dispatches"),
                count(meter.on_device, "operation", "operations"),
                meter.on_host
            ),
        ),
        ("compiling", compiling(meter)),
        ("on the host", on_the_host(meter, 1)),
    ]
}

/// The time to compile, for people.
pub(crate) fn compiling(meter: &Meter) -> String {
    format!(
        "some {} for {} ({} to {}), once, and not in the time above",
        rough(meter.compile_seconds),
        count(meter.compiled, "program", "programs"),
        rough(meter.compile_seconds_low),
        rough(meter.compile_seconds_high),
    )
}

/// What the host did, for people: of the calls of a meter, or of one of so many steps.
pub(crate) fn on_the_host(meter: &Meter, steps: u64) -> String {
    let steps = steps.max(1);
    let copies = format!(
        "conversion and copies at the engine's ports, some {}, not in the time above either",
        short(meter.copy_seconds / steps as f64)
    );
    match meter.host_operations {
        0 => copies,
        operations => format!(
            "{} that read and write {}; how long they take is not estimated and in no figure; and {copies}",
            count(operations / steps, "operation", "operations"),
            size((meter.host_bytes / steps) as usize)
        ),
    }
}

/// `3 programs`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time from microseconds up.
fn short(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.3} ms", seconds * 1e3) } else { duration(seconds) }
}

/// A time that is not known to more than two digits.
fn rough(seconds: f64) -> String {
    match seconds {
        s if s < 0.0995 => format!("{s:.3} s"),
        s if s < 0.995 => format!("{s:.2} s"),
        s => duration(s),
    }
}

/// The same for programs.
pub(crate) fn meter_json(meter: &Meter) -> serde_json::Value {
    json!({
        "chip": meter.device, "basis": "estimated", "calls": meter.calls, "dispatches": meter.dispatches,
        "seconds": meter.seconds, "seconds_low": meter.seconds_low, "seconds_high": meter.seconds_high,
        "millijoules": meter.millijoules, "programs": meter.compiled,
        "compile_seconds": meter.compile_seconds, "compile_seconds_low": meter.compile_seconds_low,
        "compile_seconds_high": meter.compile_seconds_high,
        "operations_on_engine": meter.on_device, "operations_on_host": meter.on_host,
        // In all calls. The time of the operations is not estimated.
        "host": {
            "operations": meter.host_operations, "bytes": meter.host_bytes, "seconds": null,
            "copy_seconds": meter.copy_seconds,
        },
    })
}

/// Rows about the held-out data.
pub(crate) fn held_out_rows(
    values: &BTreeMap<String, f32>,
    config: &RunConfig,
) -> Vec<(&'static str, String)> {
    let loss = values.get("loss").copied().unwrap_or(f32::NAN);
    let mut rows = vec![("held-out loss", format!("{loss:.4}"))];
    if let ModelConfig::Llama(_) = config.model {
        let is_char = config.tokenizer == Some(TokenizerKind::Char);
        let per = if is_char { "character" } else { "token" };
        rows.push(("perplexity", format!("{:.3} per {per}", loss.exp())));
        if is_char {
            rows.push(("bits", format!("{:.3} per character", loss / std::f32::consts::LN_2)));
        }
    }
    if let Some(accuracy) = values.get("accuracy") {
        rows.push(("accuracy", format!("{:.2} %", accuracy * 100.0)));
    }
    rows
}

/// What follows from the loss, for programs.
fn measures(report: &Report, config: &RunConfig) -> serde_json::Value {
    match (&config.model, &report.held_out) {
        (ModelConfig::Llama(_), Some(evaluation)) => json!({"perplexity": evaluation.loss().exp()}),
        _ => json!({}),
    }
}

/// The files of a run that are there.
fn files(checkpoint: &Checkpoint, tokenizer: Option<TokenizerKind>) -> Vec<PathBuf> {
    let tokenizer = tokenizer.map(|kind| checkpoint.dir().join(kind.file_name()));
    let mut files = vec![checkpoint.states_path(), checkpoint.config_path()];
    files.extend(tokenizer);
    files.extend([checkpoint.log_path(), checkpoint.curve_path()]);
    files.retain(|file| file.is_file());
    files
}

fn names(files: &[PathBuf]) -> String {
    let names = files.iter().filter_map(|file| file.file_name());
    names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
}
