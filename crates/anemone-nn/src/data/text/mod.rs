//! Text as a long row of 16-bit tokens, and windows of it as batches.

mod storage;

use std::path::Path;
use std::sync::Arc;

use self::storage::Storage;
use super::rng::{Permutation, Rng, mix, stream};
use super::{DataError, IGNORED};
use crate::file;
use crate::tokenizer::Tokenizer;

const ORDER_STREAM: u64 = stream("data.text.order");
const OFFSET_STREAM: u64 = stream("data.text.offset");
/// Text read into memory at most; beyond, shards on disk are the better form.
const MAX_TEXT: u64 = 1 << 30;
/// Tokens a batch may hold, far beyond what any model here could use.
const MAX_BATCH: usize = 1 << 31;

/// A training text and the text kept back to judge what was learned.
#[derive(Clone, Debug)]
pub struct TokenSplits {
    /// What is trained on.
    pub train: TokenDataset,
    /// What is only evaluated on.
    pub held_out: TokenDataset,
}

/// A row of tokens, in memory or mapped from files that may be larger than memory.
#[derive(Clone, Debug)]
pub struct TokenDataset {
    storage: Arc<Storage>,
    /// The part of `storage` that is this set.
    first: u64,
    len: u64,
    vocab: usize,
}

/// Tokens and the tokens that follow each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    /// `[B, T]`.
    pub tokens: Vec<i32>,
    /// `[B, T]`: the next token at each place; [`IGNORED`] marks padding.
    pub targets: Vec<i32>,
    /// `[B, T]`.
    pub shape: [usize; 2],
    /// Targets that are no padding.
    pub valid: usize,
}

impl TokenDataset {
    /// Maps a file of little-endian 16-bit tokens, or every `.bin` file of a folder in the order of their
    /// names.
    ///
    /// Tokens are checked against `vocab` as batches read them: checking all would read a terabyte first.
    ///
    /// The files must stay as they are while they are in use: cutting one short ends the program with a bus error.
    ///
    /// # Errors
    /// When there is no such file, or one is empty or of an odd length.
    pub fn from_shards(path: &Path, vocab: usize) -> Result<Self, DataError> {
        check_vocab(vocab)?;
        Ok(Self::whole(Storage::map(path)?, vocab))
    }

    /// A set of tokens in memory, called `name` in messages.
    ///
    /// # Errors
    /// When there are none, or one is not in `0..vocab`.
    pub fn from_tokens(name: &str, tokens: Vec<u16>, vocab: usize) -> Result<Self, DataError> {
        check_vocab(vocab)?;
        let needed = |found| DataError::TooFew {
            name: name.to_owned(),
            found,
            unit: "tokens",
            needed: 1,
            purpose: "for a data set".to_owned(),
            remedy: "give a text that is not empty",
        };
        if tokens.is_empty() {
            return Err(needed(0));
        }
        if let Some(position) = tokens.iter().position(|&token| usize::from(token) >= vocab) {
            let (position, found) = (position as u64, tokens[position]);
            return Err(DataError::TokenOutOfRange { name: name.to_owned(), position, found, vocab });
        }
        Ok(Self::whole(Storage::memory(name, tokens), vocab))
    }

    /// The tokens of one text.
    ///
    /// # Errors
    /// When the tokenizer cannot encode it or has more than 65536 tokens.
    pub fn from_text(name: &str, text: &str, tokenizer: &dyn Tokenizer) -> Result<Self, DataError> {
        let mut tokens = Vec::new();
        append(name, text, tokenizer, &mut tokens)?;
        Self::from_tokens(name, tokens, tokenizer.vocab_size())
    }

    /// The tokens of many texts, the token for "beginning of text" before each if the tokenizer has one.
    ///
    /// # Errors
    /// As for [`from_text`](Self::from_text).
    pub fn from_texts<S: AsRef<str>>(
        name: &str,
        texts: impl IntoIterator<Item = S>,
        tokenizer: &dyn Tokenizer,
    ) -> Result<Self, DataError> {
        let mut tokens = Vec::new();
        for text in texts {
            tokens.extend(tokenizer.bos().and_then(|bos| u16::try_from(bos).ok()));
            append(name, text.as_ref(), tokenizer, &mut tokens)?;
        }
        Self::from_tokens(name, tokens, tokenizer.vocab_size())
    }

    fn whole(storage: Storage, vocab: usize) -> Self {
        Self { first: 0, len: storage.len(), storage: Arc::new(storage), vocab }
    }

    /// Cuts off the last part, the fraction `held_out` of the tokens, as the held-out set. Nothing is copied.
    ///
    /// # Errors
    /// When `held_out` is not between 0 and 1, or a part would be empty.
    pub fn split(self, held_out: f64) -> Result<TokenSplits, DataError> {
        let kept = (self.len as f64 * (1.0 - held_out)).round() as u64;
        if !(held_out > 0.0 && held_out < 1.0) || kept == 0 || kept >= self.len {
            return Err(DataError::Argument {
                name: "the held-out fraction",
                found: format!("{held_out} of {} tokens", self.len),
                allowed: "it must be above 0, below 1, and leave tokens on both sides",
            });
        }
        let rest = Self { first: self.first + kept, len: self.len - kept, ..self.clone() };
        Ok(TokenSplits { train: Self { len: kept, ..self }, held_out: rest })
    }

    /// Number of tokens, never 0.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Always false: an empty set cannot be made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of tokens in the vocabulary.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab
    }

    /// The training batch of one step: a pure function of the arguments.
    ///
    /// Every epoch cuts the text at a new offset into windows that do not overlap, and takes them in a new
    /// order.
    ///
    /// # Errors
    /// When the set is shorter than one window, a size is 0, or a token is beyond the vocabulary.
    pub fn batch(
        &self,
        step: u64,
        batch_size: usize,
        seq_len: usize,
        seed: u64,
    ) -> Result<TokenBatch, DataError> {
        let mut batch = self.blank(batch_size, seq_len)?;
        let windows = Windows::of(self.len, seq_len);
        let mut epoch_order: Option<(u64, u64, Permutation)> = None;
        for row in 0..batch_size {
            let drawn = step.wrapping_mul(batch_size as u64).wrapping_add(row as u64);
            let epoch = drawn / windows.count;
            if epoch_order.as_ref().is_none_or(|(of, ..)| *of != epoch) {
                let offset = Rng::new(seed, mix(OFFSET_STREAM, epoch)).below(windows.slack + 1);
                let order = Permutation::new(seed, mix(ORDER_STREAM, epoch), windows.count);
                epoch_order = Some((epoch, offset, order));
            }
            let (offset, window) = epoch_order
                .as_ref()
                .map_or((0, 0), |(_, offset, order)| (*offset, order.get(drawn % windows.count)));
            self.write_row(&mut batch, row, offset + window * seq_len as u64, seq_len)?;
        }
        Ok(batch)
    }

    /// How many batches hold all whole windows of the set, in order, the last one padded.
    #[must_use]
    pub fn eval_batches(&self, batch_size: usize, seq_len: usize) -> usize {
        let windows = self.len.saturating_sub(1) / seq_len.max(1) as u64;
        usize::try_from(windows.div_ceil(batch_size.max(1) as u64)).unwrap_or(usize::MAX)
    }

    /// Batch number `index` of the set in its own order; always full size, rows past the end being padding.
    ///
    /// # Errors
    /// As for [`batch`](Self::batch).
    pub fn eval_batch(
        &self,
        index: usize,
        batch_size: usize,
        seq_len: usize,
    ) -> Result<TokenBatch, DataError> {
        let mut batch = self.blank(batch_size, seq_len)?;
        let windows = (self.len - 1) / seq_len as u64;
        let first = (index as u64).saturating_mul(batch_size as u64);
        let rows = windows.saturating_sub(first).min(batch_size as u64) as usize;
        for row in 0..rows {
            self.write_row(&mut batch, row, (first + row as u64) * seq_len as u64, seq_len)?;
        }
        Ok(batch)
    }

    /// A batch of padding, once the arguments are known to be good.
    fn blank(&self, batch_size: usize, seq_len: usize) -> Result<TokenBatch, DataError> {
        let size = batch_size.checked_mul(seq_len).filter(|size| (1..=MAX_BATCH).contains(size));
        let Some(size) = size else {
            return Err(DataError::Argument {
                name: "batch size x sequence length",
                found: format!("{batch_size} x {seq_len}"),
                allowed: "both must be at least 1, and the product at most 2147483648",
            });
        };
        let needed = seq_len as u64 + 1;
        if self.len < needed {
            return Err(DataError::TooFew {
                name: self.storage.name().to_owned(),
                found: self.len,
                unit: "tokens",
                needed,
                purpose: format!("for one window of {seq_len} and the token after it"),
                remedy: "give more text, a shorter sequence length, or another held-out fraction",
            });
        }
        Ok(TokenBatch {
            tokens: vec![0; size],
            targets: vec![IGNORED; size],
            shape: [batch_size, seq_len],
            valid: 0,
        })
    }

    /// Writes the window that begins at `start` as row `row`, every token checked.
    fn write_row(
        &self,
        batch: &mut TokenBatch,
        row: usize,
        start: u64,
        seq_len: usize,
    ) -> Result<(), DataError> {
        let tokens = &mut batch.tokens[row * seq_len..(row + 1) * seq_len];
        let targets = &mut batch.targets[row * seq_len..(row + 1) * seq_len];
        let mut place = 0;
        let vocab = self.vocab;
        self.storage.visit(self.first + start, seq_len + 1, |source, position, token| {
            if usize::from(token) >= vocab {
                let name = source.to_owned();
                return Err(DataError::TokenOutOfRange { name, position, found: token, vocab });
            }
            if let Some(slot) = tokens.get_mut(place) {
                *slot = i32::from(token);
            }
            if place > 0 {
                targets[place - 1] = i32::from(token);
            }
            place += 1;
            Ok(())
        })?;
        batch.valid += seq_len;
        Ok(())
    }
}

/// How a row of tokens is cut into windows.
struct Windows {
    /// Windows in one epoch.
    count: u64,
    /// The largest offset of the first one.
    slack: u64,
}

impl Windows {
    /// The cut of `len` tokens into windows of `seq_len` and one token after each. One window is given up,
    /// when there are others, so that every place of the text is reached by some offset and none is always
    /// cut off.
    fn of(len: u64, seq_len: usize) -> Self {
        let seq_len = seq_len as u64;
        let usable = len.saturating_sub(1);
        let whole = (usable / seq_len).max(1);
        let count = if whole > 1 { whole - 1 } else { 1 };
        Self { count, slack: usable.saturating_sub(count * seq_len) }
    }
}

/// Sizes that 16-bit tokens can name.
fn check_vocab(vocab: usize) -> Result<(), DataError> {
    if (1..=1 << 16).contains(&vocab) { Ok(()) } else { Err(DataError::VocabularySize { found: vocab }) }
}

/// Adds the tokens of `text`.
fn append(name: &str, text: &str, tokenizer: &dyn Tokenizer, tokens: &mut Vec<u16>) -> Result<(), DataError> {
    check_vocab(tokenizer.vocab_size())?;
    let encoded =
        tokenizer.encode(text).map_err(|source| DataError::Tokenizer { name: name.to_owned(), source })?;
    tokens.reserve(encoded.len());
    for token in encoded {
        let narrow =
            u16::try_from(token).map_err(|_| DataError::VocabularySize { found: token as usize + 1 })?;
        tokens.push(narrow);
    }
    Ok(())
}

/// Reads a text file of at most 1 GiB.
///
/// # Errors
/// When it is empty, too large, or not UTF-8; the message says at which byte.
pub fn read_utf8(path: &Path) -> Result<String, DataError> {
    let bytes =
        file::read(path, MAX_TEXT, "turn it into a folder of uint16 token shards (.bin), which are mapped")?;
    if bytes.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), remedy: "give a file with some text in it" });
    }
    utf8(path, bytes)
}

/// Bytes as text, without the byte order mark that some editors put first.
pub(crate) fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String, DataError> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
            Err(DataError::NotUtf8 { path: path.to_owned(), offset, byte })
        }
    }
}
