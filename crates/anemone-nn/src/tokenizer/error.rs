//! What can be wrong with a tokenizer file or with a text given to it.

use std::path::PathBuf;

/// Why a tokenizer cannot be read, trained, or used. Each message says what was found, what is allowed, and
/// the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read the tokenizer".
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tokenizer file is damaged or is something else.
    #[error("{}: {found}, but {allowed}; {remedy}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What stands there, as a clause.
        found: String,
        /// What is allowed, as a clause.
        allowed: String,
        /// The way out.
        remedy: &'static str,
    },
    /// A character level tokenizer does not know a character.
    #[error(
        "the text has {character:?} at byte {offset}, which is not one of the {known} characters of the training text; \
         leave it out, or train on a text that has it"
    )]
    UnknownCharacter {
        /// The character.
        character: char,
        /// Where it stands.
        offset: usize,
        /// Characters known.
        known: usize,
    },
    /// A text has nothing to learn tokens from.
    #[error("the text is empty, but a tokenizer is made from the characters of a text; give some text")]
    EmptyText,
    /// The vocabulary asked for cannot be had.
    #[error("a vocabulary of {found} tokens was asked for, but {allowed}")]
    VocabularySize {
        /// The size.
        found: usize,
        /// What is allowed, as a clause.
        allowed: &'static str,
    },
}
