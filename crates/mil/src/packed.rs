//! Elements of less than a byte: how they are packed.
//!
//! One stream of bits, lowest bit first; elements of three and six bits straddle bytes; unused high bits of the last
//! byte are zero. `int4` is two's complement. This is how weight files hold them (`SubByteTypes` of coremltools'
//! `MILBlob`), and constants hold them the same way, so that reading a file copies nothing.

use crate::DataType;

/// Packs values, which must fit the type; `None` at the first that does not, or when the type is not a packed one.
pub(crate) fn pack(dtype: DataType, values: &[i64]) -> Option<Vec<u8>> {
    let (least, most) = range(dtype)?;
    let bits = dtype.bits();
    let mut bytes = vec![0; (values.len() * bits).div_ceil(8)];
    for (index, &value) in values.iter().enumerate() {
        if value < least || value > most {
            return None;
        }
        let at = index * bits;
        let shifted = ((value as u16) & ((1 << bits) - 1)) << (at % 8);
        bytes[at / 8] |= shifted as u8;
        if at % 8 + bits > 8 {
            bytes[at / 8 + 1] |= (shifted >> 8) as u8;
        }
    }
    Some(bytes)
}

/// Reads single elements of a packed stream.
#[derive(Clone, Copy, Debug)]
pub struct PackedReader<'a> {
    bytes: &'a [u8],
    bits: usize,
    /// The bit of the sign, 0 for unsigned types.
    sign: i16,
}

impl<'a> PackedReader<'a> {
    /// A reader of elements of type `dtype`; `None` when that is not a packed type.
    pub fn new(dtype: DataType, bytes: &'a [u8]) -> Option<PackedReader<'a>> {
        let sign = if dtype == DataType::Int4 { 1 << (dtype.bits() - 1) } else { 0 };
        dtype.is_packed().then_some(PackedReader { bytes, bits: dtype.bits(), sign })
    }

    /// A reader of unsigned elements of this many bits, 1 to 8: the flat form that ios16 has.
    pub fn of_bits(bits: usize, bytes: &'a [u8]) -> PackedReader<'a> {
        PackedReader { bytes, bits: bits.clamp(1, 8), sign: 0 }
    }

    /// Element `index`; beyond the end of the stream, 0.
    #[inline]
    pub fn get(self, index: usize) -> i16 {
        let at = index.saturating_mul(self.bits);
        let byte = |at: usize| u16::from(self.bytes.get(at).copied().unwrap_or(0));
        let window = byte(at / 8) | byte(at / 8 + 1) << 8;
        let value = (window >> (at % 8) & ((1 << self.bits) - 1)) as i16;
        (value ^ self.sign) - self.sign
    }
}

/// The first `count` elements of a packed stream, which must hold as many.
pub(crate) fn unpack(dtype: DataType, bytes: &[u8], count: usize) -> Vec<i64> {
    let Some(reader) = PackedReader::new(dtype, bytes) else { return Vec::new() };
    (0..count).map(|index| i64::from(reader.get(index))).collect()
}

/// How many of the first `count` bits are ones.
pub(crate) fn ones(bytes: &[u8], count: usize) -> usize {
    let whole: usize = bytes.iter().take(count / 8).map(|byte| byte.count_ones() as usize).sum();
    let rest =
        bytes.get(count / 8).map_or(0, |byte| (byte & ((1u8 << (count % 8)) - 1)).count_ones() as usize);
    whole + rest
}

/// Least and greatest value of a packed type.
pub(crate) fn range(dtype: DataType) -> Option<(i64, i64)> {
    match dtype {
        DataType::Int4 => Some((-8, 7)),
        _ if dtype.is_packed() => Some((0, (1 << dtype.bits()) - 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that coremltools' own writer gives for these values.
    #[test]
    fn bytes_are_those_of_weight_files() {
        let cases: [(DataType, &[i64], &[u8]); 4] = [
            (DataType::Uint3, &[1, 2, 3, 4, 5], &[0xd1, 0x58]),
            (DataType::Uint4, &[1, 2, 3, 4, 5], &[0x21, 0x43, 0x05]),
            (DataType::Uint6, &[1, 2, 33, 4, 5], &[0x81, 0x10, 0x12, 0x05]),
            (DataType::Int4, &[1, -2, 3, -8, 7], &[0xe1, 0x83, 0x07]),
        ];
        for (dtype, values, bytes) in cases {
            assert_eq!(pack(dtype, values).as_deref(), Some(bytes), "{dtype}");
            assert_eq!(unpack(dtype, bytes, values.len()), values, "{dtype}");
        }
    }

    #[test]
    fn ones_are_counted_up_to_the_end_and_no_further() {
        let bytes = [0xff, 0x0f, 0xff];
        for (count, ones_there) in [(0, 0), (3, 3), (8, 8), (10, 10), (16, 12), (17, 13), (24, 20)] {
            assert_eq!(ones(&bytes, count), ones_there, "{count}");
        }
    }

    #[test]
    fn every_value_survives() {
        for dtype in DataType::ALL.into_iter().filter(|dtype| dtype.is_packed()) {
            let (least, most) = range(dtype).unwrap();
            let values: Vec<i64> = (least..=most).chain((least..=most).rev()).collect();
            let bytes = pack(dtype, &values).unwrap();
            assert_eq!(unpack(dtype, &bytes, values.len()), values, "{dtype}");
            assert_eq!(pack(dtype, &[most + 1]), None, "{dtype}");
            assert_eq!(pack(dtype, &[least - 1]), None, "{dtype}");
        }
    }
}
