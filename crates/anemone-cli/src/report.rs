//! The end of a run in a few lines: how good, how fast, where it lies.

use crate::config::{ModelConfig, RunConfig, TokenizerKind};
use crate::device::Running;
use crate::error::CliError;
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
pub(crate) fn meter_rows(meter: &Meter) -> [(&'static str, String); 2] {
    let time = |seconds: f64| {
        if seconds < 1.0 { format!("{:.3} ms", seconds * 1e3) } else { duration(seconds) }
    };
    let energy = match meter.millijoules {
        small if small < 1e3 => format!("{small:.2} mJ"),
        large => format!("{:.2} J", large / 1e3),
    };
    let each = match meter.calls {
        0 | 1 => String::new(),
        calls => format!("; {} a call", time(meter.seconds / calls as f64)),
    };
    let count =
        |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    [
        (
            "estimate",
            format!(
                "{} on the engine of {} ({} to {}), {energy}{each}",
                time(meter.seconds),
                meter.device,
                time(meter.seconds_low),
                time(meter.seconds_high),
            ),
        ),
        (
            "",
            format!(
                "{}, {}; {} on the engine, {} on the host, whose time is not in it",
                count(meter.calls, "call", "calls"),
                count(meter.dispatches, "dispatch", "dispatches"),
                count(meter.on_device, "operation", "operations"),
                meter.on_host
            ),
        ),
    ]
}

/// The same for programs.
pub(crate) fn meter_json(meter: &Meter) -> serde_json::Value {
    json!({
        "chip": meter.device, "basis": "estimated", "calls": meter.calls, "dispatches": meter.dispatches,
        "seconds": meter.seconds, "seconds_low": meter.seconds_low, "seconds_high": meter.seconds_high,
        "millijoules": meter.millijoules, "programs": meter.compiled,
        "operations_on_engine": meter.on_device, "operations_on_host": meter.on_host,
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
