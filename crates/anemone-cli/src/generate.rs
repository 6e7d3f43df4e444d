//! `anemone generate`: text from a run or from a llama2.c checkpoint.

use crate::args::GenerateArgs;
use crate::config::{ModelConfig, RunConfig};
use crate::error::CliError;
use crate::output::Output;
use crate::report::meter_json;
use crate::{device, interrupt, source};
use anemone::nn::generate::{GenerateOptions, Generator, Stop};
use anemone::nn::models::{Llama, llama2c};
use anemone::nn::tokenizer::{AnyTokenizer, Tokenizer};
use anemone::nn::train::{Checkpoint, read_states};
use anemone::runtime::States;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Runs the command.
pub(crate) fn generate(args: &GenerateArgs, out: &mut Output) -> Result<(), CliError> {
    let device = device::choose(&args.device)?;
    let Writer { model, weights, tokenizer } = load(args)?;
    if args.prompt.is_empty() && tokenizer.bos().is_none() {
        return Err(CliError::usage(
            "this model knows no beginning of a text, so it needs one to go on from",
            "--prompt \"The \"",
        ));
    }
    let max_tokens = args.tokens.unwrap_or(model.seq_len);
    let options = GenerateOptions {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
        max_tokens,
        stop_tokens: Vec::new(),
    };
    let prompt_tokens = tokenizer.encode_with_bos(&args.prompt)?;
    let capacity = capacity(&model, prompt_tokens.len(), max_tokens)?;
    let running = device.start()?;
    let mut generator = Generator::new(&model, &weights, &*running.backend, capacity)?;
    let mut broken = None;
    let live = !out.is_json();
    if live {
        out.stream(&args.prompt)?;
    }
    let written = generator.generate_text(&tokenizer, &args.prompt, &options, &mut |piece| {
        if live && let Err(error) = out.stream(piece) {
            broken = Some(error);
        }
        match broken.is_some() || interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    if let Some(error) = broken {
        return Err(error);
    }
    if live {
        out.stream("\n")?;
    }
    let mut line = serde_json::to_value(&written).unwrap_or_default();
    line["prompt"] = json!(args.prompt);
    line["tokens_per_second"] = json!(written.rate());
    line["device"] = json!(running.description);
    line["simulated"] = json!(running.backend.meter().as_ref().map(meter_json));
    out.json(&line)?;
    match written.stop {
        Stop::Interrupted => Err(CliError::Interrupted),
        _ => Ok(()),
    }
}

/// Positions to keep: no more than the model was trained for, and no more than can be used.
fn capacity(model: &Llama, prompt: usize, max_tokens: usize) -> Result<usize, CliError> {
    if prompt >= model.seq_len {
        return Err(CliError::usage(
            format!("the prompt has {prompt} tokens, but the model's sequences have {}", model.seq_len),
            "a shorter --prompt",
        ));
    }
    Ok(model.seq_len.min(prompt + max_tokens))
}

/// Something that writes.
struct Writer {
    model: Llama,
    weights: States,
    tokenizer: AnyTokenizer,
}

fn load(args: &GenerateArgs) -> Result<Writer, CliError> {
    source::check_tokenizer_flag(args.tokenizer.as_deref())?;
    if args.model.is_file() { from_file(&args.model, args) } else { from_run(&args.model, args) }
}

fn from_file(path: &Path, args: &GenerateArgs) -> Result<Writer, CliError> {
    let beside = || path.parent().unwrap_or(Path::new("")).join("tokenizer.bin");
    let file: PathBuf = args.tokenizer.clone().unwrap_or_else(beside);
    let (model, weights) = llama2c::read(path)?;
    if !file.is_file() {
        return Err(CliError::usage(
            format!("{} has no tokenizer.bin beside it", path.display()),
            "--tokenizer with the tokenizer.bin that belongs to the checkpoint",
        ));
    }
    let tokenizer = AnyTokenizer::load(&file)?;
    source::check_vocabulary(&file, &tokenizer, model.vocab_size)?;
    Ok(Writer { model, weights, tokenizer })
}

fn from_run(dir: &Path, args: &GenerateArgs) -> Result<Writer, CliError> {
    let checkpoint = Checkpoint::new(dir);
    let config = RunConfig::read(&checkpoint)?;
    let ModelConfig::Llama(model) = &config.model else {
        return Err(CliError::usage(
            format!("{} holds a run of `{}`, which writes no text", dir.display(), config.task.name()),
            "the folder of a run of `anemone train stories`",
        ));
    };
    let tokenizer = match &args.tokenizer {
        Some(file) => {
            let tokenizer = AnyTokenizer::load(file)?;
            source::check_vocabulary(file, &tokenizer, model.vocab_size)?;
            tokenizer
        }
        None => source::run_tokenizer(&checkpoint, &config, model.vocab_size)?.ok_or_else(|| {
            CliError::usage(
                format!("{} holds no tokenizer: its data was tokens already", dir.display()),
                "--tokenizer with the tokenizer.bin that made them",
            )
        })?,
    };
    let weights = read_states(&checkpoint.states_path(), &model.weights()?)?;
    Ok(Writer { model: model.clone(), weights, tokenizer })
}
