//! Fused attention.

use super::Rule::{self, Vjp};
use super::context::{Done, Gradient, RuleError};
use super::{largest, shapes};
use mil::{DataType, ValueId};

pub(super) static RULES: &[(&str, Rule)] = &[("scaled_dot_product_attention", Vjp(attention))];

/// `y = softmax(q kᵀ / √E + mask) v`. The probabilities are computed again: storing them is what fusing avoids.
fn attention(g: &mut Gradient<'_>) -> Done {
    let (query, key, value) = (g.arg("query")?, g.arg("key")?, g.arg("value")?);
    let (y, dy) = (g.y(), g.dy()?);
    let width = g.shape(query).last().copied().unwrap_or(1);
    let scale = 1.0 / (width as f32).sqrt();
    let scaled = g.f.mul(query, scale)?;
    let p = probabilities(g, scaled, key)?;
    if g.wants("value") {
        let dv = g.f.matmul(p, dy, true, false)?;
        give_summed(g, "value", dv)?;
    }
    if !(g.wants("query") || g.wants("key") || g.wants("attn_mask")) {
        return Ok(());
    }
    // softmax: ds = p (dp - Σ dp p), and Σ dp p = Σ dy y over the much shorter last axis of y.
    let dp = g.f.matmul(dy, value, false, true)?;
    let product = g.f.mul(dy, y)?;
    let sum = g.f.reduce("reduce_sum", product, &[-1], true)?;
    let centred = g.f.sub(dp, sum)?;
    let ds = g.f.mul(p, centred)?;
    if g.wants("query") {
        let dq = g.f.matmul(ds, key, false, false)?;
        let dq = g.f.mul(dq, scale)?;
        give_summed(g, "query", dq)?;
    }
    if g.wants("key") {
        let dk = g.f.matmul(ds, scaled, true, false)?;
        give_summed(g, "key", dk)?;
    }
    if g.wants("attn_mask") {
        give_summed(g, "attn_mask", ds)?;
    }
    Ok(())
}

fn probabilities(g: &mut Gradient<'_>, scaled: ValueId, key: ValueId) -> Result<ValueId, RuleError> {
    let mut scores = g.f.matmul(scaled, key, false, true)?;
    let dtype = g.dtype(scores);
    let mut kept = None;
    if let Some(mask) = g.view().value("attn_mask") {
        if g.dtype(mask) == DataType::Bool {
            kept = Some(mask);
        } else {
            kept = finite_where(g, mask)?;
            let mask = g.f.cast(mask, dtype)?;
            scores = g.f.add(scores, mask)?;
        }
    }
    let Some(kept) = kept else { return Ok(g.f.op("softmax").arg("x", scores).int("axis", -1).one()?) };
    // The lowest finite number instead of -∞ keeps a row without any key finite, and zeros then say what the forward
    // pass says of such a row: that it attends to nothing.
    let lowest = g.f.float(dtype, -largest(dtype));
    let scores = g.f.select(kept, scores, lowest)?;
    let p = g.f.op("softmax").arg("x", scores).int("axis", -1).one()?;
    g.keep_where(kept, p)
}

/// Where a float mask is not -∞; `None` for a constant that never is.
fn finite_where(g: &mut Gradient<'_>, mask: ValueId) -> Result<Option<ValueId>, RuleError> {
    let constant = g.f.function().constant(mask).and_then(|constant| constant.to_f32());
    if constant.is_some_and(|values| !values.contains(&f32::NEG_INFINITY)) {
        return Ok(None);
    }
    Ok(Some(g.f.greater(mask, f32::NEG_INFINITY)?))
}

/// Adds a gradient after summing over the axes along which the argument was broadcast.
fn give_summed(g: &mut Gradient<'_>, param: &'static str, gradient: ValueId) -> Done {
    let value = g.arg(param)?;
    let (full, to) = (g.shape(gradient), g.shape(value));
    let gradient = shapes::unbroadcast(g.f, gradient, &full, &to)?;
    g.give(param, gradient)
}
