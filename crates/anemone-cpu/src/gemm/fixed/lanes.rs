//! The few vector operations of the fixed-point kernels, per instruction set.
#![expect(unsafe_code, reason = "vector intrinsics")]

use crate::gemm::simd::Simd;

/// What [`tile`](super::tile) needs beyond [`Simd`].
///
/// # Safety
/// As [`Simd`].
pub(in crate::gemm) unsafe trait Fixed: Simd {
    /// As many 32-bit integers.
    type Integers: Copy;

    /// Zeros.
    unsafe fn no_sum() -> Self::Integers;
    /// The sizes of the lanes, and halves of their signs.
    unsafe fn split(self) -> (Self, Self);
    /// Adds the rounded products with the factor to `sum`, of those lanes whose size is at least `least`. `sign` has the sign
    /// of the factor and no other bit; `split` is [`Self::split`]. No product may leave the range of 32 bits.
    unsafe fn add_product(
        self,
        split: (Self, Self),
        factor_least_sign: (Self, Self, Self),
        sum: Self::Integers,
    ) -> Self::Integers;
    /// Writes `LANES` integers.
    unsafe fn write(sum: Self::Integers, to: *mut i32);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Fixed;
    use std::arch::x86_64::*;

    // SAFETY: each method is the intrinsics that do what the trait says.
    unsafe impl Fixed for __m512 {
        type Integers = __m512i;

        #[inline(always)]
        unsafe fn no_sum() -> __m512i {
            // SAFETY: the caller has AVX-512F.
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller has AVX-512F.
            unsafe {
                let bits = _mm512_castps_si512(self);
                let sign = _mm512_set1_epi32(i32::MIN);
                let size = _mm512_andnot_si512(sign, bits);
                let half = _mm512_castps_si512(_mm512_set1_ps(0.5));
                let half = _mm512_or_si512(_mm512_and_si512(bits, sign), half);
                (_mm512_castsi512_ps(size), _mm512_castsi512_ps(half))
            }
        }

        #[inline(always)]
        unsafe fn add_product(
            self,
            (size, half): (Self, Self),
            (factor, least, sign): (Self, Self, Self),
            sum: __m512i,
        ) -> __m512i {
            // SAFETY: the caller has AVX-512F.
            unsafe {
                let counts = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(size, least);
                let half = _mm512_xor_si512(_mm512_castps_si512(half), _mm512_castps_si512(sign));
                let product = _mm512_maskz_fmadd_ps(counts, self, factor, _mm512_castsi512_ps(half));
                _mm512_add_epi32(sum, _mm512_cvttps_epi32(product))
            }
        }

        #[inline(always)]
        unsafe fn write(sum: __m512i, to: *mut i32) {
            // SAFETY: the caller has AVX-512F and 16 writable integers.
            unsafe { _mm512_storeu_si512(to.cast(), sum) }
        }
    }

    // SAFETY: as above.
    unsafe impl Fixed for __m256 {
        type Integers = __m256i;

        #[inline(always)]
        unsafe fn no_sum() -> __m256i {
            // SAFETY: the caller has AVX2.
            unsafe { _mm256_setzero_si256() }
        }

        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller has AVX2.
            unsafe {
                let sign = _mm256_set1_ps(-0.0);
                let half = _mm256_or_ps(_mm256_and_ps(self, sign), _mm256_set1_ps(0.5));
                (_mm256_andnot_ps(sign, self), half)
            }
        }

        #[inline(always)]
        unsafe fn add_product(
            self,
            (size, half): (Self, Self),
            (factor, least, sign): (Self, Self, Self),
            sum: __m256i,
        ) -> __m256i {
            // SAFETY: the caller has AVX2 and FMA.
            unsafe {
                let counts = _mm256_cmp_ps::<_CMP_GE_OQ>(size, least);
                let product = _mm256_fmadd_ps(self, factor, _mm256_xor_ps(half, sign));
                _mm256_add_epi32(sum, _mm256_cvttps_epi32(_mm256_and_ps(product, counts)))
            }
        }

        #[inline(always)]
        unsafe fn write(sum: __m256i, to: *mut i32) {
            // SAFETY: the caller has AVX2 and 8 writable integers.
            unsafe { _mm256_storeu_si256(to.cast(), sum) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::Fixed;
    use std::arch::aarch64::*;

    // SAFETY: each method is the intrinsics that do what the trait says.
    unsafe impl Fixed for float32x4_t {
        type Integers = int32x4_t;

        #[inline(always)]
        unsafe fn no_sum() -> int32x4_t {
            // SAFETY: the caller has NEON.
            unsafe { vdupq_n_s32(0) }
        }

        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            // SAFETY: the caller has NEON.
            unsafe {
                let half = vbslq_f32(vdupq_n_u32(1 << 31), self, vdupq_n_f32(0.5));
                (vabsq_f32(self), half)
            }
        }

        #[inline(always)]
        unsafe fn add_product(
            self,
            (size, half): (Self, Self),
            (factor, least, sign): (Self, Self, Self),
            sum: int32x4_t,
        ) -> int32x4_t {
            // SAFETY: the caller has NEON.
            unsafe {
                let counts = vcgeq_f32(size, least);
                let half = veorq_u32(vreinterpretq_u32_f32(half), vreinterpretq_u32_f32(sign));
                let product = vfmaq_f32(vreinterpretq_f32_u32(half), self, factor);
                let product = vandq_u32(vreinterpretq_u32_f32(product), counts);
                vaddq_s32(sum, vcvtq_s32_f32(vreinterpretq_f32_u32(product)))
            }
        }

        #[inline(always)]
        unsafe fn write(sum: int32x4_t, to: *mut i32) {
            // SAFETY: the caller has NEON and 4 writable integers.
            unsafe { vst1q_s32(to, sum) }
        }
    }
}

mod portable {
    use super::Fixed;
    use crate::gemm::simd::{Simd, portable::Lanes};

    const SIGN: u32 = 1 << 31;

    // SAFETY: the methods need no CPU feature; `write` writes four integers.
    unsafe impl Fixed for Lanes {
        type Integers = [i32; 4];

        #[inline(always)]
        unsafe fn no_sum() -> [i32; 4] {
            [0; 4]
        }

        #[inline(always)]
        unsafe fn split(self) -> (Self, Self) {
            let half = |x: f32| f32::from_bits(0.5f32.to_bits() | (x.to_bits() & SIGN));
            (Lanes(self.0.map(f32::abs)), Lanes(self.0.map(half)))
        }

        #[inline(always)]
        unsafe fn add_product(
            self,
            (size, half): (Self, Self),
            (factor, least, sign): (Self, Self, Self),
            sum: [i32; 4],
        ) -> [i32; 4] {
            std::array::from_fn(|i| {
                let half = f32::from_bits(half.0[i].to_bits() ^ sign.0[i].to_bits());
                // The product is exact, and so is the sum with the half where it matters: the bits of a multiply-add.
                let product = self.0[i] * factor.0[i] + half;
                sum[i].wrapping_add(if size.0[i] >= least.0[i] { product as i32 } else { 0 })
            })
        }

        #[inline(always)]
        unsafe fn write(sum: [i32; 4], to: *mut i32) {
            // SAFETY: the caller has 4 writable integers.
            unsafe { to.cast::<[i32; 4]>().write_unaligned(sum) }
        }
    }

    const _: () = assert!(<Lanes as Simd>::LANES == 4);
}
