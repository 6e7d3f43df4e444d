//! fp16 to fp32 and back, a slice at a time.
#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use half::f16;

use super::isa::Isa;
use super::simd::Simd;

/// Widens fp16 values to fp32, exactly. Converts as many as the shorter slice holds.
pub fn widen(from: &[f16], to: &mut [f32]) {
    Isa::detect().widen(from, to);
}

/// Rounds fp32 values to fp16, to nearest-even; values beyond its range become infinite. Converts as many as
/// the shorter slice holds.
pub fn narrow(from: &[f32], to: &mut [f16]) {
    Isa::detect().narrow(from, to);
}

/// [`widen`] for one instruction set.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn widen_with<V: Simd>(from: &[f16], to: &mut [f32]) {
    let count = from.len().min(to.len());
    let whole = count - count % V::LANES;
    for i in (0..whole).step_by(V::LANES) {
        // SAFETY: `i + LANES <= whole`, which both slices hold.
        unsafe { V::load_half(from.as_ptr().add(i)).store(to.as_mut_ptr().add(i)) }
    }
    for i in whole..count {
        to[i] = from[i].to_f32();
    }
}

/// [`narrow`] for one instruction set.
///
/// # Safety
/// The CPU has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn narrow_with<V: Simd>(from: &[f32], to: &mut [f16]) {
    let count = from.len().min(to.len());
    let whole = count - count % V::LANES;
    for i in (0..whole).step_by(V::LANES) {
        // SAFETY: `i + LANES <= whole`, which both slices hold.
        unsafe { V::load(from.as_ptr().add(i)).store_half(to.as_mut_ptr().add(i)) }
    }
    for i in whole..count {
        to[i] = f16::from_f32(from[i]);
    }
}
