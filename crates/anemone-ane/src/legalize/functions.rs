//! Functions that the engine does not have, by operations that it has.
//!
//! Each is written so that nothing cancels in `fp16`: a polynomial where a difference would, exact reductions of the
//! argument elsewhere. The engine's `atan` is off by 2 %, so nothing goes through it. What cannot be written soundly
//! stays refused: a remainder by anything but a power of two (the quotient would need more digits than `fp16` has), a
//! product of many numbers of any size (parts of it leave the range where the whole does not).
//!
//! Largest relative errors against `f64`, over every `fp16` number of the domain (`tests/functions.rs`), by IEEE's
//! arithmetic and by that of H17:
//!
//! | | IEEE | H17 |
//! |---|--:|--:|
//! | `asin` | 1.4e-3 | 1.5e-3 |
//! | `acos` | 1.1e-3 | 1.0e-3 |
//! | `atanh` | 8.8e-4 | 1.5e-3 |
//! | `sinh`, `cosh` | 1.6e-3 | 8.2e-3 |
//! | `mod` | 0, for negative numbers 2^-11 of the divisor | the same |
//!
//! A unit in the last place is 9.8e-4 at most. H17 takes roots, logarithms and exponentials from its tables; `atanh` of 1, which
//! is infinite, is half of its logarithm of 0 there.

use super::pointwise::{Results, required};
use super::{Context, Rewrite, UNSUPPORTED};
use crate::rules::Site;
use mil::ops::reduction::reduced_axes;
use mil::{BuildError, Constant, DataType, Function, FunctionBuilder, Operation, ValueId};

pub(super) static REWRITES: &[Rewrite] = &[
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["asin"],
        into: "a polynomial, beyond 1/2 of sqrt((1 - |x|) / 2)",
        possible: |_| true,
        apply: |f, operation, _| arc(f, operation, false),
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["acos"],
        into: "a polynomial, beyond 1/2 of sqrt((1 - |x|) / 2)",
        possible: |_| true,
        apply: |f, operation, _| arc(f, operation, true),
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["atanh"],
        into: "a polynomial, beyond 1/2 a logarithm",
        possible: |_| true,
        apply: atanh,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["sinh"],
        into: "a polynomial, beyond 1 exponentials",
        possible: |_| true,
        apply: |f, operation, _| hyperbolic(f, operation, false),
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["cosh"],
        into: "exponentials of |x|",
        possible: |_| true,
        apply: |f, operation, _| hyperbolic(f, operation, true),
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["mod"],
        into: "y * (x / y - floor(x / y)), for a power of two",
        possible: |site| {
            site.op.output(0).dtype.is_float() && divisor(site.op.function, site.op.operation).is_some()
        },
        apply: modulo,
    },
    Rewrite {
        rule: UNSUPPORTED,
        ops: &["reduce_prod"],
        into: "products of halves",
        possible: products_fit,
        apply: product,
    },
];

/// Half of pi in two parts, of which the first is exact in `fp16`.
const HALF_PI: (f32, f32) = (1.5703125, 4.838_268e-4);

// Of (f(x) / x - 1) / x² in x², through the nodes of Chebyshev: up to 1/4 for the first two, up to 1 for sinh. Fewer
// terms in `fp16`, where they are off by less than a twentieth of its precision.
const ASIN: (&[f32], &[f32]) =
    (&[0.1666867, 0.07357109, 0.05897564], &[0.1666667, 0.07498855, 0.04500138, 0.02655454, 0.03808502]);
const ATANH: (&[f32], &[f32]) =
    (&[0.3334093, 0.1945928, 0.1967306], &[0.3333333, 0.2000047, 0.1426398, 0.1146988, 0.0649349, 0.1575178]);
const SINH: (&[f32], &[f32]) = (&[0.1666415, 0.008534176], &[0.1666668, 0.008331763, 0.0002025888]);

/// `x + x * square * polynomial(square)`: an odd function near zero, with its relative precision.
fn odd(
    f: &mut FunctionBuilder,
    x: ValueId,
    square: ValueId,
    (half, single): (&[f32], &[f32]),
) -> Result<ValueId, BuildError> {
    let terms = if f.dtype(x) == DataType::Fp16 { half } else { single };
    let mut sum: Option<ValueId> = None;
    for &term in terms.iter().rev() {
        let inner = match sum {
            None => f.mul(square, term)?,
            Some(sum) => {
                let sum = f.add(sum, term)?;
                f.mul(sum, square)?
            }
        };
        sum = Some(inner);
    }
    let tail = f.mul(x, sum.unwrap_or(square))?;
    f.add(x, tail)
}

/// `asin` and `acos`. Up to 1/2 it is the polynomial of x; beyond, `asin(|x|)` is a right angle less twice that of
/// `sqrt((1 - |x|) / 2)`, where the difference is exact.
fn arc(f: &mut FunctionBuilder, operation: &Operation, cosine: bool) -> Results {
    let x = required(f, operation, "x")?;
    let dtype = f.dtype(x);
    let size = f.unary("abs", x)?;
    let far = f.greater(size, 0.5)?;
    let one = f.float(dtype, 1.0);
    let rest = f.sub(one, size)?;
    let (rest, near) = (f.mul(rest, 0.5)?, f.mul(size, size)?);
    let square = f.select(far, rest, near)?;
    let root = f.unary("sqrt", rest)?;
    let root = f.select(far, root, size)?;
    let angle = odd(f, root, square, ASIN)?;
    let sign = f.unary("sign", x)?;
    let twice = f.add(angle, angle)?;
    // A right angle less this one, with the digits of the right angle that fp16 lacks.
    let complement = |f: &mut FunctionBuilder, angle: ValueId, times: f32| -> Result<ValueId, BuildError> {
        let right = f.float(dtype, HALF_PI.0 * times);
        let left = f.sub(right, angle)?;
        f.add(left, HALF_PI.1 * times)
    };
    Ok(vec![if cosine {
        let signed = f.mul(angle, sign)?;
        let near = complement(f, signed, 1.0)?;
        let left = complement(f, twice, 2.0)?;
        let right = f.greater(x, 0.0)?;
        let beyond = f.select(right, twice, left)?;
        f.select(far, beyond, near)?
    } else {
        let beyond = complement(f, twice, 1.0)?;
        let angle = f.select(far, beyond, angle)?;
        f.mul(angle, sign)?
    }])
}

/// Half the logarithm of a quotient, which is 0 at infinity rather than infinity at 0: the engine's logarithm of
/// infinity is 0. The quotient is near 1 for small x, and all digits of x would be lost there.
fn atanh(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let size = f.unary("abs", x)?;
    let square = f.mul(x, x)?;
    let near = odd(f, x, square, ATANH)?;
    let one = f.float(f.dtype(x), 1.0);
    let (below, above) = (f.sub(one, size)?, f.add(size, 1.0)?);
    let quotient = f.real_div(below, above)?;
    // Without the number that MIL adds by itself, so that 1 goes to infinity.
    let logarithm = f.op("log").arg("x", quotient).float("epsilon", 0.0).one()?;
    let sign = f.unary("sign", x)?;
    let half = f.mul(logarithm, -0.5)?;
    let beyond = f.mul(half, sign)?;
    let far = f.greater(size, 0.5)?;
    Ok(vec![f.select(far, beyond, near)?])
}

/// `sinh` and `cosh`. The large exponential is a square, `exp(|x| / 2)²`: half of the argument is exact, and neither
/// factor overflows before the result does. A shifted argument, `exp(|x| - ln 2)`, would lose its last digits, 0.26 %
/// of the result. Near zero `sinh` is a polynomial.
fn hyperbolic(f: &mut FunctionBuilder, operation: &Operation, cosine: bool) -> Results {
    let x = required(f, operation, "x")?;
    let size = f.unary("abs", x)?;
    let half = f.mul(size, 0.5)?;
    let grown = f.unary("exp", half)?;
    let halved = f.mul(grown, 0.5)?;
    let large = f.mul(halved, grown)?;
    let negated = f.mul(size, -1.0)?;
    let shrunk = f.unary("exp", negated)?;
    let small = f.mul(shrunk, 0.5)?;
    if cosine {
        return Ok(vec![f.add(large, small)?]);
    }
    let difference = f.sub(large, small)?;
    let sign = f.unary("sign", x)?;
    let beyond = f.mul(difference, sign)?;
    let square = f.mul(x, x)?;
    let near = odd(f, x, square, SINH)?;
    let far = f.greater(size, 1.0)?;
    Ok(vec![f.select(far, beyond, near)?])
}

/// The divisor of a `mod`, where it is one power of two from 1 to 16384, so that its reciprocal is a normal number of
/// `fp16` and the quotient exact; and where it stretches nothing.
fn divisor(function: &Function, operation: &Operation) -> Option<f32> {
    let view = function.view(operation);
    let values = function.constant(view.value("y")?).and_then(Constant::to_f32)?;
    let &first = values.first()?;
    let power = (1.0..=16384.0).contains(&first) && first.to_bits() & 0x007f_ffff == 0;
    let same = operation
        .outputs
        .first()
        .is_some_and(|&id| view.value("x").is_some_and(|x| function.shape(x) == function.shape(id)));
    (power && same && values.iter().all(|&value| value == first)).then_some(first)
}

/// What is left of the quotient, times the divisor: both are exact where x is not below the divisor, and nothing is
/// larger than x. A multiplication of the floor itself would be both larger and, on H17, dropped.
fn modulo(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let x = required(f, operation, "x")?;
    let by = divisor(f.function(), operation).unwrap_or(1.0);
    let quotient = f.mul(x, 1.0 / by)?;
    let whole = f.unary("floor", quotient)?;
    if by == 1.0 {
        return Ok(vec![f.sub(quotient, whole)?]);
    }
    // The quotient of a tiny negative number may be no number below zero any more.
    let (lower, below) = (f.minimum(whole, -1.0)?, f.less(x, 0.0)?);
    let whole = f.select(below, lower, whole)?;
    let rest = f.sub(quotient, whole)?;
    let rest = f.mul(rest, by)?;
    // What is smaller than y is its own remainder; its quotient may lack digits.
    let own = f.equal(whole, 0.0)?;
    Ok(vec![f.select(own, x, rest)?])
}

/// Whether partial products in `fp16` lose nothing that the whole has. Of two numbers there are none. Of more, the
/// largest product of all has to be below 4096: then none overflows, and what a part loses below the range of `fp16`
/// is no more than the last digit of 1.
fn products_fit(site: &Site<'_>) -> bool {
    let output = site.op.output(0);
    let Ok(axes) = reduced_axes(&site.op) else { return false };
    let shape = site.shape("x");
    let terms = axes.iter().map(|&axis| shape[axis]).fold(1usize, usize::saturating_mul);
    let largest = libm::pow(site.magnitude("x").max(1.0), terms as f64);
    output.dtype.is_float() && output.shape.rank() > 0 && (terms <= 2 || largest <= 4096.0)
}

fn product(f: &mut FunctionBuilder, operation: &Operation, _: &Context) -> Results {
    let mut x = required(f, operation, "x")?;
    let wrong = |_| BuildError::Missing { op: "reduce_prod", name: None, param: "axes" };
    let axes = reduced_axes(&f.function().view(operation)).map_err(wrong)?;
    for axis in axes {
        let mut left: Vec<ValueId> = Vec::new();
        loop {
            let size = f.shape(x)[axis];
            if size <= 1 {
                break;
            }
            let half = (size / 2) as i32;
            let sizes = [half, half, 1];
            let sizes = &sizes[..if size.is_multiple_of(2) { 2 } else { 3 }];
            let call =
                f.op("split").arg("x", x).int("num_splits", sizes.len() as i32).int("axis", axis as i32);
            let pieces = call.ints("split_sizes", sizes).many()?;
            x = f.mul(pieces[0], pieces[1])?;
            left.extend(pieces.get(2));
        }
        for odd in left {
            x = f.mul(x, odd)?;
        }
    }
    let shape = operation.outputs.first().map(|&id| f.shape(id).to_vec()).unwrap_or_default();
    if f.shape(x) != shape.as_slice() {
        return Ok(vec![f.reshape(x, &shape)?]);
    }
    // Of axes of one element nothing was made.
    Ok(vec![if operation.uses().any(|used| used == x) { super::rewriter::times_one(f, x)? } else { x }])
}
