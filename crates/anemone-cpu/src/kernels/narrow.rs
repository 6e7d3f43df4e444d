//! From `f64` to `fp16` with one rounding.
//!
//! `f16::from_f64` rounds as the CPU happens to: through `f32` with F16C, at once with AArch64's fp16 extension, and from the
//! upper half of the bits without either. This gives the nearest number, ties to even, on all of them.

use half::f16;

/// The nearest `fp16` number, ties to even.
pub(super) fn half_from_f64(value: f64) -> f16 {
    // Rounded to odd, `f32` keeps what decides the second rounding: it has more than two bits that `fp16` lacks (Boldo and
    // Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008).
    let near = value as f32;
    let error = f64::from(near).abs() - value.abs();
    let towards_zero = near.to_bits() - u32::from(error > 0.0);
    // (Neither comparison holds for infinities and NaN, whose error is NaN.)
    let inexact = error.abs() > 0.0;
    f16::from_f32(f32::from_bits(towards_zero | u32::from(inexact)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_half_is_found() {
        // Around every half, and around the middle between it and the next.
        for bits in 0..0x7bff {
            let [low, high] = [bits, bits + 1].map(|bits| f64::from(f16::from_bits(bits).to_f32()));
            let middle = (low + high) / 2.0;
            let even = bits + bits % 2;
            let cases = [
                (low, bits),
                (low.next_up(), bits),
                (middle.next_down(), bits),
                (middle, even),
                (middle.next_up(), bits + 1),
                (middle + (high - low) * 1e-8, bits + 1),
                (middle - (high - low) * 1e-8, bits),
                (high.next_down(), bits + 1),
            ];
            for (value, wanted) in cases {
                assert_eq!(half_from_f64(value).to_bits(), wanted, "{value:e}");
                assert_eq!(half_from_f64(-value).to_bits(), wanted | 0x8000, "{:e}", -value);
            }
        }
        for (value, wanted) in [
            (65_519.999_999_999, f16::MAX),
            (65520.0, f16::INFINITY),
            (1e39, f16::INFINITY),
            (f64::INFINITY, f16::INFINITY),
            (1e-300, f16::ZERO),
        ] {
            assert_eq!(half_from_f64(value), wanted, "{value:e}");
            assert_eq!(half_from_f64(-value), -wanted, "{:e}", -value);
        }
        assert!(half_from_f64(f64::NAN).is_nan());
    }
}
