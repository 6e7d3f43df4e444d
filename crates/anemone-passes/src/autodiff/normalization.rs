//! Normalizations: statistics are computed again from the input rather than kept.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use mil::ops::normalization::{ChannelWindow, channel_window, normalized_axes};
use mil::{BuildError, Constant, ValueId};

pub(super) static RULES: &[(&str, Rule)] = &[
    ("batch_norm", Vjp(batch_norm)),
    ("instance_norm", Vjp(instance_norm)),
    ("l2_norm", Vjp(l2_norm)),
    ("layer_norm", Vjp(layer_norm)),
    ("local_response_norm", Vjp(local_response_norm)),
];

/// `y = γ (x - μ) r + β` per channel with `r = (σ² + ε)^(-1/2)`; all but `x` are vectors of channels.
fn batch_norm(g: &mut Gradient<'_>) -> Done {
    let (x, mean, dy) = (g.arg("x")?, g.arg("mean")?, g.dy()?);
    let (rank, dtype) = (g.shape(x).rank(), g.dtype(x));
    let variance = g.arg("variance")?;
    let r = reciprocal_root(g, variance)?;
    let scale = match g.view().value("gamma") {
        Some(gamma) => g.f.mul(gamma, r)?,
        None => r,
    };
    if g.wants("x") {
        let scale = g.per_channel(scale, rank, dtype)?;
        let dx = g.f.mul(dy, scale)?;
        g.give("x", dx)?;
    }
    if !["mean", "variance", "gamma", "beta"].iter().any(|param| g.wants(param)) {
        return Ok(());
    }
    let sum = g.sum_to_channels(dy)?;
    let centre = g.per_channel(mean, rank, dtype)?;
    let centred = g.f.sub(x, centre)?;
    let product = g.f.mul(dy, centred)?;
    let moment = g.sum_to_channels(product)?;
    let vector = g.dtype(mean);
    let (sum, moment) = (g.f.cast(sum, vector)?, g.f.cast(moment, vector)?);
    if g.wants("beta") {
        g.give("beta", sum)?;
    }
    if g.wants("gamma") {
        let d = g.f.mul(moment, r)?;
        g.give("gamma", d)?;
    }
    if g.wants("mean") {
        let product = g.f.mul(sum, scale)?;
        let d = g.negative(product)?;
        g.give("mean", d)?;
    }
    if g.wants("variance") {
        let square = g.f.mul(r, r)?;
        let cube = g.f.mul(square, scale)?;
        let product = g.f.mul(moment, cube)?;
        let d = g.f.mul(product, -0.5)?;
        g.give("variance", d)?;
    }
    Ok(())
}

/// `(v + ε)^(-1/2)` with the operation's own `epsilon`.
fn reciprocal_root(g: &mut Gradient<'_>, variance: ValueId) -> Result<ValueId, RuleError> {
    let epsilon = g.float("epsilon")?;
    Ok(g.f.op("rsqrt").arg("x", variance).float("epsilon", epsilon).one()?)
}

/// Input, and shapes for a normalization over `axes` with gain and offset of shape `affine` once they are broadcast.
struct Normalized {
    axes: Vec<i32>,
    affine: Vec<usize>,
}

fn layer_norm(g: &mut Gradient<'_>) -> Done {
    let axes = normalized_axes(&g.view())?;
    let x = g.arg("x")?;
    let affine = g.shape(x).iter().enumerate().map(|(i, &n)| if axes.contains(&i) { n } else { 1 }).collect();
    normalized(g, Normalized { axes: axes.into_iter().map(|axis| axis as i32).collect(), affine })
}

fn instance_norm(g: &mut Gradient<'_>) -> Done {
    let x = g.arg("x")?;
    let shape = g.shape(x);
    let affine = (0..shape.rank()).map(|i| if i == 1 { shape[1] } else { 1 }).collect();
    normalized(g, Normalized { axes: (2..shape.rank() as i32).collect(), affine })
}

/// `y = γ n + β` with `n = (x - mean) r`: with `d = γ dy`, `dx = r (d - mean(d) - n mean(d n))`.
fn normalized(g: &mut Gradient<'_>, over: Normalized) -> Done {
    let (x, dy) = (g.arg("x")?, g.dy()?);
    let dtype = g.dtype(x);
    let mean = g.f.reduce("reduce_mean", x, &over.axes, true)?;
    let centred = g.f.sub(x, mean)?;
    let square = g.f.unary("square", centred)?;
    let variance = g.f.reduce("reduce_mean", square, &over.axes, true)?;
    let r = reciprocal_root(g, variance)?;
    let n = g.f.mul(centred, r)?;
    if g.wants("x") {
        let d = match g.view().value("gamma") {
            Some(gamma) => {
                let gamma = g.f.cast(gamma, dtype)?;
                let gamma = g.f.reshape(gamma, &over.affine)?;
                g.f.mul(dy, gamma)?
            }
            None => dy,
        };
        let product = g.f.mul(d, n)?;
        let mean_d = g.f.reduce("reduce_mean", d, &over.axes, true)?;
        let mean_product = g.f.reduce("reduce_mean", product, &over.axes, true)?;
        let along = g.f.mul(n, mean_product)?;
        let rest = g.f.sub(d, mean_d)?;
        let rest = g.f.sub(rest, along)?;
        let dx = g.f.mul(rest, r)?;
        g.give("x", dx)?;
    }
    let product = if g.wants("gamma") { Some(g.f.mul(dy, n)?) } else { None };
    for (param, gradient) in [("gamma", product), ("beta", Some(dy))] {
        if let (true, Some(gradient), Some(value)) = (g.wants(param), gradient, g.view().value(param)) {
            give_affine(g, param, value, gradient, &over.affine)?;
        }
    }
    Ok(())
}

/// Sums to the axes that gain and offset have.
fn give_affine(
    g: &mut Gradient<'_>,
    param: &'static str,
    value: ValueId,
    gradient: ValueId,
    affine: &[usize],
) -> Done {
    let full = g.shape(gradient);
    let sum = super::shapes::unbroadcast(g.f, gradient, &full, &affine.into())?;
    let shape = g.shape(value);
    let sum = g.f.reshape(sum, &shape)?;
    g.give(param, sum)
}

/// `y = x r` with `r = (Σ x² + ε)^(-1/2)` over the last three axes: `dx = r (dy - y Σ dy y)`.
fn l2_norm(g: &mut Gradient<'_>) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy()?);
    let axes = [-3, -2, -1];
    let squares = g.f.reduce("reduce_sum_square", x, &axes, true)?;
    let r = reciprocal_root(g, squares)?;
    let product = g.f.mul(dy, y)?;
    let sum = g.f.reduce("reduce_sum", product, &axes, true)?;
    let along = g.f.mul(y, sum)?;
    let rest = g.f.sub(dy, along)?;
    let dx = g.f.mul(rest, r)?;
    g.give("x", dx)
}

/// `y = x d^(-β)` with `d = k + α/size · S x²`, where `S` sums over neighbouring channels:
/// `dx = dy d^(-β) - 2αβ/size · x · Sᵀ(dy y / d)`.
fn local_response_norm(g: &mut Gradient<'_>) -> Done {
    let (x, y, dy) = (g.arg("x")?, g.y(), g.dy()?);
    let window = channel_window(&g.view())?;
    let (alpha, beta, k) = (g.float("alpha")?, g.float("beta")?, g.float("k")?);
    let ratio = alpha / (window.before + 1 + window.after) as f32;
    let squares = g.f.unary("square", x)?;
    let sums = neighbours(g, squares, window)?;
    let scaled = g.f.mul(sums, ratio)?;
    let d = g.f.add(scaled, k)?;
    let power = g.f.pow(d, -beta)?;
    let direct = g.f.mul(dy, power)?;
    let product = g.f.mul(dy, y)?;
    let quotient = g.f.real_div(product, d)?;
    let ChannelWindow { axis, before, after } = window;
    let sums = neighbours(g, quotient, ChannelWindow { axis, before: after, after: before })?;
    let weighted = g.f.mul(sums, x)?;
    let indirect = g.f.mul(weighted, 2.0 * beta * ratio)?;
    let dx = g.f.sub(direct, indirect)?;
    g.give("x", dx)
}

/// Most channels for which [`neighbours`] makes its band, which has as many entries as their square.
const MOST_CHANNELS: usize = 1 << 12;

/// Sums over the channels of a window, as a product with a band of ones.
fn neighbours(g: &mut Gradient<'_>, value: ValueId, window: ChannelWindow) -> Result<ValueId, RuleError> {
    let ChannelWindow { axis, before, after } = window;
    let shape = g.shape(value);
    let channels = shape[axis];
    if channels > MOST_CHANNELS {
        let message =
            format!("{channels} channels are too many: a gradient is made for up to {MOST_CHANNELS}");
        return Err(RuleError::Unsupported(message));
    }
    let within = |channel: usize, other: usize| other + before >= channel && other <= channel + after;
    let band: Vec<f32> =
        (0..channels * channels).map(|i| f32::from(u8::from(within(i / channels, i % channels)))).collect();
    let band = Constant::new([channels, channels], band).map_err(BuildError::from)?;
    let band = g.f.constant(band);
    let dtype = g.dtype(value);
    let band = g.f.cast(band, dtype)?;
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    let flat = g.f.reshape(value, &[product(&shape[..axis]), channels, product(&shape[axis + 1..])])?;
    let sums = g.f.matmul(band, flat, false, false)?;
    Ok(g.f.reshape(sums, &shape)?)
}
