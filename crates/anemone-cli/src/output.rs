//! Everything that goes to standard output: lines, tables and wrapped text for people, JSON lines for programs.

use crate::error::CliError;
use serde::Serialize;
use std::io::{self, IsTerminal, Stdout, Write};

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// People.
    Text,
    /// People who want the results alone.
    Quiet,
    /// Programs: one JSON object per line.
    Json,
}

/// Standard output. Every write reports its failure, so a closed pipe ends the command instead of panicking.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    stdout: Stdout,
}

/// Columns that running text is wrapped at.
const WIDTH: usize = 92;

impl Output {
    /// Standard output in this format.
    pub(crate) fn new(json: bool, quiet: bool) -> Output {
        let format = match (json, quiet) {
            (true, _) => Format::Json,
            (false, true) => Format::Quiet,
            (false, false) => Format::Text,
        };
        Output { format, stdout: io::stdout() }
    }

    /// The format.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether JSON is asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// A line for people; says nothing in other formats.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), CliError> {
        if self.format == Format::Text {
            writeln!(self.stdout, "{line}")?;
        }
        Ok(())
    }

    /// A line of the result for people, printed also with `--quiet`.
    pub(crate) fn result(&mut self, line: &str) -> Result<(), CliError> {
        if self.format != Format::Json {
            writeln!(self.stdout, "{line}")?;
        }
        Ok(())
    }

    /// Text as it comes, flushed at once; harmless if it goes to a terminal.
    pub(crate) fn stream(&mut self, text: &str) -> Result<(), CliError> {
        match self.stdout.is_terminal() {
            true => self.stdout.write_all(printable(text).as_bytes())?,
            false => self.stdout.write_all(text.as_bytes())?,
        }
        self.stdout.flush()?;
        Ok(())
    }

    /// A line of JSON; says nothing in other formats.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        if self.is_json() {
            let text = serde_json::to_string(value).map_err(io::Error::from)?;
            writeln!(self.stdout, "{text}")?;
        }
        Ok(())
    }

    /// Names and values in two columns.
    pub(crate) fn table(&mut self, rows: &[(&str, String)]) -> Result<(), CliError> {
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows {
            let mut lines = wrap(value, WIDTH.saturating_sub(width + 4)).into_iter();
            self.result(&format!("  {name:width$}  {}", lines.next().unwrap_or_default()))?;
            for line in lines {
                self.result(&format!("  {:width$}  {line}", ""))?;
            }
        }
        Ok(())
    }

    /// Running text, wrapped and indented.
    pub(crate) fn paragraph(&mut self, text: &str) -> Result<(), CliError> {
        for line in text.lines() {
            for wrapped in wrap(line, WIDTH - 2) {
                self.result(&format!("  {wrapped}"))?;
            }
        }
        Ok(())
    }
}

/// Lines of at most `width` characters, broken at spaces; longer words stand alone. Never empty.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if used == 0 || used + 1 + length <= width => {
                if used > 0 {
                    line.push(' ');
                }
                line.push_str(word);
                used += length + usize::from(used > 0);
            }
            _ => {
                lines.push(word.to_string());
                used = length;
            }
        }
    }
    lines
}

/// Text without characters that a terminal would obey: a model may write anything.
pub(crate) fn printable(text: &str) -> String {
    let replaced = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(replaced).collect()
}

/// `12,345`, rounded.
pub(crate) fn thousands(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if number <= -0.5 { format!("-{text}") } else { text }
}

/// `0.8 s`, `42 s`, `2 m 05 s`, `1 h 02 m`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 3599.5 => format!("{} m {:02} s", (s.round() as u64) / 60, (s.round() as u64) % 60),
        s => format!("{} h {:02} m", (s as u64) / 3600, (s as u64) % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, printable, thousands, wrap};

    #[test]
    fn escape_sequences_do_not_pass() {
        assert_eq!(printable("a\u{1b}[31m\tb\n"), "a\u{fffd}[31m\tb\n");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0.0), "0");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(1234567.0), "1,234,567");
        assert_eq!(thousands(-1234.0), "-1,234");
        assert_eq!(thousands(f64::INFINITY), "inf");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(0.84), "0.8 s");
        assert_eq!(duration(42.3), "42 s");
        assert_eq!(duration(59.7), "1 m 00 s");
        assert_eq!(duration(125.0), "2 m 05 s");
        assert_eq!(duration(3725.0), "1 h 02 m");
    }

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible ox", 5), ["incomprehensible", "ox"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
