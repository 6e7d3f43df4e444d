//! Division with a remainder of the divisor's sign, as Python has it.

/// Quotients from here on are too large for the exact `f64` way.
const FAR: f64 = 268_435_456.0;
/// 2^52: `f64`s from here on are integers.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

#[inline(always)]
fn floor(x: f64) -> f64 {
    let size = x.abs();
    let near = ((size + INTEGERS) - INTEGERS).copysign(x);
    let near = if size < INTEGERS { near } else { x };
    if near > x { near - 1.0 } else { near }
}

/// Whether [`modulo_near`] does not hold.
#[inline(always)]
pub(crate) fn is_far(x: f32, y: f32) -> bool {
    let quotient = x as f64 / y as f64;
    quotient.abs() >= FAR
}

/// `floor(x / y)` of the exact quotient.
#[inline(always)]
pub(crate) fn floor_div(x: f32, y: f32) -> f32 {
    // 53 bits are enough to keep the quotient on its side of every integer that `f32` can tell apart.
    let quotient = floor(x as f64 / y as f64) as f32;
    let opposite = x != 0.0 && x.is_finite() && (x < 0.0) != (y < 0.0);
    if y.is_infinite() && opposite { -1.0 } else { quotient }
}

/// `x - y * floor(x / y)`, exact but for one rounding, where [`is_far`] is false.
#[inline(always)]
pub(crate) fn modulo_near(x: f32, y: f32) -> f32 {
    let (a, b) = (x as f64, y as f64);
    // Quotient and product have at most 52 bits, so nothing is lost.
    let rest = (a - b * floor(a / b)) as f32;
    let rest = if rest == 0.0 { rest.copysign(y) } else { rest };
    let opposite = x != 0.0 && (x < 0.0) != (y < 0.0);
    let endless = if opposite { y } else { x };
    if y.is_infinite() && x.is_finite() { endless } else { rest }
}

/// The same where [`is_far`] is true.
#[cold]
pub(crate) fn modulo_far(x: f32, y: f32) -> f32 {
    // Exact by definition; infinite for `y = 0` and `x` infinite, then not a number.
    let rest = x % y;
    if rest == 0.0 {
        rest.copysign(y)
    } else if (rest < 0.0) != (y < 0.0) {
        rest + y
    } else {
        rest
    }
}
