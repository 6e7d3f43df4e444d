//! Dispatch planning: what one program cannot hold becomes several, cut between operations.
//!
//! Three limits cut a function: the weights of a program, the operations of a program (the compiler's time grows
//! faster than their number), and the programs that a process may have loaded, which no cut can lift. Of the places
//! where a part may end, the one with the fewest bytes alive is taken, for what is alive there is written by one
//! program and read by the next: tensors, and states that are worked on before and after.

use super::compile::{self, compile_time};
use super::estimate::{Estimate, EstimateError, EstimateOptions, Range, of_work, work};
use super::graph::constant_bytes;
use super::model::Path;
use super::params::ChipFacts;
use super::part::{Cuts, Part as Piece, is_weights};
use crate::chips::{Chip, PROCESS};
use mil::{DataType, Def, Function, Program, TensorType, Type, ValueId, Verified, verify};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Weights of one program in bytes: "about 2 GB" is the limit, 1.6e9 was reported safe (ANEForge; one source).
pub const MAX_WEIGHTS: f64 = 1.6e9;
/// Operations of one program: a choice, for the compiler's time grows faster than their number; eight layers with
/// their training step, some 2500 operations, took 162 s as one program (ANEForge; the count is ours).
pub const MAX_OPS: usize = 400;

/// Programs that a process can have of a route: loaded at a time, or, on the in-memory route, compiled.
fn max_programs(path: Path) -> f64 {
    let figure = match path {
        Path::E5rt => &PROCESS.programs,
        Path::Direct => &PROCESS.compiles,
    };
    figure.value.unwrap_or(f64::INFINITY)
}

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
    /// Names of the values that it takes from outside, states included.
    pub inputs: Vec<String>,
    /// Names of the values that it gives.
    pub outputs: Vec<String>,
    /// Time to compile once, in seconds ([`compile_time`]).
    pub compile_s: Range,
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
    /// Of it, what the split costs: further dispatches, and transfers between the programs, of states that they share too.
    pub split_ms: f64,
    /// Energy of the engine's rail per call in mJ.
    pub energy_mj: Range,
    /// Time to compile everything once, in seconds.
    pub compile_s: Range,
    /// Whether every limit holds.
    pub fits: bool,
    /// What does not hold, and what was assumed.
    pub notes: Vec<String>,
    /// The programs themselves.
    #[serde(skip)]
    pub programs: Vec<Verified>,
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
    let facts = ChipFacts::of(chip);
    let whole = of_work(&work(program, function, options)?, function, &facts, options);
    // `work` says what there is.
    let Some(found) = program.function(function) else {
        return Err(EstimateError::NoFunction { name: function.to_string(), known: String::new() });
    };
    let ops = found.body.ops.iter().filter(|operation| !is_weights(operation)).count();
    let mut reasons = Vec::new();
    if whole.weight_bytes > MAX_WEIGHTS {
        reasons.push(Reason::Weights);
    }
    if ops > MAX_OPS {
        reasons.push(Reason::CompileTime);
    }
    if reasons.is_empty() {
        return Ok(one(program, found, whole, chip, ops, reasons));
    }
    let bounds = cut(found);
    let ranges: Vec<(usize, usize)> = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let positions: Vec<Vec<usize>> = ranges.iter().map(|&(first, end)| (first..end).collect()).collect();
    let cuts = Cuts::new(found, &positions);
    let mut notes = whole.notes.clone();
    let (mut parts, mut programs) = (Vec::new(), Vec::new());
    // Only what comes from and goes to the caller is copied by the host; what passes between programs stays in surfaces.
    let of_parts = EstimateOptions { host_copy: false, ..*options };
    for (at, (&(first, end), positions)) in ranges.iter().zip(&positions).enumerate() {
        let piece = Piece::new(found, positions, &cuts);
        let Ok(program) = verify(Program::single(piece.function.clone())) else {
            let mut plan = one(program, found, whole, chip, ops, reasons);
            plan.fits = false;
            plan.notes.push(
                "the function cannot be cut between its operations, for what passes there cannot be an input"
                    .to_string(),
            );
            return Ok(plan);
        };
        let estimate = of_work(&cuts.work(&piece, at, &of_parts), function, &facts, &of_parts);
        if estimate.weight_bytes > MAX_WEIGHTS {
            let heavy = found.body.ops[first..end].iter().find(|operation| !is_weights(operation));
            notes.push(format!(
                "`{}` at operation {first} alone has {:.2} GB of weights, more than the {:.2} GB of a program: split its columns",
                heavy.map_or("constants", |operation| operation.op.declaration().name),
                estimate.weight_bytes / 1e9,
                MAX_WEIGHTS / 1e9
            ));
        }
        let names = |values: &[ValueId]| -> Vec<String> {
            values.iter().map(|&value| piece.function.display_name(value)).collect()
        };
        parts.push(Part {
            first,
            end,
            weight_bytes: estimate.weight_bytes,
            inputs: names(&piece.function.inputs),
            outputs: names(&piece.function.body.outputs),
            compile_s: compile_time(chip, piece.operations(), estimate.weight_bytes),
            estimate,
        });
        programs.push(program);
    }
    let mut fits = parts.iter().all(|part| part.weight_bytes <= MAX_WEIGHTS);
    let most = max_programs(options.path);
    if parts.len() as f64 > most {
        fits = false;
        notes.push(format!("{} programs, but a process has about {most} at most", parts.len()));
    }
    if !cuts.shared.is_empty() {
        let count = cuts.shared.len();
        notes.push(format!(
            "{count} {} from program to program, by every one that reads or writes {}",
            if count == 1 { "state is passed" } else { "states are passed" },
            if count == 1 { "it" } else { "them" }
        ));
    }
    let host = whole.terms.host_copy_us / 1e3;
    let factor = (whole.latency_ms.low / whole.latency_ms.mid, whole.latency_ms.high / whole.latency_ms.mid);
    let copies = Range { low: host * factor.0, mid: host, high: host * factor.1 };
    let latency_ms = compile::sum(parts.iter().map(|part| part.estimate.latency_ms).chain([copies]));
    Ok(Plan {
        reasons,
        split_ms: (latency_ms.mid - whole.latency_ms.mid).max(0.0),
        latency_ms,
        energy_mj: compile::sum(parts.iter().map(|part| part.estimate.energy_mj)),
        compile_s: compile::sum(parts.iter().map(|part| part.compile_s)),
        fits,
        notes,
        parts,
        programs,
    })
}

/// The plan of a function that is one program.
fn one(
    program: &Verified,
    function: &Function,
    estimate: Estimate,
    chip: &Chip,
    ops: usize,
    reasons: Vec<Reason>,
) -> Plan {
    let names = |values: &[ValueId]| values.iter().map(|&value| function.display_name(value)).collect();
    let compile_s = compile_time(chip, ops, estimate.weight_bytes);
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
            end: function.body.ops.len(),
            weight_bytes: estimate.weight_bytes,
            inputs: names(&function.inputs),
            outputs: names(&function.body.outputs),
            compile_s,
            estimate,
        }],
    }
}

/// Boundaries of the parts: the first is 0, the last the number of operations.
fn cut(function: &Function) -> Vec<usize> {
    let ops = &function.body.ops;
    // What each operation uses. Operations on compressed weights are none of any part: what they use is used where
    // their result is.
    let mut behind: HashMap<ValueId, BTreeSet<ValueId>> = HashMap::new();
    let uses: Vec<BTreeSet<ValueId>> = ops
        .iter()
        .map(|operation| {
            let mut values = BTreeSet::new();
            for value in operation.uses_within() {
                match behind.get(&value) {
                    Some(constants) => values.extend(constants),
                    None => _ = values.insert(value),
                }
            }
            if is_weights(operation) {
                operation.outputs.iter().for_each(|&output| _ = behind.insert(output, values.clone()));
                values.clear();
            }
            values
        })
        .collect();
    // Operations before each position that are work.
    let mut before = vec![0; ops.len() + 1];
    for (at, operation) in ops.iter().enumerate() {
        before[at + 1] = before[at] + usize::from(!is_weights(operation));
    }
    let alive = alive(function, &uses);
    let mut bounds = vec![0];
    let (mut seen, mut weights): (HashSet<ValueId>, f64) = (HashSet::new(), 0.0);
    let (mut first, mut at) = (0, 0);
    while at < ops.len() {
        let new: f64 = uses[at]
            .iter()
            .filter(|value| !seen.contains(value))
            .map(|&value| constant_bytes(function, value))
            .sum();
        let count = before[at] - before[first];
        if count > 0 && (weights + new > MAX_WEIGHTS || count >= MAX_OPS) {
            // Back to the cheapest place in the last quarter of the part.
            let from = first + 1 + (at - first - 1) * 3 / 4;
            let end = (from..=at)
                .filter(|&end| before[end] > before[first])
                .min_by(|&a, &b| alive[a].total_cmp(&alive[b]).then(b.cmp(&a)))
                .unwrap_or(at);
            bounds.push(end);
            seen.clear();
            weights = 0.0;
            (first, at) = (end, end);
            continue;
        }
        weights += new;
        seen.extend(uses[at].iter().copied());
        at += 1;
    }
    bounds.push(ops.len());
    bounds
}

/// What a cut through a value that no port can take counts for, in bytes: more than any value has.
const NO_PORT: f64 = 1e13;

/// Bytes alive before every operation: what would cross a cut there.
fn alive(function: &Function, uses: &[BTreeSet<ValueId>]) -> Vec<f64> {
    let ops = &function.body.ops;
    // First and last place where a value is made or used.
    let mut spans: BTreeMap<ValueId, (usize, usize)> = BTreeMap::new();
    let mut seen = |value: ValueId, at: usize| {
        let crosses = match function.value(value).def {
            Def::Op => true,
            // What comes from the caller reaches any part without passing through another; a state is there for all
            // that follow.
            Def::Input => function.ty(value).is_state(),
            Def::Const(_) | Def::Constexpr => false,
        };
        if crosses {
            spans.entry(value).or_insert((at, at)).1 = at;
        }
    };
    for (at, operation) in ops.iter().enumerate() {
        operation.outputs.iter().for_each(|&value| seen(value, at));
        uses[at].iter().for_each(|&value| seen(value, at));
    }
    function.body.outputs.iter().for_each(|&value| seen(value, ops.len()));
    let mut change = vec![0.0; ops.len() + 2];
    for (value, (first, last)) in spans {
        let tensor = function.tensor(value);
        let taken = matches!(function.ty(value), Type::Tensor(_) | Type::State(_))
            && matches!(
                tensor.dtype,
                DataType::Fp16
                    | DataType::Fp32
                    | DataType::Int8
                    | DataType::Uint8
                    | DataType::Int16
                    | DataType::Uint16
            );
        let bytes = TensorType::checked_bytes(tensor).unwrap_or(0) as f64 + if taken { 0.0 } else { NO_PORT };
        change[first + 1] += bytes;
        change[last + 1] -= bytes;
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
