//! `coremldata.bin` of compiled models: the description as protobuf, between numbers.
//!
//! Not documented. The layout is what compiled models of coremlc 3404 to 3600 have in common, those of
//! FluidInference/FluidAudio and of the tests of the crate `mlmodelc-export` (MIT OR Apache-2.0); the integers are little-endian:
//!
//! | at | bytes | content |
//! |---|---|---|
//! | 0 | 4 | the kind of model, the field of `Model` that holds it: 502 for ML Programs |
//! | 4 | 24 | a number whose meaning is not known, zeros |
//! | 28 | 8 + n | a string and its length before it: "generic" |
//! | 36 + n | 4 | specification version |
//! | 40 + n | 28 | zeros |
//! | 68 + n | 8 + m | the description and its length before it |
//!
//! What follows is not looked at.

use crate::proto::schema::model as m;

const STRING: usize = 28;
/// Bytes from the end of the string to the length of the description.
const TO_DESCRIPTION: usize = 32;

/// The specification version and the bytes of the description; `None` when the layout is another.
pub(super) fn read(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (string, rest) = counted(bytes.get(STRING..)?)?;
    let version = i32::try_from(number(rest)?).ok()?;
    let (description, _) = counted(rest.get(TO_DESCRIPTION..)?)?;
    let known = number(bytes)? == m::ML_PROGRAM && string.is_ascii() && version > 0;
    known.then_some((version, description))
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Bytes with their number before them, and what follows.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*count)).ok()?)
}
