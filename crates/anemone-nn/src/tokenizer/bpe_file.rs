//! The file layout of llama2.c's `tokenizer.bin`.
//!
//! Little-endian: the length of the longest token as 32 bits, then for each token its score as a 32-bit
//! float, its length as 32 bits, and its bytes. The number of tokens is not in the file: it ends where they
//! end. A space is a space, tokens 1 and 2 are `\n<s>\n` and `\n</s>\n`, and single bytes are written
//! `<0x0A>`.

use std::path::Path;

use super::TokenizerError;
use super::bpe::RESERVED;
use crate::file;

/// Bytes of the largest tokenizer file that is read; one of 128000 tokens has 2 MB.
const MAX_BYTES: u64 = 1 << 26;
const REMEDY: &str = "give a tokenizer.bin as llama2.c's tokenizer.py exports it (not sentencepiece's \
                      tokenizer.model), or the tokenizer written by the run that trained the model";

/// The bytes of each token, and the scores.
type Pieces = (Vec<Box<[u8]>>, Vec<f32>);

/// Reads a tokenizer file into memory, whatever its kind.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, TokenizerError> {
    let io = |source| TokenizerError::Io { path: path.to_owned(), action: "read the tokenizer", source };
    let (mut opened, size) = file::open(path).map_err(|error| match error {
        crate::data::DataError::Io { source, .. } => io(source),
        other => bad(path, "it is not a plain file".to_owned(), other.to_string()),
    })?;
    if size > MAX_BYTES {
        return Err(bad(
            path,
            format!("the file has {size} bytes"),
            format!("at most {MAX_BYTES} are allowed"),
        ));
    }
    match file::read_at_most(path, &mut opened, MAX_BYTES) {
        Ok(bytes) => Ok(bytes),
        Err(crate::data::DataError::Io { source, .. }) => Err(io(source)),
        Err(other) => Err(bad(path, "it cannot be read".to_owned(), other.to_string())),
    }
}

fn bad(path: &Path, found: String, allowed: String) -> TokenizerError {
    TokenizerError::BadFile { path: path.to_owned(), found, allowed, remedy: REMEDY }
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

/// The tokens in the bytes of a file; with `vocab_size` there must be that many.
pub(super) fn parse(path: &Path, bytes: &[u8], vocab_size: Option<usize>) -> Result<Pieces, TokenizerError> {
    let mut rest = bytes;
    let Some(longest) = take(&mut rest).map(u32::from_le_bytes) else {
        let found = format!("the file has {} bytes", bytes.len());
        return Err(bad(path, found, "a tokenizer.bin begins with 4 bytes for its longest token".to_owned()));
    };
    if longest == 0 || u64::from(longest) > bytes.len() as u64 {
        let found = format!("the longest token is said to have {longest} bytes");
        return Err(bad(path, found, format!("1 up to the size of the file, {}, is allowed", bytes.len())));
    }
    let (mut pieces, mut scores) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let (score, piece) = parse_token(path, &mut rest, pieces.len(), longest)?;
        pieces.push(piece);
        scores.push(score);
    }
    if let Some(wanted) = vocab_size.filter(|&wanted| wanted != pieces.len()) {
        let found = format!("the file has {} tokens", pieces.len());
        return Err(bad(path, found, format!("the model has a vocabulary of {wanted}")));
    }
    if pieces.len() < RESERVED {
        let found = format!("the file has {} tokens", pieces.len());
        let allowed = format!("a vocabulary begins with {RESERVED}: unknown, begin, end, and 256 bytes");
        return Err(bad(path, found, allowed));
    }
    Ok((pieces, scores))
}

/// Takes one token off the front of `rest`.
fn parse_token(
    path: &Path,
    rest: &mut &[u8],
    token: usize,
    longest: u32,
) -> Result<(f32, Box<[u8]>), TokenizerError> {
    let cut = |what: &str, left: usize| {
        bad(
            path,
            format!("the file ends within {what} of token {token}"),
            format!("{left} more bytes must follow"),
        )
    };
    let score = take(rest).map(f32::from_le_bytes).ok_or_else(|| cut("the score", 4 - rest.len()))?;
    let length = take(rest).map(u32::from_le_bytes).ok_or_else(|| cut("the length", 4 - rest.len()))?;
    if !score.is_finite() {
        return Err(bad(
            path,
            format!("the score of token {token} is {score}"),
            "scores must be finite".to_owned(),
        ));
    }
    if length == 0 || length > longest {
        let found = format!("token {token} is said to have {length} bytes");
        return Err(bad(path, found, format!("1 to {longest} are allowed, the longest the file announces")));
    }
    let Some((piece, after)) = rest.split_at_checked(length as usize) else {
        return Err(cut("the text", length as usize - rest.len()));
    };
    *rest = after;
    Ok((score, piece.into()))
}

/// The bytes of the file.
pub(super) fn to_bytes(pieces: &[Box<[u8]>], scores: &[f32]) -> Vec<u8> {
    let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or(0) as u32;
    let mut bytes = longest.to_le_bytes().to_vec();
    for (piece, score) in pieces.iter().zip(scores) {
        bytes.extend_from_slice(&score.to_le_bytes());
        bytes.extend_from_slice(&(piece.len() as u32).to_le_bytes());
        bytes.extend_from_slice(piece);
    }
    bytes
}
