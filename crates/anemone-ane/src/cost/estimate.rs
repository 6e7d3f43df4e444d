//! The estimate of one function on one chip.

use super::energy::{Activity, engine_mj, rest_mj};
use super::fitted;
use super::graph::{Assumptions, FunctionWork, OpWork};
use super::model::{Path, Rates};
use super::params::{ChipFacts, Deviations, Globals};
use super::work::Unit;
use crate::chips::Chip;
use mil::Verified;
use serde::Serialize;
use thiserror::Error;

/// What an estimate is about besides the program and the chip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EstimateOptions {
    /// Whether the host converts inputs and outputs between `fp32` and `fp16` and copies them. Off, inputs are taken to lie in
    /// the engine's surfaces already.
    pub host_copy: bool,
    /// Whether calls follow each other without pause, rather than one alone.
    pub sustained: bool,
    /// Route to the engine.
    pub path: Path,
    /// Turns of a `while_loop`, which a program does not say.
    pub loop_turns: usize,
    /// Length of an unknown dimension.
    pub unknown_dim: usize,
}

impl Default for EstimateOptions {
    fn default() -> EstimateOptions {
        EstimateOptions {
            host_copy: false,
            sustained: false,
            path: Path::E5rt,
            loop_turns: 8,
            unknown_dim: 128,
        }
    }
}

/// A figure with what it lies between: the 10th and the 90th percentile of the errors on rows that a fit had not seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Nine of ten are above.
    pub low: f64,
    /// The estimate.
    pub mid: f64,
    /// Nine of ten are below.
    pub high: f64,
}

/// What most of the time goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The fixed time of a dispatch.
    Dispatch,
    /// The multiply-accumulate array or the planar engine.
    Compute,
    /// Streaming of weights.
    Weights,
    /// Activations that leave the chip, and layout changes.
    Activations,
    /// Instructions issued: many small operations.
    Issue,
    /// The engine's reads and writes of inputs and outputs.
    Ports,
    /// Conversion and copies by the host.
    HostCopy,
    /// Nothing: part of its producer, or a view.
    Free,
}

impl Bound {
    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Dispatch => "dispatch",
            Bound::Compute => "compute",
            Bound::Weights => "weights",
            Bound::Activations => "activations",
            Bound::Issue => "issue",
            Bound::Ports => "ports",
            Bound::HostCopy => "host_copy",
            Bound::Free => "free",
        }
    }
}

/// How well the chip is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Published measurements of this chip, and of operations like these, are in the calibration.
    MeasuredChip,
    /// Few measurements of this chip: mostly the law of its relatives.
    Interpolated,
    /// None of this chip, or mostly operations that nobody published: the law beyond where it was fitted.
    Extrapolated,
}

impl Provenance {
    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Provenance::MeasuredChip => "measured_chip",
            Provenance::Interpolated => "interpolated",
            Provenance::Extrapolated => "extrapolated",
        }
    }
}

/// Where the time of a call goes, in µs. They add up to the middle of the latency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Terms {
    /// Fixed time of a dispatch.
    pub dispatch_us: f64,
    /// Array and planar engine.
    pub compute_us: f64,
    /// Weights.
    pub weights_us: f64,
    /// Activations that leave the chip, layout changes.
    pub activations_us: f64,
    /// Instructions issued.
    pub issue_us: f64,
    /// Ports.
    pub ports_us: f64,
    /// Host copies.
    pub host_copy_us: f64,
}

impl Terms {
    /// The sum.
    pub fn total(&self) -> f64 {
        self.dispatch_us
            + self.compute_us
            + self.weights_us
            + self.activations_us
            + self.issue_us
            + self.ports_us
            + self.host_copy_us
    }

    fn bound(&self) -> Bound {
        let parts = [
            (Bound::Dispatch, self.dispatch_us),
            (Bound::Compute, self.compute_us),
            (Bound::Weights, self.weights_us),
            (Bound::Activations, self.activations_us),
            (Bound::Issue, self.issue_us),
            (Bound::Ports, self.ports_us),
            (Bound::HostCopy, self.host_copy_us),
        ];
        parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(Bound::Dispatch, |(bound, _)| bound)
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpCost {
    /// Op.
    pub op: &'static str,
    /// Name of its first value.
    pub value: String,
    /// Time per call in µs.
    pub time_us: f64,
    /// Floating-point operations per call.
    pub flops: f64,
    /// Bytes per call: operands, result and weights.
    pub bytes: f64,
    /// Trillions of floating-point operations per second.
    pub tflops: f64,
    /// Gigabytes per second.
    pub gb_s: f64,
    /// Share of the peak of the array.
    pub utilization: f64,
    /// What most of its time goes to.
    pub bound: Bound,
    /// How often it runs per call.
    pub count: f64,
}

/// What a call of a function would cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Chip.
    pub chip: &'static str,
    /// Function.
    pub function: String,
    /// Time per call in ms.
    pub latency_ms: Range,
    /// Energy of the engine's rail per call in mJ.
    pub energy_mj: Range,
    /// Energy of the whole package per call in mJ: with the cores that wait, convert and copy.
    pub package_mj: Range,
    /// What most of the time goes to.
    pub bound_by: Bound,
    /// Share of the peak of the array, over the whole call.
    pub utilization: f64,
    /// Peak of the array in TFLOP/s of `fp16`: 16 cores × 256 multiply-accumulates per cycle.
    pub peak_tflops: f64,
    /// Bandwidth of large weight streams in GB/s, for a roofline.
    pub weight_gb_s: f64,
    /// Floating-point operations per call.
    pub flops: f64,
    /// Bytes of weights.
    pub weight_bytes: f64,
    /// Where the time goes.
    pub terms: Terms,
    /// Operations in program order.
    pub ops: Vec<OpCost>,
    /// How well the chip is known.
    pub provenance: Provenance,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum EstimateError {
    /// The program has no such function.
    #[error("the program has no function `{name}`; functions: {known}")]
    NoFunction {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

/// Everything about a chip that the formulas need, from the committed fit.
pub(super) struct Calibrated {
    pub(super) rates: Rates,
    energy: f64,
    rest: f64,
    rows: usize,
}

impl Calibrated {
    pub(super) fn new(facts: &ChipFacts, sustained: bool) -> Calibrated {
        let known = fitted::CHIPS.iter().find(|known| known.name == facts.name);
        let deviations =
            known.map_or(Deviations::from_slice(&[]), |known| Deviations::from_slice(&known.latency));
        let mut rates = Rates::new(&Globals::from_slice(fitted::GLOBALS), facts, &deviations);
        rates.sustained = if sustained { fitted::SUSTAINED } else { 1.0 };
        Calibrated {
            rates,
            energy: known.map_or(1.0, |known| known.energy),
            rest: known.map_or(1.0, |known| known.package),
            rows: known.map_or(0, |known| known.rows),
        }
    }
}

/// The work of a function of a program.
pub(super) fn work(
    program: &Verified,
    function: &str,
    options: &EstimateOptions,
) -> Result<FunctionWork, EstimateError> {
    let found = program.function(function).ok_or_else(|| EstimateError::NoFunction {
        name: function.to_string(),
        known: program.functions.iter().map(|function| function.name.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    Ok(FunctionWork::new(
        found,
        Assumptions { loop_turns: options.loop_turns, unknown_dim: options.unknown_dim },
    ))
}

/// What a call of a function would cost on a chip.
///
/// # Errors
/// When the program has no such function. Every function has an estimate.
pub fn estimate(
    program: &Verified,
    function: &str,
    chip: &Chip,
    options: &EstimateOptions,
) -> Result<Estimate, EstimateError> {
    let work = work(program, function, options)?;
    Ok(of_work(&work, function, &ChipFacts::of(chip), options))
}

/// Largest figure that is reported: beyond, sizes have no meaning and sums would overflow.
const MOST: f64 = 1e30;

pub(super) fn of_work(
    work: &FunctionWork,
    function: &str,
    chip: &ChipFacts,
    options: &EstimateOptions,
) -> Estimate {
    let calibrated = Calibrated::new(chip, options.sustained);
    let rates = &calibrated.rates;
    let mut terms = Terms {
        dispatch_us: rates.floor(options.path),
        ports_us: rates.ports(work.port_bytes).min(MOST),
        host_copy_us: if options.host_copy {
            rates.host_copy(work.host_bytes, work.ragged_rows).min(MOST)
        } else {
            0.0
        },
        ..Terms::default()
    };
    let ops: Vec<OpCost> = work.ops.iter().map(|op| cost(op, rates, &mut terms)).collect();
    let total = terms.total();
    let flops = work.flops().min(MOST);

    let mut activity = Activity {
        engine_us: total - terms.host_copy_us,
        host_us: terms.host_copy_us,
        ..Activity::default()
    };
    activity.add(&work.load(), 1.0);
    let engine = engine_mj(fitted::ENERGY, calibrated.energy, &activity).min(MOST);
    let rest = rest_mj(fitted::PACKAGE, calibrated.rest, &activity).min(MOST);

    let mut notes = work.notes.clone();
    let provenance = match work.assumed {
        true => Provenance::Extrapolated,
        false => provenance(calibrated.rows, &ops, total, &mut notes),
    };
    let floor_ms = rates.floor(options.path) / 1e3;
    let range = |mid: f64, (low, high): (f64, f64), least: f64| Range {
        low: (mid * low).max(least),
        mid,
        high: mid * high,
    };
    let spread = fitted::SPREADS[provenance as usize];
    let mut latency_ms = range(total / 1e3, spread, 0.0);
    // The fixed time itself scatters, but nothing is faster than a part of it.
    latency_ms.low = latency_ms.low.max(floor_ms * spread.0);
    Estimate {
        chip: chip.name,
        function: function.to_string(),
        latency_ms,
        energy_mj: range(engine, fitted::ENERGY_SPREAD, 0.0),
        package_mj: range(engine + rest, fitted::ENERGY_SPREAD, 0.0),
        bound_by: terms.bound(),
        utilization: (flops / (rates.peak * total)).min(1.0),
        peak_tflops: rates.peak / 1e6,
        weight_gb_s: rates.weight / 1e3,
        flops,
        weight_bytes: work.weight_bytes,
        terms,
        ops,
        provenance,
        notes,
    }
}

/// The cost of an operation; its time is added to the terms.
fn cost(op: &OpWork, rates: &Rates, terms: &mut Terms) -> OpCost {
    let mut own = Terms::default();
    let (mut flops, mut bytes, mut count) = (0.0, 0.0, 0.0_f64);
    for part in &op.parts {
        let time = rates.time(part);
        let times = part.count.min(MOST);
        own.compute_us += (time.compute * times).min(MOST);
        own.weights_us += (time.weights * times).min(MOST);
        own.activations_us += (time.traffic * times).min(MOST);
        own.issue_us += (time.issue * times).min(MOST);
        flops += (part.flops * times).min(MOST);
        if part.unit != Unit::Free {
            bytes += (part.bytes() * times).min(MOST);
        }
        count = count.max(times);
    }
    terms.compute_us += own.compute_us;
    terms.weights_us += own.weights_us;
    terms.activations_us += own.activations_us;
    terms.issue_us += own.issue_us;
    let time_us = own.total();
    let rate = |amount: f64, unit: f64| if time_us > 0.0 { amount / time_us / unit } else { 0.0 };
    OpCost {
        op: op.op,
        value: op.value.clone(),
        time_us,
        flops,
        bytes,
        tflops: rate(flops, 1e6),
        gb_s: rate(bytes, 1e3),
        utilization: rate(flops, rates.peak).min(1.0),
        bound: if time_us > 0.0 { own.bound() } else { Bound::Free },
        count,
    }
}

/// The host part of a step on a chip, in µs, by the committed fit.
pub(super) fn committed_host_step(chip: &ChipFacts, host: &super::calibration::programs::HostStep) -> f64 {
    Calibrated::new(chip, false).rates.host_step(host)
}

/// Rows from which on a chip counts as measured.
const MEASURED: usize = 10;

fn provenance(rows: usize, ops: &[OpCost], total: f64, notes: &mut Vec<String>) -> Provenance {
    let known = |op: &str| fitted::OPS.contains(&op);
    let mut strange: Vec<&str> = ops.iter().map(|op| op.op).filter(|op| !known(op)).collect();
    let time: f64 = ops.iter().filter(|op| !known(op.op)).map(|op| op.time_us).sum();
    if time > 0.2 * total {
        strange.sort_unstable();
        strange.dedup();
        notes.push(format!("no published timing of: {}", strange.join(", ")));
        return Provenance::Extrapolated;
    }
    match rows {
        0 => Provenance::Extrapolated,
        rows if rows < MEASURED => Provenance::Interpolated,
        _ => Provenance::MeasuredChip,
    }
}
