//! Text to tokens and back.
//!
//! Two kinds: [`CharTokenizer`], one token a character, saved as JSON; and [`BpeTokenizer`], byte-pair
//! encoding in the form and file layout of llama2.c's `tokenizer.bin`, trained here or read from there.
//! [`AnyTokenizer::load`] tells from a file which it is.

mod bpe;
mod bpe_file;
mod bpe_train;
mod chars;
mod error;
mod stream;

use std::borrow::Cow;
use std::path::Path;

pub use bpe::BpeTokenizer;
pub use chars::CharTokenizer;
pub use error::TokenizerError;
pub use stream::StreamDecoder;

/// Text to tokens and back.
pub trait Tokenizer: Send + Sync {
    /// The tokens of `text`, without any for its beginning or end.
    ///
    /// # Errors
    /// When the tokenizer has no token for a part of the text.
    fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError>;

    /// The bytes that `token` stands for when it follows `previous` (`None` at the very beginning). They need
    /// not be whole characters. A token outside the vocabulary stands for U+FFFD, those for beginning and end
    /// for nothing.
    fn piece(&self, previous: Option<u32>, token: u32) -> Cow<'_, [u8]>;

    /// Number of tokens; every token is below it.
    fn vocab_size(&self) -> usize;

    /// The token for the beginning of a text, if there is one.
    fn bos(&self) -> Option<u32>;

    /// The token for the end of a text, if there is one.
    fn eos(&self) -> Option<u32>;

    /// The text of `tokens`, U+FFFD standing for bytes that are no UTF-8.
    fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        let mut previous = None;
        for &token in tokens {
            bytes.extend_from_slice(&self.piece(previous, token));
            previous = Some(token);
        }
        String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }

    /// The tokens of `text` after the token for its beginning, if there is one: how a prompt begins.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    fn encode_with_bos(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens: Vec<u32> = self.bos().into_iter().collect();
        tokens.extend(self.encode(text)?);
        Ok(tokens)
    }
}

/// A tokenizer of either kind.
#[derive(Clone, Debug)]
pub enum AnyTokenizer {
    /// One token a character.
    Char(CharTokenizer),
    /// Byte-pair encoding.
    Bpe(BpeTokenizer),
}

impl AnyTokenizer {
    /// Reads a tokenizer file, JSON or `tokenizer.bin`, whatever its name.
    ///
    /// # Errors
    /// When it is neither, or damaged.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = bpe_file::read_bounded(path)?;
        match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            // JSON holds no zero bytes; the size that begins a tokenizer.bin always does.
            Some(b'{') if !bytes[..bytes.len().min(4)].contains(&0) => {
                CharTokenizer::from_json(path, &bytes).map(Self::Char)
            }
            _ => BpeTokenizer::from_bytes(path, &bytes, None).map(Self::Bpe),
        }
    }

    /// Writes the tokenizer to `path`, at once or not at all.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save(&self, path: &Path) -> Result<(), TokenizerError> {
        match self {
            Self::Char(tokenizer) => tokenizer.write(path),
            Self::Bpe(tokenizer) => tokenizer.write(path),
        }
    }

    fn inner(&self) -> &dyn Tokenizer {
        match self {
            Self::Char(tokenizer) => tokenizer,
            Self::Bpe(tokenizer) => tokenizer,
        }
    }
}

impl From<CharTokenizer> for AnyTokenizer {
    fn from(tokenizer: CharTokenizer) -> Self {
        Self::Char(tokenizer)
    }
}

impl From<BpeTokenizer> for AnyTokenizer {
    fn from(tokenizer: BpeTokenizer) -> Self {
        Self::Bpe(tokenizer)
    }
}

impl Tokenizer for AnyTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        self.inner().encode(text)
    }

    fn piece(&self, previous: Option<u32>, token: u32) -> Cow<'_, [u8]> {
        self.inner().piece(previous, token)
    }

    fn vocab_size(&self) -> usize {
        self.inner().vocab_size()
    }

    fn bos(&self) -> Option<u32> {
        self.inner().bos()
    }

    fn eos(&self) -> Option<u32> {
        self.inner().eos()
    }
}
