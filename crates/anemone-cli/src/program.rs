//! Any model as a program: files in every form, the folder of a run, and models that are built in, as they would be deployed.

use crate::config::{ModelConfig, RunConfig};
use crate::defaults;
use crate::error::CliError;
use anemone::Model;
use anemone::export::{ClassifierFeatures, Export};
use anemone::mil::{Verified, verify};
use anemone::mlpackage::Package;
use anemone::nn::Init;
use anemone::nn::models::{CifarCnn, Mlp, llama2c};
use anemone::nn::train::{Checkpoint, StateSpec, programs, read_states};
use anemone::runtime::States;
use std::path::Path;

/// A program and where it is from.
#[derive(Debug)]
pub(crate) struct Opened {
    /// As it was asked for.
    pub(crate) name: String,
    /// What it is, for people.
    pub(crate) about: String,
    /// The program.
    pub(crate) program: Verified,
}

/// What a built-in model is seen with: its loss is trained elsewhere.
const BATCH: usize = 1;

/// Opens a model: a `.mlpackage`, `.mlmodelc`, `.mlmodel` or `.mil`; the folder of a run, or a llama2.c checkpoint (`.bin`), as `anemone
/// export` would deploy it; or a built-in model by name, with weights of zero.
pub(crate) fn open(model: &Path) -> Result<Opened, CliError> {
    open_with(model, Weights::Zero)
}

/// Weights of a built-in model, which nobody has trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weights {
    /// Zeros: quick, and as good as any where only shapes count.
    Zero,
    /// Those that training would begin with.
    Initial,
}

/// The same, with these weights for a built-in model.
pub(crate) fn open_with(model: &Path, built_in_weights: Weights) -> Result<Opened, CliError> {
    let name = model.display().to_string();
    if RunConfig::exists(model) {
        let checkpoint = Checkpoint::new(model);
        let config = RunConfig::read(&checkpoint)?.model;
        let specs = weights(&config)?;
        let states = read_states(&checkpoint.states_path(), &specs)?;
        return deployed(name, &config, &states);
    }
    if model.extension().is_some_and(|extension| extension == "bin") && model.is_file() {
        let (llama, states) = llama2c::read(model)?;
        return deployed(name, &ModelConfig::Llama(llama), &states);
    }
    if let Some(config) = built_in(&name).filter(|_| !model.exists()) {
        let states = States::new();
        for spec in weights(&config)? {
            let init = if built_in_weights == Weights::Zero { Init::Zeros } else { spec.init };
            states.lock().insert(spec.name.clone(), init.tensor(&spec.ty, 0, &spec.name)?);
        }
        let opened = deployed(name, &config, &states)?;
        return Ok(Opened { about: format!("{}, without trained weights", opened.about), ..opened });
    }
    if !model.exists() {
        return Err(CliError::usage(
            format!("there is no model `{name}`"),
            format!("a file, the folder of a run, or one of {}", built_ins().join(", ")),
        ));
    }
    let opened = Model::open(model)?;
    Ok(Opened { name, about: "as it is".into(), program: opened.program().clone() })
}

/// Names of the models that need no file.
pub(crate) fn built_ins() -> Vec<&'static str> {
    let mut names = defaults::preset_names();
    names.extend(["cifar", "mlp"]);
    names
}

fn built_in(name: &str) -> Option<ModelConfig> {
    match name.to_ascii_lowercase().as_str() {
        "cifar" => Some(ModelConfig::CifarCnn(CifarCnn::new())),
        "mlp" => Some(ModelConfig::Mlp(Mlp { image: [3, 32, 32], hidden: 256, classes: 10 })),
        preset => defaults::preset(preset).map(ModelConfig::Llama),
    }
}

/// The weights that a model is deployed with.
fn weights(config: &ModelConfig) -> Result<Vec<StateSpec>, CliError> {
    Ok(match config {
        ModelConfig::Llama(llama) => llama.weights()?,
        other => programs(other.model(), BATCH, &Default::default())?.eval_states,
    })
}

/// The model as `anemone export` writes it: in `fp16`, of fixed shape.
fn deployed(name: String, config: &ModelConfig, states: &States) -> Result<Opened, CliError> {
    let package = package(config, states)?;
    let program = verify(package.program()?).map_err(|faults| {
        let fault = faults.first().map_or_else(String::new, ToString::to_string);
        CliError::failed(format!("{name}: {fault}"))
    })?;
    Ok(Opened { about: format!("{}, as `anemone export` deploys it", config.describe()), name, program })
}

fn package(config: &ModelConfig, states: &States) -> Result<Package, CliError> {
    let export = Export::default();
    if let ModelConfig::Llama(llama) = config {
        return Ok(export.prefill(llama, states, &[llama.seq_len])?);
    }
    match (config.classifier(), config.images()) {
        (Some(model), Some((image, _))) => {
            Ok(export.classifier(model, image, states, &ClassifierFeatures::default())?)
        }
        _ => Err(CliError::failed("it holds no model that can be deployed")),
    }
}
