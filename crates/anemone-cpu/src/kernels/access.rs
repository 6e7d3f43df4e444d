//! Typed access to the memory that a kernel's operands and outputs are bound to.
//!
//! The memory plan guarantees that an output overlaps no operand, except where a kernel asked to take one over
//! (`Lowered::in_place`) and in elementwise groups, which use the raw pointers. So the slices made here never alias.

#![expect(unsafe_code, reason = "operands live in one planned arena and are bound by address")]

use mil::{Element, TensorType};
use std::marker::PhantomData;

/// An operand.
#[derive(Clone, Copy)]
pub(crate) struct In<'a> {
    ty: &'a TensorType,
    data: *const u8,
    memory: PhantomData<&'a [u8]>,
}

/// An output.
pub(crate) struct Out<'a> {
    ty: &'a TensorType,
    data: *mut u8,
    memory: PhantomData<&'a mut [u8]>,
}

// SAFETY: a borrowed slice of plain data in all but name.
unsafe impl Send for In<'_> {}
// SAFETY: as above; reads only.
unsafe impl Sync for In<'_> {}
// SAFETY: an exclusively borrowed slice of plain data in all but name.
unsafe impl Send for Out<'_> {}
// SAFETY: shared references give no access.
unsafe impl Sync for Out<'_> {}

impl<'a> In<'a> {
    /// Binds an operand.
    ///
    /// # Safety
    /// `data` is aligned to 64 (or to the element for constants) and valid for reads of `ty.bytes()` bytes
    /// for `'a`, during which no one writes them except an elementwise group through its own raw pointers.
    pub(crate) unsafe fn bind(ty: &'a TensorType, data: *const u8) -> In<'a> {
        In { ty, data, memory: PhantomData }
    }

    /// The type.
    pub(crate) fn ty(&self) -> &'a TensorType {
        self.ty
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        // SAFETY: `bind`'s contract.
        unsafe { std::slice::from_raw_parts(self.data, self.ty.bytes()) }
    }

    /// The elements. `T` must be the element type (checked).
    pub(crate) fn slice<T: Element>(&self) -> &'a [T] {
        assert_eq!(T::DTYPE, self.ty.dtype, "a kernel was lowered for another element type");
        // SAFETY: `bind`'s contract; the element type is checked above.
        unsafe { std::slice::from_raw_parts(self.data.cast::<T>(), self.ty.shape.count()) }
    }
}

impl<'a> Out<'a> {
    /// Binds an output.
    ///
    /// # Safety
    /// As [`In::bind`], for reads and writes, and exclusively so.
    pub(crate) unsafe fn bind(ty: &'a TensorType, data: *mut u8) -> Out<'a> {
        Out { ty, data, memory: PhantomData }
    }

    /// The type.
    pub(crate) fn ty(&self) -> &'a TensorType {
        self.ty
    }

    /// The bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `bind`'s contract.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.ty.bytes()) }
    }

    /// The elements. `T` must be the element type (checked).
    pub(crate) fn slice<T: Element>(&mut self) -> &mut [T] {
        assert_eq!(T::DTYPE, self.ty.dtype, "a kernel was lowered for another element type");
        // SAFETY: `bind`'s contract; the element type is checked above.
        unsafe { std::slice::from_raw_parts_mut(self.data.cast::<T>(), self.ty.shape.count()) }
    }
}
