//! Where batches come from, as the trainer sees it.

use crate::NnError;
use crate::data::{
    Augment, ImageBatch, ImageDataset, ImageSplits, Normalization, TokenBatch, TokenDataset, TokenSplits,
};
use anemone_runtime::Tensor;
use mil::TensorType;

/// One batch: the tensors of the model's inputs.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Inputs in the model's order.
    pub inputs: Vec<Tensor>,
    /// Examples in it that count (padding at the end of an evaluation does not).
    pub valid: usize,
}

/// A source of batches. Training batches are a pure function of the iteration, so that a resumed run sees
/// what an uninterrupted one would have seen.
pub trait Data: Send {
    /// The training batch of an iteration, counted from 0.
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError>;

    /// Number of held-out batches; without any there is nothing to evaluate on.
    fn eval_batches(&self) -> usize {
        0
    }

    /// The held-out batch of that number, below [`Data::eval_batches`].
    fn eval_batch(&self, index: usize) -> Result<Batch, NnError> {
        Err(NnError::config(format!("held-out batch {index}"), "does not exist: the data has no such part"))
    }

    /// What an example is called (`tokens`, `images`).
    fn unit(&self) -> &'static str;

    /// Examples in a full batch.
    fn batch_examples(&self) -> usize;
}

/// Token sequences for language models: inputs `tokens` and `targets`, `int32` `[B, T]`.
pub struct TokenData {
    /// Training and held-out tokens.
    pub splits: TokenSplits,
    /// Rows per batch.
    pub batch_size: usize,
    /// Tokens per row.
    pub seq_len: usize,
    /// Seed of the order.
    pub seed: u64,
}

impl TokenData {
    fn batch(batch: TokenBatch) -> Result<Batch, NnError> {
        let inputs =
            vec![Tensor::new(batch.shape, &batch.tokens)?, Tensor::new(batch.shape, &batch.targets)?];
        Ok(Batch { inputs, valid: batch.valid })
    }

    fn held_out(&self) -> &TokenDataset {
        &self.splits.held_out
    }
}

impl Data for TokenData {
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError> {
        TokenData::batch(self.splits.train.batch(iteration, self.batch_size, self.seq_len, self.seed)?)
    }

    fn eval_batches(&self) -> usize {
        self.held_out().eval_batches(self.batch_size, self.seq_len)
    }

    fn eval_batch(&self, index: usize) -> Result<Batch, NnError> {
        TokenData::batch(self.held_out().eval_batch(index, self.batch_size, self.seq_len)?)
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn batch_examples(&self) -> usize {
        self.batch_size * self.seq_len
    }
}

/// Labelled images: inputs `images`, `fp32` `[B, C, H, W]`, and `labels`, `int32` `[B]`.
pub struct ImageData {
    /// Training and held-out images.
    pub splits: ImageSplits,
    /// Mean and deviation of the training images, per channel.
    pub normalization: Normalization,
    /// Changes made to training images.
    pub augment: Augment,
    /// Images per batch.
    pub batch_size: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
}

impl ImageData {
    /// Data normalised by the statistics of its training images.
    pub fn new(splits: ImageSplits, augment: Augment, batch_size: usize, seed: u64) -> ImageData {
        let normalization = splits.train.statistics();
        ImageData { splits, normalization, augment, batch_size, seed }
    }

    fn batch(batch: ImageBatch) -> Result<Batch, NnError> {
        let labels =
            Tensor::from_bytes(TensorType::int32([batch.labels.len()]), bytemuck::cast_slice(&batch.labels))?;
        Ok(Batch { inputs: vec![Tensor::new(batch.shape, &batch.images)?, labels], valid: batch.valid })
    }

    fn held_out(&self) -> &ImageDataset {
        &self.splits.held_out
    }
}

impl Data for ImageData {
    fn train_batch(&self, iteration: u64) -> Result<Batch, NnError> {
        let train = &self.splits.train;
        ImageData::batch(train.batch(
            iteration,
            self.batch_size,
            self.seed,
            &self.normalization,
            self.augment,
        )?)
    }

    fn eval_batches(&self) -> usize {
        self.held_out().eval_batches(self.batch_size)
    }

    fn eval_batch(&self, index: usize) -> Result<Batch, NnError> {
        ImageData::batch(self.held_out().eval_batch(index, self.batch_size, &self.normalization)?)
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn batch_examples(&self) -> usize {
        self.batch_size
    }
}
