//! What can be wrong with a file of data, said so that it can be mended.

use std::path::PathBuf;

/// Why a set of data cannot be used. Each message names the file, what was found, what is allowed, and the
/// way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "read the file".
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The path is there but is something else than what is needed.
    #[error("{}: found {found}, but {wanted} is needed; {remedy}", path.display())]
    WrongKind {
        /// The path.
        path: PathBuf,
        /// What stands there.
        found: &'static str,
        /// What should.
        wanted: &'static str,
        /// The way out.
        remedy: &'static str,
    },
    /// A folder lacks files.
    #[error("{}: missing {}; {layout}", folder.display(), missing.join(", "))]
    MissingFiles {
        /// The folder searched.
        folder: PathBuf,
        /// The names that were not found.
        missing: Vec<String>,
        /// What such a folder holds, and where to get it.
        layout: &'static str,
    },
    /// A file has nothing in it.
    #[error("{}: the file is empty; {remedy}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        remedy: &'static str,
    },
    /// The size of a file is not one its format allows.
    #[error("{}: the file has {found} bytes, but {allowed}; {remedy}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        found: u64,
        /// The sizes allowed, as a clause.
        allowed: String,
        /// The way out.
        remedy: &'static str,
    },
    /// A field of a header holds what it must not.
    #[error("{}: {field} is {found}, but {allowed}; {remedy}", path.display())]
    BadHeader {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is allowed, as a clause.
        allowed: String,
        /// The way out.
        remedy: &'static str,
    },
    /// A compressed file cannot be unpacked.
    #[error("{}: the gzip data is damaged ({source}); download the file again", path.display())]
    BadGzip {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: std::io::Error,
    },
    /// A label names no class.
    #[error(
        "{}: the label of record {record} is {found}, but labels run from 0 to {}; the file is damaged or of another \
         data set", path.display(), classes - 1
    )]
    LabelOutOfRange {
        /// The file.
        path: PathBuf,
        /// The record, from 0.
        record: usize,
        /// The label.
        found: u8,
        /// Classes of the data set.
        classes: usize,
    },
    /// Two files that belong together do not fit.
    #[error("{} has {first_found}, but {} has {second_found}; take both from the same data set", first.display(), second.display())]
    Mismatch {
        /// One file.
        first: PathBuf,
        /// What it has.
        first_found: String,
        /// The other.
        second: PathBuf,
        /// What that has.
        second_found: String,
    },
    /// A text is not UTF-8.
    #[error(
        "{}: not UTF-8 text: byte {offset} is {byte:#04x}; convert the file to UTF-8, or give a folder of uint16 \
         token shards (.bin)", path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where the first bad byte is, from 0.
        offset: usize,
        /// That byte.
        byte: u8,
    },
    /// A token is beyond the vocabulary.
    #[error(
        "{name}: token {position} is {found}, but the vocabulary has {vocab} tokens (0 to {}); use the tokenizer \
         the file was made with", vocab - 1
    )]
    TokenOutOfRange {
        /// The file, or the name of the text in memory.
        name: String,
        /// The place of the token, from 0.
        position: u64,
        /// The token.
        found: u16,
        /// The size of the vocabulary.
        vocab: usize,
    },
    /// A vocabulary that 16-bit tokens cannot name, or an empty one.
    #[error("a vocabulary of {found} tokens cannot be stored in 16 bits; 1 to 65536 tokens are allowed")]
    VocabularySize {
        /// The size asked for.
        found: usize,
    },
    /// There are too few tokens or images for what was asked.
    #[error("{name}: {found} {unit}, but {needed} are needed {purpose}; {remedy}")]
    TooFew {
        /// The file or the name of the data.
        name: String,
        /// How many there are.
        found: u64,
        /// "tokens", "images".
        unit: &'static str,
        /// How many are needed.
        needed: u64,
        /// For what: "for one window of 256".
        purpose: String,
        /// The way out.
        remedy: &'static str,
    },
    /// An argument is outside its range.
    #[error("{name} is {found}, but {allowed}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Its value.
        found: String,
        /// What is allowed, as a clause.
        allowed: &'static str,
    },
    /// A text cannot be turned into tokens.
    #[error("{name}: {source}")]
    Tokenizer {
        /// The text.
        name: String,
        /// Why not.
        source: crate::tokenizer::TokenizerError,
    },
}
