//! `anemone check --numerics`: what the engine's arithmetic does to a model, operation by operation, and what scaling saves.

use crate::args::CheckArgs;
use crate::check;
use crate::error::CliError;
use crate::output::{Output, wrap};
use crate::program::{self, Weights};
use crate::progress::Waiting;
use crate::report::count;
use anemone::ane::chips::Chip;
use anemone::ane::cost::EstimateOptions;
use anemone::ane::simulated::generation;
use anemone::arrays::{Array, Npz, read_npy};
use anemone::cpu::AneGeneration;
use anemone::cpu::audit::{Audit, OpAudit, Scaled, audit, scale_for_ane};
use anemone::mil::{DataType, Function, Program, TensorType, Verified, verify};
use anemone::nn::Init;
use anemone::passes::classifiers_to_scores;
use anemone::runtime::{States, Tensor};
use half::f16;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Operations that are shown of a model, the worst first.
const SHOWN: usize = 12;
/// Said where nothing of a model is the engine's.
pub(crate) const ALL_ON_THE_HOST: &str = "No operation is the engine's: it computes in fp16, and what is in fp32 runs on the host. \
    `anemone convert MODEL HALF.mlpackage --dtype fp16` makes a model compute in fp16, `anemone train --dtype fp16` trains in it.";
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
    let mut opened = program::open_with(&args.model, Weights::Initial)?;
    let name = opened.function(args.function.as_deref())?.name.clone();
    let shapes = match &args.input {
        Some(file) => {
            [args.shapes.clone(), shapes_in(opened.function(Some(&name))?, file, &args.shapes)?].concat()
        }
        None => args.shapes.clone(),
    };
    let taken = opened.bind(&shapes, EstimateOptions::default().unknown_dim)?;
    opened.program = scored(&opened.program)?;
    let function = opened.function(Some(&name))?;
    let inputs = inputs(function, args.input.as_deref())?;
    let borrowed: Vec<&Tensor> = inputs.iter().collect();
    let source = match &args.input {
        Some(path) => path.display().to_string(),
        None => format!("random, normal with seed {SEED}"),
    };
    out.say(&format!("{}: {}", opened.name, opened.about))?;
    for line in &taken {
        out.say(line)?;
    }
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

/// The program with probabilities in the place of labels and dictionaries, which are no numbers.
fn scored(program: &Verified) -> Result<Verified, CliError> {
    let functions = program.functions.iter().map(|function| classifiers_to_scores(function).0).collect();
    let scored = Program { functions, build_info: program.build_info.clone() };
    Ok(verify(scored).map_err(anemone::ModelError::Invalid)?)
}

/// The shapes that a file's arrays have for inputs whose shapes the program leaves open.
fn shapes_in(
    function: &Function,
    file: &Path,
    given: &[(String, Vec<usize>)],
) -> Result<Vec<(String, Vec<usize>)>, CliError> {
    let open: Vec<String> = function
        .tensor_inputs()
        .filter(|&id| !function.shape(id).is_known())
        .map(|id| function.display_name(id))
        .filter(|name| given.iter().all(|(other, _)| other != name))
        .collect();
    let mut shapes = Vec::new();
    for name in open {
        let shape = match is_npy(file) {
            true => Array::new(reader(file)?, file.display().to_string())?.header().shape.to_vec(),
            false => Npz::open(file)?.array(&name)?.header().shape.to_vec(),
        };
        shapes.push((name, shape));
    }
    Ok(shapes)
}

fn is_npy(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}

fn reader(file: &Path) -> Result<BufReader<File>, CliError> {
    let data = File::open(file).map_err(|error| CliError::failed(format!("{}: {error}", file.display())))?;
    Ok(BufReader::new(data))
}

/// Arrays of a file by the names of the inputs, or random numbers.
fn inputs(function: &Function, file: Option<&Path>) -> Result<Vec<Tensor>, CliError> {
    if !function.is_static() {
        return Err(CliError::failed(format!(
            "function `{}` has control flow, lists or shapes that depend on data, which are not followed operation by \
             operation; `anemone run --device simulated:m1` runs it as a whole",
            function.name
        )));
    }
    let wanted: Vec<(String, TensorType)> =
        function.tensor_inputs().map(|id| (function.display_name(id), function.tensor(id).clone())).collect();
    let Some(file) = file else {
        return wanted.iter().map(|(name, ty)| random(name, ty)).collect();
    };
    if let [(_, ty)] = &wanted[..]
        && is_npy(file)
    {
        return Ok(vec![read_npy(reader(file)?, file.display().to_string(), ty)?]);
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
    if ops.is_empty() {
        return out.paragraph(ALL_ON_THE_HOST);
    }
    out.result(&format!(
        "  {}; other numbers on other generations: {}",
        count(overflows as u64, "overflow", "overflows"),
        count(differing as u64, "operation", "operations")
    ))?;
    for (before, after) in audit.outputs.iter().zip(&scaled.after) {
        let infinite = |count: usize| if count > 0 { format!(", {count} overflows") } else { String::new() };
        let mut line =
            format!("output {}: error {}{}", before.name, percent(before.error), infinite(before.overflows));
        if !scaled.ops.is_empty() {
            line += &format!(
                "; with {} scaled {}{}",
                count(scaled.ops.len() as u64, "product", "products"),
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
