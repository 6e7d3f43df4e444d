//! Elementwise ops of one tensor: `dx = dy · slope`, with the slope from the output where that is cheaper.

use super::Rule::{self, NoGradient, Vjp};
use super::context::{Done, Gradient, RuleError};
use mil::ValueId;
use std::f32::consts::{FRAC_2_SQRT_PI, LN_2};

const STEPS: Rule = NoGradient("piecewise constant");

pub(super) static RULES: &[(&str, Rule)] = &[
    ("abs", Vjp(|g| scaled(g, |g, x, _| Ok(g.f.unary("sign", x)?)))),
    ("acos", Vjp(|g| divided(g, -1.0, circle))),
    ("asin", Vjp(|g| divided(g, 1.0, circle))),
    ("atan", Vjp(|g| divided(g, 1.0, |g, x, _| plus_square(g, x)))),
    ("atanh", Vjp(|g| divided(g, 1.0, |g, x, _| minus_square(g, x)))),
    ("ceil", STEPS),
    ("cos", Vjp(cos)),
    ("cosh", Vjp(|g| scaled(g, |g, x, _| Ok(g.f.unary("sinh", x)?)))),
    ("erf", Vjp(|g| scaled(g, |g, x, _| erf_slope(g, x)))),
    ("exp", Vjp(|g| scaled(g, |_, _, y| Ok(y)))),
    ("exp2", Vjp(|g| scaled(g, |g, _, y| Ok(g.f.mul(y, LN_2)?)))),
    ("floor", STEPS),
    ("round", STEPS),
    ("sign", STEPS),
    ("sin", Vjp(|g| scaled(g, |g, x, _| Ok(g.f.unary("cos", x)?)))),
    ("sinh", Vjp(|g| scaled(g, |g, x, _| Ok(g.f.unary("cosh", x)?)))),
    ("sqrt", Vjp(|g| divided(g, 0.5, |_, _, y| Ok(y)))),
    ("square", Vjp(|g| scaled(g, |g, x, _| Ok(g.f.mul(x, 2.0)?)))),
    ("tan", Vjp(|g| scaled(g, |g, _, y| plus_square(g, y)))),
    ("tanh", Vjp(|g| scaled(g, |g, _, y| minus_square(g, y)))),
    ("clip", Vjp(clip)),
    ("inverse", Vjp(inverse)),
    ("log", Vjp(log)),
    ("logical_not", NoGradient("truth values carry no gradient")),
    ("rsqrt", Vjp(rsqrt)),
    ("threshold", Vjp(threshold)),
    ("cast", Vjp(cast)),
];

type Slope = fn(&mut Gradient<'_>, ValueId, ValueId) -> Result<ValueId, RuleError>;

/// `dx = dy · slope(x, y)`.
pub(super) fn scaled(g: &mut Gradient<'_>, slope: Slope) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy_small()?);
    let slope = slope(g, x, y)?;
    let dx = g.f.mul(dy, slope)?;
    g.give("x", dx)
}

/// `dx = factor · dy / divisor(x, y)`.
fn divided(g: &mut Gradient<'_>, factor: f32, divisor: Slope) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy_small()?);
    let divisor = divisor(g, x, y)?;
    let dy = if factor == 1.0 { dy } else { g.f.mul(dy, factor)? };
    let dx = g.f.real_div(dy, divisor)?;
    g.give("x", dx)
}

/// `sqrt(1 - x²)`, as a product that keeps its digits near ±1.
fn circle(g: &mut Gradient<'_>, x: ValueId, _: ValueId) -> Result<ValueId, RuleError> {
    let product = minus_square(g, x)?;
    Ok(g.f.unary("sqrt", product)?)
}

/// `1 - v²` as `(1 - v)(1 + v)`.
fn minus_square(g: &mut Gradient<'_>, v: ValueId) -> Result<ValueId, RuleError> {
    let (less, more) = (g.f.sub(1.0, v)?, g.f.add(v, 1.0)?);
    Ok(g.f.mul(less, more)?)
}

/// `1 + v²`.
fn plus_square(g: &mut Gradient<'_>, v: ValueId) -> Result<ValueId, RuleError> {
    let square = g.f.unary("square", v)?;
    Ok(g.f.add(square, 1.0)?)
}

/// `2/√π · exp(-x²)`.
pub(super) fn erf_slope(g: &mut Gradient<'_>, x: ValueId) -> Result<ValueId, RuleError> {
    let square = g.f.unary("square", x)?;
    let minus = g.negative(square)?;
    let bell = g.f.unary("exp", minus)?;
    Ok(g.f.mul(bell, FRAC_2_SQRT_PI)?)
}

fn cos(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy_small()?);
    let sin = g.f.unary("sin", x)?;
    let minus = g.negative(dy)?;
    let dx = g.f.mul(minus, sin)?;
    g.give("x", dx)
}

/// 0 at both bounds, as PyTorch 2.15 has it (older versions pass there).
fn clip(g: &mut Gradient<'_>) -> Done {
    let (x, low, high) = (g.arg("x")?, g.float("alpha")?, g.float("beta")?);
    let dy = g.dy_small()?;
    let (above, below) = (g.f.greater(x, low)?, g.f.less(x, high)?);
    let inside = g.f.logical_and(above, below)?;
    let dx = g.keep_where(inside, dy)?;
    g.give("x", dx)
}

fn threshold(g: &mut Gradient<'_>) -> Done {
    let (x, low, dy) = (g.arg("x")?, g.float("alpha")?, g.dy_small()?);
    let above = g.f.greater(x, low)?;
    let dx = g.keep_where(above, dy)?;
    g.give("x", dx)
}

/// `y = 1 / (x + ε)`: `-y²`.
fn inverse(g: &mut Gradient<'_>) -> Done {
    scaled(g, |g, _, y| {
        let square = g.f.unary("square", y)?;
        g.negative(square)
    })
}

/// `y = ln(x + ε)`: `1 / (x + ε)`.
fn log(g: &mut Gradient<'_>) -> Done {
    divided(g, 1.0, |g, x, _| {
        let epsilon = g.float("epsilon")?;
        // The default, 1e-45, changes nothing but ln 0; the slope there is infinite.
        Ok(if epsilon < f32::MIN_POSITIVE { x } else { g.f.add(x, epsilon)? })
    })
}

/// `y = (x + ε)^(-1/2)`: `-y³/2`.
fn rsqrt(g: &mut Gradient<'_>) -> Done {
    scaled(g, |g, _, y| {
        let square = g.f.unary("square", y)?;
        let cube = g.f.mul(square, y)?;
        Ok(g.f.mul(cube, -0.5)?)
    })
}

/// The cotangent goes back in the type that the value came in; `give` converts.
fn cast(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    g.give("x", dy)
}
