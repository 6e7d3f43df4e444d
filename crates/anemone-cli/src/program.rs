//! Any model as a program: files in every form, the folder of a run, and models that are built in, as they would be deployed.

use crate::config::{ModelConfig, RunConfig};
use crate::defaults;
use crate::error::CliError;
use crate::shapes;
use anemone::Model;
use anemone::export::{ClassifierFeatures, Export};
use anemone::mil::{Function, Shape, UNKNOWN, Verified, verify};
use anemone::mlpackage::{ArrayFlexibility, FeatureType, Package};
use anemone::nn::Init;
use anemone::nn::models::{CifarCnn, Mlp, llama2c};
use anemone::nn::train::{Checkpoint, StateSpec, programs, read_states};
use anemone::runtime::States;
use std::collections::BTreeMap;
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
    /// The function that runs when none is asked for, where the model says so.
    pub(crate) default_function: Option<String>,
    /// The shapes that Core ML takes for flexible inputs when it is free to choose, by function and input. A dimension that the
    /// model does not bound is unknown.
    defaults: BTreeMap<(String, String), Shape>,
}

impl Opened {
    fn fixed(name: String, about: String, program: Verified) -> Opened {
        Opened { name, about, program, default_function: None, defaults: BTreeMap::new() }
    }

    /// Binds flexible inputs to the shapes `given`, to the model's defaults, and dimensions that neither says to `unknown`. What
    /// was taken without being given is told in lines for people.
    pub(crate) fn bind(
        &mut self,
        given: &[(String, Vec<usize>)],
        unknown: usize,
    ) -> Result<Vec<String>, CliError> {
        self.bind_some(given, Some(unknown))
    }

    /// Binds flexible inputs to the shapes given, and leaves the others open.
    pub(crate) fn bind_given(&mut self, given: &[(String, Vec<usize>)]) -> Result<(), CliError> {
        self.bind_some(given, None).map(|_| ())
    }

    fn bind_some(
        &mut self,
        given: &[(String, Vec<usize>)],
        unknown: Option<usize>,
    ) -> Result<Vec<String>, CliError> {
        let mut taken = Vec::new();
        let given = shapes::by_name(given, &self.program)?;
        self.program = shapes::specialized(&self.program, |function| {
            let mut bound: BTreeMap<String, Shape> = BTreeMap::new();
            for id in function.tensor_inputs() {
                let name = function.display_name(id);
                // One that is fixed already is given, too: binding says whether it fits.
                if let Some(shape) = given.get(&name) {
                    bound.insert(name, shape.clone());
                    continue;
                }
                let Some(unknown) = unknown.filter(|_| !function.shape(id).is_known()) else { continue };
                let default = self.defaults.get(&(function.name.clone(), name.clone()));
                let default = default.filter(|shape| function.shape(id).accepts(shape));
                let mut shape = default.unwrap_or(function.shape(id)).clone();
                let whose = if shape.is_known() { "the model's default" } else { "assumed" };
                shape.dims_mut().iter_mut().filter(|dim| **dim == UNKNOWN).for_each(|dim| *dim = unknown);
                taken.push(format!("input `{name}` taken as {shape}, {whose}; --shape {name}=… for another"));
                bound.insert(name, shape);
            }
            bound
        })?;
        taken.dedup();
        Ok(taken)
    }

    /// The function asked for; else the one that the model runs by itself, else `main`, else the first.
    pub(crate) fn function(&self, asked: Option<&str>) -> Result<&Function, CliError> {
        let names: Vec<&str> = self.program.functions.iter().map(|function| function.name.as_str()).collect();
        let by_itself = self.default_function.as_deref().filter(|name| names.contains(name));
        let by_itself = by_itself.or_else(|| names.contains(&"main").then_some("main"));
        let name = asked.or(by_itself).or(names.first().copied()).unwrap_or_default();
        self.program.function(name).ok_or_else(|| {
            CliError::usage(
                format!("{} has no function `{name}`", self.name),
                format!("--function {}", names.join(" or ")),
            )
        })
    }
}

/// What the description says of inputs whose shapes the program leaves open.
fn default_shapes(model: &Model) -> BTreeMap<(String, String), Shape> {
    let mut found = BTreeMap::new();
    for described in &model.description().functions {
        for feature in &described.inputs {
            let key = (described.name.clone(), feature.name.clone());
            match &feature.ty {
                FeatureType::Array(array) => {
                    let mut shape: Shape = array.shape.iter().map(|&dim| dim as usize).collect();
                    if let ArrayFlexibility::Ranges(ranges) = &array.flexibility {
                        let open = ranges.iter().map(|range| range.upper.is_none());
                        let dims = shape.dims_mut().iter_mut().zip(open);
                        dims.filter(|(_, open)| *open).for_each(|(dim, _)| *dim = UNKNOWN);
                    }
                    found.insert(key, shape);
                }
                FeatureType::Image(image) => {
                    let [width, height] = [image.width, image.height].map(|pixels| pixels as usize);
                    let channels = image.color_space.channels() as usize;
                    found.insert(key, Shape::new(&[1, channels, height, width]));
                }
                _ => {}
            }
        }
    }
    found
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
    let default_function = opened.description().default_function().map(|function| function.name.clone());
    let program = opened.program().clone();
    let defaults = default_shapes(&opened);
    Ok(Opened { name, about: "a model file".into(), program, default_function, defaults })
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
    Ok(Opened::fixed(name, format!("{}, as `anemone export` deploys it", config.describe()), program))
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
