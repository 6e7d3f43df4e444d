//! Element types of tensors, under MIL's own names.

use std::fmt;

/// The element type of a tensor. MIL spells them `fp16`, `fp32`, `int8`, … ([`DataType::name`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DataType {
    /// IEEE binary16.
    Fp16,
    /// IEEE binary32.
    Fp32,
    /// Signed 8-bit integer.
    Int8,
    /// Unsigned 8-bit integer.
    Uint8,
    /// Signed 16-bit integer.
    Int16,
    /// Unsigned 16-bit integer.
    Uint16,
    /// Signed 32-bit integer.
    Int32,
    /// Unsigned 32-bit integer; only a few constant parameters use it.
    Uint32,
    /// Truth value, one byte in memory: 0 or 1.
    Bool,
    /// UTF-8 string; constant parameters only.
    String,
    /// Signed 4-bit integer; constants only, packed (see [`DataType::bits`]).
    Int4,
    /// Unsigned 1-bit integer; constants only, packed.
    Uint1,
    /// Unsigned 2-bit integer; constants only, packed.
    Uint2,
    /// Unsigned 3-bit integer; constants only, packed.
    Uint3,
    /// Unsigned 4-bit integer; constants only, packed.
    Uint4,
    /// Unsigned 6-bit integer; constants only, packed.
    Uint6,
    /// Signed 64-bit integer: class labels of `classify`, nothing else.
    Int64,
}

use DataType::*;

impl DataType {
    /// Every data type, in declaration order.
    pub const ALL: [DataType; 17] = [
        Fp16, Fp32, Int8, Uint8, Int16, Uint16, Int32, Uint32, Bool, String, Int4, Uint1, Uint2, Uint3,
        Uint4, Uint6, Int64,
    ];

    /// MIL's name of the type, as printed in programs.
    pub const fn name(self) -> &'static str {
        match self {
            Fp16 => "fp16",
            Fp32 => "fp32",
            Int8 => "int8",
            Uint8 => "uint8",
            Int16 => "int16",
            Uint16 => "uint16",
            Int32 => "int32",
            Uint32 => "uint32",
            Bool => "bool",
            String => "string",
            Int4 => "int4",
            Uint1 => "uint1",
            Uint2 => "uint2",
            Uint3 => "uint3",
            Uint4 => "uint4",
            Uint6 => "uint6",
            Int64 => "int64",
        }
    }

    /// The type that MIL calls `name`.
    pub fn from_name(name: &str) -> Option<DataType> {
        DataType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bits of one element in memory; 0 for strings, which are not stored as bytes. Types of less than eight bits are
    /// packed as weight files hold them: one stream, lowest bit first, elements straddling bytes where need be.
    pub const fn bits(self) -> usize {
        match self {
            Int64 => 64,
            Fp32 | Int32 | Uint32 => 32,
            Fp16 | Int16 | Uint16 => 16,
            Int8 | Uint8 | Bool => 8,
            Uint6 => 6,
            Int4 | Uint4 => 4,
            Uint3 => 3,
            Uint2 => 2,
            Uint1 => 1,
            String => 0,
        }
    }

    /// Bytes of one element that stands alone in memory; 0 for strings. What an array takes is told by
    /// [`TensorType::bytes`](crate::TensorType::bytes), which knows that small types are packed.
    pub const fn size(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// Whether elements are packed, several to a byte.
    pub const fn is_packed(self) -> bool {
        matches!(self, Int4 | Uint1 | Uint2 | Uint3 | Uint4 | Uint6)
    }

    /// `fp16` or `fp32`: the types that carry gradients.
    pub const fn is_float(self) -> bool {
        matches!(self, Fp16 | Fp32)
    }

    /// A signed or unsigned integer type (`bool` is not one).
    pub const fn is_int(self) -> bool {
        matches!(self, Int8 | Uint8 | Int16 | Uint16 | Int32 | Uint32 | Int64) || self.is_packed()
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of data types, as op declarations constrain their parameters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DataTypeSet(u32);

impl DataTypeSet {
    /// The set of the given types.
    pub const fn of(types: &[DataType]) -> DataTypeSet {
        let mut bits = 0;
        let mut i = 0;
        while i < types.len() {
            bits |= 1 << types[i] as u32;
            i += 1;
        }
        DataTypeSet(bits)
    }

    /// Whether `dtype` is in the set.
    pub const fn contains(self, dtype: DataType) -> bool {
        self.0 & (1 << dtype as u32) != 0
    }

    /// Both sets together.
    pub const fn union(self, other: DataTypeSet) -> DataTypeSet {
        DataTypeSet(self.0 | other.0)
    }

    /// The members, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = DataType> {
        DataType::ALL.into_iter().filter(move |dtype| self.contains(*dtype))
    }
}

impl fmt::Display for DataTypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, dtype) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(dtype.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for DataTypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}
