//! One array in NumPy's format, version 1 to 3 (`numpy.lib.format`).

use super::ArrayError;
use anemone_runtime::Tensor;
use half::f16;
use mil::{DataType, Shape, TensorType};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy's own limit is 10,000; some writers pad generously.
const MAX_HEADER: usize = 1 << 16;
const MAX_RANK: usize = 64;

/// Element kinds of NumPy that have a counterpart here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    Bool,
}

/// What the header of an array says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// NumPy's name of the element type (`<f4`).
    pub descr: String,
    /// Dimensions, outermost first.
    pub shape: Shape,
    kind: Kind,
    size: usize,
    big_endian: bool,
    fortran: bool,
}

/// An array whose header is read and whose data are not yet.
pub struct Array<R> {
    what: String,
    header: Header,
    data: R,
}

impl<R: Read> Array<R> {
    /// Reads the header. `what` names the array in messages.
    pub fn new(mut data: R, what: impl Into<String>) -> Result<Array<R>, ArrayError> {
        let what = what.into();
        match header(&mut data) {
            Ok(header) => Ok(Array { what, header, data }),
            Err(message) => Err(ArrayError::Format { what, message }),
        }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the data as a tensor of this type; its dimensions may be unknown, the array's rank and known sizes must fit.
    ///
    /// Integers are taken where they fit, floats are rounded to the float type that is wanted, integers and truth values become
    /// floats. Floats do not become integers.
    ///
    /// # Errors
    /// When shape or element type do not fit, an integer is out of range, or the data end early.
    pub fn read(mut self, wanted: &TensorType) -> Result<Tensor, ArrayError> {
        let Header { descr, shape, .. } = &self.header;
        let misfit = |hint: &str| ArrayError::Type {
            what: self.what.clone(),
            found: format!("an array of {descr} with shape {shape}"),
            wanted: wanted.clone(),
            hint: hint.to_string(),
        };
        if !wanted.shape.accepts(shape) {
            return Err(misfit(""));
        }
        let to_int = wanted.dtype.is_int() || wanted.dtype == DataType::Bool;
        if to_int && self.header.kind == Kind::Float {
            return Err(misfit("; round it yourself, with .astype"));
        }
        // Read before memory is taken for the result: a header may claim anything.
        let fault = |message: String| ArrayError::Format { what: self.what.clone(), message };
        let expected = shape.checked_len().and_then(|count| count.checked_mul(self.header.size));
        let expected = expected.ok_or_else(|| misfit(", and it has more elements than memory can hold"))?;
        let mut bytes = Vec::new();
        let read = (&mut self.data).take(expected as u64).read_to_end(&mut bytes);
        read.map_err(|error| fault(format!("its data cannot be read: {error}")))?;
        if bytes.len() < expected {
            return Err(fault(format!("it ends after {} of {expected} bytes of data", bytes.len())));
        }
        let ty = TensorType::new(wanted.dtype, shape.clone());
        let mut tensor = Tensor::zeros(ty).map_err(|error| fault(error.to_string()))?;
        self.header.fill(&mut bytes, &mut tensor).map_err(fault)?;
        Ok(tensor)
    }
}

/// Reads a whole `.npy`.
pub fn read_npy(data: impl Read, what: impl Into<String>, wanted: &TensorType) -> Result<Tensor, ArrayError> {
    Array::new(data, what)?.read(wanted)
}

fn header(data: &mut impl Read) -> Result<Header, String> {
    let ended = |_: io::Error| "it ends within its header".to_string();
    let mut start = [0; 8];
    data.read_exact(&mut start).map_err(|_| "this is no .npy file: it is too short".to_string())?;
    if start[..6] != *MAGIC {
        return Err("this is no .npy file: it does not begin with \\x93NUMPY".into());
    }
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            data.read_exact(&mut length).map_err(ended)?;
            u16::from_le_bytes(length) as usize
        }
        2 | 3 => {
            let mut length = [0; 4];
            data.read_exact(&mut length).map_err(ended)?;
            u32::from_le_bytes(length) as usize
        }
        version => return Err(format!("its format version is {version}; 1 to 3 are known")),
    };
    if length > MAX_HEADER {
        return Err(format!("its header has {length} bytes; a plain array needs a few dozen"));
    }
    let mut text = vec![0; length];
    data.read_exact(&mut text).map_err(ended)?;
    let text = String::from_utf8(text).map_err(|_| "its header is no text".to_string())?;
    parse(&text)
}

/// `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }`.
fn parse(text: &str) -> Result<Header, String> {
    let mut rest = Text(text.trim());
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    rest.mark("{")?;
    while !rest.skip("}") {
        let key = rest.string()?;
        rest.mark(":")?;
        match key {
            "descr" => {
                descr = Some(rest.string().map_err(|_| "arrays of records are not supported".to_string())?)
            }
            "fortran_order" => fortran = Some(rest.truth()?),
            "shape" => shape = Some(rest.tuple()?),
            _ => return Err(format!("its header has the unknown key '{}'", short(key))),
        }
        if !rest.skip(",") {
            rest.mark("}")?;
            break;
        }
    }
    let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
        return Err("its header lacks descr, fortran_order or shape".into());
    };
    let (kind, size, big_endian) = element(descr)?;
    Ok(Header { descr: descr.to_string(), shape, kind, size, big_endian, fortran })
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

fn element(descr: &str) -> Result<(Kind, usize, bool), String> {
    let unknown = || {
        format!(
            "its elements are {}; f2 f4 f8, i1 to i8, u1 to u8 and b1 are supported (`.astype` makes them)",
            short(descr)
        )
    };
    let (order, code) = descr.split_at_checked(1).ok_or_else(unknown)?;
    let big_endian = match order {
        "<" | "|" | "=" => false,
        ">" => true,
        _ => return Err(unknown()),
    };
    let (kind, size) = match code {
        "f2" | "f4" | "f8" => (Kind::Float, &code[1..]),
        "i1" | "i2" | "i4" | "i8" => (Kind::Signed, &code[1..]),
        "u1" | "u2" | "u4" | "u8" => (Kind::Unsigned, &code[1..]),
        "b1" => (Kind::Bool, "1"),
        _ => return Err(unknown()),
    };
    Ok((kind, size.parse().map_err(|_| unknown())?, big_endian))
}

/// What is left of the header.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn skip(&mut self, mark: &str) -> bool {
        match self.0.trim_start().strip_prefix(mark) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn mark(&mut self, mark: &str) -> Result<(), String> {
        if self.skip(mark) {
            Ok(())
        } else {
            Err(format!("its header is damaged: expected {mark} before \"{}\"", short(self.0)))
        }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.skip("'") { '\'' } else { self.mark("\"").map(|()| '"')? };
        let (text, rest) = self.0.split_once(quote).ok_or("its header is damaged: a string does not end")?;
        self.0 = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, String> {
        if self.skip("True") {
            return Ok(true);
        }
        self.mark("False").map(|()| false)
    }

    fn tuple(&mut self) -> Result<Shape, String> {
        self.mark("(")?;
        let mut dims: Vec<usize> = Vec::new();
        while !self.skip(")") {
            let trimmed = self.0.trim_start();
            let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
            let dim = trimmed[..end]
                .parse()
                .map_err(|_| format!("its shape is damaged at \"{}\"", short(trimmed)))?;
            if dims.len() == MAX_RANK || dim == mil::UNKNOWN {
                return Err("its shape has too many or too large dimensions".into());
            }
            dims.push(dim);
            // Writers under Python 2 left an L after large numbers.
            self.0 = trimmed[end..].strip_prefix('L').unwrap_or(&trimmed[end..]);
            if !self.skip(",") {
                self.mark(")")?;
                break;
            }
        }
        Ok(dims.into())
    }
}

impl Header {
    /// Converts the data into a tensor of the same shape.
    fn fill(&self, bytes: &mut [u8], tensor: &mut Tensor) -> Result<(), String> {
        let dtype = tensor.dtype();
        let positions = self.fortran.then(|| self.positions());
        for (at, element) in bytes.chunks_exact_mut(self.size).enumerate() {
            if self.big_endian {
                element.reverse();
            }
            let to = positions.as_ref().map_or(at, |position| position(at));
            self.store(element, dtype, tensor.bytes_mut(), to)?;
        }
        Ok(())
    }

    /// The row-major index of the n-th element in column-major order.
    fn positions(&self) -> impl Fn(usize) -> usize {
        let strides = self.shape.strides();
        let dims = self.shape.to_vec();
        move |mut index| {
            let mut position = 0;
            for (&dim, &stride) in dims.iter().zip(&strides) {
                position += index % dim * stride;
                index /= dim;
            }
            position
        }
    }

    fn store(&self, element: &[u8], dtype: DataType, out: &mut [u8], at: usize) -> Result<(), String> {
        let size = dtype.size();
        let out = &mut out[at * size..(at + 1) * size];
        let mut wide = [0; 8];
        wide[..element.len()].copy_from_slice(element);
        if dtype.is_float() {
            let value = match (self.kind, self.size) {
                (Kind::Float, 2) => f16::from_le_bytes([wide[0], wide[1]]).to_f64(),
                (Kind::Float, 4) => f64::from(f32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])),
                (Kind::Float, _) => f64::from_le_bytes(wide),
                _ => self.integer(wide) as f64,
            };
            let finite = match dtype {
                DataType::Fp16 => {
                    let half = f16::from_f64(value);
                    out.copy_from_slice(&half.to_le_bytes());
                    half.is_finite()
                }
                _ => {
                    let single = value as f32;
                    out.copy_from_slice(&single.to_le_bytes());
                    single.is_finite()
                }
            };
            if value.is_finite() && !finite {
                let largest = if dtype == DataType::Fp16 { "65504" } else { "3.4e38" };
                return Err(format!(
                    "it holds {value}, which {dtype} cannot hold: its largest number is {largest}"
                ));
            }
            return Ok(());
        }
        let value = self.integer(wide);
        let (least, most): (i128, i128) = match dtype {
            DataType::Bool => (0, 1),
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Uint8 => (0, u8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Uint16 => (0, u16::MAX.into()),
            DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
            DataType::Uint32 => (0, u32::MAX.into()),
            other => return Err(format!("arrays cannot be read as {other}")),
        };
        if !(least..=most).contains(&value) {
            return Err(format!("it holds {value}, which {dtype} cannot hold"));
        }
        out.copy_from_slice(&value.to_le_bytes()[..size]);
        Ok(())
    }

    fn integer(&self, mut wide: [u8; 8]) -> i128 {
        let negative = self.kind == Kind::Signed && wide[self.size - 1] & 0x80 != 0;
        if negative {
            wide[self.size..].fill(0xff);
        }
        if self.kind == Kind::Signed {
            i64::from_le_bytes(wide).into()
        } else {
            u64::from_le_bytes(wide).into()
        }
    }
}

/// Writes one tensor as `.npy`, version 1.0.
///
/// # Errors
/// When writing fails, or NumPy has no such element type.
pub fn write_npy(mut out: impl Write, tensor: &Tensor) -> io::Result<()> {
    let descr = match tensor.dtype() {
        DataType::Fp16 => "<f2",
        DataType::Fp32 => "<f4",
        DataType::Int8 => "|i1",
        DataType::Uint8 => "|u1",
        DataType::Int16 => "<i2",
        DataType::Uint16 => "<u2",
        DataType::Int32 => "<i4",
        DataType::Uint32 => "<u4",
        DataType::Int64 => "<i8",
        DataType::Bool => "|b1",
        other => {
            return Err(io::Error::new(io::ErrorKind::Unsupported, format!("NumPy has no type {other}")));
        }
    };
    write_raw(&mut out, descr, tensor.shape(), tensor.bytes())
}

/// Writes an array whose data are as NumPy holds them.
pub(super) fn write_raw(out: &mut impl Write, descr: &str, shape: &[usize], bytes: &[u8]) -> io::Result<()> {
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if dims.len() == 1 { "," } else { "" };
    let shape = format!("({}{comma})", dims.join(", "));
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The data begin at a multiple of 64, the line ends with a newline: so NumPy writes it.
    let padding =
        (MAGIC.len() + 4 + header.len() + 1).next_multiple_of(64) - (MAGIC.len() + 4 + header.len() + 1);
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    out.write_all(bytes)
}
