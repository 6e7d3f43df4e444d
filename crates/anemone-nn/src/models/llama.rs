//! The Llama family of language models, as llama2.c and TinyStories use it: RMSNorm, rotary positions, SwiGLU,
//! grouped-query attention, output projection tied to the embedding.

use crate::layers::{Causal, Embedding, KeyValueCache, Linear, MultiheadAttention, RMSNorm, Rope};
use crate::losses::cross_entropy;
use crate::train::{Loss, Model, StateSpec};
use crate::{Graph, Init, Mode, Module, NnError};
use mil::{TensorType, ValueId};
use serde::{Deserialize, Serialize};

/// Sizes of a Llama model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Llama {
    /// Size of the residual stream.
    pub dim: usize,
    /// Size of the feed-forward layers.
    pub hidden_dim: usize,
    /// Layers.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Longest sequence.
    pub seq_len: usize,
    /// Whether the output projection is the embedding.
    pub tied: bool,
}

impl Llama {
    /// The sizes that `name` stands for: `stories260k`, `stories15m`, `stories42m`, `stories110m` (llama2.c's published
    /// models) or `char` (a small model for short runs; vocabulary and length are the caller's to set).
    pub fn preset(name: &str) -> Option<Llama> {
        let sizes = PRESETS.iter().find(|(preset, _)| *preset == name.to_ascii_lowercase())?.1;
        let [dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len] = sizes;
        Some(Llama { dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len, tied: true })
    }

    /// Names that [`Llama::preset`] knows.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// The weights, in order of first use: what [`read_states`](crate::train::read_states) needs to load the model
    /// without the rest of its run.
    pub fn weights(&self) -> Result<Vec<StateSpec>, NnError> {
        let mut g = Graph::new("weights", Mode::Eval);
        let tokens = g.input("tokens", TensorType::int32([1, 1]))?;
        self.forward(&mut g, tokens)?;
        Ok(g.parameters().iter().map(StateSpec::from).collect())
    }

    fn embedding(&self) -> Embedding {
        Embedding::new(self.vocab_size, self.dim).init(INIT)
    }

    /// Projections into the residual stream start smaller the deeper the model, as in GPT-2 and llama2.c.
    fn out_init(&self) -> Init {
        Init::Normal { std: 0.02 / (2.0 * self.n_layers as f32).sqrt() }
    }

    fn attention(&self) -> MultiheadAttention {
        MultiheadAttention {
            num_kv_heads: self.n_kv_heads,
            bias: false,
            causal: Causal::Yes,
            rope: Some(Rope { theta: 10000.0 }),
            init: Some(INIT),
            out_init: Some(self.out_init()),
            ..MultiheadAttention::new(self.dim, self.n_heads)
        }
    }

    fn norm(&self) -> RMSNorm {
        RMSNorm::new(self.dim).eps(1e-5)
    }

    /// `w2(silu(w1 x) * w3 x)`.
    fn feed_forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let linear = |from, to, init| Linear::new(from, to).bias(false).init(init);
        let gate = g.scope("w1", |g| linear(self.dim, self.hidden_dim, INIT).forward(g, x))?;
        let up = g.scope("w3", |g| linear(self.dim, self.hidden_dim, INIT).forward(g, x))?;
        let gate = g.unary("silu", gate)?;
        let hidden = g.mul(gate, up)?;
        g.scope("w2", |g| linear(self.hidden_dim, self.dim, self.out_init()).forward(g, hidden))
    }

    fn layer(&self, g: &mut Graph, x: ValueId, cache: Option<KeyValueCache>) -> Result<ValueId, NnError> {
        let normed = g.scope("attention_norm", |g| self.norm().forward(g, x))?;
        let attention = self.attention();
        let change = g.scope("attention", |g| match cache {
            Some(cache) => attention.forward_cached(g, normed, cache),
            None => attention.forward(g, normed),
        })?;
        let x = g.add(x, change)?;
        let normed = g.scope("ffn_norm", |g| self.norm().forward(g, x))?;
        let change = g.scope("feed_forward", |g| self.feed_forward(g, normed))?;
        Ok(g.add(x, change)?)
    }

    /// The residual stream after all layers, `[B, T, dim]`, for `int32` tokens `[B, T]`.
    fn hidden(
        &self,
        g: &mut Graph,
        tokens: ValueId,
        cache: Option<KeyValueCache>,
    ) -> Result<ValueId, NnError> {
        let mut x = g.scope("tok_embeddings", |g| self.embedding().forward(g, tokens))?;
        for layer in 0..self.n_layers {
            x = g.scope(format!("layers.{layer}"), |g| self.layer(g, x, cache))?;
        }
        g.scope("norm", |g| self.norm().forward(g, x))
    }

    /// Logits `[rows, vocab_size]` of a residual stream `[rows, dim]`.
    fn project(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let scope = if self.tied { "tok_embeddings" } else { "output" };
        let weight = g.scope(scope, |g| self.embedding().weight(g))?;
        Ok(g.matmul(x, weight, false, true)?)
    }
}

impl Module for Llama {
    /// Logits `[B * T, vocab_size]` for `int32` tokens `[B, T]`.
    fn forward(&self, g: &mut Graph, tokens: ValueId) -> Result<ValueId, NnError> {
        let rows = g.shape(tokens).iter().product();
        let x = self.hidden(g, tokens, None)?;
        let x = g.reshape(x, &[rows, self.dim])?;
        self.project(g, x)
    }
}

impl Model for Llama {
    fn inputs(&self, batch_size: usize) -> Vec<(String, TensorType)> {
        let ty = TensorType::int32([batch_size, self.seq_len]);
        vec![("tokens".to_string(), ty.clone()), ("targets".to_string(), ty)]
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        let &[tokens, targets] = inputs else {
            return Err(NnError::config(
                "Llama",
                format!("takes tokens and targets, not {} inputs", inputs.len()),
            ));
        };
        let logits = self.forward(g, tokens)?;
        let rows = g.shape(logits)[0];
        let targets = g.reshape(targets, &[rows])?;
        Ok(Loss { loss: cross_entropy(g, logits, targets)?, metrics: Vec::new() })
    }
}

/// A model as it generates: keys and values of earlier positions are held in states.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    /// The model.
    pub model: &'a Llama,
    /// Positions that the cache holds.
    pub capacity: usize,
}

impl Decoder<'_> {
    /// Adds one pass over `tokens` `int32` `[1, T]`, of which the first has the place `position` `int32` `[1]`; returns the
    /// logits after the token in row `last` `int32` `[1]`, `[1, vocab_size]`. Rows after `last` are padding: what they leave
    /// in the cache counts for nothing and is overwritten later.
    pub fn forward(
        &self,
        g: &mut Graph,
        tokens: ValueId,
        position: ValueId,
        last: ValueId,
    ) -> Result<ValueId, NnError> {
        let cache = KeyValueCache { capacity: self.capacity, position };
        let x = self.model.hidden(g, tokens, Some(cache))?;
        let x = g.op("gather").arg("x", x).arg("indices", last).int("axis", 1).one()?;
        let x = g.reshape(x, &[1, self.model.dim])?;
        self.model.project(g, x)
    }
}

const INIT: Init = Init::Normal { std: 0.02 };

/// dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len. Source: the model table of llama2.c's README
/// and the headers of its published checkpoints.
const PRESETS: &[(&str, [usize; 7])] = &[
    ("char", [128, 344, 4, 4, 4, 256, 128]),
    ("stories260k", [64, 172, 5, 8, 4, 512, 512]),
    ("stories15m", [288, 768, 6, 6, 6, 32000, 256]),
    ("stories42m", [512, 1376, 8, 8, 8, 32000, 1024]),
    ("stories110m", [768, 2048, 12, 12, 12, 32000, 1024]),
];
