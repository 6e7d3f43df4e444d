//! AVX2 with FMA and F16C: 16 registers of 8 lanes. A tile of 6 rows by 2 vectors keeps 12 accumulators, two
//! vectors of `B` and one broadcast element of `A` in them.
#![expect(unsafe_code, reason = "vector intrinsics")]

use std::arch::x86_64::*;

use half::f16;

use super::{Simd, kernel_table};

kernel_table!(
    "avx2", __m256, mr: 6, rows: [1 2 3 4 5 6], vectors: [1 2], fixed: [6, 1],
    #[target_feature(enable = "avx2,fma,f16c")]
);

// SAFETY: each method is the one intrinsic that does what the trait says; `transpose` is tested.
unsafe impl Simd for __m256 {
    const LANES: usize = 8;
    type Block = [__m256; 8];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has AVX2 and 8 readable floats.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        // SAFETY: the caller has F16C and 8 readable halves, which are 16 bytes.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has AVX2 and 8 writable floats.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn store_half(self, to: *mut f16) {
        // SAFETY: the caller has F16C and 8 writable halves.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(self)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller has FMA.
        unsafe { _mm256_fmadd_ps(self, factor, addend) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller has AVX2.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn zero_block() -> Self::Block {
        // SAFETY: the caller has AVX2.
        unsafe { [_mm256_setzero_ps(); 8] }
    }

    #[inline(always)]
    unsafe fn transpose(r: Self::Block) -> Self::Block {
        // SAFETY: the caller has AVX2.
        unsafe {
            let mut t = r;
            // 2 x 2 elements, within each 128-bit half.
            for i in (0..8).step_by(2) {
                t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
                t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
            }
            // 4 x 4: half h of u[4 g + j] holds column 4 h + j of rows 4 g .. 4 g + 4.
            let mut u = t;
            for g in [0, 4] {
                u[g] = _mm256_shuffle_ps::<0x44>(t[g], t[g + 2]);
                u[g + 1] = _mm256_shuffle_ps::<0xee>(t[g], t[g + 2]);
                u[g + 2] = _mm256_shuffle_ps::<0x44>(t[g + 1], t[g + 3]);
                u[g + 3] = _mm256_shuffle_ps::<0xee>(t[g + 1], t[g + 3]);
            }
            // The halves themselves.
            let mut out = u;
            for j in 0..4 {
                out[j] = _mm256_permute2f128_ps::<0x20>(u[j], u[4 + j]);
                out[4 + j] = _mm256_permute2f128_ps::<0x31>(u[j], u[4 + j]);
            }
            out
        }
    }

    #[inline(always)]
    unsafe fn prefetch(at: *const f32) {
        // SAFETY: prefetching never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
}
