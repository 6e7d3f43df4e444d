//! Elementwise ops of two tensors: every rule sums over the axes along which its operand was broadcast.

use super::Rule::{self, NoGradient, Vjp};
use super::context::{Done, Gradient};
use mil::ValueId;

const TRUTH: Rule = NoGradient("truth values carry no gradient");

pub(super) static RULES: &[(&str, Rule)] = &[
    ("add", Vjp(add)),
    ("sub", Vjp(sub)),
    ("mul", Vjp(mul)),
    ("real_div", Vjp(real_div)),
    ("floor_div", NoGradient("piecewise constant")),
    ("mod", Vjp(modulo)),
    ("pow", Vjp(pow)),
    ("maximum", Vjp(|g| extreme(g, "greater", "less"))),
    ("minimum", Vjp(|g| extreme(g, "less", "greater"))),
    ("equal", TRUTH),
    ("not_equal", TRUTH),
    ("greater", TRUTH),
    ("greater_equal", TRUTH),
    ("less", TRUTH),
    ("less_equal", TRUTH),
    ("logical_and", TRUTH),
    ("logical_or", TRUTH),
    ("logical_xor", TRUTH),
];

fn add(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    g.give_broadcast("x", dy)?;
    g.give_broadcast("y", dy)
}

fn sub(g: &mut Gradient<'_>) -> Done {
    let dy = g.dy_small()?;
    g.give_broadcast("x", dy)?;
    if g.wants("y") {
        let minus = g.negative(dy)?;
        g.give_broadcast("y", minus)?;
    }
    Ok(())
}

fn mul(g: &mut Gradient<'_>) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.arg("y")?, g.dy_small()?);
    if g.wants("x") {
        let dx = g.f.mul(dy, y)?;
        g.give_broadcast("x", dx)?;
    }
    if g.wants("y") {
        let d = g.f.mul(dy, x)?;
        g.give_broadcast("y", d)?;
    }
    Ok(())
}

/// `q = x / y`: `dx = dq / y`, `dy = -dq q / y`.
fn real_div(g: &mut Gradient<'_>) -> Done {
    let (y, q, dq) = (g.arg("y")?, g.y(), g.dy_small()?);
    let dx = g.f.real_div(dq, y)?;
    g.give_broadcast("x", dx)?;
    if g.wants("y") {
        let product = g.f.mul(dx, q)?;
        let d = g.negative(product)?;
        g.give_broadcast("y", d)?;
    }
    Ok(())
}

/// `x - y floor(x / y)`, whose floor is piecewise constant.
fn modulo(g: &mut Gradient<'_>) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.arg("y")?, g.dy_small()?);
    g.give_broadcast("x", dy)?;
    if g.wants("y") {
        let quotient = g.f.op("floor_div").arg("x", x).arg("y", y).one()?;
        let product = g.f.mul(dy, quotient)?;
        let d = g.negative(product)?;
        g.give_broadcast("y", d)?;
    }
    Ok(())
}

/// `p = x^y`: `dx = y x^(y-1)` (0 where `y = 0`), `dy = p ln x` (0 where `x = 0` and `y >= 0`).
fn pow(g: &mut Gradient<'_>) -> Done {
    let (x, y, p, dp) = (g.arg("x")?, g.arg("y")?, g.y(), g.dy_small()?);
    if g.wants("x") {
        pow_base(g, x, y, dp)?;
    }
    if g.wants("y") {
        let log = g.f.unary("log", x)?;
        let slope = g.f.mul(p, log)?;
        let (base, exponent) = (g.f.equal(x, 0.0)?, g.f.greater_equal(y, 0.0)?);
        let flat = g.f.logical_and(base, exponent)?;
        let slope = g.drop_where(flat, slope)?;
        let d = g.f.mul(dp, slope)?;
        g.give_broadcast("y", d)?;
    }
    Ok(())
}

/// `dx = y x^(y-1)`; constant exponents have shorter forms.
fn pow_base(g: &mut Gradient<'_>, x: ValueId, y: ValueId, dp: ValueId) -> Done {
    let constant = g.f.function().constant(y).and_then(|constant| constant.to_f32());
    let slope = match constant.as_deref() {
        Some(&[0.0]) => return Ok(()),
        Some(&[1.0]) => return g.give_broadcast("x", dp),
        Some(&[2.0]) => g.f.mul(x, 2.0)?,
        Some(&[exponent]) => {
            let power = g.f.pow(x, exponent - 1.0)?;
            g.f.mul(power, exponent)?
        }
        _ => {
            let less = g.f.sub(y, 1.0)?;
            let power = g.f.pow(x, less)?;
            let slope = g.f.mul(power, y)?;
            let flat = g.f.equal(y, 0.0)?;
            g.drop_where(flat, slope)?
        }
    };
    let dx = g.f.mul(dp, slope)?;
    g.give_broadcast("x", dx)
}

/// Each operand where it wins, half of it where both are equal.
fn extreme(g: &mut Gradient<'_>, x_wins: &str, y_wins: &str) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.arg("y")?, g.dy_small()?);
    let tie = g.f.equal(x, y)?;
    let half = g.f.mul(dy, 0.5)?;
    let shared = g.keep_where(tie, half)?;
    for (param, wins) in [("x", x_wins), ("y", y_wins)] {
        if g.wants(param) {
            let wins = g.f.op(wins).arg("x", x).arg("y", y).one()?;
            let d = g.f.select(wins, dy, shared)?;
            g.give_broadcast(param, d)?;
        }
    }
    Ok(())
}
