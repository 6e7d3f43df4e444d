//! Splits text into words, numbers, strings and punctuation, one at a time: memory does not grow with the text.

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A word: letter or `_` first, then letters, digits, `_`, `@`.
    Word(&'s str),
    /// A number with its sign, unchecked: everything that could belong to one. Signed words (`-inf`) as well.
    Number(&'s str),
    /// A string as written between its quotes, escapes included.
    Text(&'s str),
    /// `->`.
    Arrow,
    /// Any other character.
    Mark(char),
    /// The end of the text.
    End,
}

/// The place of the next token. A copy looks ahead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Lexer<'s> {
        // Some editors begin a file with a byte order mark.
        Lexer { source, at: if source.starts_with('\u{feff}') { 3 } else { 0 } }
    }

    /// The next token and the byte at which it begins; or the place and nature of a fault.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'s>), (usize, String)> {
        self.skip_blank();
        let (start, rest) = (self.at, &self.source[self.at..]);
        let Some(first) = rest.chars().next() else { return Ok((start, Token::End)) };
        let token = match first {
            '"' => Token::Text(self.text(rest)?),
            '-' if rest[1..].starts_with('>') => {
                self.at += 2;
                Token::Arrow
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                Token::Word(self.take(rest, |_, c| c.is_ascii_alphanumeric() || c == '_' || c == '@'))
            }
            '0'..='9' => Token::Number(self.number(rest)),
            '-' | '+' if rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric()) => {
                Token::Number(self.number(rest))
            }
            other => {
                self.at += other.len_utf8();
                Token::Mark(other)
            }
        };
        Ok((start, token))
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.source[self.at..].trim_start();
            self.at = self.source.len() - rest.len();
            if !rest.starts_with("//") {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// Takes characters as long as `belongs(the one before, this one)`; the first always does.
    fn take(&mut self, rest: &'s str, belongs: impl Fn(char, char) -> bool) -> &'s str {
        let mut previous = ' ';
        let end = rest.char_indices().find(|&(at, c)| {
            let ends = at > 0 && !belongs(previous, c);
            previous = c;
            ends
        });
        let end = end.map_or(rest.len(), |(at, _)| at);
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self, rest: &'s str) -> &'s str {
        let unsigned = rest.trim_start_matches(['-', '+']);
        let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
        self.take(rest, |previous, c| {
            let exponent =
                if hexadecimal { matches!(previous, 'p' | 'P') } else { matches!(previous, 'e' | 'E') };
            c.is_ascii_alphanumeric() || c == '.' || (exponent && matches!(c, '+' | '-'))
        })
    }

    /// The inside of the string that begins `rest`.
    fn text(&mut self, rest: &'s str) -> Result<&'s str, (usize, String)> {
        let mut escaped = false;
        for (at, byte) in rest.bytes().enumerate().skip(1) {
            match byte {
                b'\n' => break,
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.at += at + 1;
                    return Ok(&rest[1..at]);
                }
                _ => {}
            }
        }
        Err((self.at, "this string does not end on its line; write a line break as \\n".into()))
    }
}
