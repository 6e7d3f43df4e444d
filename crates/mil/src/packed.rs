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

/// The first `count` elements of a packed stream, which must hold as many.
pub(crate) fn unpack(dtype: DataType, bytes: &[u8], count: usize) -> Vec<i64> {
    let bits = dtype.bits();
    let sign = if dtype == DataType::Int4 { 1 << (bits - 1) } else { 0 };
    let element = |index: usize| {
        let at = index * bits;
        let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
        let window = byte(at / 8) | byte(at / 8 + 1) << 8;
        let value = i64::from(window >> (at % 8) & ((1 << bits) - 1));
        (value ^ sign) - sign
    };
    (0..count).map(element).collect()
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
