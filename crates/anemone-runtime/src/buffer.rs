//! Zero-initialised memory aligned to cache lines, so that vector loads never straddle two of them.

#![expect(unsafe_code, reason = "declares one plain-data type with a wider alignment")]

use bytemuck::{Pod, Zeroable};

/// One cache line; only its alignment matters.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

// SAFETY: an array of bytes; the alignment equals the size, so there is no padding.
unsafe impl Zeroable for Line {}
// SAFETY: as above; every bit pattern is valid.
unsafe impl Pod for Line {}

/// Bytes aligned to 64.
#[derive(Clone)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zero bytes, or `None` when the system does not have them.
    pub(crate) fn zeroed(len: usize) -> Option<Buffer> {
        Some(Buffer { lines: bytemuck::try_zeroed_vec(len.div_ceil(64)).ok()?, len })
    }

    /// A copy of an element: at most 64 bytes.
    pub(crate) fn of(element: &[u8]) -> Buffer {
        let mut line = Line([0; 64]);
        line.0[..element.len()].copy_from_slice(element);
        Buffer { lines: vec![line], len: element.len() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
