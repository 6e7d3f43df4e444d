//! Data: image sets, texts, and two generators that need no download.
//!
//! Every source ends in one of two forms, [`ImageDataset`] or [`TokenDataset`], and both give a batch as a
//! pure function of `(seed, step)`: nothing remembers where it was, so a run resumed at step 1000 sees
//! exactly what it would have seen. Every reader treats its file as hostile: no panic, memory bounded by
//! what the file really holds, and an error that says what is wrong and what to do.

pub mod cifar;
pub mod error;
pub mod idx;
pub mod images;
pub mod rng;
pub mod shapes;
pub mod tales;
pub mod text;

pub use error::DataError;
pub use images::{Augment, ImageBatch, ImageDataset, ImageSplits, Normalization};
pub use text::{TokenBatch, TokenDataset, TokenSplits};

/// The label of a row that is padding, which losses and accuracies skip.
pub const IGNORED: i32 = crate::losses::IGNORE_INDEX;
