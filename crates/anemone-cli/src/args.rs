//! The command line: what can be asked for, with help that teaches by example.

use crate::help;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "anemone", version, about = help::ABOUT, after_help = help::EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print JSON, one object per line, and nothing else on standard output
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model, or go on training one
    #[command(after_help = help::train())]
    Train(Box<TrainArgs>),
    /// Train on simulated engines, and tell how far they part from fp32 and from each other
    #[command(after_help = help::SIMULATE_EXAMPLES)]
    Simulate(Box<SimulateArgs>),
    /// Let a language model write
    #[command(after_help = help::GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// Measure a model on held-out data
    #[command(after_help = help::EVAL_EXAMPLES)]
    Eval(EvalArgs),
    /// Tell what a model is made of
    #[command(after_help = help::INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Check a model against MIL's rules
    #[command(after_help = help::VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Predict whether a model runs on the Neural Engine of these chips
    #[command(after_help = help::CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Estimate time and energy of a call on the Neural Engine of these chips
    #[command(after_help = help::ESTIMATE_EXAMPLES)]
    Estimate(EstimateArgs),
    /// Estimate where the time of a call goes on one chip, operation by operation
    #[command(after_help = help::PROFILE_EXAMPLES)]
    Profile(ProfileArgs),
    /// Tell what is known of the chips
    #[command(after_help = help::CHIPS_EXAMPLES)]
    Chips(ChipsArgs),
    /// Compare two models, programs and weights
    #[command(after_help = help::DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Write a model in another form
    #[command(after_help = help::CONVERT_EXAMPLES)]
    Convert(ConvertArgs),
    /// Make a Core ML package of a trained model
    #[command(after_help = help::EXPORT_EXAMPLES)]
    Export(Box<ExportArgs>),
    /// Run a Core ML model on arrays or images
    #[command(after_help = help::RUN_EXAMPLES)]
    Run(RunArgs),
}

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

/// `anemone simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// What to train
    #[arg(value_enum)]
    pub(crate) task: Task,

    /// Chips whose engines are simulated
    #[arg(
        long,
        value_name = "NAME,NAME",
        value_delimiter = ',',
        default_value = "m1,m5",
        help_heading = "Run"
    )]
    pub(crate) chips: Vec<String>,

    #[command(flatten)]
    pub(crate) fresh: FreshArgs,

    /// Batches to train on in all
    #[arg(long, value_name = "N", value_parser = steps, allow_negative_numbers = true, help_heading = "Optimization", display_order = 0)]
    pub(crate) steps: Option<u64>,

    /// CPU threads; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true, help_heading = "Run")]
    pub(crate) threads: Option<usize>,

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

/// Parses a whole number in a range.
fn whole(text: &str, low: u64, high: u64) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => Err(format!("a whole number from {low} to {high} is needed")),
    }
}

/// Parses a finite number in a range that the message names.
fn number(text: &str, allowed: &str, fits: impl Fn(f32) -> bool) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() && fits(number) => Ok(number),
        _ => Err(format!("a number {allowed} is needed")),
    }
}

fn steps(text: &str) -> Result<u64, String> {
    whole(text, 1, i32::MAX as u64)
}

fn positive(text: &str) -> Result<u64, String> {
    whole(text, 1, 1 << 40)
}

fn size(text: &str) -> Result<usize, String> {
    whole(text, 1, 65536).map(|number| number as usize)
}

fn layers(text: &str) -> Result<usize, String> {
    whole(text, 1, 256).map(|number| number as usize)
}

fn vocabulary(text: &str) -> Result<usize, String> {
    whole(text, 260, 65536).map(|number| number as usize)
}

fn threads(text: &str) -> Result<usize, String> {
    whole(text, 1, 1024).map(|number| number as usize)
}

fn count(text: &str) -> Result<u32, String> {
    whole(text, 0, i32::MAX as u64).map(|number| number as u32)
}

fn accumulate(text: &str) -> Result<u32, String> {
    whole(text, 1, 1 << 20).map(|number| number as u32)
}

fn above_zero(text: &str) -> Result<f32, String> {
    number(text, "above 0 and at most 1000", |x| x > 0.0 && x <= 1000.0)
}

fn from_zero(text: &str) -> Result<f32, String> {
    number(text, "of 0 or more", |x| x >= 0.0)
}

fn below_one(text: &str) -> Result<f32, String> {
    number(text, "from 0 to below 1", |x| (0.0..1.0).contains(&x))
}

fn temperature(text: &str) -> Result<f32, String> {
    number(text, "from 0 to 100", |x| (0.0..=100.0).contains(&x))
}

fn probability(text: &str) -> Result<f32, String> {
    number(text, "above 0 and at most 1", |x| x > 0.0 && x <= 1.0)
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

/// `anemone run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A .mlpackage, .mlmodelc or .mlmodel of the ML Program kind, or MIL text (.mil)
    pub(crate) model: PathBuf,

    /// The function to run; the model's default without it
    #[arg(long)]
    pub(crate) function: Option<String>,

    /// An .npz, .npy or image; or NAME=FILE,NAME=FILE. Several run one after the other
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Vec<String>,

    /// Write the results to this .npz: of the last run, or one file for each input
    #[arg(long, value_name = "NPZ")]
    pub(crate) output: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

/// `anemone inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A .mlpackage, .mlmodelc or .mlmodel of the ML Program kind, or MIL text (.mil)
    pub(crate) model: PathBuf,

    /// Print the program as MIL text instead, weights left out
    #[arg(long, conflicts_with = "json")]
    pub(crate) mil: bool,
}

/// `anemone verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A .mlpackage, .mlmodelc or .mlmodel of the ML Program kind, or MIL text (.mil)
    pub(crate) model: PathBuf,
}

/// `anemone check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// A model in any form, the folder of a run, a llama2.c checkpoint, or a built-in model (stories110m, cifar, …)
    pub(crate) model: PathBuf,

    /// Chips or compiler targets: m1,m4max,h17s or all [default: all that take such programs]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) chips: Vec<String>,

    /// Check this function alone
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,

    /// Show also what is merely worth knowing; with --numerics every operation
    #[arg(long)]
    pub(crate) notes: bool,

    /// Compute the model with the engine's arithmetic and tell the error of every operation [default chips: m1,m5]
    #[arg(long)]
    pub(crate) numerics: bool,

    /// Inputs for --numerics: an .npz with arrays of the inputs' names, or an .npy for one input [default: random]
    #[arg(long, value_name = "FILE", requires = "numerics")]
    pub(crate) input: Option<PathBuf>,
}

/// What `anemone estimate` and `anemone profile` are told alike.
#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// A model in any form, the folder of a run, a llama2.c checkpoint, or a built-in model (stories110m, cifar, …)
    pub(crate) model: PathBuf,

    /// This function [default: main, or the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,

    /// Inputs and outputs are fp32 arrays of the host: count their conversion and copies
    #[arg(long)]
    pub(crate) host_copy: bool,

    /// Calls follow each other without pause
    #[arg(long)]
    pub(crate) sustained: bool,

    /// The in-memory path (_ANEInMemoryModel) instead of e5rt
    #[arg(long)]
    pub(crate) direct: bool,

    /// Turns to assume of a loop
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) turns: u32,

    /// Length to assume of a dimension that is not known
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) unknown: u32,
}

/// `anemone estimate`.
#[derive(Debug, Args)]
pub(crate) struct EstimateArgs {
    /// Model and circumstances.
    #[command(flatten)]
    pub(crate) cost: CostArgs,

    /// Chips or compiler targets: m1,m4max,h17s or all [default: all that take such programs]
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub(crate) chips: Vec<String>,
}

/// `anemone profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Model and circumstances.
    #[command(flatten)]
    pub(crate) cost: CostArgs,

    /// Chip or compiler target
    #[arg(long, value_name = "NAME", default_value = "m4")]
    pub(crate) chip: String,

    /// Operations to show: those that take longest
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub(crate) top: usize,

    /// Write a trace for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Write a page with roofline, timeline and table
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// `anemone chips`.
#[derive(Debug, Args)]
pub(crate) struct ChipsArgs {
    /// Chips or compiler targets to tell all about [default: a table of all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// `anemone diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// A model in any form
    pub(crate) a: PathBuf,

    /// Another one
    pub(crate) b: PathBuf,
}

/// The dialects of MIL text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// Scalars wrapped: compilers of every generation read it
    Ios16,
    /// Scalars bare: what coremlc writes for ios18
    Ios18,
}

/// `anemone convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A model in any form: .mlpackage, .mlmodelc, .mlmodel or .mil
    pub(crate) model: PathBuf,

    /// What to write: a name that ends in .mlpackage or .mil
    pub(crate) output: PathBuf,

    /// Dialect of MIL text [default: what coremlc writes for the program's opset]
    #[arg(long)]
    pub(crate) dialect: Option<DialectName>,

    /// Rewrite what the Neural Engine of this chip refuses or gets wrong, where that is known how: m1, m4max, h17s
    #[arg(long = "for", value_name = "CHIP")]
    pub(crate) chip: Option<String>,

    /// Replace what stands there
    #[arg(long)]
    pub(crate) force: bool,
}

/// `anemone export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The folder of a run, or a llama2.c checkpoint (.bin)
    #[arg(value_name = "DIR|FILE")]
    pub(crate) model: PathBuf,

    /// The package to write: a name that ends in .mlpackage
    #[arg(long, short, value_name = "PACKAGE")]
    pub(crate) output: PathBuf,

    /// Precision of weights and arithmetic; the Neural Engine computes in fp16 only [default: fp16]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "trainable")]
    pub(crate) dtype: Option<Precision>,

    /// Precision of arrays that go in and come out [default: fp32]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "trainable")]
    pub(crate) io: Option<Precision>,

    /// Take an image, normalised in the program as in training, in place of a normalised array
    #[arg(long, conflicts_with_all = ["trainable", "stateful", "lengths"], help_heading = "Image models")]
    pub(crate) image: bool,

    /// Answer with the class and the probability of each, in place of scores
    #[arg(long, conflicts_with_all = ["trainable", "stateful", "lengths"], help_heading = "Image models")]
    pub(crate) classes: bool,

    /// Tokens of the sequence; several for a package that takes any of these [default: the model's longest]
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        value_parser = size,
        conflicts_with = "trainable",
        help_heading = "Language models"
    )]
    pub(crate) lengths: Vec<usize>,

    /// Take one token a call and its position, with keys and values of earlier ones in fp16 states
    #[arg(long, conflicts_with_all = ["trainable", "lengths"], help_heading = "Language models")]
    pub(crate) stateful: bool,

    /// Write the training step and the evaluation, to go on with the run elsewhere
    #[arg(long, help_heading = "Training")]
    pub(crate) trainable: bool,

    /// Carry weights, moments and counters from step to step as inputs and outputs in place of states
    #[arg(long, requires = "trainable", help_heading = "Training")]
    pub(crate) arrays: bool,

    /// Who made the model
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Metadata"
    )]
    pub(crate) author: String,

    /// Under which licence
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        help_heading = "Metadata"
    )]
    pub(crate) license: String,

    /// What it does [default: a sentence about the run]
    #[arg(long, value_name = "TEXT", help_heading = "Metadata")]
    pub(crate) description: Option<String>,

    /// Replace a package that stands there
    #[arg(long)]
    pub(crate) force: bool,
}

/// Precisions of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// Single precision
    Fp32,
    /// Half precision
    Fp16,
}
