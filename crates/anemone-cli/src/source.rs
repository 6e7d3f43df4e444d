//! From a description of data to batches: opening what lies in files, generating what does not.

use crate::args::AugmentName;
use crate::config::{DataSource, ModelConfig, RunConfig, TokenizerKind};
use crate::error::CliError;
use anemone::nn::data::{Augment, ImageSplits, TokenDataset, TokenSplits, images, shapes, tales, text};
use anemone::nn::tokenizer::{AnyTokenizer, CharTokenizer, Tokenizer};
use anemone::nn::train::{Checkpoint, Data, ImageData, TokenData, TrainOptions};
use std::path::Path;

/// Data that has been read or generated.
pub(crate) enum Source {
    /// Tokens.
    Tokens(TokenSplits),
    /// Images.
    Images(ImageSplits, Augment),
}

impl Source {
    /// Opens the data. Text needs a tokenizer; shards need the size of their vocabulary.
    pub(crate) fn open(
        data: &DataSource,
        tokenizer: Option<&AnyTokenizer>,
        vocab_size: usize,
    ) -> Result<Source, CliError> {
        if let Some(path) = data.path().filter(|path| !path.exists()) {
            return Err(CliError::failed_try(
                format!("the run's data {} is no longer there", path.display()),
                "put it back, or evaluate on other data with `anemone eval DIR --data PATH`",
            ));
        }
        let tokenizer_or =
            || tokenizer.ok_or_else(|| CliError::failed("text needs a tokenizer, but there is none"));
        Ok(match data {
            DataSource::Tales { seed, train, held_out } => {
                Source::Tokens(tales::splits(*seed, *train, *held_out, tokenizer_or()?)?)
            }
            DataSource::Text { path, held_out } => {
                let content = text::read_utf8(path)?;
                let name = path.display().to_string();
                Source::Tokens(split(TokenDataset::from_text(&name, &content, tokenizer_or()?)?, *held_out)?)
            }
            DataSource::Shards { path, held_out } => {
                Source::Tokens(split(TokenDataset::from_shards(path, vocab_size)?, *held_out)?)
            }
            DataSource::Shapes { seed, train, held_out, augment } => {
                let [train, held_out] =
                    [*train, *held_out].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
                Source::Images(shapes::splits(*seed, train, held_out)?, augmentation(*augment))
            }
            DataSource::Images { path, augment } => {
                Source::Images(images::load(path)?, augmentation(*augment))
            }
        })
    }

    /// Refuses images that are not of the shape the model was made for.
    pub(crate) fn check_fits(&self, model: &ModelConfig) -> Result<(), CliError> {
        let (Source::Images(splits, _), Some((image, classes))) = (self, model.images()) else {
            return Ok(());
        };
        let found = (splits.held_out.shape(), splits.held_out.classes());
        if found == (image, classes) {
            return Ok(());
        }
        Err(CliError::failed_try(
            format!(
                "the images are {:?} in {} classes, but the model was made for {image:?} in {classes}",
                found.0, found.1
            ),
            "the data that the model was trained on, or other data of that form",
        ))
    }

    /// Batches out of it. `seq_len` is that of the model, for tokens.
    ///
    /// # Errors
    /// When there is not even one batch to train on and one to evaluate on.
    pub(crate) fn batches(self, options: &TrainOptions, seq_len: usize) -> Result<Box<dyn Data>, CliError> {
        let (batch_size, seed) = (options.batch_size, options.seed);
        let data: Box<dyn Data> = match self {
            Source::Tokens(splits) => Box::new(TokenData { splits, batch_size, seq_len, seed }),
            Source::Images(splits, augment) => Box::new(ImageData::new(splits, augment, batch_size, seed)),
        };
        data.train_batch(0)?;
        if data.eval_batches() == 0 {
            return Err(CliError::failed_try(
                "the held-out data is shorter than one sequence",
                "a shorter sequence with --seq, or more data",
            ));
        }
        Ok(data)
    }
}

/// Splits tokens; with a held-out part of 1, all of them are held out.
fn split(tokens: TokenDataset, held_out: f64) -> Result<TokenSplits, CliError> {
    match held_out < 1.0 {
        true => Ok(tokens.split(held_out)?),
        false => Ok(TokenSplits { train: tokens.clone(), held_out: tokens }),
    }
}

fn augmentation(name: AugmentName) -> Augment {
    match name {
        AugmentName::None => Augment::None,
        AugmentName::CropFlip => Augment::cifar(),
    }
}

/// The tokenizer for new data: the one in `file` if given, else one made from the data. Shards have none.
pub(crate) fn new_tokenizer(
    data: &DataSource,
    file: Option<&Path>,
    vocab_size: usize,
) -> Result<Option<AnyTokenizer>, CliError> {
    if let Some(path) = file {
        return Ok(Some(AnyTokenizer::load(path)?));
    }
    Ok(match data {
        DataSource::Tales { seed, .. } => Some(tales::tokenizer(*seed, vocab_size)?.into()),
        DataSource::Text { path, .. } => Some(CharTokenizer::from_text(&text::read_utf8(path)?)?.into()),
        _ => None,
    })
}

/// Refuses what cannot be a tokenizer file before anything is read.
pub(crate) fn check_tokenizer_flag(file: Option<&Path>) -> Result<(), CliError> {
    match file.filter(|path| !path.is_file()) {
        Some(path) => Err(CliError::usage(
            format!("--tokenizer {} is not a file", path.display()),
            "the path of a tokenizer.bin (llama2.c) or of a tokenizer.json (of a run)",
        )),
        None => Ok(()),
    }
}

/// The kind of a tokenizer.
pub(crate) fn kind_of(tokenizer: &AnyTokenizer) -> TokenizerKind {
    match tokenizer {
        AnyTokenizer::Char(_) => TokenizerKind::Char,
        AnyTokenizer::Bpe(_) => TokenizerKind::Bpe,
    }
}

/// The tokenizer in a run's folder, which must fit its model.
pub(crate) fn run_tokenizer(
    checkpoint: &Checkpoint,
    config: &RunConfig,
    vocab_size: usize,
) -> Result<Option<AnyTokenizer>, CliError> {
    let Some(kind) = config.tokenizer else { return Ok(None) };
    let path = checkpoint.dir().join(kind.file_name());
    let tokenizer = AnyTokenizer::load(&path)?;
    check_vocabulary(&path, &tokenizer, vocab_size)?;
    Ok(Some(tokenizer))
}

/// Refuses a tokenizer whose tokens the model does not know.
pub(crate) fn check_vocabulary(
    path: &Path,
    tokenizer: &AnyTokenizer,
    vocab_size: usize,
) -> Result<(), CliError> {
    let found = tokenizer.vocab_size();
    if found == vocab_size {
        return Ok(());
    }
    Err(CliError::failed_try(
        format!("{} has {found} tokens, but the model has a vocabulary of {vocab_size}", path.display()),
        "the tokenizer that the model was trained with",
    ))
}
