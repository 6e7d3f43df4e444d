//! Plain Rust, for CPUs without one of the other sets. Gives the same bits as they do, which costs a call to
//! the C library's `fmaf` per product where the CPU has no fused multiply-add: a last resort and a reference,
//! not a fast path.
#![expect(unsafe_code, reason = "implements the unsafe vector trait")]

use half::f16;

use super::{Simd, kernel_table};

kernel_table!("portable", Lanes, mr: 4, rows: [1 2 3 4], vectors: [1 2], fixed: [4, 1],);

/// Four floats.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(in crate::gemm) struct Lanes(pub(in crate::gemm) [f32; 4]);

// SAFETY: the methods need no CPU feature and touch four elements, as the trait says.
unsafe impl Simd for Lanes {
    const LANES: usize = 4;
    type Block = [Lanes; 4];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has 4 readable floats.
        unsafe { Self(from.cast::<[f32; 4]>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        // SAFETY: the caller has 4 readable halves.
        let halves = unsafe { from.cast::<[f16; 4]>().read_unaligned() };
        Self(halves.map(f16::to_f32))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has 4 writable floats.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn store_half(self, to: *mut f16) {
        // SAFETY: the caller has 4 writable halves.
        unsafe { to.cast::<[f16; 4]>().write_unaligned(self.0.map(f16::from_f32)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].mul_add(factor.0[i], addend.0[i])))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn zero_block() -> Self::Block {
        [Self([0.0; 4]); 4]
    }

    #[inline(always)]
    unsafe fn transpose(block: Self::Block) -> Self::Block {
        std::array::from_fn(|i| Self(std::array::from_fn(|j| block[j].0[i])))
    }

    #[inline(always)]
    unsafe fn prefetch(_at: *const f32) {}
}
