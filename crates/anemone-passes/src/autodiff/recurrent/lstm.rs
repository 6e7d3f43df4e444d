//! The gradient of `lstm`. Weights stand in the order `i`, `f`, `o`, `z`, peepholes in the order `i`, `f`, `o`.

use super::*;
use mil::ops::recurrent::clip;

/// The nonlinearities: of the gates, of the new values, of the outgoing state.
#[derive(Clone, Copy)]
struct Kinds {
    gate: Nonlinearity,
    new: Nonlinearity,
    outgoing: Nonlinearity,
}

/// The gates and cells of all steps.
struct Gates {
    input: ValueId,
    forget: ValueId,
    output: ValueId,
    new: ValueId,
    /// After each step, limited.
    cells: ValueId,
    /// Before each step.
    before: ValueId,
}

/// What the chain of cotangents is multiplied by, in all steps.
struct Factors {
    /// From `dc`, `dc`, `dh`, `dc` to the gates `i`, `f`, `o`, `z`.
    gates: ValueId,
    /// From `dh` to `dc`.
    cell: ValueId,
    /// From `dc` to the `dc` of the step before.
    keep: ValueId,
    /// 1 where the cell is within its limits, 0 elsewhere.
    inside: Option<ValueId>,
}

pub(super) fn lstm(g: &mut Gradient<'_>) -> Done {
    let kinds = Kinds {
        gate: Nonlinearity::of(&g.view(), "recurrent_activation")?,
        new: Nonlinearity::of(&g.view(), "cell_activation")?,
        outgoing: Nonlinearity::of(&g.view(), "activation")?,
    };
    let limit = clip(&g.view())?;
    let (mut initial_h, mut initial_c) = (Vec::new(), Vec::new());
    for part in parts(g)? {
        let param = part.name("peephole", "peephole_back");
        let peephole = match g.view().value(param) {
            Some(value) => Some(pieces(g, value, 0, 3)?),
            None => None,
        };
        let gates = gates(g, &part, kinds, peephole.as_deref(), limit)?;
        let factors = factors(g, &gates, kinds, peephole.as_deref(), limit)?;
        let (da, [dh, dc]) = chain(g, &part, factors)?;
        part.give_input(g, da)?;
        part.give_recurrent(g, da)?;
        part.give_bias(g, part.name("bias", "bias_back"), da)?;
        if g.wants(param) {
            let own = pieces(g, da, 2, 4)?;
            let cells = concat(g, &[gates.before, gates.before, gates.cells], 2)?;
            let three = concat(g, &own[..3], 2)?;
            let product = g.f.mul(three, cells)?;
            let dp = over_steps(g, product)?;
            g.give(param, dp)?;
        }
        initial_h.push(dh);
        initial_c.push(dc);
    }
    give_initial(g, "initial_h", &initial_h)?;
    give_initial(g, "initial_c", &initial_c)
}

/// Computes gates and cells again. The cells of the steps follow from one another, and with peepholes the gates from
/// them; all else is computed for all steps at once.
fn gates(
    g: &mut Gradient<'_>,
    part: &Part,
    kinds: Kinds,
    peephole: Option<&[ValueId]>,
    limit: Option<f32>,
) -> Result<Gates, RuleError> {
    let hidden = part.geometry.hidden;
    let [weight_ih, weight_hh] = part.weights(g)?;
    let bias = g.view().value(part.name("bias", "bias_back"));
    let input = affine(g, part.x, weight_ih, bias)?;
    let state = affine(g, part.before, weight_hh, None)?;
    let sums = g.f.add(input, state)?;
    let [both, output, new] = [(0, 2 * hidden), (2 * hidden, hidden), (3 * hidden, hidden)]
        .map(|(begin, size)| shapes::slice_axis(g.f, sums, 2, begin, size));
    let (both, mut output, new) = (both?, output?, new?);
    let new = apply(g, kinds.new, new)?;
    let initial = g.arg("initial_c")?;
    let initial = part.own_state(g, initial)?;
    let (both, cells) = match peephole {
        Some(peephole) => cells_with_peephole(g, part, kinds, [both, new, initial], peephole, limit)?,
        None => {
            let both = apply(g, kinds.gate, both)?;
            (both, cells(g, part, [both, new, initial], limit)?)
        }
    };
    let halves = pieces(g, both, 2, 2)?;
    if let Some(peephole) = peephole {
        let seen = g.f.mul(cells, peephole[2])?;
        output = g.f.add(output, seen)?;
    }
    let output = apply(g, kinds.gate, output)?;
    let before = part.delayed(g, initial, cells)?;
    Ok(Gates { input: halves[0], forget: halves[1], output, new, cells, before })
}

/// `f ⊙ c + u`, limited.
fn next_cell(
    g: &mut Gradient<'_>,
    cell: ValueId,
    forget: ValueId,
    update: ValueId,
    limit: Option<f32>,
) -> Made {
    let kept = g.f.mul(cell, forget)?;
    let cell = g.f.add(kept, update)?;
    match limit {
        Some(limit) => Ok(g.f.op("clip").arg("x", cell).float("alpha", -limit).float("beta", limit).one()?),
        None => Ok(cell),
    }
}

/// The cells after each step, by the gates `i`, `f` of all steps.
fn cells(g: &mut Gradient<'_>, part: &Part, [both, new, initial]: [ValueId; 3], limit: Option<f32>) -> Made {
    let halves = pieces(g, both, 2, 2)?;
    let update = g.f.mul(halves[0], new)?;
    let (forget, update) = (part.steps(g, halves[1])?, part.steps(g, update)?);
    let mut cell = initial;
    let mut cells = Vec::with_capacity(part.geometry.steps);
    for (forget, update) in forget.into_iter().zip(update) {
        cell = next_cell(g, cell, forget, update, limit)?;
        cells.push(cell);
    }
    concat(g, &cells, 0)
}

/// The gates `i`, `f` and the cells after each step, by the sums of those gates without their peepholes.
fn cells_with_peephole(
    g: &mut Gradient<'_>,
    part: &Part,
    kinds: Kinds,
    [sums, new, initial]: [ValueId; 3],
    peephole: &[ValueId],
    limit: Option<f32>,
) -> Result<(ValueId, ValueId), RuleError> {
    let peephole = concat(g, &peephole[..2], 0)?;
    let (sums, new) = (part.steps(g, sums)?, part.steps(g, new)?);
    let mut cell = initial;
    let (mut gates, mut cells) = (Vec::new(), Vec::new());
    for (sums, new) in sums.into_iter().zip(new) {
        let two = concat(g, &[cell, cell], 2)?;
        let seen = g.f.mul(two, peephole)?;
        let both = g.f.add(sums, seen)?;
        let both = apply(g, kinds.gate, both)?;
        let halves = pieces(g, both, 2, 2)?;
        let update = g.f.mul(halves[0], new)?;
        cell = next_cell(g, cell, halves[1], update, limit)?;
        gates.push(both);
        cells.push(cell);
    }
    Ok((concat(g, &gates, 0)?, concat(g, &cells, 0)?))
}

/// With `h = o ⊙ φ(c)`, `c = f ⊙ c' + i ⊙ z`, a gate `a` seeing `p ⊙ c'` (the output gate: `p ⊙ c`).
fn factors(
    g: &mut Gradient<'_>,
    gates: &Gates,
    kinds: Kinds,
    peephole: Option<&[ValueId]>,
    limit: Option<f32>,
) -> Result<Factors, RuleError> {
    let outgoing = apply(g, kinds.outgoing, gates.cells)?;
    let outgoing_slope = slope(g, kinds.outgoing, outgoing)?;
    let mut cell = times(g, gates.output, outgoing_slope)?;
    let output_slope = slope(g, kinds.gate, gates.output)?;
    let to_output = times(g, outgoing, output_slope)?;
    let input_slope = slope(g, kinds.gate, gates.input)?;
    let to_input = times(g, gates.new, input_slope)?;
    let forget_slope = slope(g, kinds.gate, gates.forget)?;
    let to_forget = times(g, gates.before, forget_slope)?;
    let new_slope = slope(g, kinds.new, gates.new)?;
    let to_new = times(g, gates.input, new_slope)?;
    let mut keep = gates.forget;
    if let Some(peephole) = peephole {
        for (factor, &peephole) in [to_input, to_forget].into_iter().zip(peephole) {
            let seen = g.f.mul(factor, peephole)?;
            keep = g.f.add(keep, seen)?;
        }
        let seen = g.f.mul(to_output, peephole[2])?;
        cell = g.f.add(cell, seen)?;
    }
    let inside = match limit {
        Some(limit) => {
            let size = g.f.unary("abs", gates.cells)?;
            let inside = g.f.less(size, limit)?;
            Some(g.f.cast(inside, g.dtype(gates.cells))?)
        }
        None => None,
    };
    let gates = concat(g, &[to_input, to_forget, to_output, to_new], 2)?;
    Ok(Factors { gates, cell, keep, inside })
}

/// The gradients of all gates, and of the states before the first step.
fn chain(g: &mut Gradient<'_>, part: &Part, factors: Factors) -> Result<(ValueId, [ValueId; 2]), RuleError> {
    let [_, weight] = part.weights(g)?;
    let (cell, keep) = (part.steps(g, factors.cell)?, part.steps(g, factors.keep)?);
    let gates = part.steps(g, factors.gates)?;
    let inside = match factors.inside {
        Some(inside) => Some(part.steps(g, inside)?),
        None => None,
    };
    let mut dc = match g.cotangent(2)? {
        Some(last) => Some(part.own_state(g, last)?),
        None => None,
    };
    let mut dh = None;
    let mut all = Vec::with_capacity(part.geometry.steps);
    for step in (0..part.geometry.steps).rev() {
        let own = part.cotangent(g, step, dh)?;
        let from_state = g.f.mul(own, cell[step])?;
        let sum = sum(g, dc, from_state)?;
        let sum = times(g, sum, inside.as_ref().map(|inside| inside[step]))?;
        let four = concat(g, &[sum, sum, own, sum], 2)?;
        let da = g.f.mul(four, gates[step])?;
        all.push(da);
        dh = Some(g.f.matmul(da, weight, false, false)?);
        dc = Some(g.f.mul(sum, keep[step])?);
    }
    let gates = part.sequence(g, all)?;
    match (dh, dc) {
        (Some(dh), Some(dc)) => Ok((gates, [dh, dc])),
        _ => Err(RuleError::Unsupported("a sequence without steps has no gradient".into())),
    }
}
