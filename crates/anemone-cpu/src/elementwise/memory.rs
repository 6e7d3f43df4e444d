//! Between elements in memory and lanes in registers.

#![expect(unsafe_code, reason = "operands are bound by address")]

use super::half_lanes;
use crate::isa::Level;
use mil::DataType;

/// Whether a lane has the very bits of the element.
pub(super) fn is_lane(dtype: DataType) -> bool {
    matches!(dtype, DataType::Fp32 | DataType::Int32 | DataType::Uint32)
}

/// Reads `lanes.len()` elements from number `at` on.
///
/// # Safety
/// `from` points to enough elements of type `dtype`; the CPU has the features of `level`.
pub(super) unsafe fn load(level: Level, dtype: DataType, from: *const u8, at: usize, lanes: &mut [u32]) {
    // SAFETY: the caller's promise; elements lie one after another.
    unsafe {
        let from = from.add(at * dtype.size());
        match dtype {
            DataType::Fp16 => half_lanes::widen(level, from.cast(), lanes),
            DataType::Int8 => each(from.cast::<i8>(), lanes, |x| x as i32 as u32),
            DataType::Uint8 => each(from, lanes, u32::from),
            DataType::Bool => each(from, lanes, |x| u32::from(x != 0)),
            DataType::Int16 => each(from.cast::<i16>(), lanes, |x| x as i32 as u32),
            DataType::Uint16 => each(from.cast::<u16>(), lanes, u32::from),
            // Scalars are common, and a call costs more than they do.
            _ if lanes.len() == 1 => lanes[0] = from.cast::<u32>().read_unaligned(),
            _ => std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr().cast(), lanes.len() * 4),
        }
    }
}

/// Writes `lanes.len()` elements from number `at` on.
///
/// # Safety
/// As [`load`], for writing.
pub(super) unsafe fn store(level: Level, dtype: DataType, lanes: &[u32], to: *mut u8, at: usize) {
    // SAFETY: the caller's promise; elements lie one after another.
    unsafe {
        let to = to.add(at * dtype.size());
        match dtype {
            DataType::Fp16 => half_lanes::narrow(level, lanes, to.cast()),
            DataType::Int8 | DataType::Uint8 | DataType::Bool => put(lanes, to, |x| x as u8),
            DataType::Int16 | DataType::Uint16 => put(lanes, to.cast::<u16>(), |x| x as u16),
            _ if lanes.len() == 1 => to.cast::<u32>().write_unaligned(lanes[0]),
            _ => std::ptr::copy_nonoverlapping(lanes.as_ptr().cast(), to, lanes.len() * 4),
        }
    }
}

/// # Safety
/// `from` points to as many elements as there are lanes.
#[inline(always)]
unsafe fn each<T: Copy>(from: *const T, lanes: &mut [u32], widen: impl Fn(T) -> u32) {
    for (i, lane) in lanes.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *lane = widen(unsafe { from.add(i).read_unaligned() });
    }
}

/// # Safety
/// `to` points to as many elements as there are lanes.
#[inline(always)]
unsafe fn put<T>(lanes: &[u32], to: *mut T, narrow: impl Fn(u32) -> T) {
    for (i, &lane) in lanes.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { to.add(i).write_unaligned(narrow(lane)) };
    }
}
