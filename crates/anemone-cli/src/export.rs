//! `anemone export`: a trained model as a Core ML package.

mod about;

use crate::args::{ExportArgs, Precision as Dtype};
use crate::config::{ModelConfig, RunConfig};
use crate::error::CliError;
use crate::interrupt;
use crate::output::{Output, thousands};
use crate::source::Source;
use about::Origin;
use anemone::export::{ClassifierFeatures, Export, Precision};
use anemone::mlpackage::{Package, WriteOptions};
use anemone::nn::deploy::Carry;
use anemone::nn::models::{Llama, llama2c};
use anemone::nn::train::{Checkpoint, programs, read_states};
use anemone::runtime::States;
use serde_json::json;
use std::path::Path;

/// Runs the command.
pub(crate) fn export(args: &ExportArgs, out: &mut Output) -> Result<(), CliError> {
    check_target(args)?;
    let (package, origin) = match args.model.is_file() {
        true => from_file(args)?,
        false => from_run(args)?,
    };
    interrupt::check()?;
    package.write(&args.output, WriteOptions { overwrite: args.force })?;
    tell(args, &package, &origin, out)
}

/// Refuses a target before any work is done for it; writing refuses it again.
fn check_target(args: &ExportArgs) -> Result<(), CliError> {
    let target = &args.output;
    if target.extension().is_none_or(|extension| extension != "mlpackage") {
        let message = format!("{}: cannot be the name of a package", target.display());
        return Err(CliError::usage(message, "a name that ends in .mlpackage"));
    }
    if target.symlink_metadata().is_ok() && !args.force {
        return Err(CliError::failed_try(
            format!("{} exists already", target.display()),
            "--force to replace it",
        ));
    }
    Ok(())
}

/// What the flags say of every package.
fn options(args: &ExportArgs, origin: &Origin) -> Export {
    Export {
        precision: match args.dtype {
            Some(Dtype::Fp32) => Precision::Fp32,
            Some(Dtype::Fp16) | None => Precision::Fp16,
        },
        half_io: args.io == Some(Dtype::Fp16),
        metadata: origin.metadata(args),
    }
}

fn from_file(args: &ExportArgs) -> Result<(Package, Origin), CliError> {
    if args.trainable {
        return Err(CliError::usage(
            format!("{} holds weights alone, no run to go on with", args.model.display()),
            "the folder of a run for --trainable",
        ));
    }
    let (model, weights) = llama2c::read(&args.model)?;
    let config = ModelConfig::Llama(model.clone());
    let origin = Origin::of_file(&args.model, &config);
    Ok((language(args, &model, &weights, &origin)?, origin))
}

fn from_run(args: &ExportArgs) -> Result<(Package, Origin), CliError> {
    let checkpoint = Checkpoint::new(&args.model);
    let config = RunConfig::read(&checkpoint)?;
    let origin = Origin::of_run(&config, &checkpoint)?;
    if args.trainable {
        let options = options(args, &origin);
        let programs = programs(config.model.model(), config.options.batch_size, &config.options.step)?;
        let states = read_states(&checkpoint.states_path(), &programs.states)?;
        let carry = if args.arrays { Carry::Arrays } else { Carry::States };
        return Ok((options.training(&programs, &states, carry)?, origin));
    }
    if let ModelConfig::Llama(model) = &config.model {
        let weights = read_states(&checkpoint.states_path(), &model.weights()?)?;
        return Ok((language(args, model, &weights, &origin)?, origin));
    }
    Ok((classifier(args, &config, &checkpoint, &origin)?, origin))
}

fn language(
    args: &ExportArgs,
    model: &Llama,
    weights: &States,
    origin: &Origin,
) -> Result<Package, CliError> {
    for (flag, given) in [("--image", args.image), ("--classes", args.classes)] {
        if given {
            let message = format!("{flag} is for image models, but this is a language model");
            return Err(CliError::usage(message, format!("without {flag}")));
        }
    }
    if let Some(length) = args.lengths.iter().find(|&&length| length > model.seq_len) {
        let message = format!(
            "--lengths {length} is more than the {} tokens that the model was made for",
            model.seq_len
        );
        return Err(CliError::usage(message, format!("at most {}", model.seq_len)));
    }
    let options = options(args, origin);
    if args.stateful {
        return Ok(options.decoder(model, weights, model.seq_len)?);
    }
    let whole = [model.seq_len];
    let lengths = if args.lengths.is_empty() { &whole[..] } else { &args.lengths[..] };
    Ok(options.prefill(model, weights, lengths)?)
}

fn classifier(
    args: &ExportArgs,
    config: &RunConfig,
    checkpoint: &Checkpoint,
    origin: &Origin,
) -> Result<Package, CliError> {
    for (flag, given) in [("--stateful", args.stateful), ("--lengths", !args.lengths.is_empty())] {
        if given {
            let message = format!("{flag} is for language models, but this is an image model");
            return Err(CliError::usage(message, format!("without {flag}")));
        }
    }
    let (Some(model), Some((image, _))) = (config.model.classifier(), config.model.images()) else {
        return Err(CliError::failed("the run holds no image model"));
    };
    let mut features = ClassifierFeatures::default();
    if args.image || args.classes {
        // Only the data knows the names of its classes, and how its pixels were normalised.
        let source = Source::open(&config.data, None, 0)?;
        source.check_fits(&config.model)?;
        if let Source::Images(splits, _) = source {
            features.pixels = args.image.then(|| splits.train.statistics());
            features.classes = args.classes.then(|| splits.train.class_names().to_vec());
        }
    }
    let programs = programs(config.model.model(), config.options.batch_size, &config.options.step)?;
    let weights = read_states(&checkpoint.states_path(), &programs.eval_states)?;
    Ok(options(args, origin).classifier(model, image, &weights, &features)?)
}

fn tell(args: &ExportArgs, package: &Package, origin: &Origin, out: &mut Output) -> Result<(), CliError> {
    let bytes = size_of(&args.output);
    let functions = package.function_names()?;
    let program = package.program()?;
    let opsets: Vec<&str> = program.functions.iter().map(|function| function.opset.name()).collect();
    out.json(&json!({
        "written": args.output.display().to_string(), "bytes": bytes, "functions": functions, "opsets": opsets,
        "specification_version": package.specification_version(), "metadata": origin.entries(),
        "precision": precision(args, origin),
    }))?;
    let mut rows = vec![
        ("written to", format!("{}, {} bytes", args.output.display(), thousands(bytes as f64))),
        ("model", origin.model.clone()),
    ];
    let Some(first) = package.description.default_function() else { return out.table(&rows) };
    let list = |features: &[anemone::mlpackage::Feature]| {
        features
            .iter()
            .map(|feature| format!("{}: {}", feature.name, feature.ty))
            .collect::<Vec<_>>()
            .join("; ")
    };
    rows.push(("function", functions.join(", ")));
    if first.inputs.len() <= MOST {
        rows.push(("inputs", list(&first.inputs)));
    }
    if first.outputs.len() <= MOST {
        rows.push(("outputs", list(&first.outputs)));
    }
    if !first.states.is_empty() {
        rows.push(("states", format!("{}; `anemone inspect` lists them", first.states.len())));
    }
    let opset = program.functions.iter().map(|function| function.opset).max();
    rows.extend(opset.map(|opset| ("runs from", opset.name().to_string())));
    out.table(&rows)
}

/// In what the package computes.
fn precision(args: &ExportArgs, origin: &Origin) -> &'static str {
    match (args.trainable, args.dtype) {
        (true, _) if origin.single => "fp32",
        (false, Some(Dtype::Fp32)) => "fp32",
        _ => "fp16",
    }
}

/// Features that are listed one by one.
const MOST: usize = 8;

/// Bytes of everything in a folder.
fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return path.metadata().map_or(0, |metadata| metadata.len());
    };
    entries.flatten().map(|entry| size_of(&entry.path())).sum()
}
