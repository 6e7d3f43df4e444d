//! Errors against `f64`, over arguments of every size, and the edges.

use super::*;

/// Distance of `y` from the exact `expected`, in units of the last place of the `f32` next to it.
fn ulps(y: f32, expected: f64) -> f64 {
    let nearest = expected as f32;
    if y == nearest || (y.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    if !y.is_finite() || !nearest.is_finite() {
        // The largest finite number next to infinity still counts as near.
        return if y.is_infinite() && expected.abs() > 3.4028e38 && y.signum() as f64 == expected.signum() {
            1.0
        } else {
            f64::INFINITY
        };
    }
    let exponent = (nearest.abs().max(f32::MIN_POSITIVE).to_bits() >> 23) as i32 - 127 - 23;
    (y as f64 - expected).abs() / 2f64.powi(exponent)
}

/// About a million arguments of both signs and every size between the bounds, and the bounds.
fn arguments(low: f32, high: f32) -> impl Iterator<Item = f32> {
    let edges = [low, high, 0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, -1e-45, f32::MIN_POSITIVE, 1.0 + f32::EPSILON];
    (0..=u32::MAX / 4093)
        .map(|i| f32::from_bits(i * 4093))
        .chain(
            (0..200_000)
                .map(move |i| low.max(-100.0) + (high.min(100.0) - low.max(-100.0)) * (i as f32 / 2e5)),
        )
        .chain(edges)
        .filter(move |x| (low..=high).contains(x))
}

fn worst(name: &str, f: fn(f32) -> f32, exact: fn(f64) -> f64, low: f32, high: f32, allowed: f64) {
    let (at, error) = arguments(low, high)
        .map(|x| (x, ulps(f(x), exact(x as f64))))
        .fold((0.0, -1.0), |worst, now| if now.1 > worst.1 { now } else { worst });
    println!("{name:10} {error:6.3} ulp at {at:e}");
    assert!(
        error <= allowed,
        "{name}: {error} ulp at {at:e}: {:e}, but exactly {:e}",
        f(at),
        exact(at as f64)
    );
}

/// By its series and its continued fraction.
fn erf_exact(x: f64) -> f64 {
    let size = x.abs();
    let y = if size < 3.0 {
        let (mut sum, mut term) = (size, size);
        for n in 1..120 {
            term *= -size * size / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else if size < 7.0 {
        let mut fraction = size;
        for n in (1..80).rev() {
            fraction = size + n as f64 / 2.0 / fraction;
        }
        1.0 - (-size * size).exp() / fraction / std::f64::consts::PI.sqrt()
    } else {
        1.0
    };
    y.copysign(x)
}

fn sigmoid_exact(x: f64) -> f64 {
    if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
}

#[test]
fn errors_are_as_documented() {
    const MAX: f32 = f32::MAX;
    worst("exp", exp, f64::exp, -MAX, 88.72283, 1.0);
    worst("exp2", exp2, f64::exp2, -MAX, 127.99999, 1.0);
    worst("expm1", expm1, f64::exp_m1, -MAX, 88.72283, 1.5);
    worst("log", log, f64::ln, 0.0, MAX, 1.0);
    worst("tanh", tanh, f64::tanh, -MAX, MAX, 1.5);
    worst("sigmoid", sigmoid, sigmoid_exact, -MAX, MAX, 2.1);
    worst("erf", erf, erf_exact, -MAX, MAX, 1.1);
    worst("softplus", softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), -MAX, MAX, 3.0);
    worst("sin", trig::sin, f64::sin, -MAX, MAX, 0.51);
    worst("cos", trig::cos, f64::cos, -MAX, MAX, 0.51);
    worst("tan", trig::tan, f64::tan, -MAX, MAX, 0.51);
    worst("asin", asin, f64::asin, -1.0, 1.0, 0.51);
    worst("acos", acos, f64::acos, -1.0, 1.0, 0.51);
    worst("atan", atan, f64::atan, -MAX, MAX, 0.51);
    worst("atanh", atanh, f64::atanh, -1.0, 1.0, 0.51);
    worst("sinh", sinh, f64::sinh, -89.41, 89.41, 0.51);
    worst("cosh", cosh, f64::cosh, -89.41, 89.41, 0.51);
}

#[test]
fn large_arguments_of_circular_functions() {
    // Sines to 16 digits, computed with 400 digits.
    for (x, sin) in CIRCULAR {
        assert!(ulps(trig::sin(x), sin) < 0.51, "sin({x:e}) = {:e}, but exactly {sin:e}", trig::sin(x));
        assert!(ulps(trig::sin(-x), -sin) < 0.51);
    }
}

const CIRCULAR: [(f32, f64); 6] = [
    (1_048_576.0, 0.330_493_140_021_734_7),
    (1_234_567.0, 0.364_452_174_787_556_3),
    (1e10, -0.487_506_025_087_510_7),
    (5.567_498e27, 0.629_995_208_156_710_8),
    (1.701_411_8e38, 0.623_385_512_955_870_2),
    (f32::MAX, -0.521_876_523_333_658_5),
];

#[test]
fn powers() {
    let bases = [0.0, 1e-45, 1e-40, 1e-20, 0.1, 0.5, 0.99999, 1.0, 1.0000001, 1.5, 2.0, 3.0, 7.5, 1e10, 3e38];
    let exponents = [0.0, 1e-10, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 7.0, 10.25, 31.0, 101.0, 1e4, 1e9, 1e38];
    let mut error: f64 = 0.0;
    for x in bases.into_iter().flat_map(|x: f32| [x, -x]) {
        for y in exponents.into_iter().flat_map(|y: f32| [y, -y]) {
            error = error.max(ulps(pow(x, y), (x as f64).powf(y as f64)));
        }
    }
    for i in 0..1_000_000u32 {
        let x = f32::from_bits(i * 2137);
        let y = ((i % 4001) as f32 - 2000.0) * 0.013;
        error = error.max(ulps(pow(x, y), (x as f64).powf(y as f64)));
    }
    println!("pow        {error:6.3} ulp");
    assert!(error <= 0.51, "{error}");
}

#[test]
fn powers_at_the_edges_are_those_of_c() {
    let values =
        [0.0, 1.0, 0.5, 2.0, 3.0, 2.5, 1e30, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN, 16_777_217.0];
    for x in values.into_iter().flat_map(|x| [x, -x]) {
        for y in values.into_iter().flat_map(|y| [y, -y]) {
            let (found, expected) = (pow(x, y), (x as f64).powf(y as f64) as f32);
            let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            assert!(same, "pow({x:e}, {y:e}) = {found:e}, but C has {expected:e}");
        }
    }
    assert_eq!([pow_int(3, 4), pow_int(-2, 31), pow_int(2, 32), pow_int(7, 0)], [81, i32::MIN, 0, 1]);
    assert_eq!([pow_int(2, -1), pow_int(-1, -3), pow_int(1, -2), pow_int(0, -1)], [0, -1, 1, 0]);
}

#[test]
fn edges() {
    const INF: f32 = f32::INFINITY;
    let same = |name: &str, found: f32, expected: f32| {
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(same, "{name}: {found:e}, but {expected:e} was expected");
    };
    type Case = (&'static str, fn(f32) -> f32, [f32; 4]);
    // At -inf, -0, 0, inf.
    let cases: [Case; 24] = [
        ("exp", exp, [0.0, 1.0, 1.0, INF]),
        ("exp2", exp2, [0.0, 1.0, 1.0, INF]),
        ("expm1", expm1, [-1.0, -0.0, 0.0, INF]),
        ("log", log, [f32::NAN, -INF, -INF, INF]),
        ("tanh", tanh, [-1.0, -0.0, 0.0, 1.0]),
        ("sigmoid", sigmoid, [0.0, 0.5, 0.5, 1.0]),
        ("silu", silu, [0.0, -0.0, 0.0, INF]),
        ("erf", erf, [-1.0, -0.0, 0.0, 1.0]),
        ("gelu", gelu, [0.0, -0.0, 0.0, INF]),
        ("gelu_tanh", gelu_tanh, [0.0, -0.0, 0.0, INF]),
        ("gelu_sigmoid", gelu_sigmoid, [0.0, -0.0, 0.0, INF]),
        ("softplus", softplus, [0.0, std::f32::consts::LN_2, std::f32::consts::LN_2, INF]),
        ("sin", trig::sin, [f32::NAN, -0.0, 0.0, f32::NAN]),
        ("cos", trig::cos, [f32::NAN, 1.0, 1.0, f32::NAN]),
        ("tan", trig::tan, [f32::NAN, -0.0, 0.0, f32::NAN]),
        ("asin", asin, [f32::NAN, -0.0, 0.0, f32::NAN]),
        ("atan", atan, [-std::f32::consts::FRAC_PI_2, -0.0, 0.0, std::f32::consts::FRAC_PI_2]),
        ("atanh", atanh, [f32::NAN, -0.0, 0.0, f32::NAN]),
        ("sinh", sinh, [-INF, -0.0, 0.0, INF]),
        ("cosh", cosh, [INF, 1.0, 1.0, INF]),
        ("round", round, [-INF, -0.0, 0.0, INF]),
        ("floor", floor, [-INF, -0.0, 0.0, INF]),
        ("ceil", ceil, [-INF, -0.0, 0.0, INF]),
        ("sign", sign, [-1.0, -0.0, 0.0, 1.0]),
    ];
    for (name, f, expected) in cases {
        for (x, expected) in [-INF, -0.0, 0.0, INF].into_iter().zip(expected) {
            same(name, f(x), expected);
        }
        same(name, f(f32::NAN), f32::NAN);
    }
    same("acos", acos(1.5), f32::NAN);
    same("exp", exp(88.8), INF);
    same("exp", exp(-104.0), 0.0);
    same("exp", exp(-103.0), 1e-45);
    same("log", log(-1.0), f32::NAN);
    same("maximum", maximum(1.0, f32::NAN), f32::NAN);
    same("minimum", minimum(f32::NAN, 1.0), f32::NAN);
}

#[test]
fn rounding() {
    for x in arguments(f32::MIN, f32::MAX) {
        assert_eq!(round(x).to_bits(), x.round_ties_even().to_bits(), "{x:e}");
        assert_eq!(floor(x).to_bits(), x.floor().to_bits(), "{x:e}");
        assert_eq!(ceil(x).to_bits(), x.ceil().to_bits(), "{x:e}");
    }
}

#[test]
fn remainders_are_those_of_python() {
    let values = [
        0.0,
        1.0,
        0.1,
        2.5,
        3.0,
        7.0,
        1e-30,
        1e-45,
        3e38,
        16_777_215.0,
        0.333_333_34,
        f32::INFINITY,
        f32::NAN,
    ];
    let any = |x: f32, y: f32| {
        if modulo::is_far(x, y) { modulo::modulo_far(x, y) } else { modulo::modulo_near(x, y) }
    };
    for x in values.into_iter().flat_map(|x| [x, -x]) {
        for y in values.into_iter().flat_map(|y| [y, -y]) {
            // Exact, then one sum, then one rounding.
            let rest = x as f64 % y as f64;
            let rest = if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y as f64 } else { rest };
            let rest = (if rest == 0.0 { 0f64.copysign(y as f64) } else { rest }) as f32;
            let found = any(x, y);
            let same = found.to_bits() == rest.to_bits() || (found.is_nan() && rest.is_nan());
            assert!(
                same || (rest == 0.0 && found == 0.0),
                "{x:e} mod {y:e} = {found:e}, but Python has {rest:e}"
            );
            let quotient = modulo::floor_div(x, y);
            if rest.is_finite() && y.is_finite() && (x / y).abs() < 1e7 {
                let exact = ((x as f64 - any(x, y) as f64) / y as f64).round() as f32;
                assert_eq!(quotient, exact, "{x:e} // {y:e}");
            }
        }
    }
    assert_eq!(modulo::floor_div(1.0, 0.1), 9.0);
    assert_eq!(modulo::floor_div(-5.0, f32::INFINITY), -1.0);
    assert_eq!(modulo::floor_div(1.0, 0.0), f32::INFINITY);
    assert_eq!(any(-5.0, f32::INFINITY), f32::INFINITY);
    assert_eq!(any(5.0, f32::INFINITY), 5.0);
    assert_eq!(any(3e38, 7e-30), modulo::modulo_far(3e38, 7e-30));
}
