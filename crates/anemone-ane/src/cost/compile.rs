//! How long programs take to compile: published times, and a rough law through them.
//!
//! Compiling is work of the CPU, in a service of the system, once per program. [`PUBLISHED`] is everything that was
//! published, with source and grade. [`compile_time`] is a law with four figures: a fixed time, a time per megabyte of
//! weights, a factor for the CPU of older chips, and a term that grows faster than the number of operations. It is no
//! fit with a cross-validation as the times of calls have; its range is wide. Nothing was compiled by us.

use super::Range;
use super::model::Path;
use super::params::ChipFacts;
use crate::chips::Chip;
use crate::facts::{
    ANEFORGE, ANEMONE, Cite, Conflict, FIELD_GUIDE, Figure, Grade, IMPERATORMK, MADERIX, ORION, RUSTANE,
};
use serde::Serialize;

/// A published time to compile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Compilation {
    /// Chip; empty where the source names none.
    pub chip: &'static str,
    /// Route.
    #[serde(serialize_with = "route")]
    pub path: Path,
    /// What was compiled.
    pub what: &'static str,
    /// Programs that the time is for.
    pub programs: f64,
    /// Megabytes of constants in one of them, on average; none where the source does not say. Worked out by us from
    /// the shapes.
    pub weight_mb: Option<f64>,
    /// Milliseconds for all programs together.
    pub ms: f64,
    /// Least and most that the source saw, where it says.
    pub seen: Option<(f64, f64)>,
    /// Measured; derived where the chip was inferred.
    pub grade: Grade,
    /// Who published it.
    pub cite: Cite,
    /// What makes it unlike a compilation of one new program on a warm system; such rows are on record and no part of
    /// the law.
    pub apart: &'static str,
}

fn route<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match path {
        Path::E5rt => "e5rt",
        Path::Direct => "direct",
    })
}

impl Compilation {
    const fn of(
        chip: &'static str,
        path: Path,
        what: &'static str,
        programs: f64,
        ms: f64,
        cite: Cite,
    ) -> Compilation {
        Compilation {
            chip,
            path,
            what,
            programs,
            weight_mb: None,
            ms,
            seen: None,
            grade: Grade::Measured,
            cite,
            apart: "",
        }
    }

    const fn weights(self, megabytes: f64) -> Compilation {
        Compilation { weight_mb: Some(megabytes), ..self }
    }

    const fn seen(self, least: f64, most: f64) -> Compilation {
        Compilation { seen: Some((least, most)), ..self }
    }

    const fn inferred(self) -> Compilation {
        Compilation { grade: Grade::Derived, ..self }
    }

    const fn apart(self, why: &'static str) -> Compilation {
        Compilation { apart: why, ..self }
    }

    /// Whether the law is held to it: the chip and the weights are known, and it is one new program on a warm system.
    pub fn is_plain(&self) -> bool {
        self.apart.is_empty() && self.weight_mb.is_some() && !self.chip.is_empty()
    }
}

use Path::{Direct, E5rt};

const COST_MODEL: Cite = Cite::of(&ANEFORGE, "aneforge/ane_cost_model.json");
const PRIMER: Cite = Cite::of(&ANEFORGE, "primer");
const DEPTH: Cite = Cite::of(&ANEFORGE, "docs/training.md");
const M5_RESULT: Cite = Cite::of(&MADERIX, "m5result.md");
const COMMUNITY: Cite = Cite::of(&MADERIX, "community_results.json");
const TRAINING: Cite = Cite::of(&MADERIX, "training/README");
const PHASE_8: Cite = Cite::of(&RUSTANE, "luengnat's fork, phase 8");
const GUIDE: Cite = Cite::of(&FIELD_GUIDE, "");

/// Weights in one of the 60 programs of the static Stories110M pipelines: 340 MB of `fp16` over all.
const STATIC_MB: f64 = 5.66;
/// And of the 86 programs with the parts that have no weights.
const STATIC_EXTRAS_MB: f64 = 3.95;

/// What was published.
pub static PUBLISHED: &[Compilation] = &[
    Compilation::of("M5 Pro", E5rt, "matmul [1, 64] x [64, 64]", 1.0, 51.0, COST_MODEL).weights(0.008),
    Compilation::of("M5 Pro", E5rt, "matmul [1, 512] x [512, 512]", 1.0, 40.0, COST_MODEL).weights(0.52),
    Compilation::of("M5 Pro", E5rt, "matmul [1, 2048] x [2048, 2048]", 1.0, 33.0, COST_MODEL).weights(8.4),
    Compilation::of("M5 Pro", E5rt, "matmul [1, 4096] x [4096, 4096]", 1.0, 92.0, COST_MODEL).weights(33.5),
    Compilation::of("M5 Pro", E5rt, "matmul [1024, 1024] x [1024, 1024]", 1.0, 28.0, COST_MODEL).weights(2.1),
    Compilation::of("M5 Pro", E5rt, "matmul [512, 1024] x [1024, 4096]", 1.0, 114.0, COST_MODEL).weights(8.4),
    Compilation::of("M5 Pro", E5rt, "conv 3x3, 16 channels, 32x32", 1.0, 20.0, COST_MODEL).weights(0.005),
    Compilation::of("M5 Pro", E5rt, "conv 3x3, 512 channels, 32x32", 1.0, 48.0, COST_MODEL).weights(4.7),
    Compilation::of("M5 Pro", E5rt, "softmax [64, 256]", 1.0, 68.0, COST_MODEL).weights(0.0),
    Compilation::of("M5", Direct, "conv 64x64, 32x32", 1.0, 33.3, M5_RESULT)
        .weights(0.008)
        .apart("with loading"),
    Compilation::of("M5", Direct, "conv 256x256, 64x64", 1.0, 11.4, M5_RESULT).weights(0.13).seen(10.8, 13.9),
    Compilation::of("M5", Direct, "matmul 128x128 of two inputs", 1.0, 80.1, Cite::of(&MADERIX, "PR #35"))
        .weights(0.0),
    Compilation::of("M5", Direct, "Stories110M, static", 60.0, 3300.0, COMMUNITY).weights(STATIC_MB),
    Compilation::of("M5", Direct, "SwiGLU, 512 wide, 256 and 512 long", 1.0, 36.0, PHASE_8)
        .seen(34.0, 38.0)
        .inferred(),
    Compilation::of("M5", Direct, "SwiGLU, 768 wide, 256 and 512 long", 1.0, 64.0, PHASE_8)
        .seen(62.0, 66.0)
        .inferred(),
    Compilation::of("M5", Direct, "SwiGLU, 1024 wide, 256 and 512 long", 1.0, 79.0, PHASE_8)
        .seen(78.0, 80.0)
        .inferred(),
    Compilation::of("M5", Direct, "SwiGLU, 2048 wide, 256 and 512 long", 1.0, 277.5, PHASE_8)
        .seen(277.0, 278.0)
        .inferred(),
    Compilation::of(
        "M4",
        Direct,
        "conv 128 channels, sp 64",
        1.0,
        25.0,
        Cite::of(&MADERIX, "dev-erik's fork, PROBE_RESULTS"),
    )
    .weights(0.03)
    .seen(23.0, 29.0),
    Compilation::of(
        "M4",
        Direct,
        "kernels of a double-buffered step",
        1.0,
        55.0,
        Cite::of(&MADERIX, "PR #23"),
    ),
    Compilation::of("M4", Direct, "Stories110M, static", 60.0, 7600.0, TRAINING)
        .weights(STATIC_MB)
        .apart("per restart of the process; twice the time of M4 Pro and M4 Max for the same programs"),
    Compilation::of("M4", Direct, "Stories110M, static, with extras", 86.0, 9600.0, TRAINING)
        .weights(STATIC_EXTRAS_MB)
        .apart("per restart of the process"),
    Compilation::of("M4", Direct, "Stories110M, weights as inputs", 10.0, 400.0, TRAINING).weights(0.0),
    Compilation::of("M4 Pro", Direct, "Stories110M, static", 60.0, 3465.0, COMMUNITY).weights(STATIC_MB),
    Compilation::of("M4 Max", Direct, "Stories110M, static", 60.0, 3531.0, COMMUNITY).weights(STATIC_MB),
    Compilation::of("M4 Max", Direct, "GPT-2", 25.0, 1160.0, Cite::of(&ORION, "m2_benchmarks")).weights(6.8),
    Compilation::of(
        "M4 Max",
        Direct,
        "a program with swapped weights",
        1.0,
        11.3,
        Cite::of(&ORION, "RESULTS"),
    )
    .apart("the same program with other weights"),
    Compilation::of(
        "M4 Max",
        Direct,
        "matmul 768x64 of two inputs",
        1.0,
        50.5,
        Cite::of(&RUSTANE, "phase 1"),
    )
    .weights(0.0),
    Compilation::of(
        "M4 Max",
        Direct,
        "training step, 110M to 1B, weights as inputs",
        10.0,
        500.0,
        Cite::of(&RUSTANE, ""),
    )
    .weights(0.0)
    .seen(500.0, 600.0),
    Compilation::of("M3 Max", Direct, "matrix-vector product 2560x2560", 1.0, 60.0, GUIDE).weights(13.1),
    Compilation::of("M3 Max", Direct, "query, key and value of Qwen3-4B", 1.0, 100.0, GUIDE).weights(31.5),
    Compilation::of("M3 Max", Direct, "SwiGLU of Qwen3-4B", 1.0, 150.0, GUIDE).weights(149.4),
    Compilation::of("M3 Max", Direct, "a piece of it", 1.0, 80.0, GUIDE),
    Compilation::of("M3 Max", Direct, "Qwen3-4B", 226.0, 28000.0, GUIDE).weights(32.0),
    Compilation::of("M3 Max", Direct, "Qwen3-4B again", 226.0, 8000.0, GUIDE)
        .weights(32.0)
        .apart("found in the system's cache"),
    Compilation::of("M3 Max", Direct, "any program again", 1.0, 7.5, GUIDE)
        .seen(5.0, 10.0)
        .apart("found in the system's cache"),
    Compilation::of(
        "M3 Ultra",
        Direct,
        "Stories110M, weights as inputs",
        9.0,
        353.0,
        Cite::of(&MADERIX, "PR #28"),
    )
    .weights(0.0),
    Compilation::of("M3 Ultra", Direct, "Stories110M, static", 60.0, 3772.0, Cite::of(&MADERIX, "PR #28"))
        .weights(STATIC_MB)
        .seen(3684.0, 3861.0),
    Compilation::of(
        "M3 Ultra",
        Direct,
        "Stories110M, static, with extras",
        86.0,
        4545.0,
        Cite::of(&MADERIX, "PR #28"),
    )
    .weights(STATIC_EXTRAS_MB),
    Compilation::of(
        "M3 Ultra",
        Direct,
        "attention, 4096 to 6144 wide, 512 long",
        1.0,
        250.0,
        Cite::of(&RUSTANE, "sdpa_boundary"),
    )
    .seen(225.0, 259.0)
    .inferred(),
    Compilation::of(
        "M1",
        Direct,
        "products and elementwise programs",
        1.0,
        300.0,
        Cite::of(&IMPERATORMK, "cheatsheet"),
    )
    .weights(0.0)
    .seen(100.0, 500.0),
    Compilation::of("M1 Pro", Direct, "Stories110M, static", 60.0, 8200.0, COMMUNITY).weights(STATIC_MB),
    Compilation::of("M1 Max", Direct, "Stories110M, static", 60.0, 7100.0, COMMUNITY).weights(STATIC_MB),
    Compilation::of("", E5rt, "any program, warm", 1.0, 27.0, PRIMER),
    Compilation::of("", E5rt, "any program, cold", 1.0, 750.0, PRIMER).apart("the service was not running"),
    Compilation::of("", Direct, "any program", 1.0, 38.0, PRIMER).apart("with loading"),
    Compilation::of(
        "M5 Pro",
        E5rt,
        "six programs of a language model's layers, forward and backward",
        6.0,
        500.0,
        DEPTH,
    )
    .inferred(),
    Compilation::of(
        "M5 Pro",
        E5rt,
        "eight layers, forward, backward and Adam, as one program",
        1.0,
        162_000.0,
        DEPTH,
    )
    .inferred()
    .apart("the only published time of a program of very many operations"),
];

/// The figures of the law.
#[derive(Debug, PartialEq, Serialize)]
pub struct CompileLaw {
    /// A program without weights.
    pub fixed: Figure,
    /// Weights.
    pub per_megabyte: Figure,
    /// What [`CompileLaw::exponent`] is a power of: milliseconds of one operation.
    pub per_operation: Figure,
    /// Power of the number of operations.
    pub exponent: Figure,
    /// How much slower the CPU of an M1 or A14 is, and of older ones.
    pub first_generation: Figure,
    /// The same of M2, A15 and A16.
    pub second_generation: Figure,
    /// Low end of the range, as a factor on the estimate.
    pub low: Figure,
    /// High end.
    pub high: Figure,
}

const LAW_CITE: Cite = Cite::of(&ANEMONE, "least absolute logarithms over the plain rows from M3 on");

/// The law. Fixed time and slope are those with the least sum of absolute logarithms over the plain rows from M3 on; a
/// test holds them to it.
pub static LAW: CompileLaw = CompileLaw {
    fixed: Figure::new(47.0, "ms", Grade::Derived, LAW_CITE)
        .but(&[Conflict { claim: "27 ms warm and 750 ms cold, whatever the program", cite: PRIMER }]),
    per_megabyte: Figure::new(1.4, "ms/MB", Grade::Derived, LAW_CITE)
        .but(&[Conflict { claim: "0.7 ms/MB between 13 and 149 MB on an M3 Max", cite: GUIDE }]),
    per_operation: Figure::new(
        5.2e-4,
        "ms",
        Grade::Derived,
        Cite::of(
            &ANEMONE,
            "162 s of one program, taken for 2500 operations: eight layers of ours have 3137, with more around them",
        ),
    ),
    exponent: Figure::new(
        2.5,
        "",
        Grade::Derived,
        Cite::of(&ANEMONE, "that program against programs of one layer, of which six took 0.5 s"),
    ),
    first_generation: Figure::new(
        2.5,
        "times",
        Grade::Derived,
        Cite::of(&ANEMONE, "the static pipelines on M1 Pro and M1 Max against M4 Pro to M5"),
    )
    .but(&[Conflict {
        claim: "7 times on an M1: 100 to 500 ms each",
        cite: Cite::of(&IMPERATORMK, "cheatsheet"),
    }]),
    second_generation: Figure::new(
        1.6,
        "times",
        Grade::Derived,
        Cite::of(&ANEMONE, "between M1 and M3; nobody published a time"),
    ),
    low: Figure::new(0.5, "times", Grade::Derived, Cite::of(&ANEMONE, "nine of ten plain rows are above")),
    high: Figure::new(2.2, "times", Grade::Derived, Cite::of(&ANEMONE, "nine of ten plain rows are below")),
};

/// How uncertain the term of many operations is, as a factor to either side: an assumption.
const GROWTH_RANGE: f64 = 5.0;

/// Seconds to compile one new program for a chip: a rough estimate. What the system has in its cache takes 5 to 10 ms
/// in place of it, and the first program after the compiler service has started some 0.75 s more; neither is counted.
pub fn compile_time(chip: &Chip, operations: usize, weight_bytes: f64) -> Range {
    let figure = |figure: &Figure, otherwise: f64| figure.value.unwrap_or(otherwise);
    let generation = ChipFacts::of(chip).generation;
    let slower = match generation {
        known if known < 1.5 => figure(&LAW.first_generation, 1.0),
        known if known < 2.9 => figure(&LAW.second_generation, 1.0),
        _ => 1.0,
    };
    let megabytes = (weight_bytes / 1e6).clamp(0.0, 1e9);
    let base = (figure(&LAW.fixed, 0.0) + figure(&LAW.per_megabyte, 0.0) * megabytes) * slower / 1e3;
    let count = (operations as f64).min(1e9);
    let growth =
        figure(&LAW.per_operation, 0.0) * libm::pow(count, figure(&LAW.exponent, 1.0)) * slower / 1e3;
    Range {
        low: base * figure(&LAW.low, 1.0) + growth / GROWTH_RANGE,
        mid: base + growth,
        high: base * figure(&LAW.high, 1.0) + growth * GROWTH_RANGE,
    }
}

/// The sum of ranges, each end with its like.
pub(super) fn sum(ranges: impl IntoIterator<Item = Range>) -> Range {
    ranges.into_iter().fold(Range { low: 0.0, mid: 0.0, high: 0.0 }, |a, b| Range {
        low: a.low + b.low,
        mid: a.mid + b.mid,
        high: a.high + b.high,
    })
}
