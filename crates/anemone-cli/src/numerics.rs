//! `anemone check --numerics`: what the engine's arithmetic does to a model, operation by operation, and what scaling saves.

use crate::args::CheckArgs;
use crate::check;
use crate::error::CliError;
use crate::output::{Output, wrap};
use crate::program::{self, Weights};
use crate::progress::Waiting;
use anemone::ane::chips::Chip;
use anemone::ane::simulated::generation;
use anemone::arrays::{Npz, read_npy};
use anemone::cpu::AneGeneration;
use anemone::cpu::audit::{Audit, OpAudit, Scaled, audit, scale_for_ane};
use anemone::mil::{DataType, Function, TensorType, Verified};
use anemone::nn::Init;
use anemone::runtime::{States, Tensor};
use half::f16;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Operations that are shown of a model, the worst first.
const SHOWN: usize = 12;
/// Seed of inputs that nobody gave.
const SEED: u64 = 0;
/// What every answer rests on.
const BASIS: &str = "Computed with a model of the engine's arithmetic that was fitted to published errors; nothing was run on a device";

/// Runs the command.
pub(crate) fn numerics(args: &CheckArgs, out: &mut Output) -> Result<(), CliError> {
    let given =
        if args.chips.is_empty() { vec!["m1".to_string(), "m5".to_string()] } else { args.chips.clone() };
    let mut generations: BTreeMap<AneGeneration, Vec<&'static Chip>> = BTreeMap::new();
    for chip in check::chips(&given)? {
        let generation = generation(chip).ok_or_else(|| {
            CliError::usage(format!("no MIL program reaches the engine of {}", chip.name), "--chips m1,m5")
        })?;
        generations.entry(generation).or_default().push(chip);
    }
    let opened = program::open_with(&args.model, Weights::Initial)?;
    let function = chosen(&opened.program, args.function.as_deref())?;
    let inputs = inputs(function, args.input.as_deref())?;
    let borrowed: Vec<&Tensor> = inputs.iter().collect();
    let source = match &args.input {
        Some(path) => path.display().to_string(),
        None => format!("random, normal with seed {SEED}"),
    };
    out.say(&format!("{}: {}", opened.name, opened.about))?;
    out.say(&format!("function {}, inputs {source}", function.name))?;
    for (generation, chips) in generations {
        crate::interrupt::check()?;
        let waiting = Waiting::new(out, format!("computing as {generation} does"));
        let failed = |error: anemone::cpu::audit::AuditError| CliError::failed(error.to_string());
        let name = Some(function.name.as_str());
        let audit = audit(&opened.program, name, &borrowed, &States::new(), generation).map_err(failed)?;
        let scaled =
            scale_for_ane(&opened.program, name, &borrowed, &States::new(), generation).map_err(failed)?;
        drop(waiting);
        let chips: Vec<&str> = chips.iter().map(|chip| chip.name).collect();
        out.json(&json!({
            "model": opened.name, "about": opened.about, "chips": chips, "inputs": source, "audit": audit,
            "scaled": {"ops": scaled.ops, "before": scaled.before, "after": scaled.after}, "basis": BASIS,
        }))?;
        if !out.is_json() {
            print(&chips, &audit, &scaled, args.notes, out)?;
        }
    }
    out.say("")?;
    out.paragraph(&format!("`alone` is an operation's relative error (L2) on the operands it had, `so far` that of everything up to it, against fp32. {BASIS}."))
}

fn chosen<'p>(program: &'p Verified, name: Option<&str>) -> Result<&'p Function, CliError> {
    let found = match name {
        Some(name) => program.function(name),
        None => program.functions.first(),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = program.functions.iter().map(|function| function.name.as_str()).collect();
        CliError::usage(
            format!("there is no function `{}`", name.unwrap_or_default()),
            format!("one of {}", known.join(", ")),
        )
    })
}

/// Arrays of a file by the names of the inputs, or random numbers.
fn inputs(function: &Function, file: Option<&Path>) -> Result<Vec<Tensor>, CliError> {
    if !function.is_static() {
        return Err(CliError::failed_try(
            format!("function `{}` takes inputs of any length", function.name),
            "a model of fixed shapes: `anemone convert`, or `anemone export` with one length",
        ));
    }
    let wanted: Vec<(String, TensorType)> =
        function.tensor_inputs().map(|id| (function.display_name(id), function.tensor(id).clone())).collect();
    let Some(file) = file else {
        return wanted.iter().map(|(name, ty)| random(name, ty)).collect();
    };
    if let ([(_, ty)], Some("npy")) = (&wanted[..], file.extension().and_then(|extension| extension.to_str()))
    {
        let data =
            File::open(file).map_err(|error| CliError::failed(format!("{}: {error}", file.display())))?;
        return Ok(vec![read_npy(BufReader::new(data), file.display().to_string(), ty)?]);
    }
    let mut archive = Npz::open(file)?;
    wanted.iter().map(|(name, ty)| Ok(archive.array(name)?.read(ty)?)).collect()
}

fn random(name: &str, ty: &TensorType) -> Result<Tensor, CliError> {
    if ty.dtype.is_float() {
        let wide = TensorType::new(DataType::Fp32, ty.shape.clone());
        let normal = Init::Normal { std: 1.0 }.tensor(&wide, SEED, name)?;
        if ty.dtype == DataType::Fp32 {
            return Ok(normal);
        }
        let values: Vec<f16> =
            normal.to_f32().iter().flat_map(|v| v.iter()).map(|&v| f16::from_f32(v)).collect();
        return Tensor::new(ty.shape.clone(), &values).map_err(|error| CliError::failed(error.to_string()));
    }
    // Indices of anything: 0 and 1 are in every range.
    let mut tensor = Tensor::zeros(ty.clone()).map_err(|error| CliError::failed(error.to_string()))?;
    let size = if ty.dtype == DataType::Bool { 1 } else { ty.dtype.size().max(1) };
    for (at, byte) in tensor.bytes_mut().iter_mut().enumerate() {
        // The first byte of every other element.
        *byte = u8::from(at.is_multiple_of(2 * size));
    }
    Ok(tensor)
}

fn print(
    chips: &[&str],
    audit: &Audit,
    scaled: &Scaled,
    all: bool,
    out: &mut Output,
) -> Result<(), CliError> {
    out.result("")?;
    out.result(&format!("{} ({})", chips.join(", "), audit.generation))?;
    let mut ops: Vec<&OpAudit> = audit.ops.iter().filter(|op| op.grade != "host").collect();
    let overflows: usize = ops.iter().map(|op| op.overflows).sum();
    let differing = ops.iter().filter(|op| !op.differs.is_empty()).count();
    let graded = |grade: &str| ops.iter().filter(|op| op.grade == grade).count();
    out.result(&format!(
        "  {} operations: arithmetic exact for {}, fitted for {}, assumed for {}; {} left to the host",
        audit.ops.len(),
        graded("exact"),
        graded("fitted"),
        graded("assumed"),
        audit.ops.len() - ops.len(),
    ))?;
    out.result(&format!(
        "  {overflows} overflows; {differing} operations give other numbers on other generations"
    ))?;
    for (before, after) in audit.outputs.iter().zip(&scaled.after) {
        let infinite = |count: usize| if count > 0 { format!(", {count} overflows") } else { String::new() };
        let mut line =
            format!("output {}: error {}{}", before.name, percent(before.error), infinite(before.overflows));
        if !scaled.ops.is_empty() {
            line += &format!(
                "; with {} products scaled {}{}",
                scaled.ops.len(),
                percent(after.error),
                infinite(after.overflows)
            );
        }
        for part in wrap(&line, 94) {
            out.result(&format!("  {part}"))?;
        }
    }
    ops.sort_by(|a, b| {
        (b.overflows, b.alone).partial_cmp(&(a.overflows, a.alone)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let shown = if all { ops.len() } else { SHOWN.min(ops.len()) };
    out.result("")?;
    out.result(&format!(
        "  {:<18} {:<28} {:>9} {:>9} {:>9} {:>8}  {:<8} {}",
        "op", "value", "alone", "so far", "overflows", "flushed", "grade", "differs on"
    ))?;
    for op in &ops[..shown] {
        let flushed = op.flushed.map_or(String::new(), |share| format!("{:.1} %", share * 100.0));
        out.result(&format!(
            "  {:<18} {:<28} {:>9} {:>9} {:>9} {flushed:>8}  {:<8} {}",
            op.op,
            short(&op.value),
            percent(op.alone),
            percent(op.cumulative),
            op.overflows,
            op.grade,
            op.differs.join(" ")
        ))?;
    }
    match ops.len() - shown {
        0 => Ok(()),
        more => out.result(&format!("  and {more} more, each better: --notes shows all")),
    }
}

fn percent(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

/// The end of a long name, which tells more than its beginning.
fn short(name: &str) -> String {
    let count = name.chars().count();
    if count <= 28 {
        name.to_string()
    } else {
        format!("…{}", name.chars().skip(count - 27).collect::<String>())
    }
}
