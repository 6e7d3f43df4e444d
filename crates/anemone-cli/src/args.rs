//! The command line: what can be asked for, with help that teaches by example.

mod engine;
mod models;
mod training;
mod values;

pub(crate) use engine::*;
pub(crate) use models::*;
pub(crate) use training::*;

use crate::help;
use clap::{Parser, Subcommand};

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
