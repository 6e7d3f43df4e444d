//! Dispatch planning: what one program cannot hold becomes several, cut between operations.
//!
//! Three limits cut a function: the weights of a program, the operations of a program (the compiler's time grows faster than their
//! number), and the programs that a process may have loaded, which no cut can lift. Of the places where a part may end, the one
//! with the fewest bytes alive is taken, for what is alive there is written by one program and read by the next.

use super::estimate::{Estimate, EstimateError, EstimateOptions, Range, estimate, of_work, work};
use super::params::ChipFacts;
use crate::chips::Chip;
use mil::{Arg, Block, Def, Function, Operation, Program, Value, ValueId, Verified, verify};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Weights of one program in bytes: "about 2 GB" is the limit, 1.6e9 was reported safe (ANEForge; one source).
pub const MAX_WEIGHTS: f64 = 1.6e9;
/// Programs loaded in one process: 128 slots of a client, about 119 compilations before failure (MidasMulli, maderix: two sources).
pub const MAX_PROGRAMS: usize = 119;
/// Operations of one program: a monolith of 16 transformer layers, some 400 operations, compiled for minutes (ANEForge; one source).
pub const MAX_OPS: usize = 400;

/// Why a function is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its weights exceed [`MAX_WEIGHTS`].
    Weights,
    /// Its operations exceed [`MAX_OPS`].
    CompileTime,
}

/// One program of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// First operation of the body.
    pub first: usize,
    /// One past the last operation.
    pub end: usize,
    /// Bytes of weights.
    pub weight_bytes: f64,
    /// Names of the values that it takes from outside.
    pub inputs: Vec<String>,
    /// Names of the values that it gives.
    pub outputs: Vec<String>,
    /// Time to compile once, in seconds: a rough law through published figures (derived).
    pub compile_s: f64,
    /// Estimate of the part.
    pub estimate: Estimate,
}

/// How a function would be dispatched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Programs, in order.
    pub parts: Vec<Part>,
    /// Why there are several; empty for one.
    pub reasons: Vec<Reason>,
    /// Time per call in ms, the parts one after another.
    pub latency_ms: Range,
    /// Of it, what the split costs: further dispatches, and transfers between the programs.
    pub split_ms: f64,
    /// Energy of the engine's rail per call in mJ.
    pub energy_mj: Range,
    /// Time to compile everything once, in seconds.
    pub compile_s: f64,
    /// Whether every limit holds.
    pub fits: bool,
    /// What does not hold, and what was assumed.
    pub notes: Vec<String>,
    /// The programs themselves.
    #[serde(skip)]
    pub programs: Vec<Verified>,
}

/// Time to compile a program once: 25 ms, 5 ms per MB of weights, and a cube of the operations that gives a minute at 400. Sources: SwiGLU layers on M5
/// (38 ms at 3 MB, 278 ms at 50 MB), matrix products on M5 Pro (33 to 92 ms), a monolith of 16 layers ("minutes").
fn compile_s(ops: usize, weight_bytes: f64) -> f64 {
    let ops = ops as f64;
    0.025 + 5e-9 * weight_bytes + 1e-6 * ops * ops * ops
}

/// Plans the dispatch of a function on a chip.
///
/// # Errors
/// When the program has no such function.
pub fn plan(
    program: &Verified,
    function: &str,
    chip: &Chip,
    options: &EstimateOptions,
) -> Result<Plan, EstimateError> {
    let whole_work = work(program, function, options)?;
    let whole = of_work(&whole_work, function, &ChipFacts::of(chip), options);
    let Some(found) = program.function(function) else {
        return Ok(one(program, whole, 0, Vec::new()));
    };
    let ops = found.body.ops.len();
    let mut reasons = Vec::new();
    if whole.weight_bytes > MAX_WEIGHTS {
        reasons.push(Reason::Weights);
    }
    if ops > MAX_OPS {
        reasons.push(Reason::CompileTime);
    }
    if reasons.is_empty() {
        return Ok(one(program, whole, ops, reasons));
    }
    let bounds = cut(found);
    let mut notes = whole.notes.clone();
    let (mut parts, mut programs) = (Vec::new(), Vec::new());
    for range in bounds.windows(2) {
        let (first, end) = (range[0], range[1]);
        let Some((program, inputs, outputs)) = extract(found, first, end) else {
            let mut plan = one(program, whole, ops, reasons);
            plan.fits = false;
            plan.notes.push(
                "the function cannot be cut between its operations, for what passes there cannot be an input"
                    .to_string(),
            );
            return Ok(plan);
        };
        // Only what comes from and goes to the caller is copied by the host; what passes between programs stays in surfaces.
        let estimate = estimate(&program, function, chip, &EstimateOptions { host_copy: false, ..*options })?;
        if estimate.weight_bytes > MAX_WEIGHTS {
            notes.push(format!(
                "operation {first} (`{}`) alone has {:.2} GB of weights, more than the {:.2} GB of a program: split its columns",
                found.body.ops[first].op.declaration().name,
                estimate.weight_bytes / 1e9,
                MAX_WEIGHTS / 1e9
            ));
        }
        parts.push(Part {
            first,
            end,
            weight_bytes: estimate.weight_bytes,
            inputs,
            outputs,
            compile_s: compile_s(end - first, estimate.weight_bytes),
            estimate,
        });
        programs.push(program);
    }
    let mut fits = parts.iter().all(|part| part.weight_bytes <= MAX_WEIGHTS);
    if parts.len() > MAX_PROGRAMS {
        fits = false;
        notes.push(format!("{} programs, but a process loads about {MAX_PROGRAMS} at most", parts.len()));
    }
    let host = whole.terms.host_copy_us / 1e3;
    let sum = |pick: fn(&Estimate) -> Range| {
        let add =
            |a: Range, b: Range| Range { low: a.low + b.low, mid: a.mid + b.mid, high: a.high + b.high };
        parts.iter().map(|part| pick(&part.estimate)).fold(Range { low: 0.0, mid: 0.0, high: 0.0 }, add)
    };
    let mut latency_ms = sum(|estimate| estimate.latency_ms);
    let factor = (whole.latency_ms.low / whole.latency_ms.mid, whole.latency_ms.high / whole.latency_ms.mid);
    latency_ms = Range {
        low: latency_ms.low + host * factor.0,
        mid: latency_ms.mid + host,
        high: latency_ms.high + host * factor.1,
    };
    Ok(Plan {
        reasons,
        split_ms: (latency_ms.mid - whole.latency_ms.mid).max(0.0),
        latency_ms,
        energy_mj: sum(|estimate| estimate.energy_mj),
        compile_s: parts.iter().map(|part| part.compile_s).sum(),
        fits,
        notes,
        parts,
        programs,
    })
}

/// The plan of a function that is one program.
fn one(program: &Verified, estimate: Estimate, ops: usize, reasons: Vec<Reason>) -> Plan {
    let names = |inputs: bool| {
        let function = program.function(&estimate.function);
        let values = function
            .map(|function| if inputs { function.inputs.clone() } else { function.body.outputs.clone() });
        let named =
            |value: &ValueId| function.map_or_else(String::new, |function| function.display_name(*value));
        values.unwrap_or_default().iter().map(named).collect()
    };
    let compile_s = compile_s(ops, estimate.weight_bytes);
    Plan {
        latency_ms: estimate.latency_ms,
        split_ms: 0.0,
        energy_mj: estimate.energy_mj,
        compile_s,
        fits: estimate.weight_bytes <= MAX_WEIGHTS && ops <= MAX_OPS,
        notes: estimate.notes.clone(),
        reasons,
        programs: vec![program.clone()],
        parts: vec![Part {
            first: 0,
            end: ops,
            weight_bytes: estimate.weight_bytes,
            inputs: names(true),
            outputs: names(false),
            compile_s,
            estimate,
        }],
    }
}

/// Values that an operation uses, in nested blocks too.
fn used(operation: &Operation, into: &mut Vec<ValueId>) {
    into.extend(operation.uses());
    for block in &operation.blocks {
        block.ops.iter().for_each(|operation| used(operation, into));
        into.extend(block.outputs.iter().copied());
    }
}

/// Bytes of a constant as the engine keeps it.
fn constant_bytes(function: &Function, value: ValueId) -> f64 {
    function.constant(value).map_or(0.0, |constant| {
        let bytes = constant.bytes().len() as f64;
        if constant.ty().dtype == mil::DataType::Fp32 { bytes / 2.0 } else { bytes }
    })
}

/// Boundaries of the parts: the first is 0, the last the number of operations.
fn cut(function: &Function) -> Vec<usize> {
    let ops = &function.body.ops;
    let uses: Vec<Vec<ValueId>> = ops
        .iter()
        .map(|operation| {
            let mut values = Vec::new();
            used(operation, &mut values);
            values
        })
        .collect();
    let alive = alive(function, &uses);
    let mut bounds = vec![0];
    let (mut seen, mut weights): (HashSet<ValueId>, f64) = (HashSet::new(), 0.0);
    let mut at = 0;
    while at < ops.len() {
        let first = bounds.last().copied().unwrap_or(0);
        let new: f64 = uses[at]
            .iter()
            .filter(|value| !seen.contains(value))
            .map(|&value| constant_bytes(function, value))
            .sum();
        if at > first && (weights + new > MAX_WEIGHTS || at - first >= MAX_OPS) {
            // Back to the cheapest place in the last quarter of the part.
            let from = first + 1 + (at - first - 1) * 3 / 4;
            let end =
                (from..=at).min_by(|&a, &b| alive[a].total_cmp(&alive[b]).then(b.cmp(&a))).unwrap_or(at);
            bounds.push(end);
            seen.clear();
            weights = 0.0;
            at = end;
            continue;
        }
        weights += new;
        seen.extend(uses[at].iter().copied());
        at += 1;
    }
    bounds.push(ops.len());
    bounds
}

/// Bytes alive before every operation: what would cross a cut there.
fn alive(function: &Function, uses: &[Vec<ValueId>]) -> Vec<f64> {
    let ops = &function.body.ops;
    let mut last: HashMap<ValueId, usize> = HashMap::new();
    for (index, values) in uses.iter().enumerate() {
        last.extend(values.iter().map(|&value| (value, index)));
    }
    last.extend(function.body.outputs.iter().map(|&value| (value, ops.len())));
    let mut change = vec![0.0; ops.len() + 2];
    for (index, operation) in ops.iter().enumerate() {
        for value in &operation.outputs {
            let bytes =
                function.ty(*value).as_tensor().and_then(mil::TensorType::checked_bytes).unwrap_or(0) as f64;
            if let (Some(&end), Def::Op) = (last.get(value), &function.value(*value).def)
                && end > index
            {
                change[index + 1] += bytes;
                change[end + 1] -= bytes;
            }
        }
    }
    let mut sum = 0.0;
    change
        .into_iter()
        .map(|bytes| {
            sum += bytes;
            sum
        })
        .collect()
}

/// The operations `first..end` as a program of their own, with the names of what it takes and gives. None where that is not a
/// valid program.
fn extract(function: &Function, first: usize, end: usize) -> Option<(Verified, Vec<String>, Vec<String>)> {
    let ops = function.body.ops.get(first..end)?;
    let mut defined: HashSet<ValueId> = HashSet::new();
    let mut taken: Vec<ValueId> = Vec::new();
    let mut copied: Vec<Operation> = Vec::new();
    let mut needed = Vec::new();
    for operation in ops {
        used(operation, &mut needed);
        inner(operation, &mut defined);
    }
    // Compressed weights are made where they are used, whichever part their operation stands in.
    let mut weights: Vec<usize> = Vec::new();
    let mut queue: Vec<ValueId> = needed.clone();
    while let Some(value) = queue.pop() {
        if !matches!(function.value(value).def, Def::Constexpr) || defined.contains(&value) {
            continue;
        }
        let at = function.body.ops.iter().position(|operation| operation.outputs.contains(&value))?;
        inner(&function.body.ops[at], &mut defined);
        used(&function.body.ops[at], &mut queue);
        weights.push(at);
    }
    weights.sort_unstable();
    copied.extend(weights.iter().map(|&at| function.body.ops[at].clone()));
    copied.extend(ops.iter().cloned());
    for value in needed {
        let outside = matches!(function.value(value).def, Def::Op | Def::Input) && !defined.contains(&value);
        if outside && !taken.contains(&value) {
            taken.push(value);
        }
    }
    let mut later: HashSet<ValueId> = function.body.outputs.iter().copied().collect();
    for operation in function.body.ops.iter().skip(end) {
        let mut values = Vec::new();
        used(operation, &mut values);
        later.extend(values);
    }
    let made = ops.iter().flat_map(|operation| operation.outputs.iter().copied());
    let given: Vec<ValueId> =
        made.filter(|value| later.contains(value) && matches!(function.value(*value).def, Def::Op)).collect();
    let part = renumber(function, taken, copied, given);
    let names = |values: &[ValueId]| values.iter().map(|&value| part.display_name(value)).collect::<Vec<_>>();
    let (inputs, outputs) = (names(&part.inputs), names(&part.body.outputs));
    Some((verify(Program::single(part)).ok()?, inputs, outputs))
}

/// Every value that an operation defines, in nested blocks too.
fn inner(operation: &Operation, into: &mut HashSet<ValueId>) {
    into.extend(operation.outputs.iter().copied());
    for block in &operation.blocks {
        into.extend(block.inputs.iter().copied());
        block.ops.iter().for_each(|operation| inner(operation, into));
    }
}

/// A function of its own arena from values of another one.
fn renumber(
    function: &Function,
    inputs: Vec<ValueId>,
    ops: Vec<Operation>,
    outputs: Vec<ValueId>,
) -> Function {
    let mut values: Vec<Value> = Vec::new();
    let mut ids: HashMap<ValueId, ValueId> = HashMap::new();
    let mut id = |old: ValueId, input: bool| {
        *ids.entry(old).or_insert_with(|| {
            let mut value = function.value(old).clone();
            if input {
                value.def = Def::Input;
            }
            value.name.get_or_insert_with(|| format!("value_{}", old.index()));
            values.push(value);
            ValueId::from_index(values.len() - 1)
        })
    };
    let inputs: Vec<ValueId> = inputs.into_iter().map(|value| id(value, true)).collect();
    let mut body = Block { inputs: Vec::new(), ops, outputs };
    rename(&mut body, &mut |value| id(value, false));
    Function { name: function.name.clone(), opset: function.opset, inputs, body, values }
}

/// Renames every value of a block. (Behind a pointer, so that recursion does not grow the type.)
fn rename(block: &mut Block, id: &mut dyn FnMut(ValueId) -> ValueId) {
    for value in &mut block.inputs {
        *value = id(*value);
    }
    for operation in &mut block.ops {
        for value in operation.args.iter_mut().flat_map(Arg::values_mut) {
            *value = id(*value);
        }
        for nested in &mut operation.blocks {
            rename(nested, id);
        }
        for value in &mut operation.outputs {
            *value = id(*value);
        }
    }
    for value in &mut block.outputs {
        *value = id(*value);
    }
}
