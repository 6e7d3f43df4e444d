//! NEON (every aarch64): 32 registers of 4 lanes. A tile of 8 rows by 3 vectors keeps 24 accumulators.
//!
//! The conversions to and from fp16 belong to the base instruction set, but their intrinsics ask for the fp16
//! extension, hence the two instructions written out.
#![expect(unsafe_code, reason = "vector intrinsics and two instructions without one")]

use std::arch::aarch64::*;
use std::arch::asm;

use half::f16;

use super::{Simd, kernel_table};

kernel_table!(
    "neon", float32x4_t, mr: 8, rows: [1 2 3 4 5 6 7 8], vectors: [1 2 3], fixed: [4, 3],
    #[target_feature(enable = "neon")]
);

// SAFETY: each method is the one instruction that does what the trait says; `transpose` is tested.
unsafe impl Simd for float32x4_t {
    const LANES: usize = 4;
    type Block = [float32x4_t; 4];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller has NEON.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has NEON and 4 readable floats.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        // SAFETY: the caller has NEON and 4 readable halves; the instruction touches registers only.
        unsafe {
            let halves = vld1_u16(from.cast());
            let wide: float32x4_t;
            asm!("fcvtl {wide:v}.4s, {halves:v}.4h", wide = out(vreg) wide, halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags));
            wide
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has NEON and 4 writable floats.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn store_half(self, to: *mut f16) {
        // SAFETY: the caller has NEON and 4 writable halves; the instruction touches registers only, and
        // rounds to nearest-even because the control register is never changed.
        unsafe {
            let halves: uint16x4_t;
            asm!("fcvtn {halves:v}.4h, {wide:v}.4s", halves = out(vreg) halves, wide = in(vreg) self,
                options(pure, nomem, nostack, preserves_flags));
            vst1_u16(to.cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller has NEON.
        unsafe { vfmaq_f32(addend, self, factor) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller has NEON.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn zero_block() -> Self::Block {
        // SAFETY: the caller has NEON.
        unsafe { [vdupq_n_f32(0.0); 4] }
    }

    #[inline(always)]
    unsafe fn transpose(r: Self::Block) -> Self::Block {
        // SAFETY: the caller has NEON.
        unsafe {
            // 2 x 2 elements, then 2 x 2 pairs, which move as doubles do. No closures here: they would not
            // inherit the CPU features.
            let t0 = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1]));
            let t1 = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1]));
            let t2 = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3]));
            let t3 = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));
            [
                vreinterpretq_f32_f64(vtrn1q_f64(t0, t2)),
                vreinterpretq_f32_f64(vtrn1q_f64(t1, t3)),
                vreinterpretq_f32_f64(vtrn2q_f64(t0, t2)),
                vreinterpretq_f32_f64(vtrn2q_f64(t1, t3)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_at: *const f32) {
        // The cores this runs on prefetch far enough by themselves.
    }
}
