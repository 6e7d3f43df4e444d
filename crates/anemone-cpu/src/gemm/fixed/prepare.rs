//! From packed panels to what the fixed-point kernels read.
//!
//! Panels of `B` hold the operands times [`SCALE`]. Panels of `A` hold three rows for each `k`: the operands times [`SCALE`],
//! the least size that an element of `B` must have for the product to count, and the signs.

use crate::isa::per_isa;
use crate::numerics::rounding::{FRACTION, decoded};

/// Half of the quantum's exponent: with both operands times 2^8, products are in units of 2^-16.
const SCALE: f32 = 256.0;
const SIGN: u32 = 1 << 31;
/// The bits of the exponent, and of that of 2^-14.
const EXPONENT: u32 = 0x7f80_0000;
const LOWEST: u32 = (127 - 14) << 23;

/// The least `|x| · SCALE` whose exponent makes up a sum of -16 with that of `w`: `2^(-16 - e(w))`. Where that is at most
/// 2^-14, the exponent of all small numbers, every `x` will do.
#[inline(always)]
fn least(w: f32) -> f32 {
    let exponent = (w.to_bits() & EXPONENT).max(LOWEST);
    // 2^(-16 - e) as bits, times SCALE: exponents are biased by 127.
    let bits = ((127 + 127 - FRACTION as u32 + 8) << 23) - exponent;
    if bits <= LOWEST + (8 << 23) { 0.0 } else { f32::from_bits(bits) }
}

per_isa! {
    /// Prepares panels of `B` in place; returns the largest size. Operands that may not be `fp16` are rounded to it first.
    pub(super) fn lanes[](panels: &mut [f32], round: bool) -> f32 {
        let mut largest = 0.0f32;
        for value in panels {
            *value = decoded(*value, round) * SCALE;
            let size = value.abs();
            largest = if size > largest { size } else { largest };
        }
        largest
    }
}

per_isa! {
    /// Prepares a panel of `A`, of which `lines` lines count; returns their largest size.
    pub(super) fn factors[](panel: &[f32], round: bool, width: usize, lines: usize, to: &mut [f32]) -> f32 {
        let mut largest = 0.0f32;
        for (from, to) in panel.chunks_exact(width).zip(to.chunks_exact_mut(3 * width)) {
            let (values, to) = to.split_at_mut(width);
            let (bounds, signs) = to.split_at_mut(width);
            for i in 0..width {
                let w = decoded(from[i], round);
                values[i] = w * SCALE;
                bounds[i] = least(w);
                signs[i] = f32::from_bits(w.to_bits() & SIGN);
                let size = values[i].abs();
                largest = if (size > largest) & (i < lines) { size } else { largest };
            }
        }
        largest
    }
}

/// In which numbers the products of a tile are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gemm) enum Sums {
    /// 32-bit integers, which hold this many products.
    Integers(usize),
    /// `f64`, which holds all products of a tile exactly.
    Doubles,
    /// 64-bit integers.
    Wide,
}

/// The numbers that hold sums of `depth` products of operands up to these sizes.
pub(super) fn sums(largest_a: f32, largest_b: f32, depth: usize) -> Sums {
    let product = f64::from(largest_a) * f64::from(largest_b) + 1.0;
    match (f64::from(i32::MAX) / product) as usize {
        0 if product * depth as f64 <= (1u64 << 53) as f64 => Sums::Doubles,
        0 => Sums::Wide,
        room => Sums::Integers(room),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    fn exponent(value: f32) -> i32 {
        (value.abs().log2().floor() as i32).max(-14)
    }

    #[test]
    fn bounds_are_those_of_the_exponents() {
        let halves: Vec<f32> = (0..0x7c00).step_by(7).map(|bits| f16::from_bits(bits).to_f32()).collect();
        for &w in halves.iter().filter(|w| **w > 0.0) {
            for &x in halves.iter().step_by(13).filter(|x| **x > 0.0) {
                let counts = exponent(w) + exponent(x) >= -16;
                assert_eq!(x * SCALE >= least(w), counts, "{x:e} {w:e}");
                assert_eq!(x * SCALE >= least(-w), counts, "{x:e} {w:e}");
            }
        }
    }
}
