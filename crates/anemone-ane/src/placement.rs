//! How Core ML would share a program among engine, GPU and CPU: an estimate, apart from what the engine can do.
//!
//! What is published is one rule, read from 482 compiled models on an M4 (and reused for the M6): a run of operations goes to the
//! engine only if that saves at least 0.25 ms when the run stands at an end of the graph, 0.375 ms when it stands in the middle. It
//! reproduces 440 of them, 41 more are ties. The times that Core ML compares are its own and not published. Here stand rough ones in
//! their place ([`Assumptions`]), of which the CPU's rate is derived from where small convolutions were seen to change sides. So the
//! answer is good for large programs and for tiny ones, and a guess between.

use crate::chips::Chip;
use crate::facts::{ANEFORGE, ANEMONE, Cite, Figure, Grade, M6_STUDY};
use crate::rules::{CheckError, Graph, Site, chosen};
use mil::{DataType, Function, Verified};
use serde::Serialize;

/// What every answer is: said with each.
pub const BASIS: &str = "estimated from the published rule of Core ML's segmenter (M4) with assumed times; Apple's own times \
     are not published";

/// Where an operation would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// On the engine.
    Engine,
    /// Not on the engine; whether on the GPU or the CPU, nothing published tells.
    GpuOrCpu,
    /// On the CPU: whole numbers, strings, control flow.
    Cpu,
}

impl Device {
    /// The words for it.
    pub const fn name(self) -> &'static str {
        match self {
            Device::Engine => "engine",
            Device::GpuOrCpu => "GPU or CPU",
            Device::Cpu => "CPU",
        }
    }
}

/// A run of operations on one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// Where.
    pub device: Device,
    /// How many operations.
    pub operations: usize,
    /// Name of the first result.
    pub first: String,
    /// For what the engine could run: what it would save, and what it would have to, in ms.
    pub saving: Option<(f64, f64)>,
}

/// The estimate for one function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Split {
    /// The function.
    pub function: String,
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// What the answer rests on.
    pub basis: &'static str,
}

impl Split {
    /// Operations on a device.
    pub fn on(&self, device: Device) -> usize {
        self.segments
            .iter()
            .filter(|segment| segment.device == device)
            .map(|segment| segment.operations)
            .sum()
    }
}

/// The rule, and the rates that stand in for Apple's times.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Assumptions {
    /// What a run at an end of the graph must save.
    pub at_an_end: Figure,
    /// What a run in the middle must save.
    pub in_the_middle: Figure,
    /// Arithmetic of the CPU.
    pub cpu_rate: Figure,
    /// Bytes that the CPU moves.
    pub cpu_bytes: Figure,
    /// The part of its peak that the engine reaches.
    pub engine_part: Figure,
    /// Bytes that the engine moves inside a program.
    pub engine_bytes: Figure,
}

/// The assumptions. The CPU's rate lies between 0.75 and 2.4 TFLOP/s: a 3x3 convolution `[1, 128, 32, 32]` (302 MFLOP) was seen to go
/// to the CPU, one of `[1, 256, 32, 32]` (1208 MFLOP) to the engine.
pub static ASSUMPTIONS: Assumptions = Assumptions {
    at_an_end: Figure::new(0.25, "ms", Grade::Measured, Cite::of(&M6_STUDY, "5.2, fit on 482 models, M4")),
    in_the_middle: Figure::new(
        0.375,
        "ms",
        Grade::Measured,
        Cite::of(&M6_STUDY, "5.2, fit on 482 models, M4"),
    ),
    cpu_rate: Figure::new(
        1.5,
        "TFLOP/s",
        Grade::Derived,
        Cite::of(&ANEFORGE, "audit of 451 programs: where they change sides"),
    ),
    cpu_bytes: Figure::new(50.0, "GB/s", Grade::Unknown, Cite::of(&ANEMONE, "assumed")),
    engine_part: Figure::new(
        0.8,
        "of the peak",
        Grade::Derived,
        Cite::of(&ANEFORGE, "convolution chains reach 80 to 92 %"),
    ),
    engine_bytes: Figure::new(100.0, "GB/s", Grade::Unknown, Cite::of(&ANEMONE, "assumed")),
};

/// Estimates how Core ML would split a program, or one function of it.
///
/// # Errors
/// When there is no such function.
pub fn split(
    program: &Verified,
    function: Option<&str>,
    chip: &'static Chip,
) -> Result<Vec<Split>, CheckError> {
    Ok(chosen(program, function)?.into_iter().map(|function| of_function(function, chip)).collect())
}

/// What is known of one operation.
struct Step {
    can: bool,
    elsewhere: Device,
    saving: f64,
    name: String,
}

fn of_function(function: &Function, chip: &'static Chip) -> Split {
    let mut segments: Vec<Segment> = Vec::new();
    let steps = match chip.family().limits() {
        Some(limits) => {
            let graph = Graph::new(function, chip, limits);
            let sites = graph.sites().filter(|site| !site.is_constant_work());
            sites.map(|site| step(&site, chip)).collect()
        }
        None => Vec::new(),
    };
    let mut at = 0;
    while at < steps.len() {
        let can = steps[at].can;
        let length = steps[at..].iter().take_while(|step| step.can == can).count();
        let run = &steps[at..at + length];
        if can {
            let ends = at == 0 || at + length == steps.len();
            let needed =
                if ends { ASSUMPTIONS.at_an_end } else { ASSUMPTIONS.in_the_middle }.value.unwrap_or(0.0);
            let saved = run.iter().map(|step| step.saving).sum::<f64>();
            let device = if saved >= needed { Device::Engine } else { Device::Cpu };
            push(&mut segments, device, run, Some((saved, needed)));
        } else {
            for step in run {
                push(&mut segments, step.elsewhere, std::slice::from_ref(step), None);
            }
        }
        at += length;
    }
    Split { function: function.name.clone(), segments, basis: BASIS }
}

fn push(segments: &mut Vec<Segment>, device: Device, run: &[Step], saving: Option<(f64, f64)>) {
    match segments.last_mut() {
        Some(last) if last.device == device && last.saving.is_none() && saving.is_none() => {
            last.operations += run.len();
        }
        _ => segments.push(Segment {
            device,
            operations: run.len(),
            first: run.first().map_or_else(String::new, |step| step.name.clone()),
            saving,
        }),
    }
}

fn step(site: &Site<'_>, chip: &'static Chip) -> Step {
    let can = !site.is_border_cast() && !crate::rules::refuses(site);
    let name =
        site.op.operation.outputs.first().map_or_else(String::new, |&id| site.op.function.display_name(id));
    let numbers = site.op.operation.outputs.iter().all(|&id| site.op.function.dtype(id).is_float());
    let elsewhere =
        if numbers && site.op.operation.blocks.is_empty() { Device::GpuOrCpu } else { Device::Cpu };
    let (work, bytes) = (work(site), bytes(site));
    let ms = |amount: f64, rate: Option<f64>| {
        rate.filter(|rate| *rate > 0.0).map_or(0.0, |rate| amount / rate / 1e6)
    };
    let cpu = ms(work, ASSUMPTIONS.cpu_rate.value.map(|rate| rate * 1e3))
        .max(ms(bytes, ASSUMPTIONS.cpu_bytes.value));
    // 4096 products a cycle, whatever the chip; where the clock is not known, the slowest of engines that take MIL.
    let clock = chip.target().clock.value.unwrap_or(1428.0);
    let peak = 4096.0 * 2.0 * clock * 1e-3 * ASSUMPTIONS.engine_part.value.unwrap_or(1.0);
    let engine = ms(work, Some(peak)).max(ms(bytes, ASSUMPTIONS.engine_bytes.value));
    Step { can, elsewhere, saving: cpu - engine, name }
}

/// Floating-point operations of products.
fn work(site: &Site<'_>) -> f64 {
    let count = |dims: &[usize]| {
        dims.iter().fold(1.0, |n, &dim| if dim == mil::UNKNOWN { n } else { n * dim as f64 })
    };
    let output = site.op.operation.outputs.first().map_or(0.0, |&id| count(site.op.function.shape(id)));
    let terms = match site.op.name() {
        "conv" => mil::ops::conv::geometry(&site.op)
            .map(|sizes| sizes.in_channels_per_group() as f64 * sizes.window() as f64)
            .unwrap_or(0.0),
        "matmul" => mil::ops::linear::matmul_geometry(&site.op).map_or(0.0, |sizes| sizes.k as f64),
        "linear" => site.op.shape("x").ok().and_then(|dims| dims.last()).map_or(0.0, |&k| k as f64),
        _ => 0.5,
    };
    2.0 * terms * output
}

/// Bytes of operands and results.
fn bytes(site: &Site<'_>) -> f64 {
    let of = |id: mil::ValueId| {
        let ty = site.op.function.tensor(id);
        match ty.dtype {
            DataType::String => 0.0,
            dtype => ty
                .shape
                .iter()
                .filter(|&&dim| dim != mil::UNKNOWN)
                .fold(dtype.bits() as f64 / 8.0, |n, &dim| n * dim as f64),
        }
    };
    let operands: f64 = site.op.operands().map(|(_, id)| of(id)).sum();
    operands + site.op.operation.outputs.iter().map(|&id| of(id)).sum::<f64>()
}
