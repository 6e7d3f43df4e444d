//! The backward sweep: which values matter, in which order rules run, how contributions add up.

use super::context::{Gradient, RuleError};
use super::control_flow::{add_lists, zeros_like};
use super::held::Reads;
use super::{AutodiffError, Rule, activity, rule, shapes};
use mil::{BuildError, Constant, Effect, Function, FunctionBuilder, Operation, Type, ValueId};

/// Runs the rules from the loss back to `wrt`. The arguments have been checked.
pub(super) fn sweep(
    f: &mut FunctionBuilder,
    loss: ValueId,
    seed: Option<ValueId>,
    wrt: &[ValueId],
) -> Result<Vec<ValueId>, AutodiffError> {
    // Rules append to the builder while they read the operation, so the forward pass is copied first.
    let forward = f.function().body.ops.clone();
    let seed = seed.unwrap_or_else(|| one(f, loss));
    back(f, &forward, &[(loss, seed)], wrt)
}

/// Runs the rules of a block's operations back from the `cotangents` that its outputs have. The gradients are in full
/// shape, zeros where nothing depends on a value, so that every block for the same `wrt` gives the same types.
pub(super) fn block(
    f: &mut FunctionBuilder,
    ops: &[Operation],
    outputs: &[ValueId],
    cotangents: &[Option<ValueId>],
    wrt: &[ValueId],
) -> Result<Vec<ValueId>, RuleError> {
    let seeds: Vec<(ValueId, ValueId)> = outputs
        .iter()
        .zip(cotangents)
        .filter_map(|(&output, &cotangent)| Some((output, cotangent?)))
        .collect();
    back(f, ops, &seeds, wrt).map_err(|error| RuleError::InBlock(Box::new(error)))
}

/// The gradients by `wrt`, where the values of `seeds` have the cotangents that are given beside them.
fn back(
    f: &mut FunctionBuilder,
    forward: &[Operation],
    seeds: &[(ValueId, ValueId)],
    wrt: &[ValueId],
) -> Result<Vec<ValueId>, AutodiffError> {
    let reads = Reads::of(forward);
    let active = activity::of(f.function(), forward, &reads, wrt);
    let mut cotangents = Cotangents::new(f.function().values.len());
    for &(value, seed) in seeds.iter().filter(|(value, _)| active[value.index()]) {
        cotangents.add(f, value, seed)?;
    }
    for operation in forward.iter().rev() {
        step(f, operation, &reads, &active, &mut cotangents)?;
    }
    wrt.iter()
        .map(|&id| match (f.ty(id).clone(), cotangents.total(f, id)?) {
            (Type::List(_), Some(total)) => Ok(total),
            (Type::List(ty), None) => Ok(zeros_like(f, id, &ty)?),
            (ty, Some(total)) => Ok(shapes::stretch(f, total, &ty.tensor().shape)?),
            (ty, None) => Ok(shapes::zeros(f, ty.tensor())?),
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
    reads: &Reads,
    active: &[bool],
    cotangents: &mut Cotangents,
) -> Result<(), AutodiffError> {
    let mut outputs = Vec::with_capacity(operation.outputs.len());
    for &output in &operation.outputs {
        outputs.push(cotangents.total(f, output)?);
    }
    if !activity::depends(operation, reads, active) || outputs.iter().all(Option::is_none) {
        return Ok(());
    }
    let op = operation.op.declaration().name;
    let value = || operation.outputs.first().map_or_else(String::new, |&id| f.function().display_name(id));
    match rule(operation.op) {
        Rule::NoGradient(_) => Ok(()),
        Rule::Missing => Err(AutodiffError::MissingRule { op, value: value() }),
        Rule::Vjp(vjp) => {
            require_known(f.function(), operation, &outputs)?;
            let value = value();
            let mut gradient = Gradient::new(f, operation, outputs, reads.get(operation), active, cotangents);
            vjp(&mut gradient).map_err(|source| AutodiffError::Rule { op, value, source: Box::new(source) })
        }
    }
}

/// Rules count with shapes. Blocks may have others for what carries no gradient.
fn require_known(
    function: &Function,
    operation: &Operation,
    cotangents: &[Option<ValueId>],
) -> Result<(), AutodiffError> {
    let differentiated =
        operation.outputs.iter().zip(cotangents).filter(|(_, cotangent)| cotangent.is_some());
    let differentiated = differentiated.map(|(&id, _)| id);
    let of_blocks = !operation.blocks.is_empty();
    let mut values = operation.uses().filter(|_| !of_blocks).chain(differentiated);
    match values.find(|&id| !function.shape(id).is_known()) {
        None => Ok(()),
        Some(id) => {
            let (value, ty) = (function.display_name(id), Box::new(function.ty(id).clone()));
            Err(AutodiffError::UnknownShape { op: operation.op.declaration().name, value, ty })
        }
    }
}

/// The values through which `input` is seen before it is written: for a state what `read_state` returned, for a
/// tensor the input itself. What a block reads cannot be seen outside of it, so that is an error.
pub(super) fn reads_of(function: &Function, input: ValueId) -> Result<Vec<ValueId>, AutodiffError> {
    if !function.ty(input).is_state() {
        return Ok(vec![input]);
    }
    let mut reads = Vec::new();
    for operation in &function.body.ops {
        if !operation.blocks.is_empty() && operation.uses_within().contains(&input) {
            let op = operation.op.declaration().name;
            return Err(AutodiffError::StateInBlock { state: function.display_name(input), op });
        }
        if !operation.uses().any(|id| id == input) {
            continue;
        }
        match operation.op.effect {
            Effect::Write => break,
            _ => reads.extend(operation.outputs.iter().copied()),
        }
    }
    Ok(reads)
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
            sum = sum_of(f, value, earlier, sum)?;
            level += 1;
        }
        sums.push((level, sum));
        Ok(())
    }

    /// [`total`](Self::total), which is forgotten.
    pub(super) fn take(
        &mut self,
        f: &mut FunctionBuilder,
        value: ValueId,
    ) -> Result<Option<ValueId>, BuildError> {
        let total = self.total(f, value)?;
        self.partial[value.index()].clear();
        Ok(total)
    }

    /// The whole cotangent of `value`; `None` when nothing contributed.
    fn total(&mut self, f: &mut FunctionBuilder, value: ValueId) -> Result<Option<ValueId>, BuildError> {
        let sums = &mut self.partial[value.index()];
        while sums.len() > 1
            && let (Some((_, late)), Some((level, early))) = (sums.pop(), sums.pop())
        {
            sums.push((level, sum_of(f, value, early, late)?));
        }
        Ok(sums.last().map(|&(_, sum)| sum))
    }
}

/// The sum of two contributions to the cotangent of `value`.
pub(super) fn sum_of(
    f: &mut FunctionBuilder,
    value: ValueId,
    a: ValueId,
    b: ValueId,
) -> Result<ValueId, BuildError> {
    match f.ty(value).clone() {
        Type::List(ty) => add_lists(f, (value, &ty), a, b),
        _ => f.add(a, b),
    }
}
