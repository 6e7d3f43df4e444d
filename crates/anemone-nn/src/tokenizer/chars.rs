//! One token a character: the characters of a text, sorted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Tokenizer, TokenizerError};
use crate::file;

/// The value of `kind` in the JSON file.
const KIND: &str = "char";
const REMEDY: &str = "give the tokenizer.json written by the run that trained the model";

/// One token a character. Token `i` is the `i`-th character, in the order of Unicode, of the text it was made
/// from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CharTokenizer {
    /// Sorted, each once.
    characters: Vec<char>,
}

/// The file: `{"kind":"char","characters":"\n !'ABC"}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    kind: String,
    characters: String,
}

impl CharTokenizer {
    /// The tokenizer of all characters in `text`.
    ///
    /// # Errors
    /// When there are none.
    pub fn from_text(text: &str) -> Result<Self, TokenizerError> {
        let characters: Vec<char> = text.chars().collect::<BTreeSet<_>>().into_iter().collect();
        if characters.is_empty() { Err(TokenizerError::EmptyText) } else { Ok(Self { characters }) }
    }

    /// The characters in the order of their tokens.
    #[must_use]
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// Reads a file written by [`write`](Self::write).
    ///
    /// # Errors
    /// When it is not such a file.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        Self::from_json(path, &super::bpe_file::read_bounded(path)?)
    }

    /// Writes the tokenizer as JSON, at once or not at all.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&self, path: &Path) -> Result<(), TokenizerError> {
        let json = Json { kind: KIND.to_owned(), characters: self.characters.iter().collect() };
        let written = serde_json::to_vec(&json).map_err(std::io::Error::from);
        written.and_then(|bytes| file::write_atomically(path, |file| file.write_all(&bytes))).map_err(
            |source| TokenizerError::Io { path: path.to_owned(), action: "write the tokenizer", source },
        )
    }

    /// The tokenizer in the bytes of the file `path`.
    pub(super) fn from_json(path: &Path, bytes: &[u8]) -> Result<Self, TokenizerError> {
        let bad = |found: String, allowed: &str| TokenizerError::BadFile {
            path: path.to_owned(),
            found,
            allowed: allowed.to_owned(),
            remedy: REMEDY,
        };
        let json: Json = serde_json::from_slice(bytes).map_err(|error| {
            bad(
                format!("not a character tokenizer ({error})"),
                "such a file is JSON of the form {\"kind\":\"char\",\"characters\":\"...\"}",
            )
        })?;
        if json.kind != KIND {
            let kind: String = json.kind.chars().take(40).collect();
            return Err(bad(format!("the kind of tokenizer is {kind:?}"), "only \"char\" is stored as JSON"));
        }
        let characters: Vec<char> = json.characters.chars().collect();
        if let Some(pair) = characters.windows(2).find(|pair| pair[0] >= pair[1]) {
            let found = format!("the character {:?} stands before {:?}", pair[0], pair[1]);
            return Err(bad(found, "the characters must be sorted, each standing once"));
        }
        if characters.is_empty() {
            return Err(bad("there are no characters".to_owned(), "there must be at least one"));
        }
        Ok(Self { characters })
    }
}

impl Tokenizer for CharTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        text.char_indices()
            .map(|(offset, character)| {
                let known = self.characters.len();
                let found = self.characters.binary_search(&character);
                found.map(|index| index as u32).map_err(|_| TokenizerError::UnknownCharacter {
                    character,
                    offset,
                    known,
                })
            })
            .collect()
    }

    fn piece(&self, _previous: Option<u32>, token: u32) -> Cow<'_, [u8]> {
        let character = self.characters.get(token as usize).copied().unwrap_or(char::REPLACEMENT_CHARACTER);
        Cow::Owned(character.to_string().into_bytes())
    }

    fn vocab_size(&self) -> usize {
        self.characters.len()
    }

    fn bos(&self) -> Option<u32> {
        None
    }

    fn eos(&self) -> Option<u32> {
        None
    }
}
