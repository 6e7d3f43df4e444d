//! `fp16` in memory and `f32` in lanes: reading, writing, and rounding lanes as if written and read back.
//!
//! x86 has instructions for this (F16C, AVX-512); elsewhere integer arithmetic does the same, bit for bit: nearest with
//! ties to even, overflow to infinity, subnormal numbers kept, `NaN`s made quiet.

#![expect(unsafe_code, reason = "conversion instructions")]

use crate::isa::Level;

/// Reads `lanes.len()` numbers.
///
/// # Safety
/// The CPU has the features of `level`; `from` is valid for reading as many `u16`s (no alignment asked for).
#[inline]
pub(super) unsafe fn widen(level: Level, from: *const u16, lanes: &mut [u32]) {
    // SAFETY: the caller's promise.
    unsafe {
        match level {
            Level::Baseline => portable::widen(from, lanes),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::widen(from, lanes),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::widen(from, lanes),
        }
    }
}

/// Writes `lanes.len()` numbers.
///
/// # Safety
/// As [`widen`], for writing.
#[inline]
pub(super) unsafe fn narrow(level: Level, lanes: &[u32], to: *mut u16) {
    // SAFETY: the caller's promise.
    unsafe {
        match level {
            Level::Baseline => portable::narrow(lanes, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::narrow(lanes, to),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::narrow(lanes, to),
        }
    }
}

/// Rounds lanes in place.
///
/// # Safety
/// The CPU has the features of `level`.
#[inline]
pub(super) unsafe fn round(level: Level, lanes: &mut [u32]) {
    match level {
        Level::Baseline => portable::round(lanes),
        // SAFETY: the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2::round(lanes) },
        // SAFETY: the caller's promise.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512::round(lanes) },
    }
}

/// In integers, so that it vectorises anywhere.
mod portable {
    const INFINITY: u32 = 0x7f80_0000;
    const QUIET: u32 = 0x0040_0000;
    /// 2^-14, the smallest normal `fp16`.
    const NORMAL: u32 = 0x3880_0000;
    /// 2^16: from here on everything is infinite.
    const OVERFLOW: u32 = 0x4780_0000;
    /// 2^112, the quotient of both exponent ranges.
    const REBIAS: f32 = f32::from_bits(0x7780_0000);

    #[inline(always)]
    pub(super) fn widen_one(half: u16) -> u32 {
        let (sign, rest) = ((half as u32 & 0x8000) << 16, (half as u32 & 0x7fff) << 13);
        // The multiplication makes subnormal numbers normal, exactly.
        let finite = (f32::from_bits(rest) * REBIAS).to_bits();
        let special = if rest > 0x7c00 << 13 { rest | INFINITY | QUIET } else { rest | INFINITY };
        sign | if rest >= 0x7c00 << 13 { special } else { finite }
    }

    /// A number of positive sign: its `fp16` bits.
    #[inline(always)]
    pub(super) fn narrow_one(lane: u32) -> u16 {
        let (sign, size) = (lane & 0x8000_0000, lane & 0x7fff_ffff);
        let normal = size.wrapping_add(0xfff + ((size >> 13) & 1)).wrapping_sub(112 << 23) >> 13;
        // Next to 1/2 an `f32`'s last place is that of a subnormal `fp16`, so the sum rounds as we want.
        let subnormal = (f32::from_bits(size) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
        let half = if size < NORMAL { subnormal } else { normal };
        let half = if size >= OVERFLOW { 0x7c00 } else { half };
        let nan = 0x7e00 | (size >> 13 & 0x03ff);
        let half = if size > INFINITY { nan } else { half };
        (sign >> 16 | half) as u16
    }

    #[inline(always)]
    fn round_one(lane: u32) -> u32 {
        let (sign, size) = (lane & 0x8000_0000, lane & 0x7fff_ffff);
        let normal = size.wrapping_add(0xfff + ((size >> 13) & 1)) & !0x1fff;
        let subnormal = ((f32::from_bits(size) + 0.5) - 0.5).to_bits();
        let rounded = if size < NORMAL { subnormal } else { normal };
        let rounded = if rounded >= OVERFLOW { INFINITY } else { rounded };
        let nan = (size & !0x1fff) | QUIET;
        sign | if size > INFINITY { nan } else { rounded }
    }

    /// # Safety
    /// `from` is valid for reading `lanes.len()` `u16`s.
    pub(super) unsafe fn widen(from: *const u16, lanes: &mut [u32]) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *lane = widen_one(unsafe { from.add(i).read_unaligned() });
        }
    }

    /// # Safety
    /// `to` is valid for writing `lanes.len()` `u16`s.
    pub(super) unsafe fn narrow(lanes: &[u32], to: *mut u16) {
        for (i, &lane) in lanes.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.add(i).write_unaligned(narrow_one(lane)) };
        }
    }

    pub(super) fn round(lanes: &mut [u32]) {
        for lane in lanes {
            *lane = round_one(*lane);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::portable;
    use std::arch::x86_64::*;

    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;

    /// # Safety
    /// F16C; `from` is valid for reading `lanes.len()` `u16`s.
    #[target_feature(enable = "avx2,f16c")]
    pub(super) unsafe fn widen(from: *const u16, lanes: &mut [u32]) {
        let (whole, rest) = lanes.as_chunks_mut::<8>();
        let done = whole.len() * 8;
        for (i, lanes) in whole.iter_mut().enumerate() {
            // SAFETY: eight numbers are left to read and to write.
            unsafe {
                let halves = _mm_loadu_si128(from.add(i * 8).cast());
                _mm256_storeu_ps(lanes.as_mut_ptr().cast(), _mm256_cvtph_ps(halves));
            }
        }
        // SAFETY: the numbers that are left.
        unsafe { portable::widen(from.add(done), rest) }
    }

    /// # Safety
    /// F16C; `to` is valid for writing `lanes.len()` `u16`s.
    #[target_feature(enable = "avx2,f16c")]
    pub(super) unsafe fn narrow(lanes: &[u32], to: *mut u16) {
        let (whole, rest) = lanes.as_chunks::<8>();
        for (i, lanes) in whole.iter().enumerate() {
            // SAFETY: eight numbers are left to read and to write.
            unsafe {
                let wide = _mm256_loadu_ps(lanes.as_ptr().cast());
                _mm_storeu_si128(to.add(i * 8).cast(), _mm256_cvtps_ph::<NEAREST>(wide));
            }
        }
        // SAFETY: the numbers that are left.
        unsafe { portable::narrow(rest, to.add(whole.len() * 8)) }
    }

    /// # Safety
    /// F16C.
    #[target_feature(enable = "avx2,f16c")]
    pub(super) unsafe fn round(lanes: &mut [u32]) {
        let (whole, rest) = lanes.as_chunks_mut::<8>();
        for lanes in whole {
            // SAFETY: eight lanes.
            unsafe {
                let wide = _mm256_loadu_ps(lanes.as_ptr().cast());
                let halves = _mm256_cvtps_ph::<NEAREST>(wide);
                _mm256_storeu_ps(lanes.as_mut_ptr().cast(), _mm256_cvtph_ps(halves));
            }
        }
        portable::round(rest);
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::avx2;
    use std::arch::x86_64::*;

    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;

    /// # Safety
    /// AVX-512 F and F16C; `from` is valid for reading `lanes.len()` `u16`s.
    #[target_feature(enable = "avx512f,avx2,f16c")]
    pub(super) unsafe fn widen(from: *const u16, lanes: &mut [u32]) {
        let (whole, rest) = lanes.as_chunks_mut::<16>();
        let done = whole.len() * 16;
        for (i, lanes) in whole.iter_mut().enumerate() {
            // SAFETY: sixteen numbers are left to read and to write.
            unsafe {
                let halves = _mm256_loadu_si256(from.add(i * 16).cast());
                _mm512_storeu_ps(lanes.as_mut_ptr().cast(), _mm512_cvtph_ps(halves));
            }
        }
        // SAFETY: the numbers that are left.
        unsafe { avx2::widen(from.add(done), rest) }
    }

    /// # Safety
    /// AVX-512 F and F16C; `to` is valid for writing `lanes.len()` `u16`s.
    #[target_feature(enable = "avx512f,avx2,f16c")]
    pub(super) unsafe fn narrow(lanes: &[u32], to: *mut u16) {
        let (whole, rest) = lanes.as_chunks::<16>();
        for (i, lanes) in whole.iter().enumerate() {
            // SAFETY: sixteen numbers are left to read and to write.
            unsafe {
                let wide = _mm512_loadu_ps(lanes.as_ptr().cast());
                _mm256_storeu_si256(to.add(i * 16).cast(), _mm512_cvtps_ph::<NEAREST>(wide));
            }
        }
        // SAFETY: the numbers that are left.
        unsafe { avx2::narrow(rest, to.add(whole.len() * 16)) }
    }

    /// # Safety
    /// AVX-512 F and F16C.
    #[target_feature(enable = "avx512f,avx2,f16c")]
    pub(super) unsafe fn round(lanes: &mut [u32]) {
        let (whole, rest) = lanes.as_chunks_mut::<16>();
        for lanes in whole {
            // SAFETY: sixteen lanes.
            unsafe {
                let wide = _mm512_loadu_ps(lanes.as_ptr().cast());
                let halves = _mm512_cvtps_ph::<NEAREST>(wide);
                _mm512_storeu_ps(lanes.as_mut_ptr().cast(), _mm512_cvtph_ps(halves));
            }
        }
        // SAFETY: the CPU's features are the caller's promise.
        unsafe { avx2::round(rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elementwise::tests::levels;
    use half::f16;

    #[test]
    fn every_half_is_read_and_written_alike() {
        let halves: Vec<u16> = (0..=u16::MAX).collect();
        for level in levels() {
            let mut lanes = vec![0; halves.len()];
            let mut back = vec![0; halves.len()];
            // SAFETY: the CPU has the level; lengths agree.
            unsafe {
                widen(level, halves.as_ptr(), &mut lanes);
                narrow(level, &lanes, back.as_mut_ptr());
            }
            for ((&half, &lane), &back) in halves.iter().zip(&lanes).zip(&back) {
                assert_eq!(lane, f16::from_bits(half).to_f32().to_bits(), "{level:?} {half:#x}");
                let quiet = if f16::from_bits(half).is_nan() { half | 0x0200 } else { half };
                assert_eq!(back, quiet, "{level:?} {half:#x}");
            }
        }
    }

    #[test]
    fn floats_round_to_nearest_even() {
        // Every exponent and sign, and around every boundary of the kept bits.
        let lanes: Vec<u32> = (0..=u16::MAX as u32)
            .flat_map(|high| {
                [0, 1, 0xfff, 0x1000, 0x1001, 0x1fff, 0x2fff, 0x3000, 0xffff].map(|low| high << 16 | low)
            })
            .collect();
        for level in levels() {
            let mut halves = vec![0; lanes.len()];
            let mut rounded = lanes.clone();
            // SAFETY: the CPU has the level; lengths agree.
            unsafe {
                narrow(level, &lanes, halves.as_mut_ptr());
                round(level, &mut rounded);
            }
            for ((&lane, &half), &rounded) in lanes.iter().zip(&halves).zip(&rounded) {
                let expected = f16::from_f32(f32::from_bits(lane));
                assert_eq!(half, expected.to_bits(), "{level:?} {lane:#x}");
                assert_eq!(rounded, expected.to_f32().to_bits(), "{level:?} {lane:#x}");
            }
        }
    }
}
