//! Functions as the engine takes them from [`tables`](super::tables).
//!
//! Between two knots it computes `near + (far - near) * fraction`, where `near` is the knot on the side of 0, and difference,
//! product and sum are each rounded to `fp16`, half away from zero. With that the five published errors of `gelu` (M5 Pro, M6)
//! follow to eight digits, and the largest errors measured on an M6, of eleven functions, to the last digit given. Of the other
//! places to begin from and precisions that were tried, the next (differences rounded to nearest-even) is 1e-7 off, all others
//! 3e-5 or more.
//!
//! Functions of positive numbers are tabulated for one or two octaves; exponents are dealt with exactly.

use super::rounding::half_away_from_f64;
use super::tables::{
    Around, ERF, EXP2, EXP2_RANGE, GELU, INVERSE, Knots, LN_2, LOG2, LOG2_E, Odd, RSQRT, SIGMOID, SILU, SIN,
    SQRT, TANH,
};
use half::f16;
use std::sync::OnceLock;

/// The nearest `fp16` number, half away from zero.
fn round(value: f64) -> f64 {
    f64::from(half_away_from_f64(value))
}

fn knot(knots: &Knots, at: usize) -> f64 {
    f16::from_bits(knots[at]).to_f64()
}

/// From one knot towards another.
fn towards(knots: &Knots, near: usize, far: usize, fraction: f64) -> f64 {
    let (near, far) = (knot(knots, near), knot(knots, far));
    round(near + round(round(far - near) * fraction))
}

/// At a place between 0 and 32, in knots.
fn between(knots: &Knots, place: f64) -> f64 {
    let at = (place as usize).min(31);
    towards(knots, at, at + 1, place - at as f64)
}

fn line((slope, intercept): (f64, f64), x: f64) -> f64 {
    round(round(slope * x) + intercept)
}

/// NaN is read as a large number.
fn read(x: f32) -> f64 {
    if x.is_nan() { f64::INFINITY } else { f64::from(x) }
}

fn around(table: &Around, x: f32) -> f32 {
    let x = read(x);
    let place = x.abs() * table.density;
    let value = if x < table.below.0 {
        table.below.1
    } else if x >= table.above.0 {
        table.above.1
    } else if place > 16.0 {
        line(if x < 0.0 { table.left } else { table.right }, x)
    } else {
        let steps = (place as usize).min(15);
        let [near, far] = [steps, steps + 1].map(|steps| if x < 0.0 { 16 - steps } else { 16 + steps });
        towards(&table.knots, near, far, place - steps as f64)
    };
    value as f32
}

fn odd(table: &Odd, x: f32) -> f32 {
    let x = read(x);
    let place = x.abs() * table.density;
    let value = if x.abs() >= table.above.0 {
        table.above.1
    } else if place > 32.0 {
        line(table.line, x.abs())
    } else {
        between(&table.knots, place)
    };
    value.copysign(x) as f32
}

pub(super) fn sigmoid(x: f32) -> f32 {
    around(&SIGMOID, x)
}

pub(super) fn gelu(x: f32) -> f32 {
    around(&GELU, x)
}

pub(super) fn silu(x: f32) -> f32 {
    around(&SILU, x)
}

pub(super) fn tanh(x: f32) -> f32 {
    odd(&TANH, x)
}

pub(super) fn erf(x: f32) -> f32 {
    odd(&ERF, x)
}

/// The sine of `x` and of `quarters` quarters of a turn more; 0 of an infinite `x`.
fn turned(x: f32, quarters: f64) -> f32 {
    let x = read(x);
    if x.is_infinite() {
        return 0.0;
    }
    let turn = x.abs() * std::f64::consts::FRAC_2_PI + quarters;
    let quarter = turn as u64;
    let rest = turn - quarter as f64;
    let value = between(&SIN, 32.0 * if quarter % 2 == 1 { 1.0 - rest } else { rest });
    (if quarter & 2 == 0 { value } else { -value }) as f32
}

pub(super) fn sin(x: f32) -> f32 {
    let value = turned(x, 0.0);
    if x < 0.0 { -value } else { value }
}

pub(super) fn cos(x: f32) -> f32 {
    turned(x, 1.0)
}

pub(super) fn exp2(x: f32) -> f32 {
    let x = read(x);
    if x < EXP2_RANGE.0 {
        return 0.0;
    }
    if x >= EXP2_RANGE.1 {
        return f32::INFINITY;
    }
    let whole = x.floor();
    round(libm::ldexp(between(&EXP2, 32.0 * (x - whole)), whole as i32)) as f32
}

/// 2^(x log2 e), the product and its factor rounded to `fp16`.
pub(super) fn exp(x: f32) -> f32 {
    exp2(round(read(x) * LOG2_E) as f32)
}

/// log2 x times ln 2, each of which is rounded. The logarithm of 0 is -infinity, which the product reads as -65536; that of
/// infinity or of a negative number is 0.
pub(super) fn log(x: f32) -> f32 {
    let x = read(x);
    if x == 0.0 {
        return round(-65536.0 * LN_2) as f32;
    }
    if x < 0.0 || x.is_infinite() {
        return 0.0;
    }
    let (fraction, exponent) = libm::frexp(x);
    let log2 = round(between(&LOG2, 64.0 * (fraction - 0.5)) + f64::from(exponent));
    round(log2 * LN_2) as f32
}

/// Of -0 infinite as well, as measured.
pub(super) fn inverse(x: f32) -> f32 {
    let x = read(x);
    if x == 0.0 {
        return f32::INFINITY;
    }
    if x.is_infinite() {
        return 0.0;
    }
    let (fraction, exponent) = libm::frexp(x.abs());
    round(libm::ldexp(between(&INVERSE, 64.0 * (fraction - 0.5)), -exponent)).copysign(x) as f32
}

/// A power of 1/2 or -1/2 of a positive, finite number: the fraction from 1/2 to 2, and half of an even exponent.
fn half_power(knots: &Knots, x: f64, sign: i32) -> f32 {
    let (fraction, exponent) = libm::frexp(x);
    let odd = exponent.rem_euclid(2);
    let value = between(knots, libm::ldexp(fraction, odd) * 16.0);
    round(libm::ldexp(value, sign * (exponent - odd) / 2)) as f32
}

/// 0 of a negative number.
pub(super) fn sqrt(x: f32) -> f32 {
    let x = read(x);
    if x <= 0.0 {
        return 0.0;
    }
    if x.is_infinite() { f32::INFINITY } else { half_power(&SQRT, x, 1) }
}

/// 0 of a negative number.
pub(super) fn rsqrt(x: f32) -> f32 {
    let x = read(x);
    if x == 0.0 {
        return f32::INFINITY;
    }
    if x < 0.0 || x.is_infinite() { 0.0 } else { half_power(&RSQRT, x, -1) }
}

/// The values of a function of all `fp16` numbers.
pub(super) struct Values(Box<[f16]>);

impl Values {
    pub(super) fn new(function: impl Fn(f32) -> f32) -> Values {
        let value = |bits: u16| f16::from_f32(function(f16::from_bits(bits).to_f32()));
        Values((0..=u16::MAX).map(value).collect())
    }

    #[inline(always)]
    pub(super) fn of(&self, x: f16) -> f16 {
        self.0[usize::from(x.to_bits())]
    }

    /// The value at an `fp16` number that stands in a float.
    #[inline(always)]
    pub(super) fn at(&self, x: f32) -> f32 {
        self.of(f16::from_f32(x)).to_f32()
    }
}

/// [`exp`] of all `fp16` numbers: softmax needs it for every element.
pub(crate) fn exps() -> &'static Values {
    static VALUES: OnceLock<Values> = OnceLock::new();
    VALUES.get_or_init(|| Values::new(exp))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest absolute error and largest error in units of the last place, over the numbers that were measured on an M6 (751K,
    /// `lut_err.py`): `fp16` numbers between `low` and `high`, from a linear grid if `low` is negative, else a geometric one.
    fn worst(function: fn(f32) -> f32, exact: fn(f64) -> f64, [low, high]: [f64; 2]) -> (f64, f64) {
        const COUNT: usize = 2048 * 256;
        let mut largest = (0.0f64, 0.0f64);
        let mut last = f16::NAN;
        for i in 0..COUNT {
            let share = i as f64 / (COUNT - 1) as f64;
            let x = if low < 0.0 { low + (high - low) * share } else { low * libm::pow(high / low, share) };
            let x = f16::from_f64(x);
            if x == last {
                continue;
            }
            last = x;
            let want = exact(x.to_f64());
            let error = (f64::from(function(x.to_f32())) - want).abs();
            let (_, exponent) = libm::frexp(if want == 0.0 { 0.5f64.powi(24) } else { want });
            let unit = libm::ldexp(1.0, (exponent - 1).max(-14) - 10);
            largest = (largest.0.max(error), largest.1.max(error / unit));
        }
        largest
    }

    #[test]
    fn largest_errors_are_those_measured_on_an_m6() {
        type Case = (&'static str, fn(f32) -> f32, fn(f64) -> f64, [f64; 2], f64, Option<f64>);
        fn half(x: f64) -> f64 {
            x * 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2))
        }
        let small = 0.5f64.powi(6);
        let smaller = 0.5f64.powi(10);
        let cases: [Case; 12] = [
            ("sigmoid", sigmoid, |x| 1.0 / (1.0 + libm::exp(-x)), [-12.0, 12.0], 3.355e-3, Some(810.8)),
            ("tanh", tanh, libm::tanh, [-6.0, 6.0], 1.613e-3, Some(11.0)),
            ("gelu", gelu, half, [-8.0, 8.0], 6.159e-3, Some(12632.0)),
            ("silu", silu, |x| x / (1.0 + libm::exp(-x)), [-12.0, 12.0], 1.491e-2, Some(28560.0)),
            ("exp", exp, libm::exp, [-12.0, 10.0], 100.8, Some(9.1)),
            ("log", log, libm::log, [smaller, 1000.0], 6.638e-3, Some(91.0)),
            ("sqrt", sqrt, libm::sqrt, [smaller, 1000.0], 1.810e-2, Some(1.2)),
            ("rsqrt", rsqrt, |x| 1.0 / x.sqrt(), [small, 1000.0], 8.139e-3, Some(2.1)),
            // With MIL's epsilon of 1e-4.
            (
                "inverse",
                |x| inverse(round(f64::from(x) + 1e-4) as f32),
                |x| 1.0 / x,
                [small, 1000.0],
                0.4375,
                Some(13.5),
            ),
            // Not where the sine is 0: there 45.3 units were measured, of which no model is known.
            ("sin", sin, libm::sin, [-8.0, 8.0], 6.329e-4, None),
            // Nor beyond 2.
            ("erf", erf, libm::erf, [-4.0, 4.0], 8.642e-4, None),
            ("erf to 2", erf, libm::erf, [-2.0, 2.0], 8.642e-4, Some(3.0)),
        ];
        for (name, function, exact, range, size, units) in cases {
            let got = worst(function, exact, range);
            println!("{name}: {:.4e} measured {size:.4e}; {:.2} measured {units:?} units", got.0, got.1);
            assert!((got.0 / size - 1.0).abs() < 5.1e-4, "{name}: {} {size}", got.0);
            assert!(units.is_none_or(|units| (got.1 - units).abs() <= 0.051), "{name}: {} {units:?}", got.1);
        }
    }

    #[test]
    fn single_values_are_those_measured() {
        let values = [
            // ANEForge, on an M5.
            (gelu as fn(f32) -> f32, 0.0f32, -7.54e-4f32),
            // 751K, on an M6.
            (sigmoid, -9.9375, 0.0),
            (gelu, -1.526e-5, -7.61e-4),
            (silu, -2.289e-5, -1.71e-3),
            (tanh, -2.403e-4, -2.39e-4),
            (log, 1.003_906_3, 3.73e-3),
            // Of .01587 and the epsilon of 1e-4.
            (inverse, 0.015_97, 62.6),
            (rsqrt, 0.033_203, 5.5),
            // Guide to the engine, on an M1.
            (log, 0.0, -45440.0),
            (log, -1.0, 0.0),
            (sqrt, -1.0, 0.0),
            (rsqrt, -1.0, 0.0),
            (rsqrt, -0.0, f32::INFINITY),
            (inverse, -0.0, f32::INFINITY),
            (sigmoid, f32::NAN, 1.0),
            (tanh, f32::NAN, 1.0),
            (erf, f32::NAN, 1.0),
            (exp, f32::NAN, f32::INFINITY),
        ];
        for (function, x, want) in values {
            let got = function(f16::from_f32(x).to_f32());
            let near = (got - want).abs() <= 5e-3 * want.abs();
            assert!(got == want || near, "of {x}: {got} {want}");
        }
    }

    #[test]
    fn every_number_has_a_value() {
        let functions =
            [sigmoid, gelu, silu, tanh, erf, sin, cos, exp, exp2, log, inverse, sqrt, rsqrt].map(Values::new);
        for values in functions {
            assert!(values.0.iter().all(|value| !value.is_nan()));
        }
    }
}
