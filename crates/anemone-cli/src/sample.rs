//! A taste of what a language model writes, at the end of its training.

use crate::config::TokenizerKind;
use crate::error::CliError;
use crate::interrupt;
use crate::output::{Output, printable};
use anemone::nn::generate::{GenerateOptions, Generator};
use anemone::nn::models::Llama;
use anemone::nn::tokenizer::{AnyTokenizer, Tokenizer};
use anemone::runtime::{Backend, States};
use serde_json::json;
use std::ops::ControlFlow;

/// How stories are begun; a tokenizer with a token for the beginning of a text needs no words.
const STORIES: [&str; 3] = ["", "One day", "Once upon a time"];
/// How other texts are begun.
const TEXTS: [&str; 3] = ["\n", "\n", "\n"];

/// Writes and prints three samples.
pub(crate) fn show(
    model: &Llama,
    weights: &States,
    tokenizer: &AnyTokenizer,
    backend: &dyn Backend,
    out: &mut Output,
) -> Result<(), CliError> {
    let mut generator = Generator::new(model, weights, backend, model.seq_len)?;
    let prompts = if tokenizer.bos().is_some() { STORIES } else { TEXTS };
    out.result("\nThe model writes:")?;
    for (seed, prompt) in (0..).zip(prompts) {
        // A text of other characters cannot begin with these, nor a short sequence with many.
        let fits = tokenizer.encode_with_bos(prompt).is_ok_and(|tokens| tokens.len() < model.seq_len);
        if interrupt::asked() || !fits {
            continue;
        }
        let options = GenerateOptions { seed, max_tokens: model.seq_len, ..GenerateOptions::default() };
        let whole = &mut |_: &str| match interrupt::asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let written = generator.generate_text(tokenizer, prompt, &options, whole)?;
        let text = format!("{prompt}{}", written.text);
        out.json(&json!({"event": "sample", "prompt": prompt, "seed": seed, "text": text}))?;
        out.result("")?;
        out.paragraph(printable(&text).trim())?;
    }
    Ok(())
}

/// A prompt to suggest for trying the model.
pub(crate) fn suggestion(tokenizer: TokenizerKind) -> &'static str {
    match tokenizer {
        TokenizerKind::Bpe => "One day",
        TokenizerKind::Char => "The ",
    }
}
