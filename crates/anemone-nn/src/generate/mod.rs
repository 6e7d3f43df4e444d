//! Text from a trained model, token by token, with keys and values of earlier positions held in states.
//!
//! Two compiled functions share the same states: one takes up to [`PREFILL`] tokens of a prompt in a pass, the other a
//! single token. Both attend over the whole cache, so a token costs the same wherever it stands; a generator for few
//! positions is cheaper than one for many. The weights are those of the states that the caller gives, so a model can be sampled in the middle of
//! its training; the caches stand beside them only for as long as the [`Generator`] lives.

mod sample;

use crate::models::{Decoder, Llama};
use crate::tokenizer::{StreamDecoder, Tokenizer};
use crate::train::{StateSpec, first_fault};
use crate::{Graph, Mode, NnError};
use anemone_runtime::{Backend, CompileOptions, Executable, States, Tensor};
use mil::{Program, TensorType, verify};
pub use sample::{GenerateOptions, sample};
use serde::Serialize;
use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// As many tokens as asked for.
    MaxTokens,
    /// A stop token: the model ended its text.
    StopToken,
    /// The cache is full.
    Capacity,
    /// The caller broke off.
    Interrupted,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::MaxTokens => "as many tokens as asked for",
            Stop::StopToken => "the model ended its text",
            Stop::Capacity => "no more positions fit into the model's context",
            Stop::Interrupted => "interrupted",
        })
    }
}

/// What was generated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Generation {
    /// The new tokens, without the stop token.
    pub tokens: Vec<u32>,
    /// Their text, without the prompt; empty when only tokens were asked for.
    pub text: String,
    /// Why it ended.
    pub stop: Stop,
    /// Tokens of the prompt, the token for the beginning included.
    pub prompt_tokens: usize,
    /// Seconds for the prompt; of a generator's first prompt, with those for compiling its function.
    pub prefill_seconds: f64,
    /// Seconds for all tokens after the first.
    pub decode_seconds: f64,
}

impl Generation {
    /// Tokens per second after the first; 0 when there was at most one.
    pub fn rate(&self) -> f64 {
        let decoded = self.tokens.len().saturating_sub(1) as f64;
        if self.decode_seconds > 0.0 { decoded / self.decode_seconds } else { 0.0 }
    }
}

/// A model ready to generate.
pub struct Generator<'b> {
    model: Llama,
    backend: &'b dyn Backend,
    states: States,
    caches: Vec<StateSpec>,
    capacity: usize,
    position: usize,
    decode: Pass,
    /// The pass over several tokens, compiled for the first prompt that has them.
    prefill: Option<Pass>,
}

/// Tokens that a pass over a prompt takes: longer prompts take several passes, shorter ones are padded, so that one
/// compiled function serves all.
pub const PREFILL: usize = 64;

impl<'b> Generator<'b> {
    /// A generator for up to `capacity` positions, prompt included (usually `model.seq_len`), with the weights in
    /// `weights`. The handle is shared: changed weights count at once.
    ///
    /// # Errors
    /// When a weight is missing, or another generator works on these states already.
    pub fn new(
        model: &Llama,
        weights: &States,
        backend: &'b dyn Backend,
        capacity: usize,
    ) -> Result<Generator<'b>, NnError> {
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            let message = format!("is {capacity} positions, but must be between 1 and {MAX_CAPACITY}");
            return Err(NnError::config("the generator's capacity", message));
        }
        let (program, states) = program(model, 1, capacity)?;
        let (wanted, caches): (Vec<_>, Vec<_>) = states.into_iter().partition(|spec| spec.trainable);
        for spec in &wanted {
            spec.find(&weights.lock())?;
        }
        if let Some(cache) = caches.iter().find(|cache| weights.ty(&cache.name).is_some()) {
            let message =
                "is there already: another generator works on these states; use that one or drop it";
            return Err(NnError::config(format!("state `{}`", cache.name), message));
        }
        let decode = Pass::compile(program, 1, weights, backend).inspect_err(|_| remove(&caches, weights))?;
        Ok(Generator {
            model: model.clone(),
            backend,
            states: weights.clone(),
            caches,
            capacity,
            position: 0,
            decode,
            prefill: None,
        })
    }

    /// Positions that fit, prompt included.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Positions filled so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Forgets everything: the next token is the first.
    pub fn restart(&mut self) {
        self.position = 0;
        let mut guard = self.states.lock();
        for cache in &self.caches {
            // Positions not yet written count with weight zero, which only hides finite values.
            if let Some(tensor) = guard.get_mut(&cache.name) {
                tensor.bytes_mut().fill(0);
            }
        }
    }

    /// Takes further tokens; returns the logits `[vocab_size]` for the token after them.
    ///
    /// # Errors
    /// When there are none, one is not in the vocabulary, or they do not fit.
    pub fn advance(&mut self, tokens: &[u32]) -> Result<&[f32], NnError> {
        if tokens.is_empty() {
            return Err(NnError::config("the prompt", "is empty; give at least one token"));
        }
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= self.model.vocab_size) {
            let message = format!(
                "is not in the model's vocabulary of {}; is this its tokenizer?",
                self.model.vocab_size
            );
            return Err(NnError::config(format!("token {token}"), message));
        }
        let left = self.capacity - self.position;
        if tokens.len() > left {
            let message = format!(
                "has {} tokens, but only {left} of {} positions are left",
                tokens.len(),
                self.capacity
            );
            return Err(NnError::config("the prompt", message));
        }
        for piece in tokens.chunks(PREFILL) {
            let position = self.position;
            self.pass(piece.len())?.run(piece, position)?;
            self.position += piece.len();
        }
        self.pass(tokens.chunks(PREFILL).next_back().map_or(1, <[u32]>::len))?.logits()
    }

    /// The pass for that many tokens.
    fn pass(&mut self, count: usize) -> Result<&mut Pass, NnError> {
        if count == 1 {
            return Ok(&mut self.decode);
        }
        let pass = match self.prefill.take() {
            Some(pass) => pass,
            None => {
                let length = prefill_length(self.capacity);
                let (program, _) = program(&self.model, length, self.capacity)?;
                Pass::compile(program, length, &self.states, self.backend)?
            }
        };
        Ok(self.prefill.insert(pass))
    }

    /// Generates after `prompt`, from the beginning. `on_token` sees every new token and may break off.
    ///
    /// # Errors
    /// When the options make no sense, the prompt does not fit, or a run fails.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        options: &GenerateOptions,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Generation, NnError> {
        options.check()?;
        self.restart();
        let start = Instant::now();
        let logits = self.advance(prompt)?;
        let prefill = start.elapsed();
        let mut next = sample(logits, options, prompt.len() as u64);
        let start = Instant::now();
        let mut decode = Duration::ZERO;
        let mut tokens = Vec::new();
        let stop = loop {
            if tokens.len() >= options.max_tokens {
                break Stop::MaxTokens;
            }
            if options.stop_tokens.contains(&next) {
                break Stop::StopToken;
            }
            tokens.push(next);
            decode = start.elapsed();
            if on_token(next).is_break() {
                break Stop::Interrupted;
            }
            if tokens.len() >= options.max_tokens {
                break Stop::MaxTokens;
            }
            if self.position >= self.capacity {
                break Stop::Capacity;
            }
            let logits = self.advance(&[next])?;
            next = sample(logits, options, (prompt.len() + tokens.len()) as u64);
        };
        Ok(Generation {
            tokens,
            text: String::new(),
            stop,
            prompt_tokens: prompt.len(),
            prefill_seconds: prefill.as_secs_f64(),
            decode_seconds: decode.as_secs_f64(),
        })
    }

    /// Generates text after `prompt`. `on_piece` sees the new text as it comes, in whole characters. Ends also where the
    /// model begins or ends a text.
    ///
    /// # Errors
    /// As [`Generator::generate`]; also when the tokenizer is not the model's, cannot encode the prompt, or the prompt is
    /// empty and the tokenizer has no token for the beginning.
    pub fn generate_text(
        &mut self,
        tokenizer: &dyn Tokenizer,
        prompt: &str,
        options: &GenerateOptions,
        on_piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, NnError> {
        let (known, vocabulary) = (self.model.vocab_size, tokenizer.vocab_size());
        if vocabulary > known {
            let message =
                format!("has {vocabulary} tokens, but the model knows {known}; give the model's own");
            return Err(NnError::config("the tokenizer", message));
        }
        let prompt = tokenizer.encode_with_bos(prompt)?;
        if prompt.is_empty() {
            let message =
                "is empty, and this tokenizer has no token to begin with; give at least one character";
            return Err(NnError::config("the prompt", message));
        }
        let mut options = options.clone();
        options.stop_tokens.extend(tokenizer.bos().into_iter().chain(tokenizer.eos()));
        let mut decoder = StreamDecoder::after(tokenizer, &prompt);
        let mut text = String::new();
        let mut generation = self.generate(&prompt, &options, &mut |token| {
            let piece = decoder.push(token);
            text.push_str(&piece);
            if piece.is_empty() { ControlFlow::Continue(()) } else { on_piece(&piece) }
        })?;
        let rest = decoder.finish();
        if !rest.is_empty() {
            text.push_str(&rest);
            let _ = on_piece(&rest);
        }
        generation.text = text;
        Ok(generation)
    }
}

impl Drop for Generator<'_> {
    /// The caches are of no use to whoever owns the weights.
    fn drop(&mut self) {
        remove(&self.caches, &self.states);
    }
}

fn remove(caches: &[StateSpec], states: &States) {
    let mut guard = states.lock();
    for cache in caches {
        guard.remove(&cache.name);
    }
}

impl fmt::Debug for Generator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator")
            .field("model", &self.model)
            .field("capacity", &self.capacity)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Most positions of a generator: far beyond every model, and small enough to be counted in `int32`.
const MAX_CAPACITY: usize = 1 << 24;

/// Rows of a pass over a prompt.
fn prefill_length(capacity: usize) -> usize {
    PREFILL.min(capacity)
}

/// The program of one pass over `length` tokens, and the states that it works on. The caches have room for the padding
/// of a pass that begins at the last position.
fn program(
    model: &Llama,
    length: usize,
    capacity: usize,
) -> Result<(mil::Verified, Vec<StateSpec>), NnError> {
    let mut g = Graph::new("advance", Mode::Eval);
    let tokens = g.input("tokens", TensorType::int32([1, length]))?;
    let position = g.input("position", TensorType::int32([1]))?;
    let last = g.input("last", TensorType::int32([1]))?;
    let decoder = Decoder { model, capacity: capacity + prefill_length(capacity) - 1 };
    let logits = decoder.forward(&mut g, tokens, position, last)?;
    g.name(logits, "logits");
    let states = g.parameters().iter().map(StateSpec::from).collect();
    let program = Program::single(g.finish(&[logits])?);
    Ok((verify(program).map_err(first_fault)?, states))
}

/// A compiled pass with its tensors.
struct Pass {
    executable: Box<dyn Executable>,
    tokens: Tensor,
    position: Tensor,
    last: Tensor,
    outputs: Vec<Tensor>,
}

impl Pass {
    fn compile(
        program: mil::Verified,
        length: usize,
        states: &States,
        backend: &dyn Backend,
    ) -> Result<Pass, NnError> {
        let executable = backend.compile(&program, &CompileOptions::sharing(states))?;
        let outputs = executable.new_outputs()?;
        let tokens = Tensor::zeros(TensorType::int32([1, length]))?;
        let position = Tensor::zeros(TensorType::int32([1]))?;
        Ok(Pass { executable, tokens, last: position.clone(), position, outputs })
    }

    /// Takes `tokens`, at least one and no more than the pass has rows, from `position` on.
    fn run(&mut self, tokens: &[u32], position: usize) -> Result<(), NnError> {
        let rows = self.tokens.as_mut_slice::<i32>()?;
        rows.fill(0);
        for (row, &token) in rows.iter_mut().zip(tokens) {
            *row = token as i32;
        }
        self.position.as_mut_slice::<i32>()?.fill(position as i32);
        self.last.as_mut_slice::<i32>()?.fill(tokens.len() as i32 - 1);
        Ok(self.executable.run(&[&self.tokens, &self.position, &self.last], &mut self.outputs)?)
    }

    /// The logits after the last token that was taken.
    fn logits(&self) -> Result<&[f32], NnError> {
        let logits = self.outputs.first().ok_or_else(|| NnError::config("the decoder", "has no output"))?;
        Ok(logits.as_slice::<f32>()?)
    }
}
