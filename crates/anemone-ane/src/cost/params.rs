//! The parameters of the model: what each means, where its fit starts, and how chips share them.
//!
//! Every chip-dependent quantity is `base × (generation / 4)^g × (DRAM bandwidth / 120 GB/s)^d × deviation of the chip`, where base and
//! exponents are shared by all chips and deviations are drawn towards 1. A chip that was never measured gets deviations of 1: the
//! law of its relatives.

use crate::chips::Chip;

/// What is known about a chip beforehand, for the shared laws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChipFacts {
    /// Name, as in [`Chip::name`].
    pub name: &'static str,
    /// Generation on the scale of the M series (M1 = 1); A chips stand with the M chip of their engine family.
    pub generation: f64,
    /// Highest clock of the engine in MHz.
    pub clock_mhz: f64,
    /// Memory bandwidth in GB/s.
    pub dram_gb_s: f64,
    /// Largest memory the chip is sold with, in GB; only for steps whose host part pages.
    pub memory_gb: f64,
    /// Engines that one program is spread over.
    pub engines: f64,
    /// Whether dense 3×3 convolutions with stride 1 run as Winograd.
    pub winograd: bool,
    /// Whether channel counts that are multiples of 4096 are slow.
    pub slow_4096: bool,
}

const fn facts(
    name: &'static str,
    generation: f64,
    clock_mhz: f64,
    dram_gb_s: f64,
    memory_gb: f64,
) -> ChipFacts {
    let slow_4096 = generation == 4.0;
    ChipFacts {
        name,
        generation,
        clock_mhz,
        dram_gb_s,
        memory_gb,
        engines: 1.0,
        winograd: generation >= 5.0,
        slow_4096,
    }
}

/// Sources. Clocks: highest step of the compiler's clock table of the target (H13 1428, H13g 1464, H14 1938, H15 2064,
/// H15c 2364, H16 2160, H16s 2364, H17 2172, H17s 2364 MHz; ANEForge `costmodel_curves`, derived); the Pro, Max and Ultra chips of
/// a generation without a table of their own take that of the nearest. M4 and M5: 2364, as their compiler names h16g and h17s say (18.6 TFLOP/s
/// published for M4 exceed the peak of 2160 MHz).
/// M6: back-computed from 20.6 TFLOP/s measured (derived). A chips: the base target of their family (derived). Bandwidth and memory: Apple's technical
/// specifications (vendor; M1 68 GB/s, where a study gives 85), M6 170.5 GB/s published (measured, one source). Winograd on M5 and later: ANEForge numerics (derived). Slow multiples of 4096: `dev-erik`
/// single convolutions on M4 Max (measured) and ANEForge matrix-vector products on M4 and M4 Max (measured).
pub static FACTS: &[ChipFacts] = &[
    facts("A11", 0.3, 700.0, 30.0, 3.0),
    facts("A12", 0.6, 1260.0, 34.0, 4.0),
    facts("A13", 0.8, 1200.0, 34.0, 4.0),
    facts("A14", 1.0, 1428.0, 34.0, 6.0),
    facts("M1", 1.0, 1428.0, 68.0, 16.0),
    facts("M1 Pro", 1.0, 1464.0, 205.0, 32.0),
    facts("M1 Max", 1.0, 1464.0, 410.0, 64.0),
    facts("M1 Ultra", 1.0, 1464.0, 819.0, 128.0),
    facts("A15", 2.0, 1938.0, 34.0, 6.0),
    facts("M2", 2.0, 1938.0, 102.0, 24.0),
    facts("M2 Pro", 2.0, 1938.0, 205.0, 32.0),
    facts("M2 Max", 2.0, 1938.0, 410.0, 96.0),
    facts("M2 Ultra", 2.0, 1938.0, 819.0, 192.0),
    facts("A16", 2.5, 2064.0, 51.0, 6.0),
    facts("A17 Pro", 3.5, 2160.0, 51.0, 8.0),
    facts("M3", 3.0, 2064.0, 102.0, 24.0),
    facts("M3 Pro", 3.0, 2064.0, 154.0, 36.0),
    facts("M3 Max", 3.0, 2364.0, 410.0, 128.0),
    facts("M3 Ultra", 3.0, 2364.0, 819.0, 512.0),
    facts("A18", 4.0, 2160.0, 60.0, 8.0),
    facts("A18 Pro", 4.0, 2160.0, 60.0, 8.0),
    facts("M4", 4.0, 2364.0, 120.0, 32.0),
    facts("M4 Pro", 4.0, 2364.0, 273.0, 64.0),
    facts("M4 Max", 4.0, 2364.0, 546.0, 128.0),
    facts("A19", 5.0, 2172.0, 68.0, 8.0),
    facts("A19 Pro", 5.0, 2172.0, 77.0, 12.0),
    facts("M5", 5.0, 2364.0, 153.0, 32.0),
    facts("M5 Pro", 5.0, 2364.0, 307.0, 64.0),
    facts("M5 Max", 5.0, 2364.0, 614.0, 128.0),
    facts("A20", 6.0, 2130.0, 77.0, 12.0),
    facts("M6", 6.0, 2500.0, 170.5, 32.0),
];

impl ChipFacts {
    /// The facts of a chip; those of the compiler target's family where the chip is not in the table.
    pub fn of(chip: &Chip) -> ChipFacts {
        let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '-', '_'], "");
        let wanted = plain(chip.name);
        if let Some(found) = FACTS.iter().find(|facts| plain(facts.name) == wanted) {
            return *found;
        }
        let digits: String = chip.target.chars().filter(char::is_ascii_digit).collect();
        let number = digits.parse::<f64>().unwrap_or(13.0).clamp(11.0, 18.0);
        let generation = (number - 12.0).max(0.5);
        let nearest = FACTS
            .iter()
            .min_by(|a, b| (a.generation - generation).abs().total_cmp(&(b.generation - generation).abs()))
            .copied();
        ChipFacts { name: chip.name, ..nearest.unwrap_or(facts("M1", 1.0, 1428.0, 68.0, 16.0)) }
    }
}

/// A parameter of the model.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Name.
    pub name: &'static str,
    /// Whether the fit works on its logarithm (a positive quantity) or on itself (an exponent).
    pub log: bool,
    /// Where the fit starts and what it is drawn to.
    pub start: f64,
    /// How far it may stray: standard deviation of the logarithm, or of itself.
    pub spread: f64,
}

macro_rules! globals {
    ($($field:ident: $kind:ident $start:literal ~ $spread:literal, $doc:literal;)*) => {
        /// Parameters that all chips share.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct Globals { $(#[doc = $doc] pub $field: f64,)* }

        /// The shared parameters, in the order of [`Globals`].
        pub static GLOBALS: &[Spec] = &[$(Spec {
            name: stringify!($field), log: globals!(@log $kind), start: $start, spread: $spread,
        },)*];

        impl Globals {
            /// From values in the order of [`GLOBALS`]; missing ones take their start.
            pub fn from_slice(values: &[f64]) -> Globals {
                let mut at = 0;
                let mut next = || { at += 1; values.get(at - 1).copied().unwrap_or(GLOBALS[at - 1].start) };
                Globals { $($field: next(),)* }
            }
        }
    };
    (@log log) => { true };
    (@log lin) => { false };
}

globals! {
    floor: log 80.0 ~ 0.5, "Fixed time per program through e5rt, in µs, at generation 4.";
    floor_gen: lin -0.5 ~ 0.3, "Its exponent of the generation.";
    direct: log 1.4 ~ 0.3, "Ratio of the fixed time through the in-memory path to that through e5rt.";
    conv_eff: log 0.95 ~ 0.05, "Share of the array's peak that a large windowed convolution reaches.";
    matmul_eff: log 0.9 ~ 0.05, "The same for matrix products and 1×1 convolutions.";
    winograd: log 1.45 ~ 0.04, "Speed-up of Winograd convolutions.";
    int8: log 1.9 ~ 0.05, "Speed-up of the array on 8-bit operands, from generation 3.5 on.";
    rows_half: log 12.0 ~ 1.0, "Rows at which half of the array is used.";
    depth_half: log 16.0 ~ 1.0, "Depth at which half of the array is used.";
    columns_half: log 16.0 ~ 1.0, "Columns at which half of the array is used.";
    batched: log 0.8 ~ 0.1, "Share of the peak that products of activations reach, relative to constant weights.";
    issue: log 0.3 ~ 0.5, "Time per instruction of the array in µs, at 2160 MHz.";
    planar_issue: log 2.0 ~ 0.5, "Time per instruction of the planar engine and of moves in µs, at 2160 MHz.";
    batch_issue: log 0.3 ~ 0.8, "Time per matrix of a batched product in µs.";
    weight_bw: log 80.0 ~ 0.4, "Weight stream in GB/s at generation 4 and 120 GB/s.";
    weight_gen: lin 0.6 ~ 0.4, "Its exponent of the generation.";
    weight_dram: lin 0.15 ~ 0.15, "Its exponent of the memory bandwidth.";
    prefetch: log 1.0 ~ 0.6, "How much faster weights that fit the kernel memory (1 MiB) stream, relative to large ones.";
    lut: log 0.55 ~ 0.2, "Time of a 4-bit palette relative to fp16.";
    sparse: log 0.55 ~ 0.2, "Time of two thirds of zeros relative to fp16.";
    blockwise: log 0.98 ~ 0.1, "Time of blockwise 8 bits relative to fp16.";
    slow_4096: log 3.0 ~ 0.3, "Factor on weights whose depth and columns are multiples of 4096, on the chips that have it.";
    act_bw: log 60.0 ~ 0.5, "Traffic of activations that do not fit on chip, in GB/s at generation 4 and 120 GB/s.";
    act_gen: lin 0.3 ~ 0.3, "Its exponent of the generation.";
    act_dram: lin 0.2 ~ 0.2, "Its exponent of the memory bandwidth.";
    on_chip: log 2.0 ~ 0.5, "Activation size in MiB at which half of its traffic leaves the chip.";
    overflow: log 62.0 ~ 0.04, "Activation size in MiB at which traffic begins to thrash.";
    overflow_slow: log 3.0 ~ 0.5, "How much slower thrashing traffic is.";
    planar: log 80.0 ~ 0.5, "Planar engine, G elements per second per pass at 2 GHz.";
    relayout: log 150.0 ~ 0.25, "Transpositions in GB/s at generation 4.";
    regroup: log 2.0 ~ 0.5, "Reshapes that make rows into channels, in GB/s at generation 4.";
    regroup_slow: log 2.5 ~ 0.5, "How much slower they are beyond 4 MiB.";
    conv_traffic: log 0.5 ~ 0.5, "Share of the activations of a convolution that leave the chip, for tiling with neighbours.";
    spill: log 30.0 ~ 0.5, "Size in MiB of an operand of a matrix product beyond which it is read again and again.";
    spill_slow: log 3.5 ~ 0.4, "How much slower a product with such operands is.";
    port_bw: log 40.0 ~ 0.5, "Ports read and written by the engine, in GB/s at generation 4 and 120 GB/s.";
    port_spill: log 128.0 ~ 0.5, "Bytes through ports in MiB beyond which they slow down.";
    port_slow: log 2.0 ~ 0.5, "How much they slow down.";
    host_bw: log 12.0 ~ 0.4, "Conversion and copies by the host, in GB/s of fp16, at generation 4 and 120 GB/s.";
    host_row: log 5.0 ~ 0.5, "Copy by the host of one row that does not fill the pitch, in ns, at generation 4.";
    host_gen: lin 0.3 ~ 0.3, "Its exponent of the generation.";
    host_dram: lin 0.4 ~ 0.3, "Its exponent of the memory bandwidth.";
    overlap: log 2.0 ~ 0.4, "Exponent of the norm that joins compute, weights and traffic of one operation.";
    cpu: log 1.5 ~ 0.4, "Host part of a training step, TFLOP/s at generation 4.";
    cpu_gen: lin 0.3 ~ 0.3, "Its exponent of the generation.";
    update: log 60.0 ~ 0.4, "Host part of a step: parameters updated, GB/s at generation 4.";
    stage: log 12.0 ~ 0.4, "Host part of a step: operands staged, GB/s at generation 4.";
    second_code: log 0.7 ~ 0.4, "Speed of the host part of the second published code base (rustane) relative to the first (maderix).";
    paging: log 6.0 ~ 0.5, "Slow-down of a host part that does not fit in memory.";
}

/// Deviations of one chip from the shared laws, as factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviations {
    /// Fixed time through e5rt.
    pub floor: f64,
    /// Further factor on the fixed time through the in-memory path.
    pub direct: f64,
    /// Compute.
    pub compute: f64,
    /// Weight stream.
    pub weight: f64,
    /// Activation traffic and ports.
    pub act: f64,
    /// Host copies.
    pub host: f64,
    /// Host part of training steps.
    pub cpu: f64,
}

/// The deviations, in the order of [`Deviations`].
pub static DEVIATIONS: &[Spec] = &[
    Spec { name: "floor", log: true, start: 1.0, spread: 0.3 },
    Spec { name: "direct", log: true, start: 1.0, spread: 0.3 },
    Spec { name: "compute", log: true, start: 1.0, spread: 0.1 },
    Spec { name: "weight", log: true, start: 1.0, spread: 0.3 },
    Spec { name: "act", log: true, start: 1.0, spread: 0.3 },
    Spec { name: "host", log: true, start: 1.0, spread: 0.3 },
    Spec { name: "cpu", log: true, start: 1.0, spread: 0.3 },
];

impl Deviations {
    /// From values in the order of [`DEVIATIONS`].
    pub fn from_slice(values: &[f64]) -> Deviations {
        let at = |index: usize| values.get(index).copied().unwrap_or(1.0);
        Deviations {
            floor: at(0),
            direct: at(1),
            compute: at(2),
            weight: at(3),
            act: at(4),
            host: at(5),
            cpu: at(6),
        }
    }
}
