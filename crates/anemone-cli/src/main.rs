//! The `anemone` command: train, generate, evaluate.

mod args;
mod check;
mod chips;
mod config;
mod convert;
mod defaults;
mod device;
mod diff;
mod error;
mod estimate;
mod eval;
mod export;
mod folder;
mod generate;
mod help;
mod inspect;
mod interrupt;
mod numerics;
mod output;
mod plan;
mod profile;
mod program;
mod progress;
mod report;
mod run;
mod sample;
mod shapes;
mod simulate;
mod source;
mod train;
mod verify;

use crate::args::{Cli, Command};
use crate::error::CliError;
use crate::output::Output;
use clap::Parser;
use clap::error::ErrorKind;
use std::io::{self, Write};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => refuse(&error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = io::stderr().lock();
            for line in error.lines() {
                // When even standard error is closed, the exit code has to do.
                let _ = writeln!(stderr, "{line}");
            }
            ExitCode::from(error.code())
        }
    }
}

fn run(cli: Cli) -> Result<(), CliError> {
    start_log();
    // What saves or writes as it goes is asked to end; the others simply end.
    if !matches!(
        cli.command,
        Command::Run(_)
            | Command::Inspect(_)
            | Command::Verify(_)
            | Command::Chips(_)
            | Command::Diff(_)
            | Command::Profile(_)
            | Command::Convert(_)
    ) {
        interrupt::listen()?;
    }
    match cli.command {
        Command::Train(args) => train::train(&args, &mut Output::new(cli.json, args.quiet)),
        Command::Simulate(mut args) => {
            let quiet = args.quiet;
            simulate::simulate(&mut args, &mut Output::new(cli.json, quiet))
        }
        Command::Generate(args) => generate::generate(&args, &mut Output::new(cli.json, false)),
        Command::Eval(args) => eval::eval(&args, &mut Output::new(cli.json, false)),
        Command::Inspect(args) => inspect::inspect(&args, &mut Output::new(cli.json, false)),
        Command::Verify(args) => verify::verify(&args, &mut Output::new(cli.json, false)),
        Command::Check(args) if args.numerics => numerics::numerics(&args, &mut Output::new(cli.json, false)),
        Command::Check(args) => check::check(&args, &mut Output::new(cli.json, false)),
        Command::Estimate(args) => estimate::estimate(&args, &mut Output::new(cli.json, false)),
        Command::Profile(args) => profile::profile(&args, &mut Output::new(cli.json, false)),
        Command::Chips(args) => chips::chips(&args, &mut Output::new(cli.json, false)),
        Command::Diff(args) => diff::diff(&args, &mut Output::new(cli.json, false)),
        Command::Convert(args) => convert::convert(&args, &mut Output::new(cli.json, false)),
        Command::Export(args) => export::export(&args, &mut Output::new(cli.json, false)),
        Command::Run(args) => run::run(&args, &mut Output::new(cli.json, false)),
    }
}

/// Sends what the crates tell about themselves to standard error, as `ANEMONE_LOG` asks.
fn start_log() {
    let filter = EnvFilter::try_from_env("ANEMONE_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // It fails only if there is a subscriber already, which then serves as well.
    let _ = subscriber.try_init();
}

/// Help and version go to standard output; everything else that the parser says becomes one line and a way out.
fn refuse(error: &clap::Error) -> Result<(), CliError> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Ok(error.print()?);
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Err(CliError::usage("no command given", "anemone train stories, or anemone --help"));
    }
    let text = error.render().to_string();
    let (mut message, mut tips) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        match line.strip_prefix("tip: ") {
            Some(tip) => tips.push(tip),
            None if line.starts_with("Usage:") || line.starts_with("For more information") => {}
            None if line.is_empty() => {}
            None => message.push(line.strip_prefix("error: ").unwrap_or(line)),
        }
    }
    let remedy = if tips.is_empty() { "--help, which has examples".to_string() } else { tips.join("; ") };
    Err(CliError::usage(message.join(" "), remedy))
}
