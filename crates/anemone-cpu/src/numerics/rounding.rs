//! The engine's fixed-point sums, and rounding half away from zero.

use crate::isa::per_isa;

/// Sums are multiples of `2^-FRACTION`.
pub(crate) const FRACTION: i32 = 16;
/// From this sum on, in multiples of the quantum, a result is infinite: 2^15.
const OVERFLOW: i64 = 1 << 31;

/// The bits of a float: sign and size; 2^-14, the smallest normal `fp16`; 2^16, from where on everything is infinite; infinity.
const SIGN: u32 = 1 << 31;
const NORMAL: u32 = (127 - 14) << 23;
const BEYOND: u32 = (127 + 16) << 23;
const INFINITY: u32 = 0x7f80_0000;

/// A number as the engine's product units read it: `fp16` (rounded to nearest-even where it is not), and a full exponent field is
/// one like any other.
#[inline(always)]
pub(crate) fn decoded(value: f32, round: bool) -> f32 {
    let bits = value.to_bits();
    let (sign, size) = (bits & SIGN, bits & !SIGN);
    let size = if round { half_even(size) } else { size };
    let special = BEYOND | (size & 0x007f_e000);
    f32::from_bits(sign | if size >= INFINITY { special } else { size })
}

/// The size of the nearest `fp16` number, ties to even; infinity beyond the largest.
#[inline(always)]
fn half_even(size: u32) -> u32 {
    let normal = size.wrapping_add(0xfff + ((size >> 13) & 1)) & !0x1fff;
    // Next to 1/2 an `f32`'s last place is that of a subnormal `fp16`.
    let subnormal = ((f32::from_bits(size) + 0.5) - 0.5).to_bits();
    let finite = if size < NORMAL { subnormal } else { normal };
    let finite = if finite >= BEYOND { INFINITY } else { finite };
    if size > INFINITY { size } else { finite }
}

/// A number as a sum, half away from zero.
pub(crate) fn quanta(value: f32) -> i64 {
    let value = decoded(value, true) * (1u32 << FRACTION) as f32;
    (value + 0.5f32.copysign(value)) as i64
}

/// The `fp16` number, as `fp32`, that a complete sum becomes.
#[inline(always)]
pub(crate) fn half_of_sum(sum: i64) -> f32 {
    // Ten bits of the mantissa stay; one unit of the first that goes, carried upwards, rounds half away. Sums are multiples
    // of 2^-16, so those without a normal `fp16` number have no bit to lose.
    let bits = (sum as f64).to_bits().wrapping_add(1 << 41) & !((1 << 42) - 1);
    let value = f64::from_bits(bits) as f32 * (1.0 / (1u32 << FRACTION) as f32);
    let infinite = f32::INFINITY.copysign(value);
    if (sum >= OVERFLOW) | (sum <= -OVERFLOW) { infinite } else { value }
}

per_isa! {
    /// [`half_of_sum`] of a row.
    pub(crate) fn finish[](sums: &[i64], to: &mut [f32]) -> () {
        for (to, &sum) in to.iter_mut().zip(sums) {
            *to = half_of_sum(sum);
        }
    }
}

/// The nearest `fp16` number, as `fp32`, half away from zero; subnormal numbers are kept.
#[inline(always)]
pub(crate) fn round_half_away(value: f32) -> f32 {
    let bits = value.to_bits();
    let (sign, size) = (bits & SIGN, bits & !SIGN);
    let normal = size.wrapping_add(0x1000) & !0x1fff;
    // In units of 2^-24, the last place of subnormal numbers; a fraction is cut off exactly.
    let units = f32::from_bits(size) * (1u32 << 24) as f32;
    let whole = (units as i32) as f32;
    let up = if units - whole >= 0.5 { 1.0 } else { 0.0 };
    let subnormal = ((whole + up) * (1.0 / (1u32 << 24) as f32)).to_bits();
    let finite = if size < NORMAL { subnormal } else { normal };
    let finite = if finite >= BEYOND { INFINITY } else { finite };
    let nan = (size & !0x1fff) | 0x0040_0000;
    f32::from_bits(sign | if size > INFINITY { nan } else { finite })
}

per_isa! {
    /// [`round_half_away`] of lanes, in place.
    pub(crate) fn round_lanes[](lanes: &mut [u32]) -> () {
        for lane in lanes {
            *lane = round_half_away(f32::from_bits(*lane)).to_bits();
        }
    }
}

per_isa! {
    /// [`round_half_away`] of floats, in place.
    pub(crate) fn round_floats[](values: &mut [f32]) -> () {
        for value in values {
            *value = round_half_away(*value);
        }
    }
}

/// The nearest `fp16` number, half away from zero, of one that `f32` may not hold.
pub(crate) fn half_away_from_f64(value: f64) -> f32 {
    // Towards zero and with the last bit set where something was cut off, `f32` keeps what decides.
    let near = value as f32;
    let towards = if f64::from(near).abs() > value.abs() { near.to_bits() - 1 } else { near.to_bits() };
    let inexact = f64::from(near) != value && near.is_finite();
    round_half_away(f32::from_bits(towards | u32::from(inexact)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    /// By definition, in `f64`.
    fn reference(value: f64) -> f64 {
        if value == 0.0 {
            return value;
        }
        let exponent = (value.abs().log2().floor() as i32).max(-14);
        let unit = 2f64.powi(exponent - 10);
        ((value.abs() / unit + 0.5).floor() * unit).copysign(value)
    }

    #[test]
    fn floats_become_halves() {
        for bits in (0..u32::MAX - 4000).step_by(3989) {
            let value = f32::from_bits(bits);
            let half = f16::from_f32(value);
            let got = decoded(value, true);
            if half.is_nan() || half.is_infinite() {
                assert!(got.abs() >= 65536.0 && got.abs() < 131_072.0, "{value:e} {got:e}");
            } else {
                assert_eq!(got.to_bits(), half.to_f32().to_bits(), "{value:e}");
            }
        }
    }

    #[test]
    fn sums_round_half_away() {
        let sums = (0..60_000i64).chain((0..31).flat_map(|e| (-3..4).map(move |d| (1 << e) + d)));
        for sum in sums.chain((0..20_000).map(|i| i * 107_371 + i % 7)) {
            for sum in [sum, -sum] {
                let want = reference(sum as f64 / 65536.0);
                let want = if sum.abs() >= 1 << 31 { f64::INFINITY.copysign(want) } else { want };
                assert_eq!(f64::from(half_of_sum(sum)), want, "{sum}");
            }
        }
        assert_eq!(half_of_sum((1 << 31) - 1), 32768.0);
        assert_eq!(half_of_sum(1 << 31), f32::INFINITY);
        assert_eq!(half_of_sum(-(1 << 31)), f32::NEG_INFINITY);
        assert_eq!(half_of_sum(i64::MIN), f32::NEG_INFINITY);
    }

    #[test]
    fn floats_round_half_away() {
        for bits in (0..0x7bffu16).step_by(3) {
            let [low, high] = [bits, bits + 1].map(|bits| f16::from_bits(bits).to_f32());
            let middle = (low + high) / 2.0;
            for (value, want) in [
                (low, low),
                (middle, high),
                (f32::from_bits(middle.to_bits() - 1), low),
                (f32::from_bits(middle.to_bits() + 1), high),
            ] {
                assert_eq!(round_half_away(value).to_bits(), want.to_bits(), "{value:e}");
                assert_eq!(round_half_away(-value).to_bits(), (-want).to_bits(), "{value:e}");
            }
        }
        assert_eq!(round_half_away(65519.0), 65504.0);
        assert_eq!(round_half_away(65520.0), f32::INFINITY);
        assert!(round_half_away(f32::NAN).is_nan());
    }
}
