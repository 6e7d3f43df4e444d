//! `anemone chips`: what is known of the chips that have a Neural Engine.

use crate::args::ChipsArgs;
use crate::error::CliError;
use crate::output::{Output, wrap};
use anemone::ane::chips::{CHIPS, Chip, ENGINE, PROCESS};
use anemone::ane::facts::{Conflict, Figure};
use serde_json::json;

/// Runs the command.
pub(crate) fn chips(args: &ChipsArgs, out: &mut Output) -> Result<(), CliError> {
    let chosen: Vec<&'static Chip> = match args.names.is_empty() {
        true => CHIPS.iter().collect(),
        false => args
            .names
            .iter()
            .map(|name| {
                Chip::named(name).map_err(|error| CliError::usage(error.to_string(), "anemone chips"))
            })
            .collect::<Result<_, _>>()?,
    };
    for chip in &chosen {
        out.json(&json!({
            "chip": chip, "target": chip.target(), "limits": chip.family().limits(), "process": PROCESS, "engine": ENGINE,
            "unknown": chip.unknown(),
        }))?;
    }
    match args.names.is_empty() {
        true => table(&chosen, out),
        false => chosen.iter().try_for_each(|chip| describe(chip, out)),
    }
}

fn table(chips: &[&'static Chip], out: &mut Output) -> Result<(), CliError> {
    out.result(&format!(
        "{:<10} {:<6} {:<6} {:>5} {:>7} {:>6} {:>6} {:>9} {:>9}  {}",
        "chip", "target", "family", "cores", "engines", "TOPS", "MHz", "last axes", "weights", "3x3 conv"
    ))?;
    for chip in chips {
        let target = chip.target();
        let number = |figure: &Figure| figure.value.map_or("?".to_string(), |value| value.to_string());
        let spatial = target.family.limits().map_or("-".to_string(), |limits| number(&limits.spatial));
        let weights = chip.weight_stream.value.map_or("?".to_string(), |value| format!("{value} GB/s"));
        out.result(&format!(
            "{:<10} {:<6} {:<6} {:>5} {:>7} {:>6} {:>6} {:>9} {:>9}  {}",
            chip.name,
            chip.target,
            target.family.name(),
            number(&chip.cores),
            number(&chip.engines),
            number(&chip.tops),
            number(&target.clock),
            spatial,
            weights,
            format!("{:?}", chip.convolution).to_lowercase(),
        ))?;
    }
    out.say("")?;
    out.say("From published facts; `?` is what no source says. Families are the compiler's, by ANEForge's names: A13 is")?;
    out.say("H13, the engine of A14 and M1. `anemone chips m4` tells all of one chip, with sources.")
}

fn describe(chip: &'static Chip, out: &mut Output) -> Result<(), CliError> {
    let target = chip.target();
    out.result(&format!("{}  {}, family {}", chip.name, target.architecture, target.family.name()))?;
    fact("target", &format!("{} ({})", chip.target, chip.target_grade), chip.target_conflicts, out)?;
    for (name, value) in chip.figures() {
        figure(name, &value, out)?;
    }
    let steps: Vec<String> = target.clock_steps.iter().map(u32::to_string).collect();
    if !steps.is_empty() {
        fact("clock steps", &format!("{} MHz", steps.join(" ")), &[], out)?;
    }
    if let Some(limits) = target.family.limits() {
        out.result("programs are held to")?;
        for (name, value) in limits.figures() {
            figure(name, value, out)?;
        }
    }
    let unknown = chip.unknown();
    if !unknown.is_empty() {
        fact("not known", &unknown.join(", "), &[], out)?;
    }
    out.result("")
}

fn figure(name: &str, figure: &Figure, out: &mut Output) -> Result<(), CliError> {
    let text = match figure.value {
        Some(_) if figure.unit == "native" => {
            format!(
                "{} ({}, {})",
                if figure.value == Some(1.0) { "yes" } else { "no" },
                figure.grade,
                figure.cite
            )
        }
        Some(_) => format!("{figure} ({}, {})", figure.grade, figure.cite),
        None => return Ok(()),
    };
    fact(name, &text, figure.conflicts, out)
}

fn fact(name: &str, text: &str, conflicts: &[Conflict], out: &mut Output) -> Result<(), CliError> {
    let others = conflicts.iter().map(|conflict| format!("but {}: {}", conflict.cite, conflict.claim));
    for (at, part) in std::iter::once(text.to_string()).chain(others).enumerate() {
        for (row, line) in wrap(&part, 64).iter().enumerate() {
            let label = if at == 0 && row == 0 { name } else { "" };
            out.result(&format!("  {label:<28}  {line}"))?;
        }
    }
    Ok(())
}
