//! Errors of reading and writing text.

use super::BlobError;
use std::io;
use thiserror::Error;

/// Why a text is not a program: the place, a sentence, and the line with a caret under the place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {message}\n{}", drawing(*.line, .excerpt, *.caret))]
#[non_exhaustive]
pub struct ParseError {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What was found, and what is allowed there.
    pub message: String,
    /// The line around the place; of a long line, the part near it.
    pub excerpt: String,
    /// The place in the excerpt, in characters from its start.
    pub caret: usize,
}

/// Characters of the source line shown on either side of the place.
const CONTEXT: usize = 60;

impl ParseError {
    /// An error at byte `at` of `source`.
    pub(super) fn new(source: &str, at: usize, message: String) -> ParseError {
        let at = (0..=at.min(source.len())).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0);
        let before = &source[..at];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = source[at..].lines().next().unwrap_or("");
        let column = source[start..at].chars().count();
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let skipped = column.saturating_sub(CONTEXT);
        let excerpt = source[start..at].chars().skip(skipped).chain(rest.chars().take(CONTEXT)).map(shown);
        ParseError {
            line: before.bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: column + 1,
            message,
            excerpt: excerpt.collect(),
            caret: column - skipped,
        }
    }
}

fn drawing(line: usize, excerpt: &str, caret: usize) -> String {
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    format!(" {number} | {excerpt}\n {margin} | {}^", " ".repeat(caret))
}

/// Why a program could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrintError {
    /// The text's own output failed.
    #[error("writing the text failed: {0}")]
    Text(#[from] io::Error),
    /// The weights' output failed.
    #[error("writing the weights failed: {0}")]
    Weights(#[from] BlobError),
}
