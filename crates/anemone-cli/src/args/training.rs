//! Arguments of `train`, `generate` and `eval`.

use super::values::*;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// A Llama transformer that writes text; without --data on `tales`, generated stories
    Stories,
    /// A convolutional network that classifies images; without --data on `shapes`, generated pictures
    Cifar,
    /// A multi-layer perceptron that classifies images; without --data on `shapes`
    Mlp,
}

impl Task {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Task::Stories => "stories",
            Task::Cifar => "cifar",
            Task::Mlp => "mlp",
        }
    }
}

/// Precision of forward and backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// Single precision
    Fp32,
    /// Half precision with dynamic loss scaling; weights and optimizer stay in fp32
    Fp16,
}

/// Optimizers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerName {
    /// Gradient descent with momentum
    Sgd,
    /// Adam
    Adam,
    /// Adam with decoupled weight decay
    Adamw,
}

/// Learning-rate schedules by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScheduleName {
    /// Rises over --warmup updates, then falls along half a cosine to a tenth
    Cosine,
    /// Does not change
    Constant,
}

/// Changes made to training images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AugmentName {
    /// None
    None,
    /// Shifted by up to 4 pixels, half of them mirrored
    CropFlip,
}

/// `anemone train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// What to train; not needed with --resume
    #[arg(value_enum)]
    pub(crate) task: Option<Task>,

    /// Go on with the run in this folder; of the other options only --steps, --eval-every, --save-every, --device,
    /// --threads, --json and --quiet may stand with it
    #[arg(long, value_name = "DIR")]
    pub(crate) resume: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) fresh: FreshArgs,

    /// Batches to train on in all
    #[arg(long, value_name = "N", value_parser = steps, allow_negative_numbers = true, help_heading = "Optimization", display_order = 0)]
    pub(crate) steps: Option<u64>,

    /// Evaluate on held-out data every N steps
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, help_heading = "Run")]
    pub(crate) eval_every: Option<u64>,

    /// Save a checkpoint every N steps
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, help_heading = "Run")]
    pub(crate) save_every: Option<u64>,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,

    /// Print the results alone
    #[arg(long, short, help_heading = "Run")]
    pub(crate) quiet: bool,
}

/// Where to run.
#[derive(Clone, Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Where to run: cpu, or simulated:CHIP (m1, m5-pro, …): the engine's arithmetic, with estimates of its time and energy
    /// [default: the best there is]
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub(crate) device: Option<String>,

    /// CPU threads; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, help_heading = "Run")]
    pub(crate) threads: Option<usize>,
}

/// What a run is, fixed from its beginning.
#[derive(Debug, Default, Args)]
pub(crate) struct FreshArgs {
    /// A text file, a folder or .bin file of uint16 tokens, a CIFAR-10 folder or an IDX folder [default: generated]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    pub(crate) data: Option<PathBuf>,

    /// Stories or images to generate for training, without --data [default: 20000]
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, help_heading = "Data")]
    pub(crate) examples: Option<u64>,

    /// A tokenizer.bin or tokenizer.json to use [default: one is made from the data]
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    pub(crate) tokenizer: Option<PathBuf>,

    /// Tokens in the vocabulary that is learned from generated stories [default: 1024]
    #[arg(long, value_name = "N", value_parser = vocabulary, allow_negative_numbers = true, help_heading = "Data")]
    pub(crate) vocab: Option<usize>,

    /// Changes made to training images [default: crop-flip for cifar, none for mlp]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Data")]
    pub(crate) augment: Option<AugmentName>,

    /// Folder to write to [default: runs/TASK, or runs/TASK-2 and so on if that holds a run]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub(crate) out: Option<PathBuf>,

    /// Sizes of the transformer: tales, char, stories260k, stories15m, stories42m or stories110m (15m, 42m … for short)
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) preset: Option<String>,

    /// Tokens per sequence [default: the preset's]
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) seq: Option<usize>,

    /// Size of the transformer's residual stream, for sizes other than a preset's
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) dim: Option<usize>,

    /// Layers of the transformer
    #[arg(long, value_name = "N", value_parser = layers, allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) layers: Option<usize>,

    /// Attention heads
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) heads: Option<usize>,

    /// Key and value heads [default: as many as heads]
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) kv_heads: Option<usize>,

    /// Channels after the first convolution (cifar), or size of the hidden layers (mlp)
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true, help_heading = "Model")]
    pub(crate) width: Option<usize>,

    /// Rows (sequences, images) in a batch
    #[arg(long, value_name = "N", value_parser = size, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) batch: Option<usize>,

    /// Precision of the model's passes [default: fp32]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Optimization")]
    pub(crate) dtype: Option<Dtype>,

    /// What makes updates of gradients [default: adamw]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Optimization")]
    pub(crate) optimizer: Option<OptimizerName>,

    /// Learning rate at its peak
    #[arg(long, value_name = "X", value_parser = above_zero, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) lr: Option<f32>,

    /// How the learning rate changes [default: cosine]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Optimization")]
    pub(crate) schedule: Option<ScheduleName>,

    /// Updates over which the learning rate rises
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) warmup: Option<u32>,

    /// Largest global norm of the gradients; 0 for no limit
    #[arg(long, value_name = "X", value_parser = from_zero, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) clip: Option<f32>,

    /// Weight decay of matrices; biases and norms are left alone
    #[arg(long, value_name = "X", value_parser = from_zero, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) weight_decay: Option<f32>,

    /// Momentum of sgd [default: 0.9]
    #[arg(long, value_name = "X", value_parser = below_one, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) momentum: Option<f32>,

    /// Batches whose gradients make one update [default: 1]
    #[arg(long, value_name = "N", value_parser = accumulate, allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) accumulate: Option<u32>,

    /// Seed of weights, data order and augmentation [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Optimization")]
    pub(crate) seed: Option<u64>,

    /// Held-out batches per evaluation while training
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true, help_heading = "Run")]
    pub(crate) eval_batches: Option<u64>,
}

/// `anemone generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The folder of a run, or a llama2.c checkpoint (.bin)
    #[arg(value_name = "DIR|FILE")]
    pub(crate) model: PathBuf,

    /// How the text begins
    #[arg(
        long,
        short,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(crate) prompt: String,

    /// Most tokens to write [default: as many as the model's sequence holds]
    #[arg(long, short = 'n', value_name = "N", value_parser = size, allow_negative_numbers = true)]
    pub(crate) tokens: Option<usize>,

    /// 0 takes the likeliest token; higher is more surprising
    #[arg(long, value_name = "X", value_parser = temperature, default_value = "0.8", allow_negative_numbers = true)]
    pub(crate) temperature: f32,

    /// Choose among the likeliest tokens that together have this probability; 1 for all
    #[arg(long, value_name = "X", value_parser = probability, default_value = "0.9", allow_negative_numbers = true)]
    pub(crate) top_p: f32,

    /// Seed of the choices
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    pub(crate) seed: u64,

    /// The tokenizer [default: the run's; beside a .bin file, its tokenizer.bin]
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `anemone eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The folder of a run
    #[arg(value_name = "DIR")]
    pub(crate) run: PathBuf,

    /// Other data to measure on, in the form of the run's; of images the test set is taken, of text all
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

impl FreshArgs {
    /// The first flag given here, if any.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        // Named one by one, so that a new flag cannot be forgotten here.
        let FreshArgs {
            data,
            examples,
            tokenizer,
            vocab,
            augment,
            out,
            preset,
            seq,
            dim,
            layers,
            heads,
            kv_heads,
            width,
            batch,
            dtype,
            optimizer,
            lr,
            schedule,
            warmup,
            clip,
            weight_decay,
            momentum,
            accumulate,
            seed,
            eval_batches,
        } = self;
        let flags = [
            ("--data", data.is_some()),
            ("--examples", examples.is_some()),
            ("--tokenizer", tokenizer.is_some()),
            ("--vocab", vocab.is_some()),
            ("--augment", augment.is_some()),
            ("--out", out.is_some()),
            ("--preset", preset.is_some()),
            ("--seq", seq.is_some()),
            ("--dim", dim.is_some()),
            ("--layers", layers.is_some()),
            ("--heads", heads.is_some()),
            ("--kv-heads", kv_heads.is_some()),
            ("--width", width.is_some()),
            ("--batch", batch.is_some()),
            ("--dtype", dtype.is_some()),
            ("--optimizer", optimizer.is_some()),
            ("--lr", lr.is_some()),
            ("--schedule", schedule.is_some()),
            ("--warmup", warmup.is_some()),
            ("--clip", clip.is_some()),
            ("--weight-decay", weight_decay.is_some()),
            ("--momentum", momentum.is_some()),
            ("--accumulate", accumulate.is_some()),
            ("--seed", seed.is_some()),
            ("--eval-batches", eval_batches.is_some()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}
