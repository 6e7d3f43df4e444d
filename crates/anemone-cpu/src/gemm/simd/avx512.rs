//! AVX-512F: 32 registers of 16 lanes. A tile of 14 rows by 2 vectors keeps 28 accumulators, two vectors of
//! `B` and one broadcast element of `A` in them, and issues 28 multiply-adds per 16 loads.
#![expect(unsafe_code, reason = "vector intrinsics")]

use std::arch::x86_64::*;

use half::f16;

use super::{Simd, kernel_table};

kernel_table!(
    "avx512", __m512, mr: 14, rows: [1 2 3 4 5 6 7 8 9 10 11 12 13 14], vectors: [1 2], fixed: [7, 2],
    #[target_feature(enable = "avx512f")]
);

// SAFETY: each method is the one intrinsic that does what the trait says; `transpose` is tested.
unsafe impl Simd for __m512 {
    const LANES: usize = 16;
    type Block = [__m512; 16];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller has AVX-512F and 16 readable floats.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_half(from: *const f16) -> Self {
        // SAFETY: the caller has AVX-512F and 16 readable halves, which are 32 bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller has AVX-512F and 16 writable floats.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn store_half(self, to: *mut f16) {
        // SAFETY: the caller has AVX-512F and 16 writable halves.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT }>(self)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_fmadd_ps(self, factor, addend) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller has AVX-512F.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn zero_block() -> Self::Block {
        // SAFETY: the caller has AVX-512F.
        unsafe { [_mm512_setzero_ps(); 16] }
    }

    #[inline(always)]
    unsafe fn transpose(r: Self::Block) -> Self::Block {
        // SAFETY: the caller has AVX-512F.
        unsafe {
            let mut t = r;
            // 2 x 2 elements, within each 128-bit quarter.
            for i in (0..16).step_by(2) {
                t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
                t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
            }
            // 4 x 4: quarter q of u[4 g + j] holds column 4 q + j of rows 4 g .. 4 g + 4.
            let mut u = t;
            for g in (0..16).step_by(4) {
                // Pairs of floats move as doubles do. No closures here: they would not inherit the CPU
                // features.
                let (p0, p1) = (_mm512_castps_pd(t[g]), _mm512_castps_pd(t[g + 1]));
                let (p2, p3) = (_mm512_castps_pd(t[g + 2]), _mm512_castps_pd(t[g + 3]));
                u[g] = _mm512_castpd_ps(_mm512_unpacklo_pd(p0, p2));
                u[g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p0, p2));
                u[g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(p1, p3));
                u[g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(p1, p3));
            }
            // The quarters themselves: even ones with 0x88, odd ones with 0xdd, twice.
            let mut out = u;
            for j in 0..4 {
                let even_low = _mm512_shuffle_f32x4::<0x88>(u[j], u[4 + j]);
                let odd_low = _mm512_shuffle_f32x4::<0xdd>(u[j], u[4 + j]);
                let even_high = _mm512_shuffle_f32x4::<0x88>(u[8 + j], u[12 + j]);
                let odd_high = _mm512_shuffle_f32x4::<0xdd>(u[8 + j], u[12 + j]);
                out[j] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
                out[4 + j] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
                out[8 + j] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
                out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
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
