//! What a run is: everything that its folder must say so that it can be resumed, evaluated and sampled.

use crate::args::{AugmentName, Task};
use crate::error::CliError;
use anemone::nn::Module;
use anemone::nn::models::{CifarCnn, Llama, Mlp};
use anemone::nn::train::{Checkpoint, Model, TrainOptions};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of `config.json` that this program writes and reads.
const VERSION: u64 = 1;

/// `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunConfig {
    version: u64,
    /// What is trained.
    pub(crate) task: Task,
    /// On what.
    pub(crate) data: DataSource,
    /// The model.
    pub(crate) model: ModelConfig,
    /// Which kind of tokenizer file lies beside.
    pub(crate) tokenizer: Option<TokenizerKind>,
    /// How it is trained.
    pub(crate) options: TrainOptions,
}

/// Where the data comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum DataSource {
    /// Generated stories.
    Tales {
        /// Seed of the generator.
        seed: u64,
        /// Stories to train on.
        train: u64,
        /// Stories held out.
        held_out: u64,
    },
    /// A UTF-8 text file.
    Text {
        /// The file, absolute.
        path: PathBuf,
        /// The part at the end that is held out; 1 for all of it.
        held_out: f64,
    },
    /// `uint16` tokens: a file or a folder of them.
    Shards {
        /// The file or folder, absolute.
        path: PathBuf,
        /// The part at the end that is held out; 1 for all of it.
        held_out: f64,
    },
    /// Generated pictures.
    Shapes {
        /// Seed of the generator.
        seed: u64,
        /// Pictures to train on.
        train: u64,
        /// Pictures held out.
        held_out: u64,
        /// Changes to training images.
        augment: AugmentName,
    },
    /// A folder of images: CIFAR-10 or IDX.
    Images {
        /// The folder, absolute.
        path: PathBuf,
        /// Changes to training images.
        augment: AugmentName,
    },
}

impl DataSource {
    /// Its file or folder, unless it is generated.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            DataSource::Tales { .. } | DataSource::Shapes { .. } => None,
            DataSource::Text { path, .. } | DataSource::Shards { path, .. } => Some(path),
            DataSource::Images { path, .. } => Some(path),
        }
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        match self {
            DataSource::Tales { train, held_out, .. } => {
                format!("tales: {train} generated stories, {held_out} more held out")
            }
            DataSource::Shapes { train, held_out, .. } => {
                format!("shapes: {train} generated pictures, {held_out} more held out")
            }
            DataSource::Text { path, held_out } | DataSource::Shards { path, held_out }
                if *held_out < 1.0 =>
            {
                format!("{}, the last {:.0} % held out", path.display(), held_out * 100.0)
            }
            DataSource::Text { path, .. } | DataSource::Shards { path, .. } => path.display().to_string(),
            DataSource::Images { path, .. } => path.display().to_string(),
        }
    }

    fn is_text(&self) -> bool {
        !matches!(self, DataSource::Shapes { .. } | DataSource::Images { .. })
    }
}

/// A model and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(crate) enum ModelConfig {
    /// A language model.
    Llama(Llama),
    /// A convolutional network.
    CifarCnn(CifarCnn),
    /// A multi-layer perceptron.
    Mlp(Mlp),
}

impl ModelConfig {
    /// The model, as the trainer sees it.
    pub(crate) fn model(&self) -> &dyn Model {
        match self {
            ModelConfig::Llama(model) => model,
            ModelConfig::CifarCnn(model) => model,
            ModelConfig::Mlp(model) => model,
        }
    }

    /// The network alone, for image models.
    pub(crate) fn classifier(&self) -> Option<&dyn Module> {
        match self {
            ModelConfig::Llama(_) => None,
            ModelConfig::CifarCnn(model) => Some(model),
            ModelConfig::Mlp(model) => Some(model),
        }
    }

    /// Tokens per sequence; nothing for image models.
    pub(crate) fn seq_len(&self) -> usize {
        if let ModelConfig::Llama(model) = self { model.seq_len } else { 0 }
    }

    /// Tokens in the vocabulary; nothing for image models.
    pub(crate) fn vocab_size(&self) -> usize {
        if let ModelConfig::Llama(model) = self { model.vocab_size } else { 0 }
    }

    /// Shape `[C, H, W]` and classes of the images that it takes; nothing for language models.
    pub(crate) fn images(&self) -> Option<([usize; 3], usize)> {
        match self {
            ModelConfig::Llama(_) => None,
            ModelConfig::CifarCnn(model) => Some((model.image, model.classes)),
            ModelConfig::Mlp(model) => Some((model.image, model.classes)),
        }
    }

    /// Its sizes, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            ModelConfig::Llama(m) => format!(
                "Llama, {} layer{} of {} with {} heads, {} tokens in the vocabulary, sequences of {}",
                m.n_layers,
                if m.n_layers == 1 { "" } else { "s" },
                m.dim,
                m.n_heads,
                m.vocab_size,
                m.seq_len
            ),
            ModelConfig::CifarCnn(m) => format!(
                "CNN, five 3x3 convolutions of {} to {} channels, {} classes",
                m.width,
                m.width * 4,
                m.classes
            ),
            ModelConfig::Mlp(m) => {
                format!("MLP, two hidden layers of {}, {} classes", m.hidden, m.classes)
            }
        }
    }

    /// Refuses sizes that no model has, so that nothing later has to reckon with them.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            ModelConfig::Llama(model) => check_llama(model),
            ModelConfig::CifarCnn(CifarCnn { image, classes, width }) => {
                check_image_model(image, *classes, *width)
            }
            ModelConfig::Mlp(Mlp { image, hidden, classes }) => check_image_model(image, *classes, *hidden),
        }
    }
}

/// The largest size of a layer, a sequence or a vocabulary.
const MAX_SIZE: usize = 65536;
/// The most weights of a model.
const MAX_WEIGHTS: u128 = 1 << 33;

fn in_range(what: &str, found: usize, high: usize) -> Result<(), String> {
    match (1..=high).contains(&found) {
        true => Ok(()),
        false => Err(format!("{what} is {found}, but must be from 1 to {high}")),
    }
}

fn check_weights(count: u128) -> Result<(), String> {
    match count <= MAX_WEIGHTS {
        true => Ok(()),
        false => Err(format!("the model would have {count} weights, but at most {MAX_WEIGHTS} are allowed")),
    }
}

fn check_llama(model: &Llama) -> Result<(), String> {
    let Llama { dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len, tied: _ } = *model;
    for (what, found, high) in [
        ("dim", dim, MAX_SIZE),
        ("hidden_dim", hidden_dim, 4 * MAX_SIZE),
        ("the number of layers", n_layers, 256),
        ("the number of heads", n_heads, 1024),
        ("the number of key and value heads", n_kv_heads, 1024),
        ("the vocabulary", vocab_size, MAX_SIZE),
        ("the sequence length", seq_len, MAX_SIZE),
    ] {
        in_range(what, found, high)?;
    }
    if !dim.is_multiple_of(2 * n_heads) {
        return Err(format!("dim is {dim}, but must be a multiple of twice the {n_heads} heads"));
    }
    if !n_heads.is_multiple_of(n_kv_heads) {
        return Err(format!("{n_heads} heads cannot share {n_kv_heads} key and value heads evenly"));
    }
    let [dim, hidden, layers, vocab] = [dim, hidden_dim, n_layers, vocab_size].map(|size| size as u128);
    check_weights(vocab * dim * 2 + layers * dim * (4 * dim + 3 * hidden))
}

fn check_image_model(image: &[usize; 3], classes: usize, width: usize) -> Result<(), String> {
    let [channels, height, columns] = *image;
    in_range("the number of channels", channels, 1024)?;
    in_range("the height of the images", height, 4096)?;
    in_range("the width of the images", columns, 4096)?;
    in_range("the number of classes", classes, MAX_SIZE)?;
    in_range("the width of the layers", width, MAX_SIZE / 4)?;
    let [pixels, width] = [channels * height * columns, width].map(|size| size as u128);
    check_weights(pixels * width + 200 * width * width)
}

/// Kinds of tokenizer files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenizerKind {
    /// One token a character: `tokenizer.json`.
    Char,
    /// Byte-pair encoding: `tokenizer.bin`.
    Bpe,
}

impl TokenizerKind {
    /// The name of the file.
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            TokenizerKind::Char => "tokenizer.json",
            TokenizerKind::Bpe => "tokenizer.bin",
        }
    }
}

impl RunConfig {
    /// A new run.
    pub(crate) fn new(
        task: Task,
        data: DataSource,
        model: ModelConfig,
        tokenizer: Option<TokenizerKind>,
        options: TrainOptions,
    ) -> RunConfig {
        RunConfig { version: VERSION, task, data, model, tokenizer, options }
    }

    /// Whether `dir` holds a run.
    pub(crate) fn exists(dir: &Path) -> bool {
        Checkpoint::new(dir).config_path().exists()
    }

    /// Reads and checks the configuration of a run.
    pub(crate) fn read(checkpoint: &Checkpoint) -> Result<RunConfig, CliError> {
        let file = checkpoint.config_path();
        if !checkpoint.dir().is_dir() {
            let found = if checkpoint.dir().exists() { "is not a folder" } else { "does not exist" };
            let message = format!("{} {found}", checkpoint.dir().display());
            return Err(CliError::usage(message, "give the folder of a run, as runs/stories"));
        }
        if !file.exists() {
            let message = format!("{} holds no run: it has no config.json", checkpoint.dir().display());
            return Err(CliError::usage(message, "give the folder that a run was written to (--out)"));
        }
        let damaged = |what: String| {
            let message = format!("{}: {what}", file.display());
            CliError::failed_try(message, "restore the file, or train anew into another folder")
        };
        let json: serde_json::Value = checkpoint.read_config()?;
        match json.get("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(version) => {
                return Err(damaged(format!(
                    "is of version {version}, but this anemone reads version {VERSION}"
                )));
            }
            None => return Err(damaged("is not a run's configuration: it names no version".to_string())),
        }
        let config: RunConfig = serde_json::from_value(json)
            .map_err(|error| damaged(format!("is not a run's configuration: {error}")))?;
        config.check().map_err(damaged)?;
        Ok(config)
    }

    /// Refuses what does not fit together.
    pub(crate) fn check(&self) -> Result<(), String> {
        let is_text = self.task == Task::Stories;
        let fits = matches!(
            (&self.model, self.task),
            (ModelConfig::Llama(_), Task::Stories)
                | (ModelConfig::CifarCnn(_), Task::Cifar)
                | (ModelConfig::Mlp(_), Task::Mlp)
        );
        if !fits {
            return Err(format!("the model is not one of the task `{}`", self.task.name()));
        }
        if self.data.is_text() != is_text {
            return Err(format!("the data is not of a kind for the task `{}`", self.task.name()));
        }
        let needs_tokenizer = matches!(self.data, DataSource::Tales { .. } | DataSource::Text { .. });
        if self.tokenizer.is_none() && needs_tokenizer {
            return Err("names no tokenizer, but text needs one".to_string());
        }
        self.model.check()?;
        in_range("the batch size", self.options.batch_size, MAX_SIZE)?;
        self.options.check().map_err(|error| error.to_string())
    }
}
