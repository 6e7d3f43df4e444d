//! Weight files: the MIL blob format, version 2.
//!
//! A 64-byte header (`u32` count of blobs, `u32` version 2, zeros); then for each blob, aligned to 64 bytes, a
//! 64-byte record (`u32` `0xDEADBEEF`, `u32` element type, `u64` size in bytes, `u64` offset of the data from the
//! start of the file, `u64` padding in bits, zeros) and, aligned to 64 bytes, the data. Everything is
//! little-endian. A program refers to a blob by the offset of its record. Source: `StorageFormat.hpp` of coremltools.

use crate::{Constant, ConstantError, DataType, TensorType};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

const ALIGNMENT: u64 = 64;
const RECORD: usize = 64;
const VERSION: u32 = 2;
const SENTINEL: u32 = 0xDEAD_BEEF;

/// Path under which programs refer to their weight file, unless they say otherwise.
pub const DEFAULT_PATH: &str = "@model_path/weights/weight.bin";

/// Where a constant stands: the file as the program names it, and the offset of the record in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightLocation {
    /// Path as in the program, usually with `@model_path` at its head.
    pub path: String,
    /// Offset of the blob's record in the file, in bytes.
    pub offset: u64,
}

/// Takes the large constants of a program that is being printed.
pub trait WeightSink {
    /// Stores a constant and tells where.
    fn store(&mut self, constant: &Constant) -> Result<WeightLocation, BlobError>;
}

/// Gives the constants to which a text refers.
pub trait WeightSource {
    /// The constant of type `ty` whose record is at `offset` of the file `path`.
    fn load(&self, path: &str, offset: u64, ty: &TensorType) -> Result<Constant, BlobError>;
}

/// Why a weight file could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobError {
    /// Input or output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No file of that name.
    #[error("there is no weight file `{path}` here; known are: {known}")]
    NoFile {
        /// Path asked for.
        path: String,
        /// The paths that exist.
        known: String,
    },
    /// The header is not that of a weight file.
    #[error("not a weight file: {0}")]
    Header(String),
    /// A record that is not one, or does not fit.
    #[error("the weight record at offset {offset} {message}")]
    Record {
        /// Offset of the record.
        offset: u64,
        /// What is wrong with it.
        message: String,
    },
    /// An element type that weight files cannot hold.
    #[error("a weight file cannot hold elements of type {0}")]
    DataType(DataType),
    /// The data do not make a constant.
    #[error(transparent)]
    Constant(#[from] ConstantError),
}

/// The format's code of an element type; `None` for types that it does not know.
pub(super) const fn code(dtype: DataType) -> Option<u32> {
    Some(match dtype {
        DataType::Fp16 => 1,
        DataType::Fp32 => 2,
        DataType::Uint8 => 3,
        DataType::Int8 => 4,
        DataType::Int16 => 6,
        DataType::Uint16 => 7,
        DataType::Int4 => 8,
        DataType::Uint1 => 9,
        DataType::Uint2 => 10,
        DataType::Uint4 => 11,
        DataType::Uint3 => 12,
        DataType::Uint6 => 13,
        DataType::Int32 => 14,
        DataType::Uint32 => 15,
        DataType::Bool | DataType::String | DataType::Int64 => return None,
    })
}

/// Bits of the last byte that a packed tensor leaves unused; 0 for other types.
fn padding_bits(ty: &TensorType) -> u64 {
    let bits = ty.shape.count().saturating_mul(ty.dtype.bits());
    (bits.next_multiple_of(8) - bits) as u64
}

/// Writes one weight file. The header is completed by [`BlobWriter::finish`]; without it the file is not valid.
#[derive(Debug)]
pub struct BlobWriter<W: Write + Seek> {
    out: W,
    path: String,
    position: u64,
    count: u32,
}

impl<W: Write + Seek> BlobWriter<W> {
    /// A writer on an empty output. `path` is what the program calls the file ([`DEFAULT_PATH`]).
    pub fn new(mut out: W, path: impl Into<String>) -> Result<BlobWriter<W>, BlobError> {
        out.write_all(&header(0))?;
        Ok(BlobWriter { out, path: path.into(), position: RECORD as u64, count: 0 })
    }

    /// Number of constants written so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Writes one constant and returns the offset of its record.
    pub fn write(&mut self, constant: &Constant) -> Result<u64, BlobError> {
        let dtype = constant.ty().dtype;
        let code = code(dtype).ok_or(BlobError::DataType(dtype))?;
        let bytes = constant.bytes();
        let offset = self.align()?;
        let mut record = [0; RECORD];
        record[0..4].copy_from_slice(&SENTINEL.to_le_bytes());
        record[4..8].copy_from_slice(&code.to_le_bytes());
        record[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        record[16..24].copy_from_slice(&(offset + RECORD as u64).to_le_bytes());
        record[24..32].copy_from_slice(&padding_bits(constant.ty()).to_le_bytes());
        self.out.write_all(&record)?;
        self.out.write_all(bytes)?;
        self.position = offset + RECORD as u64 + bytes.len() as u64;
        self.count += 1;
        Ok(offset)
    }

    /// Completes the header and returns the output, positioned at its start.
    pub fn finish(mut self) -> Result<W, BlobError> {
        self.align()?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header(self.count))?;
        self.out.seek(SeekFrom::Start(0))?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Fills up with zeros to the next multiple of 64 and returns it.
    fn align(&mut self) -> Result<u64, BlobError> {
        let aligned = self.position.next_multiple_of(ALIGNMENT);
        let zeros = [0; ALIGNMENT as usize];
        self.out.write_all(&zeros[..(aligned - self.position) as usize])?;
        self.position = aligned;
        Ok(aligned)
    }
}

impl<W: Write + Seek> WeightSink for BlobWriter<W> {
    fn store(&mut self, constant: &Constant) -> Result<WeightLocation, BlobError> {
        Ok(WeightLocation { offset: self.write(constant)?, path: self.path.clone() })
    }
}

fn header(count: u32) -> [u8; RECORD] {
    let mut header = [0; RECORD];
    header[0..4].copy_from_slice(&count.to_le_bytes());
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// A weight file in memory or mapped into it. Constants share its bytes.
#[derive(Clone)]
pub struct BlobFile {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
}

impl BlobFile {
    /// A weight file of these bytes.
    ///
    /// # Errors
    /// When the header is too short or names another version.
    pub fn new(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<BlobFile, BlobError> {
        let content = (*bytes).as_ref();
        if content.len() < RECORD {
            let found = content.len();
            return Err(BlobError::Header(format!("it has {found} bytes, but its header alone takes 64")));
        }
        match u32_at(content, 4) {
            VERSION => Ok(BlobFile { bytes }),
            found => Err(BlobError::Header(format!("its version is {found}, but only version 2 is known"))),
        }
    }

    /// Number of blobs that the header tells.
    pub fn count(&self) -> u32 {
        u32_at((*self.bytes).as_ref(), 0)
    }

    /// The constant of type `ty` whose record is at `offset`.
    pub fn load(&self, offset: u64, ty: &TensorType) -> Result<Constant, BlobError> {
        let code = code(ty.dtype).ok_or(BlobError::DataType(ty.dtype))?;
        let range = self.locate(offset, code, ty)?;
        Ok(Constant::from_storage(ty.clone(), Arc::new(Part { bytes: Arc::clone(&self.bytes), range }))?)
    }

    /// Finds and checks the data of a record.
    fn locate(&self, offset: u64, code: u32, ty: &TensorType) -> Result<Range<usize>, BlobError> {
        let fault = |message: String| BlobError::Record { offset, message };
        let content = (*self.bytes).as_ref();
        let record = usize::try_from(offset)
            .ok()
            .and_then(|start| content.get(start..start.checked_add(RECORD)?))
            .ok_or_else(|| fault(format!("is outside the file, which has {} bytes", content.len())))?;
        if u32_at(record, 0) != SENTINEL {
            return Err(fault("does not begin with DEADBEEF; the offset must be that of a record".into()));
        }
        if u32_at(record, 4) != code {
            let found = u32_at(record, 4);
            return Err(fault(format!("holds element type {found}, but {} is {code}", ty.dtype)));
        }
        let (size, start) = (u64_at(record, 8), u64_at(record, 16));
        if ty.checked_bytes().is_none_or(|expected| expected as u64 != size) {
            return Err(fault(format!("holds {size} bytes, but {ty} has {}", ty.bytes())));
        }
        if ty.dtype.is_packed() && u64_at(record, 24) != padding_bits(ty) {
            let (found, wanted) = (u64_at(record, 24), padding_bits(ty));
            return Err(fault(format!("has {found} bits of padding, but {ty} leaves {wanted} unused")));
        }
        if !start.is_multiple_of(ALIGNMENT) {
            return Err(fault(format!(
                "has its data at {start}, but data stand at multiples of {ALIGNMENT}"
            )));
        }
        let end = start.checked_add(size).filter(|&end| end <= content.len() as u64).ok_or_else(|| {
            fault(format!("tells of {size} bytes from {start} on, but the file has {} bytes", content.len()))
        })?;
        Ok(start as usize..end as usize)
    }
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weight file of {} blobs, {} bytes", self.count(), (*self.bytes).as_ref().len())
    }
}

/// Weight files under the paths by which a program calls them.
impl WeightSource for BTreeMap<String, BlobFile> {
    fn load(&self, path: &str, offset: u64, ty: &TensorType) -> Result<Constant, BlobError> {
        let file = self.get(path).ok_or_else(|| BlobError::NoFile {
            path: path.to_string(),
            known: self.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        })?;
        file.load(offset, ty)
    }
}

/// A part of a file that keeps the whole alive.
struct Part {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &(*self.bytes).as_ref()[self.range.clone()]
    }
}

/// The number at `at`, which the caller has found to lie inside.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// The number at `at`, which the caller has found to lie inside.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
