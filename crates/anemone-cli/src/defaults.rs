//! What is chosen when nothing is: one table, one row per task and kind of data.

use crate::args::{AugmentName, OptimizerName, Task};
use crate::config::DataSource;
use anemone::nn::models::Llama;

/// The choices for one task on one kind of data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    /// Preset of the transformer's sizes; empty for image models.
    pub(crate) preset: &'static str,
    /// Channels or hidden size of image models.
    pub(crate) width: usize,
    /// Batches in all.
    pub(crate) steps: u64,
    /// Rows per batch.
    pub(crate) batch: usize,
    /// Optimizer.
    pub(crate) optimizer: OptimizerName,
    /// Peak learning rate with that optimizer.
    pub(crate) lr: f32,
    /// Weight decay with that optimizer.
    pub(crate) weight_decay: f32,
    /// Updates of warm-up (less in short runs: at most a tenth).
    pub(crate) warmup: u32,
    /// Largest gradient norm; 0 for no limit.
    pub(crate) clip: f32,
    /// Steps between evaluations (fewer in short runs).
    pub(crate) eval_every: u64,
    /// Held-out batches per evaluation.
    pub(crate) eval_batches: usize,
    /// Steps between checkpoints.
    pub(crate) save_every: u64,
}

/// Stories or images generated for training and for evaluation.
pub(crate) const TALES: (u64, u64) = (20_000, 500);
/// The same for `shapes`.
pub(crate) const SHAPES: (u64, u64) = (20_000, 2_000);
/// Tokens that are learned from generated stories.
pub(crate) const TALES_VOCAB: usize = 1024;
/// The seed of generated data: one and the same for all runs, so that their losses can be compared.
pub(crate) const DATA_SEED: u64 = 0;
/// The part of a text that is held out.
pub(crate) const TEXT_HELD_OUT: f64 = 0.1;
/// The part of token shards that is held out.
pub(crate) const SHARDS_HELD_OUT: f64 = 0.01;
/// Learning rate at the end of the cosine, as a fraction of its peak.
pub(crate) const MIN_LR_RATIO: f32 = 0.1;

/// Stories generated here. What the other rows do not change is the same in all.
pub(crate) const TALES_RUN: Defaults = Defaults {
    preset: "tales",
    width: 0,
    steps: 600,
    batch: 8,
    optimizer: OptimizerName::Adamw,
    lr: 2e-3,
    weight_decay: 0.1,
    warmup: 60,
    clip: 1.0,
    eval_every: 150,
    eval_batches: 16,
    save_every: 100,
};

const TEXT_RUN: Defaults =
    Defaults { preset: "char", steps: 1500, batch: 16, lr: 1e-3, warmup: 100, ..TALES_RUN };

const SHARDS_RUN: Defaults =
    Defaults { preset: "stories260k", steps: 2000, lr: 1e-3, warmup: 100, ..TALES_RUN };

const SHAPES_RUN: Defaults = Defaults {
    preset: "",
    width: 16,
    steps: 900,
    batch: 64,
    lr: 3e-3,
    weight_decay: 0.01,
    warmup: 50,
    clip: 0.0,
    ..TALES_RUN
};

const IMAGES_RUN: Defaults = Defaults { steps: 3000, ..SHAPES_RUN };

const MLP_RUN: Defaults = Defaults { width: 256, steps: 1000, lr: 1e-3, ..SHAPES_RUN };

/// The row for a task on a kind of data.
pub(crate) fn defaults(task: Task, data: &DataSource) -> Defaults {
    match (task, data) {
        (Task::Stories, DataSource::Text { .. }) => TEXT_RUN,
        (Task::Stories, DataSource::Shards { .. }) => SHARDS_RUN,
        (Task::Stories, _) => TALES_RUN,
        (Task::Cifar, DataSource::Images { .. }) => IMAGES_RUN,
        (Task::Cifar, _) => SHAPES_RUN,
        (Task::Mlp, _) => MLP_RUN,
    }
}

/// The table for people, a line per row.
pub(crate) fn table() -> String {
    let rows = [
        ("stories", TALES_RUN),
        ("stories --data TEXT", TEXT_RUN),
        ("stories --data TOKENS", SHARDS_RUN),
        ("cifar", SHAPES_RUN),
        ("cifar --data DIR", IMAGES_RUN),
        ("mlp", MLP_RUN),
    ];
    let mut text = format!(
        "  {:<21} {:>5} {:>5} {:>6} {:>6} {:>5} {:>4}  {}",
        "", "steps", "batch", "lr", "warmup", "decay", "clip", "preset"
    );
    for (name, row) in rows {
        let model = match row.preset {
            "" => format!("width {}", row.width),
            preset => preset.to_string(),
        };
        let clip = if row.clip > 0.0 { row.clip.to_string() } else { "none".to_string() };
        text.push_str(&format!(
            "\n  {name:<21} {:>5} {:>5} {:>6} {:>6} {:>5} {clip:>4}  {model}",
            row.steps, row.batch, row.lr, row.warmup, row.weight_decay
        ));
    }
    text
}

/// Changes made to training images: a perceptron has no use for moved ones.
pub(crate) fn augment(task: Task) -> AugmentName {
    if task == Task::Cifar { AugmentName::CropFlip } else { AugmentName::None }
}

/// The sizes of the transformer that learns from `tales`.
const TALES_MODEL: Llama = Llama {
    dim: 128,
    hidden_dim: 344,
    n_layers: 4,
    n_heads: 4,
    n_kv_heads: 4,
    vocab_size: TALES_VOCAB,
    seq_len: 256,
    tied: true,
};

/// The preset of this name; the `stories` of llama2.c's names may be left out.
pub(crate) fn preset(name: &str) -> Option<Llama> {
    match name {
        "tales" => Some(TALES_MODEL),
        _ => Llama::preset(name).or_else(|| Llama::preset(&format!("stories{name}"))),
    }
}

/// All presets.
pub(crate) fn preset_names() -> Vec<&'static str> {
    let mut names = vec!["tales"];
    names.extend(Llama::presets());
    names
}

/// The size of the feed-forward layers that goes with a residual stream: 8/3 of it, rounded up to a multiple of 8.
pub(crate) fn hidden_dim(dim: usize) -> usize {
    (dim * 8).div_ceil(3).next_multiple_of(8)
}
