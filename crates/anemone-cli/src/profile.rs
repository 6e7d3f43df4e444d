//! `anemone profile`: where the time of a call would go on one chip, operation by operation.

mod html;
mod trace;

use crate::args::ProfileArgs;
use crate::error::CliError;
use crate::estimate::{BASIS, digits, lines, options};
use crate::output::Output;
use crate::program;
use crate::report::count;
use anemone::ane::chips::Chip;
use anemone::ane::cost::{Bound, Estimate, MAX_OPS, MAX_WEIGHTS, OpCost, estimate};
use serde_json::json;
use std::path::Path;

/// Least width of the column of op names.
const OP_WIDTH: usize = 18;

/// Runs the command.
pub(crate) fn profile(args: &ProfileArgs, out: &mut Output) -> Result<(), CliError> {
    let chip = Chip::named(&args.chip).map_err(|error| CliError::usage(error.to_string(), "--chip m4"))?;
    let mut opened = program::open(&args.cost.model)?;
    let taken = opened.bind(&args.cost.shapes, args.cost.unknown as usize)?;
    let function = opened.function(args.cost.function.as_deref())?.name.clone();
    let found = estimate(&opened.program, &function, chip, &options(&args.cost))
        .map_err(|error| CliError::usage(error.to_string(), "one of these"))?;
    if let Some(path) = &args.trace {
        write(path, &trace::json(&found, &opened.name)?)?;
    }
    if let Some(path) = &args.html {
        write(path, &html::page(&found, &opened.name, &opened.about))?;
    }
    if out.is_json() {
        return out.json(&json!({
            "model": opened.name, "about": opened.about, "shapes": taken, "basis": BASIS, "estimate": found,
        }));
    }
    out.result(&format!("{}: {}", opened.name, opened.about))?;
    for line in &taken {
        out.result(line)?;
    }
    print(&found, args.top, out)?;
    for (path, what) in [(&args.trace, "trace"), (&args.html, "page")] {
        if let Some(path) = path {
            out.say(&format!("{what} written to {}", path.display()))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|error| CliError::failed(format!("{}: {error}", path.display())))
}

/// The parts of a call that are no operation.
fn around(found: &Estimate) -> Vec<(&'static str, Bound, f64)> {
    let terms = &found.terms;
    [
        ("host copies", Bound::HostCopy, terms.host_copy_us),
        ("dispatch", Bound::Dispatch, terms.dispatch_us),
        ("ports", Bound::Ports, terms.ports_us),
    ]
    .into_iter()
    .filter(|(_, _, time)| *time > 0.0)
    .collect()
}

/// `12.3%` of the call.
fn share(time: f64, found: &Estimate) -> f64 {
    let total = found.terms.total();
    if total > 0.0 { time / total } else { 0.0 }
}

fn print(found: &Estimate, top: usize, out: &mut Output) -> Result<(), CliError> {
    let latency = found.latency_ms;
    out.result(&format!(
        "function {} on {}: {} ms ({} to {}), {} mJ on the engine's rail, bound by {}, {:.1}% of {:.1} TFLOP/s, {}",
        found.function,
        found.chip,
        digits(latency.mid),
        digits(latency.low),
        digits(latency.high),
        digits(found.energy_mj.mid),
        found.bound_by.name(),
        found.utilization * 100.0,
        found.peak_tflops,
        found.provenance.name().replace('_', " "),
    ))?;
    out.result("")?;
    let mut shown: Vec<(usize, &OpCost)> =
        found.ops.iter().enumerate().filter(|(_, op)| op.time_us > 0.0).collect();
    shown.sort_by(|a, b| b.1.time_us.total_cmp(&a.1.time_us));
    let (rest, all) = (shown.split_off(shown.len().min(top)), shown.len());
    shown.sort_by_key(|(at, _)| *at);
    let widest = shown.iter().map(|(_, op)| op.op.len()).max().unwrap_or(0).max(OP_WIDTH);
    let row = |columns: [&str; 8]| {
        let [time, share, tflops, gb_s, used, bound, op, value] = columns;
        format!("{time:>9} {share:>6} {tflops:>7} {gb_s:>7} {used:>8} {bound:<12} {op:<widest$} {value}")
            .trim_end()
            .to_string()
    };
    out.result(&row(["us", "share", "TFLOP/s", "GB/s", "of peak", "bound", "op", "value"]))?;
    let percent = |part: f64| format!("{:.1}%", part * 100.0);
    for (name, bound, time) in around(found) {
        out.result(&row([&digits(time), &percent(share(time, found)), "", "", "", bound.name(), name, ""]))?;
    }
    for (_, op) in &shown {
        out.result(&row([
            &digits(op.time_us),
            &percent(share(op.time_us, found)),
            &digits(op.tflops),
            &digits(op.gb_s),
            &percent(op.utilization),
            op.bound.name(),
            op.op,
            &op.value,
        ]))?;
    }
    out.result("")?;
    if !rest.is_empty() {
        let time: f64 = rest.iter().map(|(_, op)| op.time_us).sum();
        out.result(&format!(
            "and {}, {} us in all: --top {} shows {}",
            count(rest.len() as u64, "more operation", "more operations"),
            digits(time),
            all + rest.len(),
            if rest.len() == 1 { "it" } else { "them" }
        ))?;
    }
    let free = found.ops.iter().filter(|op| op.time_us == 0.0).count();
    if free > 0 {
        out.result(&format!(
            "{} nothing: views, and what is part of the product before it",
            count(free as u64, "operation costs", "operations cost")
        ))?;
    }
    for note in &found.notes {
        lines(&format!("Note: {note}."), out)?;
    }
    if found.weight_bytes > MAX_WEIGHTS || found.ops.len() > MAX_OPS {
        lines(
            "Note: profiled as one program, though it is more than one holds: `anemone estimate` splits it.",
            out,
        )?;
    }
    lines(&format!("This is {BASIS}."), out)
}
