//! `anemone estimate`: how long a call of a model would take on the Neural Engine of these chips, how much energy, bound by what.

use crate::args::{CostArgs, EstimateArgs};
use crate::check::chips;
use crate::error::CliError;
use crate::output::{Output, wrap};
use crate::program::{self, Opened};
use anemone::ane::chips::Chip;
use anemone::ane::cost::{Estimate, EstimateOptions, MAX_OPS, MAX_WEIGHTS, Path, Plan, Range, Reason, plan};
use serde_json::json;

/// What an estimate rests on; the last line of every answer.
pub(crate) const BASIS: &str = "an estimate from published timings of others, not a measurement; eight of ten \
                                measurements lay within such ranges (docs/cost-model.md)";

/// What is known of a chip, for people.
pub(crate) const KNOWN: &str = "measured: published timings of that chip; interpolated: few; extrapolated: none, or none of such operations";

/// Runs the command.
pub(crate) fn estimate(args: &EstimateArgs, out: &mut Output) -> Result<(), CliError> {
    let chips = chips(&args.chips)?;
    let mut opened = program::open(&args.cost.model)?;
    let taken = opened.bind(&args.cost.shapes, args.cost.unknown as usize)?;
    let function = opened.function(args.cost.function.as_deref())?.name.clone();
    let options = options(&args.cost);
    let mut plans: Vec<(&Chip, Plan)> = Vec::new();
    for chip in chips {
        crate::interrupt::check()?;
        let plan = plan(&opened.program, &function, chip, &options)
            .map_err(|error| CliError::usage(error.to_string(), "one of these"))?;
        plans.push((chip, plan));
    }
    if out.is_json() {
        let chips: Vec<_> = plans
            .iter()
            .map(|(chip, plan)| json!({"chip": chip.name, "target": chip.target, "plan": plan}))
            .collect();
        return out.json(&json!({
            "model": opened.name, "about": opened.about, "function": function, "shapes": taken, "basis": BASIS, "chips": chips,
        }));
    }
    print(&opened, &function, &taken, &plans, out)
}

pub(crate) fn options(args: &CostArgs) -> EstimateOptions {
    EstimateOptions {
        host_copy: args.host_copy,
        sustained: args.sustained,
        path: if args.direct { Path::Direct } else { Path::E5rt },
        loop_turns: args.turns as usize,
        unknown_dim: args.unknown as usize,
    }
}

/// `1.234 ms`, three digits.
pub(crate) fn digits(value: f64) -> String {
    match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v if v >= 0.9995 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

fn range(range: Range) -> String {
    format!("{} ({} to {})", digits(range.mid), digits(range.low), digits(range.high))
}

/// What the part that takes longest is bound by, and the share of the array's peak over all parts.
fn summary(plan: &Plan) -> Option<(&Estimate, f64)> {
    let longest =
        plan.parts.iter().max_by(|a, b| a.estimate.latency_ms.mid.total_cmp(&b.estimate.latency_ms.mid))?;
    let flops: f64 = plan.parts.iter().map(|part| part.estimate.flops).sum();
    let peak = longest.estimate.peak_tflops * 1e9 * plan.latency_ms.mid;
    Some((&longest.estimate, if peak > 0.0 { flops / peak } else { 0.0 }))
}

fn print(
    opened: &Opened,
    function: &str,
    taken: &[String],
    plans: &[(&Chip, Plan)],
    out: &mut Output,
) -> Result<(), CliError> {
    out.result(&format!("{}: {}", opened.name, opened.about))?;
    for line in taken {
        out.result(line)?;
    }
    if let Some((_, plan)) = plans.first() {
        let (flops, weights): (f64, f64) = plan
            .parts
            .iter()
            .fold((0.0, 0.0), |sum, part| (sum.0 + part.estimate.flops, sum.1 + part.weight_bytes));
        let why = plan.reasons.iter().map(|reason| match reason {
            Reason::Weights => format!("more than {} GB of weights", digits(MAX_WEIGHTS / 1e9)),
            Reason::CompileTime => format!("more than {MAX_OPS} operations, whose compilation takes long"),
        });
        let programs = match plan.parts.len() {
            1 => "one program".to_string(),
            count => format!("split in {count} programs ({})", why.collect::<Vec<_>>().join("; ")),
        };
        out.result(&format!(
            "function {function}: {} GFLOP a call, {} MB of weights, {programs}",
            digits(flops / 1e9),
            digits(weights / 1e6)
        ))?;
    }
    out.result("")?;
    out.result(&format!(
        "{:<10} {:<26} {:<26} {:<12} {:>7} {:>10}  {}",
        "chip", "latency, ms", "energy, mJ", "bound by", "of peak", "compile, s", "known"
    ))?;
    for (chip, plan) in plans {
        let Some((longest, utilization)) = summary(plan) else { continue };
        out.result(&format!(
            "{:<10} {:<26} {:<26} {:<12} {:>7} {:>10}  {}",
            chip.name,
            range(plan.latency_ms),
            range(plan.energy_mj),
            longest.bound_by.name(),
            format!("{:.1}%", utilization * 100.0),
            format!("{:.2}", plan.compile_s.mid),
            longest.provenance.name().replace("measured_chip", "measured"),
        ))?;
    }
    let mut notes: Vec<&str> = Vec::new();
    for note in plans.iter().flat_map(|(_, plan)| &plan.notes) {
        if !notes.contains(&note.as_str()) {
            notes.push(note);
        }
    }
    out.result("")?;
    for note in notes {
        lines(&format!("Note: {note}."), out)?;
    }
    lines("Whether it would run there at all is another question: `anemone check`.", out)?;
    lines(&format!("Energy is that of the engine's rail. Known: {KNOWN}."), out)?;
    lines(
        "Compiling happens once, on the CPU, and is in no latency: a rough estimate, good to a factor of two at best.",
        out,
    )?;
    lines(&format!("This is {BASIS}."), out)
}

/// Wrapped text.
pub(crate) fn lines(text: &str, out: &mut Output) -> Result<(), CliError> {
    wrap(text, 110).iter().try_for_each(|line| out.result(line))
}
