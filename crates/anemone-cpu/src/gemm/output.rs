//! The output of a product, as tasks see it: raw, because they write disjoint parts of it at the same time.
#![expect(unsafe_code, reason = "tasks write disjoint parts of one output through pointers")]

use half::f16;

use super::isa::Isa;
use super::matrix::{MatMut, OperandMut};

/// Where the elements of `C` are written.
#[derive(Clone, Copy)]
pub(super) struct Output {
    data: OutputData,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
    /// `[M, N]`.
    pub(super) sides: [usize; 2],
}

#[derive(Clone, Copy)]
enum OutputData {
    F32(*mut f32),
    F16(*mut f16),
}

// SAFETY: the pointers come from a mutable borrow that outlives the call, and tasks write disjoint elements.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    pub(super) fn new(c: MatMut<'_>) -> Self {
        let data = match c.data {
            OperandMut::F32(data) => OutputData::F32(data.as_mut_ptr()),
            OperandMut::F16(data) => OutputData::F16(data.as_mut_ptr()),
        };
        Self { data, row_stride: c.row_stride, col_stride: c.col_stride, sides: [c.rows, c.cols] }
    }

    /// The output `offset` elements further on.
    pub(super) fn at(self, offset: usize) -> Self {
        let data = match self.data {
            OutputData::F32(data) => OutputData::F32(data.wrapping_add(offset)),
            OutputData::F16(data) => OutputData::F16(data.wrapping_add(offset)),
        };
        Self { data, ..self }
    }

    pub(super) fn transposed(self) -> Self {
        let [m, n] = self.sides;
        Self { row_stride: self.col_stride, col_stride: self.row_stride, sides: [n, m], ..self }
    }

    /// The pointer, if the tile kernel can write here directly: fp32 with neighbouring columns.
    pub(super) fn direct(&self) -> Option<*mut f32> {
        match self.data {
            OutputData::F32(data) if self.col_stride == 1 => Some(data),
            _ => None,
        }
    }

    /// Reads the beginning of a row, as many elements as `to` holds, into fp32.
    ///
    /// # Safety
    /// They lie within `C`, and no other task writes them.
    pub(super) unsafe fn load_row(self, isa: Isa, to: &mut [f32]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.data {
                OutputData::F16(data) if self.col_stride == 1 => {
                    isa.widen(std::slice::from_raw_parts(data, to.len()), to);
                }
                OutputData::F16(data) => {
                    to.iter_mut()
                        .enumerate()
                        .for_each(|(i, x)| *x = (*data.add(i * self.col_stride)).to_f32());
                }
                OutputData::F32(data) => {
                    to.iter_mut().enumerate().for_each(|(i, x)| *x = *data.add(i * self.col_stride));
                }
            }
        }
    }

    /// Writes a row of sums, rounded to the type of `C`.
    ///
    /// # Safety
    /// As many elements lie within `C`, and no other task touches them.
    pub(super) unsafe fn store_row(self, isa: Isa, from: &[f32]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.data {
                OutputData::F16(data) if self.col_stride == 1 => {
                    isa.narrow(from, std::slice::from_raw_parts_mut(data, from.len()));
                }
                OutputData::F16(data) => {
                    from.iter()
                        .enumerate()
                        .for_each(|(i, &x)| *data.add(i * self.col_stride) = f16::from_f32(x));
                }
                OutputData::F32(data) if self.col_stride == 1 => {
                    std::slice::from_raw_parts_mut(data, from.len()).copy_from_slice(from);
                }
                OutputData::F32(data) => {
                    from.iter().enumerate().for_each(|(i, &x)| *data.add(i * self.col_stride) = x);
                }
            }
        }
    }
}
