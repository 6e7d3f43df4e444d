//! Spelling of numbers and strings, both ways, without losing a bit.
//!
//! Floats are written in hexadecimal, C's `%a`: `0x1.8p+1` is 3. Infinities are `inf` and `-inf`; the usual `NaN` is `nan`,
//! and any other has its fraction bits in parentheses, `nan(0x1)`. Reading rounds once, to the nearest
//! value of the element type, ties to even, whatever the spelling.

use std::borrow::Cow;
use std::fmt::Write;

/// A binary floating-point format.
#[derive(Clone, Copy)]
pub(super) struct Format {
    name: &'static str,
    /// Bits of the significand, the leading one included.
    precision: u32,
    /// Exponent of the largest finite value; also the bias of stored exponents.
    max_exponent: i64,
}

/// `fp16`.
pub(super) const HALF: Format = Format { name: "fp16", precision: 11, max_exponent: 15 };
/// `fp32`.
pub(super) const SINGLE: Format = Format { name: "fp32", precision: 24, max_exponent: 127 };

impl Format {
    const fn min_exponent(self) -> i64 {
        1 - self.max_exponent
    }

    const fn fraction_bits(self) -> u32 {
        self.precision - 1
    }

    const fn infinity(self) -> u32 {
        (2 * self.max_exponent as u32 + 1) << self.fraction_bits()
    }

    const fn sign_bit(self) -> u32 {
        (self.max_exponent as u32 + 1) << (self.fraction_bits() + 1)
    }

    const fn quiet(self) -> u32 {
        1 << (self.fraction_bits() - 1)
    }

    /// The bits of `nan` (fraction `None`) or `nan(fraction)`.
    pub(super) fn nan(self, negative: bool, fraction: Option<u32>) -> Result<u32, String> {
        let fraction = fraction.unwrap_or(self.quiet());
        if fraction == 0 || fraction >> self.fraction_bits() != 0 {
            let most = (1u32 << self.fraction_bits()) - 1;
            return Err(format!("the fraction of a {} nan is 0x1 to 0x{most:x}", self.name));
        }
        Ok(self.signed(negative, self.infinity() | fraction))
    }

    fn signed(self, negative: bool, bits: u32) -> u32 {
        if negative { bits | self.sign_bit() } else { bits }
    }

    /// Writes the value with these bits.
    pub(super) fn print(self, bits: u32, out: &mut String) {
        let magnitude = bits & (self.sign_bit() - 1);
        if bits != magnitude {
            out.push('-');
        }
        if magnitude == self.infinity() {
            out.push_str("inf");
        } else if magnitude == self.infinity() | self.quiet() {
            out.push_str("nan");
        } else if magnitude > self.infinity() {
            let _ = write!(out, "nan(0x{:x})", magnitude & !self.infinity());
        } else {
            self.print_finite(magnitude, out);
        }
    }

    fn print_finite(self, magnitude: u32, out: &mut String) {
        if magnitude == 0 {
            return out.push_str("0x0p+0");
        }
        let fraction = magnitude & ((1 << self.fraction_bits()) - 1);
        let stored = i64::from(magnitude >> self.fraction_bits());
        let subnormal = stored == 0;
        let significand = if subnormal { fraction } else { fraction | 1 << self.fraction_bits() };
        let exponent = if subnormal { self.min_exponent() } else { stored - self.max_exponent };
        // The leading one goes to the top bit, so that the digits after the point are the 31 bits below it.
        let top = significand.leading_zeros();
        let exponent = exponent - i64::from(top) + i64::from(31 - self.fraction_bits());
        let digits = format!("{:08x}", (significand << top) << 1);
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        let _ = write!(out, "0x1{point}{digits}p{exponent:+}");
    }

    /// The bits of a decimal or hexadecimal number.
    pub(super) fn parse(self, text: &str) -> Result<u32, String> {
        let (negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let bits = match digits {
            "inf" | "infinity" => return Ok(self.signed(negative, self.infinity())),
            "nan" => return self.nan(negative, None),
            _ if digits.starts_with("0x") || digits.starts_with("0X") => self.parse_hex(&digits[2..]),
            _ => self.parse_decimal(digits),
        };
        bits.map(|bits| self.signed(negative, bits)).map_err(|fault| match fault {
            Fault::Spelling => format!("`{}` is not a number", shortened(text)),
            Fault::TooLarge => {
                format!("{} is more than {} can hold; write inf if that is meant", shortened(text), self.name)
            }
        })
    }

    fn parse_hex(self, text: &str) -> Result<u32, Fault> {
        let (digits, exponent) = text.split_once(['p', 'P']).ok_or(Fault::Spelling)?;
        let mut exponent = small_integer(exponent)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(Fault::Spelling);
        }
        let mut significand = 0u64;
        let mut inexact = false;
        for (part, after_point) in [(whole, false), (fraction, true)] {
            for c in part.chars() {
                let digit = u64::from(c.to_digit(16).ok_or(Fault::Spelling)?);
                if significand >> 56 == 0 {
                    significand = significand << 4 | digit;
                    exponent -= if after_point { 4 } else { 0 };
                } else {
                    inexact |= digit != 0;
                    exponent += if after_point { 0 } else { 4 };
                }
            }
        }
        self.round(significand, exponent, inexact)
    }

    /// `significand * 2^exponent`, and a little more if `inexact`, rounded to nearest even.
    fn round(self, significand: u64, exponent: i64, inexact: bool) -> Result<u32, Fault> {
        if significand == 0 {
            return Ok(0);
        }
        let leading = exponent + i64::from(63 - significand.leading_zeros());
        let unit = leading.max(self.min_exponent()) - i64::from(self.fraction_bits());
        let mut rounded = match unit - exponent {
            // Nothing lies below the unit: the significand is short.
            shift @ ..=0 => significand << -shift,
            shift => {
                // A significand has 64 bits: further than 66 to the right, all are equally far below half.
                let shift = shift.min(66) as u32;
                let (wide, half) = (u128::from(significand), 1u128 << (shift - 1));
                let (kept, rest) = (wide >> shift, wide & ((1u128 << shift) - 1));
                let up = rest > half || rest == half && (inexact || kept & 1 == 1);
                kept as u64 + u64::from(up)
            }
        };
        let mut stored = unit + i64::from(self.fraction_bits()) + self.max_exponent;
        if rounded >> self.precision != 0 {
            rounded >>= 1;
            stored += 1;
        }
        if stored > 2 * self.max_exponent {
            return Err(Fault::TooLarge);
        }
        // The leading one of a normal number adds one to the stored exponent; that of a subnormal is not there.
        Ok((((stored - 1) as u32) << self.fraction_bits()) + rounded as u32)
    }

    /// A number that is not negative, rounded to nearest even. (`f16::from_f64` looks at the upper half only.)
    fn round_double(self, double: f64) -> Result<u32, Fault> {
        if double == f64::INFINITY {
            return Err(Fault::TooLarge);
        }
        // Subnormal doubles are far below every format here and round to zero without their leading one.
        let (stored, fraction) = (double.to_bits() >> 52, double.to_bits() & ((1 << 52) - 1));
        let significand = if stored == 0 { 0 } else { fraction | 1 << 52 };
        self.round(significand, stored as i64 - 1075, false)
    }

    fn parse_decimal(self, text: &str) -> Result<u32, Fault> {
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
        if !text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(plain) {
            return Err(Fault::Spelling);
        }
        let bits = if self.precision == SINGLE.precision {
            text.parse::<f32>().map_err(|_| Fault::Spelling)?.to_bits()
        } else {
            let double = text.parse::<f64>().map_err(|_| Fault::Spelling)?;
            self.round_double(off_the_middle(double, text))?
        };
        if bits == self.infinity() { Err(Fault::TooLarge) } else { Ok(bits) }
    }
}

enum Fault {
    Spelling,
    TooLarge,
}

/// Rounding to `f64` first can land exactly between two `fp16` values and hide on which side the decimal lies. Then
/// the next `f64` on that side tells.
fn off_the_middle(double: f64, text: &str) -> f64 {
    // Midpoints of fp16 have at most 12 significant bits: the low 41 of an f64's 52 are zero.
    if double == 0.0 || double.to_bits() & ((1 << 41) - 1) != 0 || double > 65520.0 {
        return double;
    }
    // 2^-25 is the smallest midpoint; every one is written exactly with 25 digits after the point.
    match decimal(text).cmp(&decimal(&format!("{double:.25}"))) {
        std::cmp::Ordering::Less => double.next_down(),
        std::cmp::Ordering::Equal => double,
        std::cmp::Ordering::Greater => double.next_up(),
    }
}

/// A decimal number as (power of ten above its first digit, digits without outer zeros): ordered as the numbers are.
fn decimal(text: &str) -> (i64, Vec<u8>) {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let zeros = all.iter().take_while(|&&digit| digit == b'0').count();
    let end = all.iter().rposition(|&digit| digit != b'0').map_or(zeros, |last| last + 1);
    let exponent = small_integer(exponent).unwrap_or(0);
    (exponent + whole.len() as i64 - zeros as i64, all[zeros..end].to_vec())
}

/// An exponent; huge ones saturate far outside every format.
fn small_integer(text: &str) -> Result<i64, Fault> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Spelling);
    }
    let magnitude = digits.parse::<i64>().unwrap_or(i64::MAX).min(1 << 40);
    Ok(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// An integer of the given type's range.
pub(super) fn parse_integer<T: TryFrom<i64>>(text: &str, dtype: &str) -> Result<T, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{}` is not an integer, as {dtype} needs", shortened(text)));
    }
    let value = text.parse::<i64>().ok().and_then(|value| T::try_from(value).ok());
    value.ok_or_else(|| format!("{} is out of range for {dtype}", shortened(text)))
}

/// Writes a string in quotes.
pub(super) fn print_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The string that stands between the quotes. An error gives the byte offset of the escape at fault.
pub(super) fn unescape(raw: &str) -> Result<Cow<'_, str>, (usize, String)> {
    let Some(first) = raw.find('\\') else { return Ok(Cow::Borrowed(raw)) };
    let mut text = raw[..first].to_string();
    let mut rest = &raw[first..];
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let place = raw.len() - rest.len() + at;
        let escape = &rest[at + 1..];
        let (c, len) = escaped(escape).ok_or_else(|| {
            let found: String = escape.chars().take(1).collect();
            (
                place,
                format!(
                    "`\\{found}` is no escape; there are \\\\ \\\" \\' \\n \\r \\t \\0 and \\x00 to \\x7f"
                ),
            )
        })?;
        text.push(c);
        rest = &escape[len..];
    }
    text.push_str(rest);
    Ok(Cow::Owned(text))
}

/// The character that an escape means, and the bytes that the escape takes after its backslash.
fn escaped(escape: &str) -> Option<(char, usize)> {
    let c = match escape.as_bytes().first()? {
        b'\\' => '\\',
        b'"' => '"',
        b'\'' => '\'',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'0' => '\0',
        b'x' => {
            let digits = escape.get(1..3).filter(|d| d.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            let code = u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii)?;
            return Some((char::from(code), 3));
        }
        _ => return None,
    };
    Some((c, 1))
}

/// At most 40 characters of a piece of source, for messages.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((at, _)) => Cow::Owned(format!("{}…", &text[..at])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    fn printed(format: Format, bits: u32) -> String {
        let mut out = String::new();
        format.print(bits, &mut out);
        out
    }

    #[test]
    fn every_half_is_read_back_from_hexadecimal_and_decimal() {
        for bits in 0..=u16::MAX {
            let text = printed(HALF, bits.into());
            if !text.contains('(') {
                assert_eq!(HALF.parse(&text), Ok(bits.into()), "{text}");
            }
            let value = f16::from_bits(bits);
            if value.is_finite() {
                let decimal = format!("{:.25}", value.to_f64());
                assert_eq!(HALF.parse(&decimal), Ok(bits.into()), "{decimal}");
            }
        }
    }

    #[test]
    fn singles_are_read_back() {
        for step in 0..200_000u32 {
            let bits = step.wrapping_mul(2_654_435_761);
            let text = printed(SINGLE, bits);
            if !text.contains('(') {
                assert_eq!(SINGLE.parse(&text), Ok(bits), "{text}");
            }
            let value = f32::from_bits(bits);
            if value.is_finite() {
                assert_eq!(SINGLE.parse(&format!("{value:e}")), Ok(bits), "{value:e}");
            }
        }
    }

    #[test]
    fn spellings_are_those_of_c() {
        let cases = [
            (0.125, "0x1p-3"),
            (3.0, "0x1.8p+1"),
            (0.0, "0x0p+0"),
            (-0.0, "-0x0p+0"),
            (0.1, "0x1.99999ap-4"),
        ];
        for (value, text) in cases {
            assert_eq!(printed(SINGLE, f32::to_bits(value)), text);
        }
        assert_eq!(printed(SINGLE, 1), "0x1p-149");
        assert_eq!(printed(HALF, 1), "0x1p-24");
        assert_eq!(printed(HALF, 0xfc00), "-inf");
        assert_eq!(printed(HALF, 0x7e00), "nan");
        assert_eq!(printed(HALF, 0xfe01), "-nan(0x201)");
    }

    #[test]
    fn rounding_is_to_nearest_even_and_happens_once() {
        let half = |text| HALF.parse(text).map(|bits| f16::from_bits(bits as u16).to_f64());
        let one = 1.0;
        let next = 1.0 + 2f64.powi(-10);
        assert_eq!(half("0x1.002p+0"), Ok(one));
        assert_eq!(half("0x1.0020000000000000000000001p+0"), Ok(next));
        assert_eq!(half("1.00048828125"), Ok(one));
        assert_eq!(half("1.00048828125000000000000000000001"), Ok(next));
        assert_eq!(half("100048828125000000000000000000001e-32"), Ok(next));
        assert_eq!(half("1.00146484374999999999999999999999"), Ok(next));
        assert_eq!(half("1.00146484375"), Ok(1.0 + 2f64.powi(-9)));
        assert_eq!(half("0x0.8p-24"), Ok(0.0));
        assert_eq!(half("0x0.80000001p-24"), Ok(2f64.powi(-24)));
        assert_eq!(half("0x1p-99999999999999999999"), Ok(0.0));
        assert_eq!(half("65519.999"), Ok(65504.0));
        assert!(half("65520").is_err());
        assert!(half("0x1p16").is_err());
        assert!(half("0x1p99999999999999999999").is_err());
        assert!(SINGLE.parse("3.5e38").is_err());
    }

    #[test]
    fn strings_survive() {
        for text in ["", "plain", "a\"b\\c\n\r\t\0\u{1}\u{7f}", "ünïcødé ✓"] {
            let mut quoted = String::new();
            print_string(text, &mut quoted);
            assert_eq!(unescape(&quoted[1..quoted.len() - 1]).as_deref(), Ok(text));
        }
        assert_eq!(unescape(r"ab\q").map_err(|(at, _)| at), Err(2));
        assert!(unescape(r"\x80").is_err());
    }
}
