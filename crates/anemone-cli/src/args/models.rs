//! Arguments of what is about models in files: `run`, `inspect`, `verify`, `diff`, `convert`, `export`.

use super::DeviceArgs;
use super::values::*;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

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

    /// Write the results to this .npz, replacing one that stands there: of the last run, or one file for each input
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

    /// Fix the shape of a flexible input, as in x=1,3,224,224; may be repeated
    #[arg(long = "shape", value_name = "NAME=DIMS", value_parser = named_shape)]
    pub(crate) shapes: Vec<(String, Vec<usize>)>,

    /// Compute in this precision, with weights in it; what goes in and comes out stays as it is. The Neural Engine computes in
    /// fp16 only
    #[arg(long, value_name = "NAME", value_parser = ["fp16"])]
    pub(crate) dtype: Option<String>,

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
