//! Where tokens lie: a vector, or files mapped into memory, several of them read as one row.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::data::DataError;
use crate::file;

const REMEDY: &str = "make it again: a shard is a row of little-endian 16-bit tokens without a header";

/// A row of tokens made of one or more parts.
#[derive(Debug)]
pub(super) struct Storage {
    /// What the whole is called in messages.
    name: String,
    /// Parts in order, none empty.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    /// The place of its first token in the whole.
    first: u64,
    tokens: Tokens,
}

enum Tokens {
    Memory(Vec<u16>),
    Mapped(Mmap),
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let form = if matches!(self, Self::Memory(_)) { "in memory" } else { "mapped" };
        write!(f, "{} tokens {form}", self.len())
    }
}

impl Tokens {
    fn len(&self) -> usize {
        match self {
            Self::Memory(tokens) => tokens.len(),
            Self::Mapped(bytes) => bytes.len() / 2,
        }
    }

    fn get(&self, index: usize) -> u16 {
        match self {
            Self::Memory(tokens) => tokens[index],
            Self::Mapped(bytes) => u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]),
        }
    }
}

impl Storage {
    /// Tokens in memory.
    pub(super) fn memory(name: &str, tokens: Vec<u16>) -> Self {
        let part = Part { name: name.to_owned(), first: 0, tokens: Tokens::Memory(tokens) };
        Self { name: name.to_owned(), parts: vec![part] }
    }

    /// A file, or the `.bin` files of a folder.
    pub(super) fn map(path: &Path) -> Result<Self, DataError> {
        let metadata =
            std::fs::metadata(path).map_err(|e| file::io_error(path, "find the token shards", e))?;
        let files = if metadata.is_dir() { shards_of(path)? } else { vec![path.to_owned()] };
        let mut parts = Vec::with_capacity(files.len());
        let mut first = 0_u64;
        for shard in files {
            let tokens = Tokens::Mapped(map_shard(&shard)?);
            let len = tokens.len() as u64;
            parts.push(Part { name: shard.display().to_string(), first, tokens });
            first += len;
        }
        Ok(Self { name: path.display().to_string(), parts })
    }

    /// What the whole is called in messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Tokens in all parts.
    pub(super) fn len(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.first + part.tokens.len() as u64)
    }

    /// Shows `count` tokens from place `start` on to `see`, each with the name of its part and its place
    /// there.
    ///
    /// Windows that run over the end of one part go on in the next; past the last part there is nothing to
    /// show.
    pub(super) fn visit(
        &self,
        start: u64,
        count: usize,
        mut see: impl FnMut(&str, u64, u16) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let after = self.parts.partition_point(|part| part.first <= start);
        let mut left = count;
        let mut place = start;
        for part in &self.parts[after.saturating_sub(1)..] {
            let from = (place - part.first) as usize;
            let until = part.tokens.len().min(from.saturating_add(left));
            for index in from..until {
                see(&part.name, index as u64, part.tokens.get(index))?;
            }
            let seen = until.saturating_sub(from);
            left -= seen;
            place += seen as u64;
            if left == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// The `.bin` files of a folder, sorted by name.
fn shards_of(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let listing = std::fs::read_dir(folder).map_err(|e| file::io_error(folder, "read the folder", e))?;
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.map_err(|e| file::io_error(folder, "read the folder", e))?.path();
        let is_shard = path.extension().is_some_and(|extension| extension == "bin") && path.is_file();
        // A tokenizer may lie beside the shards under the name llama2.c gives it.
        if is_shard && path.file_name().is_none_or(|name| name != "tokenizer.bin") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(DataError::MissingFiles {
            folder: folder.to_owned(),
            missing: vec!["*.bin".to_owned()],
            layout: "a folder of token shards holds files named .bin, each a row of little-endian 16-bit tokens, as \
                     llama2.c's tinystories.py pretokenize writes them",
        });
    }
    files.sort();
    Ok(files)
}

/// Maps one file whose size must be even and not 0.
fn map_shard(path: &Path) -> Result<Mmap, DataError> {
    let bytes = file::map(path)?;
    if bytes.is_empty() {
        return Err(DataError::Empty { path: path.to_owned(), remedy: REMEDY });
    }
    if bytes.len() % 2 != 0 {
        let allowed = "16-bit tokens take an even number".to_owned();
        return Err(DataError::WrongSize {
            path: path.to_owned(),
            found: bytes.len() as u64,
            allowed,
            remedy: REMEDY,
        });
    }
    Ok(bytes)
}
