//! Reductions: the cotangent is constant along the reduced axes, so it stays small (extent 1) as long as it can.

use super::Rule::{self, NoGradient, Vjp};
use super::context::{Done, Gradient, RuleError};
use mil::ValueId;
use mil::ops::reduction::reduced_axes;

const INDEX: Rule = NoGradient("the output is an index");

pub(super) static RULES: &[(&str, Rule)] = &[
    ("reduce_argmax", INDEX),
    ("reduce_argmin", INDEX),
    ("reduce_l1_norm", Vjp(l1_norm)),
    ("reduce_l2_norm", Vjp(l2_norm)),
    ("reduce_log_sum", Vjp(log_sum)),
    ("reduce_log_sum_exp", Vjp(log_sum_exp)),
    ("reduce_max", Vjp(extreme)),
    ("reduce_mean", Vjp(mean)),
    ("reduce_min", Vjp(extreme)),
    ("reduce_prod", Vjp(prod)),
    ("reduce_sum", Vjp(sum)),
    ("reduce_sum_square", Vjp(sum_square)),
];

/// Input, axes reduced, and the cotangent with the reduced axes kept as extents of 1.
struct Reduced {
    x: ValueId,
    axes: Vec<i32>,
    /// Elements that go into one output.
    count: usize,
    /// Shape of the output with the reduced axes kept.
    kept: Vec<usize>,
    dy: ValueId,
}

impl Reduced {
    /// The output with the reduced axes kept.
    fn y(&self, g: &mut Gradient<'_>) -> Result<ValueId, RuleError> {
        let y = g.y();
        Ok(g.f.reshape(y, &self.kept)?)
    }
}

fn reduced(g: &mut Gradient<'_>) -> Result<Reduced, RuleError> {
    let x = g.arg("x")?;
    let axes = reduced_axes(&g.view())?;
    let mut kept = g.shape(x).to_vec();
    let mut count = 1;
    for &axis in &axes {
        count *= kept[axis];
        kept[axis] = 1;
    }
    // With the axes kept already, a cotangent that is constant along others as well can stay so.
    let dy = if g.shape(g.y()).rank() == kept.len() { g.dy_small()? } else { g.dy()? };
    let dy = if g.shape(dy).rank() == kept.len() { dy } else { g.f.reshape(dy, &kept)? };
    Ok(Reduced { x, axes: axes.into_iter().map(|axis| axis as i32).collect(), count, kept, dy })
}

fn sum(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    g.give("x", r.dy)
}

fn mean(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let dx = g.f.mul(r.dy, 1.0 / r.count as f32)?;
    g.give("x", dx)
}

fn sum_square(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let twice = g.f.mul(r.dy, 2.0)?;
    let dx = g.f.mul(r.x, twice)?;
    g.give("x", dx)
}

fn l1_norm(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let sign = g.f.unary("sign", r.x)?;
    let dx = g.f.mul(sign, r.dy)?;
    g.give("x", dx)
}

/// `x / y`, and 0 where all is 0 (PyTorch's choice).
fn l2_norm(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let y = r.y(g)?;
    let quotient = g.f.real_div(r.dy, y)?;
    let zero = g.f.equal(y, 0.0)?;
    let scale = g.drop_where(zero, quotient)?;
    let dx = g.f.mul(r.x, scale)?;
    g.give("x", dx)
}

/// `y = ln s`: `1 / s = exp(-y)`.
fn log_sum(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let y = r.y(g)?;
    let minus = g.negative(y)?;
    let slope = g.f.unary("exp", minus)?;
    let dx = g.f.mul(r.dy, slope)?;
    g.give("x", dx)
}

/// `exp(x - y)`: the softmax.
fn log_sum_exp(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let y = r.y(g)?;
    let shifted = g.f.sub(r.x, y)?;
    let softmax = g.f.unary("exp", shifted)?;
    let dx = g.f.mul(softmax, r.dy)?;
    g.give("x", dx)
}

/// Equal extremes share evenly.
fn extreme(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let y = r.y(g)?;
    let dtype = g.dtype(r.x);
    let wins = g.f.equal(r.x, y)?;
    let ones = g.f.cast(wins, dtype)?;
    let count = g.f.reduce("reduce_sum", ones, &r.axes, true)?;
    let share = g.f.real_div(r.dy, count)?;
    let dx = g.keep_where(wins, share)?;
    g.give("x", dx)
}

/// The product of all others: `y / x`; with one zero among them, that zero gets the product of the others; with
/// more, nobody gets anything.
fn prod(g: &mut Gradient<'_>) -> Done {
    let r = reduced(g)?;
    let y = r.y(g)?;
    let dtype = g.dtype(r.x);
    let is_zero = g.f.equal(r.x, 0.0)?;
    let one = g.f.float(dtype, 1.0);
    let others = g.f.select(is_zero, one, r.x)?;
    let product = g.f.reduce("reduce_prod", others, &r.axes, true)?;
    let zeros = g.f.cast(is_zero, dtype)?;
    let zeros = g.f.reduce("reduce_sum", zeros, &r.axes, true)?;
    let alone = g.f.equal(zeros, 1.0)?;
    let at_zero = g.keep_where(alone, product)?;
    let elsewhere = g.f.real_div(y, others)?;
    let slope = g.f.select(is_zero, at_zero, elsewhere)?;
    let dx = g.f.mul(slope, r.dy)?;
    g.give("x", dx)
}
