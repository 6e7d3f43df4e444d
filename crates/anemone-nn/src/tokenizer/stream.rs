//! Text as it is generated: a token may end in the middle of a character, whose bytes must then wait.

use super::Tokenizer;

/// Turns tokens into text one by one, holding back bytes until they make whole characters.
pub struct StreamDecoder<'a> {
    tokenizer: &'a dyn Tokenizer,
    previous: Option<u32>,
    /// The beginning of a character.
    pending: Vec<u8>,
}

impl<'a> StreamDecoder<'a> {
    /// A decoder at the beginning of a text.
    #[must_use]
    pub fn new(tokenizer: &'a dyn Tokenizer) -> Self {
        Self { tokenizer, previous: None, pending: Vec::new() }
    }

    /// A decoder that goes on after `prompt`, whose text has been shown already.
    #[must_use]
    pub fn after(tokenizer: &'a dyn Tokenizer, prompt: &[u32]) -> Self {
        let mut decoder = Self::new(tokenizer);
        for &token in prompt {
            decoder.push(token);
        }
        decoder
    }

    /// The text that `token` completes; empty while a character is incomplete.
    pub fn push(&mut self, token: u32) -> String {
        self.pending.extend_from_slice(&self.tokenizer.piece(self.previous, token));
        self.previous = Some(token);
        self.take_whole()
    }

    /// What is left: U+FFFD if the text ended within a character, else nothing.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        rest
    }

    /// Takes all whole characters out of `pending`, and U+FFFD for bytes that can never become one.
    fn take_whole(&mut self) -> String {
        let mut text = String::new();
        let mut start = 0;
        loop {
            match std::str::from_utf8(&self.pending[start..]) {
                Ok(rest) => {
                    text.push_str(rest);
                    start = self.pending.len();
                    break;
                }
                Err(error) => {
                    let good = start + error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[start..good]));
                    start = good;
                    let Some(bad) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    start += bad;
                }
            }
        }
        self.pending.drain(..start);
        text
    }
}

impl std::fmt::Debug for StreamDecoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDecoder")
            .field("previous", &self.previous)
            .field("pending", &self.pending)
            .finish()
    }
}
