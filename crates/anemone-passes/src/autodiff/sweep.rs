//! The backward sweep: which values matter, in which order rules run, how contributions add up.

use super::context::Gradient;
use super::{AutodiffError, Rule, rule, shapes};
use mil::{BuildError, Constant, Effect, Function, FunctionBuilder, Operation, ValueId};

/// Runs the rules from the loss back to `wrt`. The arguments have been checked.
pub(super) fn sweep(
    f: &mut FunctionBuilder,
    loss: ValueId,
    seed: Option<ValueId>,
    wrt: &[ValueId],
) -> Result<Vec<ValueId>, AutodiffError> {
    // Rules append to the builder while they read the operation, so the forward pass is copied first.
    let forward = f.function().body.ops.clone();
    let carried = carried_states(&forward);
    let active = active_values(f.function(), &forward, &carried, wrt);
    let mut cotangents = Cotangents::new(f.function().values.len());
    if active[loss.index()] {
        let seed = seed.unwrap_or_else(|| one(f, loss));
        cotangents.add(f, loss, seed)?;
    }
    for (operation, &carried) in forward.iter().zip(&carried).rev() {
        step(f, operation, carried, &active, &mut cotangents)?;
    }
    wrt.iter()
        .map(|&id| {
            let ty = f.function().tensor(id).clone();
            match cotangents.total(f, id)? {
                Some(total) => Ok(shapes::stretch(f, total, &ty.shape)?),
                None => Ok(shapes::zeros(f, &ty)?),
            }
        })
        .collect()
}

/// The constant 1 in the type of the loss, which has one element.
fn one(f: &mut FunctionBuilder, loss: ValueId) -> ValueId {
    let ty = f.function().tensor(loss).clone();
    match Constant::splat(&ty, 1.0) {
        Some(constant) => f.constant(constant),
        // Only for types that are no floats, which the caller has ruled out.
        None => f.float(ty.dtype, 1.0),
    }
}

fn step(
    f: &mut FunctionBuilder,
    operation: &Operation,
    carried: Option<ValueId>,
    active: &[bool],
    cotangents: &mut Cotangents,
) -> Result<(), AutodiffError> {
    let mut outputs = Vec::with_capacity(operation.outputs.len());
    for &output in &operation.outputs {
        outputs.push(cotangents.total(f, output)?);
    }
    let reaches = operation.uses().chain(carried).any(|id| active[id.index()]);
    if !reaches || outputs.iter().all(Option::is_none) {
        return Ok(());
    }
    let op = operation.op.declaration().name;
    let value = || operation.outputs.first().map_or_else(String::new, |&id| f.function().display_name(id));
    match rule(operation.op) {
        Rule::NoGradient(_) => Ok(()),
        Rule::Refused(_) | Rule::Missing => Err(AutodiffError::MissingRule { op, value: value() }),
        Rule::Vjp(vjp) => {
            let value = value();
            let mut gradient = Gradient::new(f, operation, outputs, carried, active, cotangents);
            vjp(&mut gradient).map_err(|source| AutodiffError::Rule { op, value, source: Box::new(source) })
        }
    }
}

/// For every operation that reads a state written earlier in the function: the value it reads.
fn carried_states(forward: &[Operation]) -> Vec<Option<ValueId>> {
    let mut held: Vec<(ValueId, ValueId)> = Vec::new();
    forward
        .iter()
        .map(|operation| {
            let state = operation.args.first().and_then(|arg| arg.values().first().copied())?;
            match (operation.op.effect, operation.outputs.first()) {
                (Effect::Write, Some(&written)) => {
                    held.retain(|(other, _)| *other != state);
                    held.push((state, written));
                    None
                }
                (Effect::Read, _) => held.iter().find(|(other, _)| *other == state).map(|&(_, value)| value),
                _ => None,
            }
        })
        .collect()
}

/// Which values depend on a `wrt` value through float values and ops with a derivative.
fn active_values(
    function: &Function,
    forward: &[Operation],
    carried: &[Option<ValueId>],
    wrt: &[ValueId],
) -> Vec<bool> {
    let mut active = vec![false; function.values.len()];
    for id in wrt {
        active[id.index()] = true;
    }
    for (operation, &carried) in forward.iter().zip(carried) {
        let depends = operation.uses().chain(carried).any(|id| active[id.index()]);
        if !depends || matches!(rule(operation.op), Rule::NoGradient(_)) {
            continue;
        }
        for &output in &operation.outputs {
            active[output.index()] |= function.dtype(output).is_float();
        }
    }
    active
}

/// The values through which `input` is seen before it is written: for a state what `read_state` returned, for a
/// tensor the input itself.
pub(super) fn reads_of(function: &Function, input: ValueId) -> Vec<ValueId> {
    if !function.ty(input).is_state() {
        return vec![input];
    }
    let mut reads = Vec::new();
    for operation in &function.body.ops {
        if !operation.uses().any(|id| id == input) {
            continue;
        }
        match operation.op.effect {
            Effect::Write => break,
            _ => reads.extend(operation.outputs.iter().copied()),
        }
    }
    reads
}

/// The sums of contributions so far, one accumulator per value of the forward pass.
pub(super) struct Cotangents {
    /// Partial sums with the number of levels of the binary tree that each closes: adding pairwise keeps rounding
    /// errors low and holds few partial sums at a time.
    partial: Vec<Vec<(u32, ValueId)>>,
}

impl Cotangents {
    fn new(values: usize) -> Cotangents {
        Cotangents { partial: vec![Vec::new(); values] }
    }

    /// Adds a contribution to the cotangent of `value`.
    pub(super) fn add(
        &mut self,
        f: &mut FunctionBuilder,
        value: ValueId,
        contribution: ValueId,
    ) -> Result<(), BuildError> {
        let sums = &mut self.partial[value.index()];
        let (mut level, mut sum) = (0, contribution);
        while let Some(&(below, earlier)) = sums.last()
            && below == level
        {
            sums.pop();
            sum = f.add(earlier, sum)?;
            level += 1;
        }
        sums.push((level, sum));
        Ok(())
    }

    /// The whole cotangent of `value`; `None` when nothing contributed.
    fn total(&mut self, f: &mut FunctionBuilder, value: ValueId) -> Result<Option<ValueId>, BuildError> {
        let sums = &mut self.partial[value.index()];
        while sums.len() > 1
            && let (Some((_, late)), Some((level, early))) = (sums.pop(), sums.pop())
        {
            sums.push((level, f.add(early, late)?));
        }
        Ok(sums.last().map(|&(_, sum)| sum))
    }
}
