//! `while_loop`.
//!
//! The gradient is two loops. The first runs the turns again and records the variables that each began with, in lists.
//! The second counts down: a turn takes what that turn began with, computes it once more, and goes back through it, from
//! the cotangents of the variables after the turn to those before it; what values from outside get adds up.

use super::lists;
use super::record::Kept;
use super::replay::{Replay, captured, require_repeatable, types};
use crate::autodiff::context::{Done, Gradient, RuleError};
use crate::autodiff::{shapes, sweep};
use mil::{Block, BuildError, FunctionBuilder, Type, ValueId};

pub(super) fn while_loop(g: &mut Gradient<'_>) -> Done {
    let operation = g.operation();
    require_repeatable(g.f.function(), operation)?;
    let [condition, body] = operation.blocks.as_slice() else {
        return Err(RuleError::Unsupported("it must have two blocks".into()));
    };
    let vars: Vec<ValueId> = operation.uses().collect();
    let carriers: Vec<usize> = (0..vars.len()).filter(|&at| g.wants_value(operation.outputs[at])).collect();
    let outside = captured(std::slice::from_ref(body));
    let outside: Vec<ValueId> = outside.into_iter().filter(|&id| g.wants_value(id)).collect();

    let kept: Vec<Kept> =
        (0..vars.len()).map(|at| Kept::of(g.f, operation, body, at)).collect::<Result<_, _>>()?;
    let (turns, records) = record(g.f, condition, body, &vars, &kept)?;

    // Of the loop that counts down: the number of turns left, cotangents, sums, what stands for variables in every turn.
    let mut start = vec![turns];
    for &at in &carriers {
        let cotangent = g.cotangent(at)?;
        start.push(cotangent.map_or_else(|| zeros(g.f, operation.outputs[at]), Ok)?);
    }
    for &id in &outside {
        start.push(zeros(g.f, id)?);
    }
    // As variables of the loop they are values of their own, even where one value stands for several.
    start.extend(kept.iter().filter_map(Kept::stands));
    let start_types = types(g.f.function(), &start);
    let zero = g.f.int(0);
    let more = g.f.block(&start_types, |f, now| Ok::<_, BuildError>(vec![f.greater(now[0], zero)?]))?;
    let turn = g.f.block(&start_types, |f, now| {
        let (after, rest) = now[1..].split_at(carriers.len());
        let (sums, stand) = rest.split_at(outside.len());
        let mut stands = stand.iter().copied();
        let at = f.sub(now[0], 1.0)?;
        let mut began = Vec::with_capacity(vars.len());
        for (kept, record) in kept.iter().zip(&records) {
            began.extend(kept.recall(f, record, at)?.or_else(|| stands.next()));
        }
        let replay = Replay::new(f, body, &began)?;
        let outputs = replay.outputs(body);
        let of_carriers = |values: &[ValueId]| carriers.iter().map(|&at| values[at]).collect::<Vec<_>>();
        let cotangents: Vec<Option<ValueId>> = after.iter().copied().map(Some).collect();
        let wrt = [of_carriers(&began), outside.clone()].concat();
        let gradients = sweep::block(f, &replay.ops, &of_carriers(&outputs), &cotangents, &wrt)?;
        let (before, more) = gradients.split_at(carriers.len());
        let mut next = [&[at], before].concat();
        for ((&id, &sum), &more) in outside.iter().zip(sums).zip(more) {
            next.push(sweep::sum_of(f, id, sum, more)?);
        }
        next.extend(stand);
        Ok::<_, RuleError>(next)
    })?;
    let results = g.f.op("while_loop").args("loop_vars", &start).block(more).block(turn).many()?;
    let given = carriers.iter().map(|&at| vars[at]).chain(outside);
    given.zip(&results[1..]).try_for_each(|(id, &gradient)| g.give_value(id, gradient))
}

/// The loop once more, which records what is kept; how many turns it takes, and the record of each variable.
fn record(
    f: &mut FunctionBuilder,
    condition: &Block,
    body: &Block,
    vars: &[ValueId],
    kept: &[Kept],
) -> Result<(ValueId, Vec<Vec<ValueId>>), RuleError> {
    let mut start = vec![f.int(0)];
    start.extend(vars);
    let mut all = types(f.function(), &start[..1]);
    all.extend(types(f.function(), &body.inputs));
    for kept in kept {
        for list in kept.records() {
            let none = f.int(0);
            let list = lists::make(f, &list, none)?;
            all.push(f.ty(list).clone());
            start.push(list);
        }
    }
    let first_record = 1 + vars.len();
    let condition = f.block(&all, |f, now| {
        Ok::<_, BuildError>(Replay::new(f, condition, &now[1..first_record])?.outputs(condition))
    })?;
    let body = f.block(&all, |f, now| {
        let mut records = Vec::new();
        let mut lists = now[first_record..].iter();
        for (kept, &var) in kept.iter().zip(&now[1..]) {
            for value in kept.values(f, var)? {
                let Some(&list) = lists.next() else { break };
                records
                    .push(f.op("list_write").arg("ls", list).arg("index", now[0]).arg("value", value).one()?);
            }
        }
        let mut next = vec![f.add(now[0], 1.0)?];
        next.extend(Replay::new(f, body, &now[1..first_record])?.outputs(body));
        next.extend(records);
        Ok::<_, BuildError>(next)
    })?;
    let results = f.op("while_loop").args("loop_vars", &start).block(condition).block(body).many()?;
    let mut lists = results[first_record..].iter().copied();
    let records = kept.iter().map(|kept| lists.by_ref().take(kept.records().len()).collect()).collect();
    Ok((results[0], records))
}

/// Zeros for the cotangent of a value.
fn zeros(f: &mut FunctionBuilder, id: ValueId) -> Result<ValueId, BuildError> {
    match f.ty(id).clone() {
        Type::List(ty) => lists::zeros_like(f, id, &ty),
        ty => shapes::zeros(f, ty.tensor()),
    }
}
