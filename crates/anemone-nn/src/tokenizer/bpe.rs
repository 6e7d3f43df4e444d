//! Byte-pair encoding over a vocabulary with scores, as llama2.c's `run.c` reads Llama's tokenizer.
//!
//! A text begins as one token a character, after a space that is put in front of it; a character without a
//! token becomes its bytes, byte `b` being token `b + 3`. Then, as long as two neighbours together are a
//! token, the pair whose token has the highest score is joined, the leftmost of equals first. The vocabulary
//! alone says it all: there is no list of merges.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Tokenizer, TokenizerError, bpe_file};

/// The token for the beginning of a text.
pub(super) const BOS: u32 = 1;
/// The token for the end of a text.
pub(super) const EOS: u32 = 2;
/// The token of byte 0; those of the other bytes follow.
pub(super) const FIRST_BYTE: u32 = 3;
/// Tokens that every vocabulary has: unknown, beginning, end, and the 256 bytes.
pub(super) const RESERVED: usize = 259;
/// A pair whose token has no better score is never joined.
const LOWEST_SCORE: f32 = -1e10;
/// Words remembered, and their greatest length in bytes.
const CACHED_WORDS: usize = 1 << 16;
const CACHED_BYTES: usize = 48;

/// Byte-pair encoding with the vocabulary of a llama2.c `tokenizer.bin`.
///
/// Token 0 is "unknown" and never made, 1 begins a text, 2 ends it, 3 to 258 are single bytes.
pub struct BpeTokenizer {
    vocabulary: Arc<Vocabulary>,
    /// Words seen and their tokens: texts repeat their words.
    cache: Mutex<HashMap<Box<str>, Box<[u32]>>>,
}

/// The pieces and what is found from them.
struct Vocabulary {
    pieces: Vec<Box<[u8]>>,
    scores: Vec<f32>,
    tokens: HashMap<Box<[u8]>, u32>,
    /// No piece has a space after anything else, so nothing is ever joined across such a place.
    words_are_apart: bool,
}

impl BpeTokenizer {
    /// A tokenizer of these pieces; there must be a score for each, and the reserved ones first.
    pub(super) fn from_pieces(pieces: Vec<Box<[u8]>>, scores: Vec<f32>) -> Self {
        debug_assert!(pieces.len() >= RESERVED && pieces.len() == scores.len());
        let mut tokens: HashMap<Box<[u8]>, u32> = HashMap::with_capacity(pieces.len());
        for (token, piece) in pieces.iter().enumerate() {
            // Old files write bytes as the characters themselves; the real piece of the same text is meant.
            let is_better =
                tokens.get(piece).is_none_or(|&other| (other as usize) < RESERVED && token >= RESERVED);
            if is_better {
                tokens.insert(piece.clone(), token as u32);
            }
        }
        let joins_words = |piece: &[u8]| piece.windows(2).any(|pair| pair[0] != b' ' && pair[1] == b' ');
        let words_are_apart = !pieces.iter().any(|piece| joins_words(piece));
        let vocabulary = Arc::new(Vocabulary { pieces, scores, tokens, words_are_apart });
        Self { vocabulary, cache: Mutex::default() }
    }

    /// Reads a `tokenizer.bin`. With `vocab_size` the file must have that many tokens; without, it has what
    /// it has.
    ///
    /// # Errors
    /// When the file is damaged, is something else, or has another number of tokens.
    pub fn read(path: &Path, vocab_size: Option<usize>) -> Result<Self, TokenizerError> {
        Self::from_bytes(path, &bpe_file::read_bounded(path)?, vocab_size)
    }

    /// The tokenizer in the bytes of the file `path`.
    pub(super) fn from_bytes(
        path: &Path,
        bytes: &[u8],
        vocab_size: Option<usize>,
    ) -> Result<Self, TokenizerError> {
        let (pieces, scores) = bpe_file::parse(path, bytes, vocab_size)?;
        Ok(Self::from_pieces(pieces, scores))
    }

    /// Writes a `tokenizer.bin`, at once or not at all.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), TokenizerError> {
        let bytes = bpe_file::to_bytes(&self.vocabulary.pieces, &self.vocabulary.scores);
        crate::file::write_atomically(path, |file| file.write_all(&bytes)).map_err(|source| {
            TokenizerError::Io { path: path.to_owned(), action: "write the tokenizer", source }
        })
    }

    /// The bytes of a token as they stand in the file (`<0x0A>` for a byte), and its score.
    #[must_use]
    pub fn token(&self, token: u32) -> Option<(&[u8], f32)> {
        let index = token as usize;
        Some((self.vocabulary.pieces.get(index)?, *self.vocabulary.scores.get(index)?))
    }
}

impl Clone for BpeTokenizer {
    fn clone(&self) -> Self {
        Self { vocabulary: Arc::clone(&self.vocabulary), cache: Mutex::default() }
    }
}

impl std::fmt::Debug for BpeTokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BpeTokenizer({} tokens)", self.vocab_size())
    }
}

impl Tokenizer for BpeTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = Vec::with_capacity(text.len() / 2 + 1);
        if text.is_empty() {
            return Ok(tokens);
        }
        let prefixed = format!(" {text}");
        if !self.vocabulary.words_are_apart {
            self.vocabulary.encode_word(&prefixed, &mut tokens);
            return Ok(tokens);
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        for word in words(&prefixed) {
            if let Some(known) = cache.get(word) {
                tokens.extend_from_slice(known);
                continue;
            }
            let start = tokens.len();
            self.vocabulary.encode_word(word, &mut tokens);
            if word.len() <= CACHED_BYTES && cache.len() < CACHED_WORDS {
                cache.insert(word.into(), tokens[start..].into());
            }
        }
        Ok(tokens)
    }

    fn piece(&self, previous: Option<u32>, token: u32) -> Cow<'_, [u8]> {
        if token == BOS || token == EOS {
            return Cow::Borrowed(&[]);
        }
        let Some(piece) = self.vocabulary.pieces.get(token as usize) else {
            return Cow::Borrowed("\u{fffd}".as_bytes());
        };
        // The space that encoding put in front of the text.
        let begins = previous.is_none_or(|previous| previous == BOS);
        match byte_piece(piece) {
            Some(b' ') if begins => Cow::Borrowed(&[]),
            Some(byte) => Cow::Owned(vec![byte]),
            None if begins => Cow::Borrowed(piece.strip_prefix(b" ").unwrap_or(piece)),
            None => Cow::Borrowed(piece),
        }
    }

    fn vocab_size(&self) -> usize {
        self.vocabulary.pieces.len()
    }

    fn bos(&self) -> Option<u32> {
        Some(BOS)
    }

    fn eos(&self) -> Option<u32> {
        Some(EOS)
    }
}

/// The byte of a piece such as `<0x0A>`.
fn byte_piece(piece: &[u8]) -> Option<u8> {
    let digits: &[u8; 2] = piece.strip_prefix(b"<0x")?.strip_suffix(b">")?.try_into().ok()?;
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

/// Cuts a text before every space that follows something else.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let body = rest.bytes().position(|byte| byte != b' ').unwrap_or(rest.len());
        let end = rest[body..].find(' ').map_or(rest.len(), |space| body + space);
        let (word, after) = rest.split_at(end);
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

/// Two neighbours that may be joined.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    /// What stood there when this was found; something else since means that it is void.
    tokens: (u32, u32),
    joined: u32,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left)).then(other.right.cmp(&self.right))
    }
}

/// Tokens as a list from which the right one of a joined pair is taken out.
struct Chain {
    tokens: Vec<u32>,
    /// The next place in the list; the length at its end, and `GONE` for a place taken out.
    next: Vec<usize>,
    previous: Vec<usize>,
}

const GONE: usize = usize::MAX;

impl Vocabulary {
    /// Adds the tokens of `word`, which nothing outside it can be joined with.
    fn encode_word(&self, word: &str, tokens: &mut Vec<u32>) {
        let mut chain = Chain::new(self.characters(word));
        let mut candidates = BinaryHeap::new();
        let mut joined = Vec::new();
        for left in 0..chain.tokens.len() {
            candidates.extend(self.candidate(&chain, left, &mut joined));
        }
        while let Some(best) = candidates.pop() {
            if !chain.holds(&best) {
                continue;
            }
            chain.join(&best);
            candidates.extend(self.candidate(&chain, best.left, &mut joined));
            if chain.previous[best.left] != GONE {
                candidates.extend(self.candidate(&chain, chain.previous[best.left], &mut joined));
            }
        }
        let kept = chain.tokens.iter().zip(&chain.next).filter(|&(_, &next)| next != GONE);
        tokens.extend(kept.map(|(&token, _)| token));
    }

    /// One token a character, or its bytes.
    fn characters(&self, word: &str) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(word.len());
        let mut buffer = [0; 4];
        for character in word.chars() {
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            match self.tokens.get(bytes) {
                Some(&token) => tokens.push(token),
                None => tokens.extend(bytes.iter().map(|&byte| u32::from(byte) + FIRST_BYTE)),
            }
        }
        tokens
    }

    /// The pair that begins at `left`, if it is a token. `joined` is scratch.
    fn candidate(&self, chain: &Chain, left: usize, joined: &mut Vec<u8>) -> Option<Candidate> {
        let right = chain.next[left];
        let tokens = (chain.tokens[left], *chain.tokens.get(right)?);
        joined.clear();
        joined.extend_from_slice(&self.pieces[tokens.0 as usize]);
        joined.extend_from_slice(&self.pieces[tokens.1 as usize]);
        let token = *self.tokens.get(joined.as_slice())?;
        let score = self.scores[token as usize];
        (score > LOWEST_SCORE).then_some(Candidate { score, left, right, tokens, joined: token })
    }
}

impl Chain {
    fn new(tokens: Vec<u32>) -> Self {
        let len = tokens.len();
        let previous = (0..len).map(|place| place.checked_sub(1).unwrap_or(GONE)).collect();
        Self { next: (1..=len).collect(), previous, tokens }
    }

    /// Whether the pair still stands where it was found.
    fn holds(&self, pair: &Candidate) -> bool {
        self.next[pair.left] == pair.right && (self.tokens[pair.left], self.tokens[pair.right]) == pair.tokens
    }

    fn join(&mut self, pair: &Candidate) {
        self.tokens[pair.left] = pair.joined;
        let after = self.next[pair.right];
        self.next[pair.left] = after;
        self.next[pair.right] = GONE;
        if let Some(back) = self.previous.get_mut(after) {
            *back = pair.left;
        }
    }
}
