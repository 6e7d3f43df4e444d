//! Language models: the scores after every token of a sequence, or token by token with a cache.

use super::MAIN;
use crate::models::{Decoder, Llama};
use crate::{Graph, Mode, Module, NnError};
use mil::{Constant, Function, TensorType};

/// A function that takes `tokens` `int32` `[1, length]` and gives `logits` `fp32` `[1, length, vocab_size]`: the scores of every
/// token of the vocabulary for the place after each token.
///
/// # Errors
/// When the model's sizes do not fit together.
pub fn prefill(model: &Llama, length: usize) -> Result<Function, NnError> {
    let mut g = Graph::new(MAIN, Mode::Eval);
    let tokens = g.input("tokens", TensorType::int32([1, length]))?;
    let logits = model.forward(&mut g, tokens)?;
    let logits = g.reshape(logits, &[1, length, model.vocab_size])?;
    g.name(logits, "logits");
    g.finish(&[logits])
}

/// A function that takes one `token` `int32` `[1, 1]` and its `position` `int32` `[1]`, counted from 0, and gives `logits` `fp32`
/// `[1, vocab_size]` for the place after it. Keys and values of earlier tokens are held in states `layers_N_attention_cache_k`
/// and `…_v` `fp32` `[1, n_kv_heads, capacity, head_dim]`.
///
/// A text begins at position 0, and what is in the cache from an earlier one counts for nothing: nothing has to be reset.
///
/// # Errors
/// When the model's sizes do not fit together.
pub fn decoder(model: &Llama, capacity: usize) -> Result<Function, NnError> {
    let mut g = Graph::new(MAIN, Mode::Eval);
    let token = g.input("token", TensorType::int32([1, 1]))?;
    let position = g.input("position", TensorType::int32([1]))?;
    let last = g.constant(Constant::ints(&[0]));
    let logits = Decoder { model, capacity }.forward(&mut g, token, position, last)?;
    g.name(logits, "logits");
    g.finish(&[logits])
}
