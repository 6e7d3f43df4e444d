//! Protobuf's wire format: reading messages without copying them, and writing them.
//!
//! A message is a sequence of fields, each a number, a wire type and data. [`Fields`] walks over one message of a
//! mapped file; nothing is decoded, copied or allocated until somebody asks for it, so a damaged or hostile file costs
//! no memory. Readers match on the field number, and what they do not know becomes [`Field::unknown`]: an
//! error by construction, because no reader can skip a field without saying so.
//!
//! Stricter than protobuf asks for, where leniency would lose something in silence: a field that holds one value must not
//! stand twice (protobuf keeps the last or merges), and groups, which proto3 does not have, are refused.

use std::fmt;

/// What is wrong with a message, and where in the file's tree of messages.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Path from the outside in, innermost last once [`Fault::place`] puts it together.
    steps: Vec<String>,
    pub(crate) problem: Problem,
}

/// The two kinds of faults that callers tell apart.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A field that this crate does not know, so that it could not be kept.
    Unknown { message: &'static str, field: u32 },
    /// Anything else, in a sentence.
    Invalid(String),
}

pub(crate) type Read<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Fault {
        Fault { steps: Vec::new(), problem: Problem::Invalid(message.into()) }
    }

    /// The same fault, seen from one message further out.
    pub(crate) fn within(mut self, step: impl fmt::Display) -> Fault {
        // Nesting is bounded; so is this.
        self.steps.push(step.to_string());
        self
    }

    /// Where it is: ``function `main` / operation 3 (conv)``. Empty at the top. Of a very long way both ends are told.
    pub(crate) fn place(&self) -> String {
        let steps: Vec<_> = self.steps.iter().rev().map(|step| shortened(step, 60)).collect();
        match steps.len() {
            0..=8 => steps.join(" / "),
            len => format!("{} / … / {}", steps[..4].join(" / "), steps[len - 3..].join(" / ")),
        }
    }
}

/// A sentence that may repeat what a file says, cut where it would become unreadable.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}

/// Adds the place to a fault of an inner message.
pub(crate) trait Within<T> {
    /// Names the message around; only called on the way out with a fault.
    fn within<D: fmt::Display>(self, step: impl FnOnce() -> D) -> Read<T>;
}

impl<T> Within<T> for Read<T> {
    fn within<D: fmt::Display>(self, step: impl FnOnce() -> D) -> Read<T> {
        self.map_err(|fault| fault.within(step()))
    }
}

/// The data of a field, by wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Data<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl Data<'_> {
    fn name(&self) -> &'static str {
        match self {
            Data::Varint(_) => "a number",
            Data::Fixed64(_) => "8 bytes",
            Data::Bytes(_) => "a string or a message",
            Data::Fixed32(_) => "4 bytes",
        }
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    data: Data<'a>,
}

impl<'a> Field<'a> {
    /// The fault of meeting this field in a message that has no such field.
    pub(crate) fn unknown<T>(&self, message: &'static str) -> Read<T> {
        Err(Fault { steps: Vec::new(), problem: Problem::Unknown { message, field: self.number } })
    }

    fn wrong<T>(&self, wanted: &str) -> Read<T> {
        let (number, found) = (self.number, self.data.name());
        Err(Fault::new(format!("field {number} must hold {wanted}, but it holds {found}")))
    }

    /// The content of a nested message, or raw bytes.
    pub(crate) fn bytes(&self) -> Read<&'a [u8]> {
        match self.data {
            Data::Bytes(bytes) => Ok(bytes),
            _ => self.wrong("a string or a message"),
        }
    }

    pub(crate) fn string(&self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|_| Fault::new(format!("the string in field {} is not UTF-8", self.number)))
    }

    pub(crate) fn unsigned(&self) -> Read<u64> {
        match self.data {
            Data::Varint(value) => Ok(value),
            _ => self.wrong("a number"),
        }
    }

    /// An `int64`, `int32` or enum: negative numbers are sign-extended to 64 bits.
    pub(crate) fn signed(&self) -> Read<i64> {
        Ok(self.unsigned()? as i64)
    }

    pub(crate) fn int32(&self) -> Read<i32> {
        let value = self.signed()?;
        i32::try_from(value)
            .map_err(|_| Fault::new(format!("field {} holds {value}, which is no int32", self.number)))
    }

    pub(crate) fn bool(&self) -> Read<bool> {
        match self.unsigned()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(Fault::new(format!("field {} must be 0 or 1, but is {found}", self.number))),
        }
    }

    pub(crate) fn float(&self) -> Read<f32> {
        match self.data {
            Data::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => self.wrong("a float"),
        }
    }

    pub(crate) fn double(&self) -> Read<f64> {
        match self.data {
            Data::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => self.wrong("a double"),
        }
    }

    /// Elements of a repeated number, packed or one by one: appends them through `push`.
    pub(crate) fn numbers(&self, mut push: impl FnMut(u64) -> Read<()>) -> Read<()> {
        match self.data {
            Data::Varint(value) => push(value),
            Data::Bytes(bytes) => {
                let mut at = 0;
                while at < bytes.len() {
                    push(varint(bytes, &mut at)?)?;
                }
                Ok(())
            }
            _ => self.wrong("numbers"),
        }
    }

    /// Elements of a repeated `float`, packed or one by one.
    pub(crate) fn floats(&self, to: &mut Vec<f32>) -> Read<()> {
        match self.data {
            Data::Fixed32(bytes) => to.push(f32::from_le_bytes(bytes)),
            Data::Bytes(bytes) => {
                let (chunks, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(Fault::new(format!("{} bytes are no whole number of floats", bytes.len())));
                }
                to.extend(chunks.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            }
            _ => return self.wrong("floats"),
        }
        Ok(())
    }
}

/// Sets a field that may stand once.
pub(crate) fn once<T>(slot: &mut Option<T>, field: &Field<'_>, value: T) -> Read<()> {
    if slot.replace(value).is_some() {
        return Err(Fault::new(format!("field {} is given twice, but holds one value", field.number)));
    }
    Ok(())
}

/// Walks over the fields of a message.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, at: 0 }
    }

    fn read(&mut self) -> Read<Field<'a>> {
        let key = varint(self.bytes, &mut self.at)?;
        let number = u32::try_from(key >> 3).unwrap_or(u32::MAX);
        // 2²⁹ − 1 is the largest field number of protobuf.
        if number == 0 || number > 0x1fff_ffff {
            return Err(Fault::new(format!("{number} is no field number: this is not a protobuf message")));
        }
        let data = match key & 7 {
            0 => Data::Varint(varint(self.bytes, &mut self.at)?),
            1 => Data::Fixed64(self.fixed()?),
            2 => {
                let len = varint(self.bytes, &mut self.at)?;
                Data::Bytes(self.take(number, len)?)
            }
            5 => Data::Fixed32(self.fixed()?),
            found => {
                return Err(Fault::new(format!(
                    "field {number} has wire type {found}: this is not a protobuf message"
                )));
            }
        };
        Ok(Field { number, data })
    }

    fn take(&mut self, number: u32, len: u64) -> Read<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let Some(taken) = taken else {
            return Err(Fault::new(format!(
                "field {number} tells of {len} bytes, but {} are left: the file is cut short or damaged",
                rest.len()
            )));
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some(&bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(Fault::new("the message ends inside a number: the file is cut short or damaged"));
        };
        self.at += N;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Read<Field<'a>>;

    fn next(&mut self) -> Option<Read<Field<'a>>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            // After a fault nothing that follows means anything.
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

/// A number of 1 to 10 bytes, 7 bits each, lowest first.
fn varint(bytes: &[u8], at: &mut usize) -> Read<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let Some(&byte) = bytes.get(*at) else {
            return Err(Fault::new("the message ends inside a number: the file is cut short or damaged"));
        };
        *at += 1;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Fault::new("a number has more than 64 bits: this is not a protobuf message"))
}

/// Writes messages. Fields are written in the order of the calls; callers go up by field number, as protobuf's own
/// writers do, and sort maps by key, so that equal messages give equal bytes.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    out: Vec<u8>,
}

impl Encoder {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn key(&mut self, number: u32, wire: u32) {
        self.put(u64::from(number << 3 | wire));
    }

    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// A number that is not written when it is 0, as proto3 does with fields outside a `oneof`.
    pub(crate) fn unsigned(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.key(number, 0);
            self.put(value);
        }
    }

    pub(crate) fn signed(&mut self, number: u32, value: i64) {
        self.unsigned(number, value as u64);
    }

    pub(crate) fn bool(&mut self, number: u32, value: bool) {
        self.unsigned(number, value.into());
    }

    /// A number of a `oneof`, which is written even when it is 0.
    pub(crate) fn present_signed(&mut self, number: u32, value: i64) {
        self.key(number, 0);
        self.put(value as u64);
    }

    pub(crate) fn present_float(&mut self, number: u32, value: f32) {
        self.key(number, 5);
        self.out.extend(value.to_le_bytes());
    }

    pub(crate) fn present_double(&mut self, number: u32, value: f64) {
        self.key(number, 1);
        self.out.extend(value.to_le_bytes());
    }

    /// A string that is not written when it is empty.
    pub(crate) fn string(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(number, text.as_bytes());
        }
    }

    /// A string, bytes or an encoded message; written even when it is empty.
    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.key(number, 2);
        self.put(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Packed numbers; not written when there are none.
    pub(crate) fn packed(&mut self, number: u32, values: impl ExactSizeIterator<Item = u64>) {
        if values.len() > 0 {
            self.message(number, |e| values.for_each(|value| e.put(value)));
        }
    }

    /// Packed floats; not written when there are none.
    pub(crate) fn packed_floats(&mut self, number: u32, values: &[f32]) {
        if !values.is_empty() {
            self.message(number, |e| values.iter().for_each(|value| e.out.extend(value.to_le_bytes())));
        }
    }

    /// A nested message, whose fields `fill` writes.
    pub(crate) fn message<R>(&mut self, number: u32, fill: impl FnOnce(&mut Encoder) -> R) -> R {
        self.key(number, 2);
        let start = self.out.len();
        let result = fill(self);
        // The length stands before what it measures, in as few bytes as it needs.
        let len = self.out.len() - start;
        self.put(len as u64);
        let digits = self.out.len() - start - len;
        self.out[start..].rotate_right(digits);
        result
    }

    /// An entry of a `map<string, message>`: field 1 is the key, field 2 the value.
    pub(crate) fn entry<R>(&mut self, number: u32, key: &str, fill: impl FnOnce(&mut Encoder) -> R) -> R {
        self.message(number, |entry| {
            entry.bytes(1, key.as_bytes());
            entry.message(2, fill)
        })
    }
}

/// Reads an entry of a `map<string, …>`: the key, and the field of the value.
pub(crate) fn entry<'a>(bytes: &'a [u8]) -> Read<(&'a str, Option<Field<'a>>)> {
    let (mut key, mut value) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => once(&mut key, &field, field.string()?)?,
            2 => once(&mut value, &field, field)?,
            _ => return field.unknown("a map entry"),
        }
    }
    Ok((key.unwrap_or(""), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        let fault = Fields::new(bytes).find_map(Result::err).map(|fault| fault.problem);
        match fault {
            Some(Problem::Invalid(message)) => message,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn numbers_survive() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut encoder = Encoder::default();
            encoder.present_signed(5, value as i64);
            let bytes = encoder.finish();
            let fields: Vec<_> = Fields::new(&bytes).map(|field| field.and_then(|f| f.unsigned())).collect();
            assert!(matches!(fields[..], [Ok(found)] if found == value), "{value}: {fields:?}");
        }
    }

    #[test]
    fn lengths_of_every_size_are_put_before_their_message() {
        for len in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut encoder = Encoder::default();
            encoder.message(7, |e| e.message(9, |e| e.bytes(1, &vec![b'x'; len])));
            let bytes = encoder.finish();
            let mut inner = &bytes[..];
            for number in [7, 9, 1] {
                let field = Fields::new(inner).next().unwrap().unwrap();
                assert_eq!(field.number, number);
                inner = field.bytes().unwrap();
            }
            assert_eq!(inner.len(), len);
        }
    }

    #[test]
    fn damage_is_told() {
        assert!(fault(&[0x0a, 5, 1, 2]).contains("tells of 5 bytes, but 2 are left"));
        assert!(
            fault(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).contains("0 are left")
        );
        assert!(fault(&[0x08, 0x80]).contains("ends inside a number"));
        assert!(fault(&[0x0d, 1, 2]).contains("ends inside a number"));
        assert!(fault(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]).contains("64 bits"));
        assert!(fault(&[0x00]).contains("no field number"));
        assert!(fault(&[0x0b]).contains("wire type 3"));
    }
}
