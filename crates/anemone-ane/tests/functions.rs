//! Functions that the engine does not have, over every number of their domain in `fp16`: what `legalize` puts in their
//! place against the function itself in `f64`, computed with IEEE's `fp16` and with the engine's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anemone_ane::chips::Chip;
use anemone_ane::legalize::legalize;
use anemone_ane::rules::{Verdict, check};
use anemone_cpu::{AneGeneration, CpuBackend, Numerics};
use anemone_runtime::{Backend, CompileOptions, Tensor};
use half::f16;
use mil::{BuildError, FunctionBuilder, Opset, Program, TensorType, ValueId, Verified, verify};

/// Every number of `fp16` that is not below `low` nor above `high`.
fn numbers(low: f64, high: f64) -> Vec<f16> {
    let all = (0..=u16::MAX).map(f16::from_bits);
    all.filter(|x| x.is_finite() && (low..=high).contains(&f64::from(*x))).collect()
}

fn program(
    shapes: &[&[usize]],
    body: impl Fn(&mut FunctionBuilder, &[ValueId]) -> Result<ValueId, BuildError>,
) -> Verified {
    let mut f = FunctionBuilder::new("main", Opset::Ios18);
    let inputs: Vec<ValueId> = shapes
        .iter()
        .enumerate()
        .map(|(at, &shape)| f.input(format!("x{at}"), TensorType::fp16(shape)).unwrap())
        .collect();
    let y = body(&mut f, &inputs).unwrap();
    f.name(y, "y");
    verify(Program::single(f.finish(&[y]).unwrap())).unwrap()
}

fn run(program: &Verified, numerics: Numerics, inputs: &[Tensor]) -> Vec<f64> {
    let backend = CpuBackend::with_threads(1).unwrap().numerics(numerics);
    let mut executable = backend.compile(program, &CompileOptions::default()).unwrap();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    executable.call(&inputs).unwrap()[0].to_f32().unwrap().iter().map(|&y| f64::from(y)).collect()
}

/// The program as the engine takes it; nothing of it may be refused.
fn legal(program: &Verified) -> Verified {
    let chip = Chip::named("M5").unwrap();
    assert_eq!(check(program, None, chip).unwrap().verdict, Verdict::Refused, "the engine has it after all");
    let (legal, changes) = legalize(program, chip).unwrap();
    assert!(!changes.is_empty());
    let after = check(&legal, None, chip).unwrap();
    assert!(after.verdict != Verdict::Refused, "{:#?}", after.findings);
    legal
}

const ENGINE: Numerics = Numerics::Ane(AneGeneration::H17);

/// Largest relative error, of results too small for `fp16` relative to its smallest normal number; what is infinite
/// has to be.
fn worst(x: &[f16], found: &[f64], numerics: Numerics, exact: impl Fn(f64) -> f64) -> (f64, f64) {
    let mut worst = (0.0, 0.0);
    for (&x, &y) in x.iter().zip(found) {
        let x = f64::from(x);
        let wanted = exact(x);
        // The engine's logarithm of 0 is finite, and its exponential may overflow a little before or after its time.
        let edge = wanted.is_infinite() || (6.4e4..6.7e4).contains(&wanted.abs());
        if numerics == ENGINE && edge {
            assert!(y.abs() > 2e4 && y.signum() == wanted.signum(), "f({x}) is {y}, not {wanted}");
            continue;
        }
        if wanted.abs() >= 65520.0 {
            assert!(y.is_infinite() && y.signum() == wanted.signum(), "f({x}) is {y}, not {wanted}");
            continue;
        }
        let error = (y - wanted).abs() / wanted.abs().max(f64::from(f16::MIN_POSITIVE));
        assert!(error.is_finite(), "f({x}) is {y}, not {wanted}");
        if error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[test]
fn functions_are_right_over_their_domain() {
    type Exact = fn(f64) -> f64;
    // What was measured, rounded up. A unit in the last place is 9.8e-4 at most; the engine's exponential is off by nine.
    let cases: [(&str, f64, f64, Exact, [f64; 2]); 5] = [
        ("asin", -1.0, 1.0, f64::asin, [1.4e-3, 1.6e-3]),
        ("acos", -1.0, 1.0, f64::acos, [1.2e-3, 1.1e-3]),
        ("atanh", -1.0, 1.0, f64::atanh, [9e-4, 1.6e-3]),
        ("sinh", -65504.0, 65504.0, f64::sinh, [1.7e-3, 8.3e-3]),
        ("cosh", -65504.0, 65504.0, f64::cosh, [1.7e-3, 8.3e-3]),
    ];
    for (op, low, high, exact, most) in cases {
        let x = numbers(low, high);
        let program = program(&[&[1, x.len()]], |f, x| f.unary(op, x[0]));
        let legal = legal(&program);
        let tensor = Tensor::new([1, x.len()], &x).unwrap();
        for (numerics, most) in [Numerics::Ieee, ENGINE].into_iter().zip(most) {
            let (error, at) =
                worst(&x, &run(&legal, numerics, std::slice::from_ref(&tensor)), numerics, exact);
            assert!(error <= most, "{op} {numerics:?}: {error:.3e} at {at}");
        }
    }
}

/// Why `cosh` is no sum of shifted exponentials.
#[test]
fn a_shifted_argument_loses_digits() {
    let x = numbers(-11.0, 11.0);
    let shifted = program(&[&[1, x.len()]], |f, x| {
        let negated = f.mul(x[0], -1.0)?;
        let (a, b) = (f.sub(x[0], std::f32::consts::LN_2)?, f.sub(negated, std::f32::consts::LN_2)?);
        let (a, b) = (f.unary("exp", a)?, f.unary("exp", b)?);
        f.add(a, b)
    });
    let tensor = Tensor::new([1, x.len()], &x).unwrap();
    let (error, at) = worst(&x, &run(&shifted, Numerics::Ieee, &[tensor]), Numerics::Ieee, f64::cosh);
    assert!((2.5e-3..2.7e-3).contains(&error), "{error:.3e} at {at}");
}

#[test]
fn remainders_by_powers_of_two_are_exact() {
    let x = numbers(-65504.0, 65504.0);
    let tensor = Tensor::new([1, x.len()], &x).unwrap();
    for by in [1.0, 2.0, 64.0, 1024.0, 16384.0] {
        let program = program(&[&[1, x.len()]], |f, x| {
            let by = f.float(mil::DataType::Fp16, by as f32);
            f.op("mod").arg("x", x[0]).arg("y", by).one()
        });
        let legal = legal(&program);
        for numerics in [Numerics::Ieee, ENGINE] {
            for (&x, &found) in x.iter().zip(&run(&legal, numerics, std::slice::from_ref(&tensor))) {
                let x = f64::from(x);
                let wanted = x - by * (x / by).floor();
                // Only what is added to a negative number is rounded.
                let room = if x < 0.0 { by * 2f64.powi(-11) } else { 0.0 };
                assert!(
                    (found - wanted).abs() <= room,
                    "{x} mod {by} is {found}, not {wanted} ({numerics:?})"
                );
            }
        }
    }
}

#[test]
fn products_of_halves_are_products() {
    let chip = Chip::named("M5").unwrap();
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    for (shape, axes, keep) in [
        ([3, 7, 16], vec![1], false),
        ([3, 7, 16], vec![2], true),
        ([2, 65, 5], vec![1], true),
        ([4, 3, 5], vec![0, 2], false),
        ([1, 3, 1], vec![0], false),
    ] {
        let program = program(&[&shape], |f, x| {
            let x = f.op("clip").arg("x", x[0]).float("alpha", -1.0).float("beta", 1.0).one()?;
            f.reduce("reduce_prod", x, &axes, keep)
        });
        let legal = legal(&program);
        assert!(legalize(&legal, chip).unwrap().1.is_empty(), "a second time changes nothing");
        let count = shape.iter().product();
        // Mostly near 1, some negative.
        let x: Vec<f16> = (0..count)
            .map(|_| f16::from_f64((0.6 + 0.6 * next()).min(1.0) * if next() < 0.2 { -1.0 } else { 1.0 }))
            .collect();
        let tensor = Tensor::new(shape, &x).unwrap();
        let [a, b, c] = shape;
        let mut wanted = std::collections::BTreeMap::new();
        for (at, &x) in x.iter().enumerate() {
            let mut place = [at / (b * c), at / c % b, at % c];
            debug_assert!(place[0] < a);
            axes.iter().for_each(|&axis| place[axis as usize] = 0);
            *wanted.entry(place).or_insert(1.0) *= f64::from(x);
        }
        let terms: usize = axes.iter().map(|&axis| shape[axis as usize]).product();
        for numerics in [Numerics::Ieee, ENGINE] {
            let found = run(&legal, numerics, std::slice::from_ref(&tensor));
            assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(wanted.values()) {
                let room = terms as f64 * 2f64.powi(-11) * wanted.abs() + 2f64.powi(-24);
                assert!((found - wanted).abs() <= room, "{shape:?} over {axes:?}: {found}, not {wanted}");
            }
        }
    }
}

/// Two of any size; three only if nothing can leave the range in between.
#[test]
fn what_is_not_sound_stays_refused() {
    let chip = Chip::named("M5").unwrap();
    let refused = |program: Verified| {
        let (after, changes) = legalize(&program, chip).unwrap();
        assert!(changes.is_empty(), "{changes:?}");
        let found = check(&after, None, chip).unwrap();
        assert_eq!(found.verdict, Verdict::Refused);
        assert!(found.findings.iter().all(|finding| !finding.fixable), "{:#?}", found.findings);
    };
    for by in [0.5, 3.0, 0.3, -2.0, 32768.0] {
        refused(program(&[&[1, 8]], |f, x| {
            let by = f.float(mil::DataType::Fp16, by);
            f.op("mod").arg("x", x[0]).arg("y", by).one()
        }));
    }
    refused(program(&[&[1, 8], &[1, 8]], |f, x| f.op("mod").arg("x", x[0]).arg("y", x[1]).one()));
    refused(program(&[&[1, 3]], |f, x| f.reduce("reduce_prod", x[0], &[1], true)));
    // 3^8 is above 4096.
    refused(program(&[&[1, 8]], |f, x| {
        let x = f.op("clip").arg("x", x[0]).float("alpha", -3.0).float("beta", 3.0).one()?;
        f.reduce("reduce_prod", x, &[1], true)
    }));
    legal(&program(&[&[1, 2]], |f, x| f.reduce("reduce_prod", x[0], &[1], true)));
    legal(&program(&[&[1, 7]], |f, x| {
        let x = f.op("clip").arg("x", x[0]).float("alpha", -3.0).float("beta", 3.0).one()?;
        f.reduce("reduce_prod", x, &[1], true)
    }));
}
