//! The gradient of `gru`. Weights stand in the order `r`, `o`, `z`.

use super::*;

/// The gates of all steps and what the reset gate scaled.
struct Gates {
    reset: ValueId,
    new: ValueId,
    update: ValueId,
    /// `r ⊙ h`; with `reset_after` the product `W_o h + b_o` that `r` scales.
    scaled: ValueId,
}

/// `h' = (1 - z) ⊙ o + z ⊙ h`: `do = (1 - z) ⊙ dh'`, `dz = (h - o) ⊙ dh'`, `dh = z ⊙ dh'` and what the gates add.
pub(super) fn gru(g: &mut Gradient<'_>) -> Done {
    let gate = Nonlinearity::of(&g.view(), "recurrent_activation")?;
    let activation = Nonlinearity::of(&g.view(), "activation")?;
    let after = g.view().bool("reset_after")?;
    for part in parts(g)? {
        let gates = gates(g, &part, gate, activation, after)?;
        let rest = g.f.sub(1.0, gates.update)?;
        let new_slope = slope(g, activation, gates.new)?;
        let to_new = times(g, rest, new_slope)?;
        let distance = g.f.sub(part.before, gates.new)?;
        let update_slope = slope(g, gate, gates.update)?;
        let to_update = times(g, distance, update_slope)?;
        let reset_slope = slope(g, gate, gates.reset)?;
        if after {
            reset_after(g, &part, &gates, [to_new, to_update], reset_slope)?;
        } else {
            reset_before(g, &part, &gates, [to_new, to_update], reset_slope)?;
        }
    }
    Ok(())
}

/// Rows of gate `gate` of a weight.
fn rows(g: &mut Gradient<'_>, part: &Part, weight: ValueId, gate: usize) -> Made {
    let hidden = part.geometry.hidden;
    Ok(shapes::slice_axis(g.f, weight, 0, gate * hidden, hidden)?)
}

/// The weights of `r` and `z`, one below the other.
fn reset_update(g: &mut Gradient<'_>, part: &Part, weight: ValueId) -> Made {
    let (reset, update) = (rows(g, part, weight, 0)?, rows(g, part, weight, 2)?);
    concat(g, &[reset, update], 0)
}

fn gates(
    g: &mut Gradient<'_>,
    part: &Part,
    gate: Nonlinearity,
    activation: Nonlinearity,
    after: bool,
) -> Result<Gates, RuleError> {
    let [weight_ih, weight_hh] = part.weights(g)?;
    let (input_bias, bias) = (g.view().value("input_bias"), g.view().value("bias"));
    let mut input = affine(g, part.x, weight_ih, input_bias)?;
    if !after {
        input = sum(g, bias, input)?;
    }
    let input = pieces(g, input, 2, 3)?;
    let state = if after {
        let state = affine(g, part.before, weight_hh, bias)?;
        pieces(g, state, 2, 3)?
    } else {
        let weight = reset_update(g, part, weight_hh)?;
        let state = affine(g, part.before, weight, None)?;
        pieces(g, state, 2, 2)?
    };
    let reset = g.f.add(input[0], state[0])?;
    let reset = apply(g, gate, reset)?;
    let update = g.f.add(input[2], state[if after { 2 } else { 1 }])?;
    let update = apply(g, gate, update)?;
    let (scaled, added) = if after {
        (state[1], g.f.mul(reset, state[1])?)
    } else {
        let scaled = g.f.mul(reset, part.before)?;
        let weight = rows(g, part, weight_hh, 1)?;
        (scaled, affine(g, scaled, weight, None)?)
    };
    let new = g.f.add(input[1], added)?;
    let new = apply(g, activation, new)?;
    Ok(Gates { reset, new, update, scaled })
}

/// With `o = φ(… + r ⊙ n)`, `n = W_o h + b_o`: every gate's gradient is `dh'` times what is known before.
fn reset_after(
    g: &mut Gradient<'_>,
    part: &Part,
    gates: &Gates,
    [to_new, to_update]: [ValueId; 2],
    reset_slope: Option<ValueId>,
) -> Done {
    let to_reset = g.f.mul(to_new, gates.scaled)?;
    let to_reset = times(g, to_reset, reset_slope)?;
    let to_product = g.f.mul(to_new, gates.reset)?;
    let factors = concat(g, &[to_reset, to_product, to_update], 2)?;
    let factors = part.steps(g, factors)?;
    let keep = part.steps(g, gates.update)?;
    let [_, weight] = part.weights(g)?;
    let mut carried = None;
    let (mut hidden, mut states) = (Vec::new(), Vec::new());
    for step in (0..part.geometry.steps).rev() {
        let dh = part.cotangent(g, step, carried)?;
        let three = concat(g, &[dh, dh, dh], 2)?;
        let da = g.f.mul(three, factors[step])?;
        let through = g.f.matmul(da, weight, false, false)?;
        let kept = g.f.mul(dh, keep[step])?;
        carried = Some(g.f.add(kept, through)?);
        states.push(dh);
        hidden.push(da);
    }
    let hidden = part.sequence(g, hidden)?;
    let states = part.sequence(g, states)?;
    part.give_recurrent(g, hidden)?;
    part.give_bias(g, "bias", hidden)?;
    // The input's part of `o` is not scaled by `r`.
    let own = pieces(g, hidden, 2, 3)?;
    let new = g.f.mul(states, to_new)?;
    let input = concat(g, &[own[0], new, own[2]], 2)?;
    part.give_input(g, input)?;
    part.give_bias(g, "input_bias", input)?;
    match carried {
        Some(dh) => give_initial(g, "initial_h", &[dh]),
        None => Ok(()),
    }
}

/// With `o = φ(… + W_o s)`, `s = r ⊙ h`: the gradient of `s` is a product of its own, before that of the gates.
fn reset_before(
    g: &mut Gradient<'_>,
    part: &Part,
    gates: &Gates,
    [to_new, to_update]: [ValueId; 2],
    reset_slope: Option<ValueId>,
) -> Done {
    let [_, weight] = part.weights(g)?;
    let (new_weight, gate_weight) = (rows(g, part, weight, 1)?, reset_update(g, part, weight)?);
    let to_reset = times(g, part.before, reset_slope)?;
    let factors = concat(g, &[to_reset, to_update], 2)?;
    let (factors, new_factors) = (part.steps(g, factors)?, part.steps(g, to_new)?);
    let (reset, keep) = (part.steps(g, gates.reset)?, part.steps(g, gates.update)?);
    let mut carried = None;
    let (mut news, mut others) = (Vec::new(), Vec::new());
    for step in (0..part.geometry.steps).rev() {
        let dh = part.cotangent(g, step, carried)?;
        let new = g.f.mul(dh, new_factors[step])?;
        let scaled = g.f.matmul(new, new_weight, false, false)?;
        let both = concat(g, &[scaled, dh], 2)?;
        let da = g.f.mul(both, factors[step])?;
        let through = g.f.matmul(da, gate_weight, false, false)?;
        let kept = g.f.mul(dh, keep[step])?;
        let unscaled = g.f.mul(scaled, reset[step])?;
        let direct = g.f.add(kept, unscaled)?;
        carried = Some(g.f.add(direct, through)?);
        news.push(new);
        others.push(da);
    }
    let (new, others) = (part.sequence(g, news)?, part.sequence(g, others)?);
    let own = pieces(g, others, 2, 2)?;
    let input = concat(g, &[own[0], new, own[1]], 2)?;
    part.give_input(g, input)?;
    part.give_bias(g, "bias", input)?;
    part.give_bias(g, "input_bias", input)?;
    if g.wants("weight_hh") {
        let gates_weight = part.outer(g, others, part.before)?;
        let new_weight = part.outer(g, new, gates.scaled)?;
        let halves = pieces(g, gates_weight, 0, 2)?;
        let dw = concat(g, &[halves[0], new_weight, halves[1]], 0)?;
        g.give("weight_hh", dw)?;
    }
    match carried {
        Some(dh) => give_initial(g, "initial_h", &[dh]),
        None => Ok(()),
    }
}
