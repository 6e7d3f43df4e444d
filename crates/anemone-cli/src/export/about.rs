//! Where a model comes from: what its package says about itself.

use crate::args::ExportArgs;
use crate::config::{ModelConfig, RunConfig};
use crate::error::CliError;
use anemone::mil::{DataType, TensorType};
use anemone::mlpackage::Metadata;
use anemone::nn::Init;
use anemone::nn::train::{Checkpoint, Precision, Programs, StateSpec, read_states};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The origin of a model.
pub(super) struct Origin {
    /// The model and its sizes, for people.
    pub(super) model: String,
    /// Whether it was trained in `fp32` throughout.
    pub(super) single: bool,
    /// A sentence about it.
    sentence: String,
    /// What is known of its training, by key.
    facts: BTreeMap<&'static str, String>,
}

impl Origin {
    /// A run.
    pub(super) fn of_run(config: &RunConfig, checkpoint: &Checkpoint) -> Result<Origin, CliError> {
        let iteration = iteration(checkpoint)?;
        let data = config.data.describe();
        let precision = match config.options.step.precision {
            Precision::Fp32 => "fp32",
            Precision::Fp16(_) => "fp16 with loss scaling",
        };
        let mut facts = BTreeMap::from([
            ("task", config.task.name().to_string()),
            ("data", data.clone()),
            ("steps", iteration.to_string()),
            ("batch_size", config.options.batch_size.to_string()),
            ("seed", config.options.seed.to_string()),
            ("precision", precision.to_string()),
        ]);
        facts.extend(held_out(checkpoint, iteration));
        let sentence = format!("{}, trained for {iteration} steps on {data}", config.model.describe());
        let single = config.options.step.precision == Precision::Fp32;
        Ok(Origin { single, ..Origin::new(&config.model, sentence, facts) })
    }

    /// A file of weights.
    pub(super) fn of_file(path: &Path, model: &ModelConfig) -> Origin {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let sentence = format!("{}, from the llama2.c checkpoint {name}", model.describe());
        Origin::new(model, sentence, BTreeMap::from([("checkpoint", name)]))
    }

    fn new(model: &ModelConfig, sentence: String, mut facts: BTreeMap<&'static str, String>) -> Origin {
        facts.insert("version", env!("CARGO_PKG_VERSION").to_string());
        facts.insert("model", model.describe());
        Origin { model: model.describe(), single: true, sentence, facts }
    }

    /// Everything known, by the keys of the package.
    pub(super) fn entries(&self) -> BTreeMap<String, String> {
        self.facts.iter().map(|(key, value)| (format!("anemone.{key}"), value.clone())).collect()
    }

    /// The package's metadata. Nothing in it depends on when or where the package is made.
    pub(super) fn metadata(&self, args: &ExportArgs) -> Metadata {
        Metadata {
            description: args.description.clone().unwrap_or_else(|| self.sentence.clone()),
            version: String::new(),
            author: args.author.clone(),
            license: args.license.clone(),
            user_defined: self.entries(),
        }
    }
}

/// Steps that were made, as the checkpoint counts them.
fn iteration(checkpoint: &Checkpoint) -> Result<i32, CliError> {
    let name = Programs::ITERATION.to_string();
    let ty = TensorType::scalar(DataType::Int32);
    let spec = StateSpec { path: name.clone(), name, ty, init: Init::Zeros, trainable: false };
    let states = read_states(&checkpoint.states_path(), &[spec])?;
    let count =
        states.get(Programs::ITERATION).and_then(|tensor| tensor.as_slice::<i32>().ok()?.first().copied());
    count.ok_or_else(|| CliError::failed("the checkpoint holds no count of the steps made"))
}

/// The last evaluation of these weights, if the run logged one: the log is for people, so what is damaged in it is passed over.
fn held_out(checkpoint: &Checkpoint, iteration: i32) -> Vec<(&'static str, String)> {
    let Ok(log) = fs::read_to_string(checkpoint.log_path()) else { return Vec::new() };
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut evaluated = lines.filter(|line| line["iteration"] == iteration && line["held_out"].is_object());
    let Some(line) = evaluated.next_back() else { return Vec::new() };
    [("held_out_loss", "loss"), ("held_out_accuracy", "accuracy")]
        .into_iter()
        .filter_map(|(key, name)| Some((key, line["held_out"].get(name)?.to_string())))
        .collect()
}
