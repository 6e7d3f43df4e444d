//! Arguments of what is about the Neural Engine: `check`, `estimate`, `profile`, `chips`, `simulate`.

use super::values::*;
use super::{FreshArgs, Task};
use clap::Args;
use std::path::PathBuf;

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

    /// Shape of a flexible input, as in x=1,3,224,224; may be repeated
    #[arg(long = "shape", value_name = "NAME=DIMS", value_parser = named_shape)]
    pub(crate) shapes: Vec<(String, Vec<usize>)>,

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

    /// This function [default: the one that runs when none is asked for]
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,

    /// Shape of a flexible input, as in x=1,3,224,224; may be repeated [default: the model's own]
    #[arg(long = "shape", value_name = "NAME=DIMS", value_parser = named_shape)]
    pub(crate) shapes: Vec<(String, Vec<usize>)>,

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

    /// Operations to show, those that take longest, in the order in which they run
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
