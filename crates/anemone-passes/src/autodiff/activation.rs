//! Activation functions. Slopes at kinks are PyTorch's.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::elementwise_unary::scaled;
use mil::ValueId;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

pub(super) static RULES: &[(&str, Rule)] = &[
    ("clamped_relu", Vjp(clamped_relu)),
    ("elu", Vjp(elu)),
    ("gelu", Vjp(gelu)),
    ("leaky_relu", Vjp(leaky_relu)),
    ("linear_activation", Vjp(linear_activation)),
    ("prelu", Vjp(prelu)),
    ("relu", Vjp(relu)),
    ("relu6", Vjp(relu6)),
    ("scaled_tanh", Vjp(scaled_tanh)),
    ("sigmoid", Vjp(sigmoid)),
    ("sigmoid_hard", Vjp(sigmoid_hard)),
    ("silu", Vjp(silu)),
    ("softplus", Vjp(|g| scaled(g, |g, x, _| Ok(g.f.unary("sigmoid", x)?)))),
    ("softplus_parametric", Vjp(softplus_parametric)),
    ("softsign", Vjp(softsign)),
    ("thresholded_relu", Vjp(thresholded_relu)),
    ("softmax", Vjp(softmax)),
];

/// By the output's sign: it is at hand, and positive exactly where the input is.
fn relu(g: &mut Gradient<'_>) -> Done {
    let (y, dy) = (g.y(), g.dy_small()?);
    let passes = g.f.greater(y, 0.0)?;
    let dx = g.keep_where(passes, dy)?;
    g.give("x", dx)
}

/// 0 at both ends, as in PyTorch's `hardtanh`.
fn relu6(g: &mut Gradient<'_>) -> Done {
    let (y, dy) = (g.y(), g.dy_small()?);
    let (above, below) = (g.f.greater(y, 0.0)?, g.f.less(y, 6.0)?);
    let inside = g.f.logical_and(above, below)?;
    let dx = g.keep_where(inside, dy)?;
    g.give("x", dx)
}

fn leaky_relu(g: &mut Gradient<'_>) -> Done {
    let (x, alpha, dy) = (g.arg("x")?, g.float("alpha")?, g.dy_small()?);
    let positive = g.f.greater(x, 0.0)?;
    let leak = g.f.mul(dy, alpha)?;
    let dx = g.f.select(positive, dy, leak)?;
    g.give("x", dx)
}

/// `min(x, β)` for `x >= 0`, `min(αx, β)` below; slope 0 where `β` is reached.
fn clamped_relu(g: &mut Gradient<'_>) -> Done {
    let (x, alpha, beta) = (g.arg("x")?, g.float("alpha")?, g.float("beta")?);
    let dy = g.dy_small()?;
    let positive = g.f.greater_equal(x, 0.0)?;
    let low = g.f.mul(x, alpha)?;
    let leaked = g.f.select(positive, x, low)?;
    let passes = g.f.less(leaked, beta)?;
    let leak = g.f.mul(dy, alpha)?;
    let unclamped = g.f.select(positive, dy, leak)?;
    let dx = g.keep_where(passes, unclamped)?;
    g.give("x", dx)
}

/// Below 0, `y = α(eˣ - 1)` has slope `αeˣ = y + α`.
fn elu(g: &mut Gradient<'_>) -> Done {
    let (x, alpha, y, dy) = (g.arg("x")?, g.float("alpha")?, g.y(), g.dy_small()?);
    let positive = g.f.greater(x, 0.0)?;
    let slope = g.f.add(y, alpha)?;
    let curved = g.f.mul(dy, slope)?;
    let dx = g.f.select(positive, dy, curved)?;
    g.give("x", dx)
}

fn gelu(g: &mut Gradient<'_>) -> Done {
    let mode = g.view().string("mode")?.to_string();
    match mode.as_str() {
        "EXACT" => scaled(g, |g, x, _| gelu_exact(g, x)),
        "TANH_APPROXIMATION" => scaled(g, |g, x, _| gelu_tanh(g, x)),
        "SIGMOID_APPROXIMATION" => scaled(g, |g, x, _| gelu_sigmoid(g, x)),
        _ => Err(RuleError::Unsupported(format!("mode \"{mode}\" of gelu is not known"))),
    }
}

/// `Φ(x) + x φ(x)`.
fn gelu_exact(g: &mut Gradient<'_>, x: ValueId) -> Result<ValueId, RuleError> {
    let inner = g.f.mul(x, FRAC_1_SQRT_2)?;
    let erf = g.f.unary("erf", inner)?;
    let erf = g.f.mul(erf, 0.5)?;
    let below = g.f.add(erf, 0.5)?;
    let square = g.f.unary("square", inner)?;
    let minus = g.negative(square)?;
    let bell = g.f.unary("exp", minus)?;
    let density = g.f.mul(bell, 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2)?;
    let weighted = g.f.mul(density, x)?;
    Ok(g.f.add(below, weighted)?)
}

/// `y = x (1 + tanh u) / 2` with `u = √(2/π) (x + 0.044715 x³)`. Beyond ±10 the slope is 0 or 1 in every digit, and
/// clipping there keeps `x²` in range.
fn gelu_tanh(g: &mut Gradient<'_>, x: ValueId) -> Result<ValueId, RuleError> {
    const CUBIC: f32 = 0.044_715;
    const SCALE: f32 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
    let x = g.f.op("clip").arg("x", x).float("alpha", -10.0).float("beta", 10.0).one()?;
    let square = g.f.unary("square", x)?;
    let cubic = g.f.mul(square, SCALE * CUBIC)?;
    let inner = g.f.add(cubic, SCALE)?;
    let u = g.f.mul(inner, x)?;
    let tanh = g.f.unary("tanh", u)?;
    let slope_u = g.f.mul(square, 3.0 * SCALE * CUBIC)?;
    let slope_u = g.f.add(slope_u, SCALE)?;
    let tanh_square = g.f.unary("square", tanh)?;
    let slope_tanh = g.f.sub(1.0, tanh_square)?;
    let curved = g.f.mul(slope_tanh, slope_u)?;
    let curved = g.f.mul(curved, x)?;
    let sum = g.f.add(tanh, curved)?;
    let half = g.f.mul(sum, 0.5)?;
    Ok(g.f.add(half, 0.5)?)
}

/// `y = x σ(1.702 x)`.
fn gelu_sigmoid(g: &mut Gradient<'_>, x: ValueId) -> Result<ValueId, RuleError> {
    let scaled = g.f.mul(x, 1.702)?;
    gated(g, scaled)
}

/// `d(z σ(z))/dz = σ (1 + z (1 - σ))`.
fn gated(g: &mut Gradient<'_>, z: ValueId) -> Result<ValueId, RuleError> {
    let gate = g.f.unary("sigmoid", z)?;
    let rest = g.f.sub(1.0, gate)?;
    let weighted = g.f.mul(z, rest)?;
    let factor = g.f.add(weighted, 1.0)?;
    Ok(g.f.mul(gate, factor)?)
}

fn silu(g: &mut Gradient<'_>) -> Done {
    scaled(g, |g, x, _| gated(g, x))
}

fn sigmoid(g: &mut Gradient<'_>) -> Done {
    scaled(g, |g, _, y| {
        let rest = g.f.sub(1.0, y)?;
        Ok(g.f.mul(y, rest)?)
    })
}

/// `clamp(αx + β, 0, 1)`, with slope 0 at its bounds.
fn sigmoid_hard(g: &mut Gradient<'_>) -> Done {
    let (x, alpha, beta) = (g.arg("x")?, g.float("alpha")?, g.float("beta")?);
    let dy = g.dy_small()?;
    let line = g.f.mul(x, alpha)?;
    let line = g.f.add(line, beta)?;
    let (above, below) = (g.f.greater(line, 0.0)?, g.f.less(line, 1.0)?);
    let inside = g.f.logical_and(above, below)?;
    let scaled = g.f.mul(dy, alpha)?;
    let dx = g.keep_where(inside, scaled)?;
    g.give("x", dx)
}

fn linear_activation(g: &mut Gradient<'_>) -> Done {
    let (alpha, dy) = (g.float("alpha")?, g.dy_small()?);
    let dx = g.f.mul(dy, alpha)?;
    g.give("x", dx)
}

/// `α tanh(βx)`: `αβ (1 - tanh²)`.
fn scaled_tanh(g: &mut Gradient<'_>) -> Done {
    scaled(g, |g, x, _| {
        let (alpha, beta) = (g.float("alpha")?, g.float("beta")?);
        let inner = g.f.mul(x, beta)?;
        let tanh = g.f.unary("tanh", inner)?;
        let square = g.f.unary("square", tanh)?;
        let rest = g.f.sub(1.0, square)?;
        Ok(g.f.mul(rest, alpha * beta)?)
    })
}

/// `x / (1 + |x|)`: `1 / (1 + |x|)²`.
fn softsign(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy_small()?);
    let size = g.f.unary("abs", x)?;
    let divisor = g.f.add(size, 1.0)?;
    let once = g.f.real_div(dy, divisor)?;
    let dx = g.f.real_div(once, divisor)?;
    g.give("x", dx)
}

fn thresholded_relu(g: &mut Gradient<'_>) -> Done {
    let (x, alpha, dy) = (g.arg("x")?, g.float("alpha")?, g.dy_small()?);
    let passes = g.f.greater_equal(x, alpha)?;
    let dx = g.keep_where(passes, dy)?;
    g.give("x", dx)
}

/// `x` above 0, `α_c x` below; `α` has one entry per channel.
fn prelu(g: &mut Gradient<'_>) -> Done {
    let (x, alpha, dy) = (g.arg("x")?, g.arg("alpha")?, g.dy()?);
    let (rank, dtype) = (g.shape(x).rank(), g.dtype(x));
    let positive = g.f.greater(x, 0.0)?;
    if g.wants("x") {
        let alpha = g.per_channel(alpha, rank, dtype)?;
        let leak = g.f.mul(dy, alpha)?;
        let dx = g.f.select(positive, dy, leak)?;
        g.give("x", dx)?;
    }
    if g.wants("alpha") {
        let product = g.f.mul(dy, x)?;
        let below = g.drop_where(positive, product)?;
        let d = g.sum_to_channels(below)?;
        g.give("alpha", d)?;
    }
    Ok(())
}

/// `α_c ln(1 + exp(β_c x))`.
fn softplus_parametric(g: &mut Gradient<'_>) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let (rank, dtype) = (g.shape(x).rank(), g.dtype(x));
    let (alpha, beta) = (g.arg("alpha")?, g.arg("beta")?);
    let alpha = g.per_channel(alpha, rank, dtype)?;
    let beta = g.per_channel(beta, rank, dtype)?;
    let inner = g.f.mul(x, beta)?;
    let gate = g.f.unary("sigmoid", inner)?;
    let inner_slope = g.f.mul(gate, alpha)?;
    let d_inner = g.f.mul(dy, inner_slope)?;
    if g.wants("x") {
        let dx = g.f.mul(d_inner, beta)?;
        g.give("x", dx)?;
    }
    if g.wants("beta") {
        let product = g.f.mul(d_inner, x)?;
        let d = g.sum_to_channels(product)?;
        g.give("beta", d)?;
    }
    if g.wants("alpha") {
        let plus = g.f.unary("softplus", inner)?;
        let product = g.f.mul(dy, plus)?;
        let d = g.sum_to_channels(product)?;
        g.give("alpha", d)?;
    }
    Ok(())
}

/// `dx = y (dy - Σ dy y)`.
fn softmax(g: &mut Gradient<'_>) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy_small()?);
    let axis = g.axis("axis", g.shape(x).rank())? as i32;
    let product = g.f.mul(dy, y)?;
    let sum = g.f.reduce("reduce_sum", product, &[axis], true)?;
    let centred = g.f.sub(dy, sum)?;
    let dx = g.f.mul(centred, y)?;
    g.give("x", dx)
}
