//! The targets of Apple's compiler: what `TargetArchitecture` may name.

use super::Family;
use crate::facts::{ANEFORGE, Cite, Conflict, Figure, Grade, M6_STUDY};
use serde::Serialize;

/// A compiler target.
#[derive(Debug, PartialEq, Serialize)]
pub struct Target {
    /// Its name: `h13g`.
    pub name: &'static str,
    /// The generation of the engine: `H13`.
    pub architecture: &'static str,
    /// What it can do.
    pub family: Family,
    /// Whether it is one of the 28 that ANEForge lists; the others are named by the M6 study.
    pub listed: bool,
    /// Number of the architecture in compiled programs (`cpusubtype`) and version of their task descriptors.
    pub format: Option<(u32, u32)>,
    /// Neural cores of one engine.
    pub neural_cores: Figure,
    /// Cores by the compiler's cost table (HAL field 0x238), which is no count of multipliers: chips with 4 and with 16 measure
    /// alike.
    pub hal_cores: Figure,
    /// Highest clock of the engine.
    pub clock: Figure,
    /// Clock that the compiler's cost model reckons with at the highest.
    pub effective_clock: Figure,
    /// The clocks, MHz (HAL field 0x760); empty where they are not published.
    pub clock_steps: &'static [u32],
    /// Clocks of the fabric that moves data, MHz (HAL field 0x778).
    pub dma_rates: &'static [u32],
    /// Levels of the memory's clock, MHz (HAL field 0x790).
    pub memory_levels: &'static [u32],
}

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name.eq_ignore_ascii_case(name))
    }
}

const HAL: Cite = Cite::of(&ANEFORGE, "HAL curves");
const SOC: Cite = Cite::of(&M6_STUDY, "SoC parameters of the compiler");
const NE: Cite = Cite::of(&M6_STUDY, "HAL field 0x00c");

const fn row(
    name: &'static str,
    architecture: &'static str,
    family: Family,
    format: Option<(u32, u32)>,
) -> Target {
    Target {
        name,
        architecture,
        family,
        listed: true,
        format,
        neural_cores: Figure::unknown("cores"),
        hal_cores: Figure::unknown("cores"),
        clock: Figure::unknown("MHz"),
        effective_clock: Figure::unknown("MHz"),
        clock_steps: &[],
        dma_rates: &[],
        memory_levels: &[],
    }
}

impl Target {
    const fn cores(mut self, neural: f64) -> Target {
        self.neural_cores = Figure::new(neural, "cores", Grade::Vendor, NE);
        self
    }

    /// A target of the compiler's cost table.
    const fn curve(
        mut self,
        cores: f64,
        effective: f64,
        steps: &'static [u32],
        dma: &'static [u32],
        memory: &'static [u32],
    ) -> Target {
        self.hal_cores = Figure::new(cores, "cores", Grade::Vendor, HAL);
        self.effective_clock = Figure::new(effective, "MHz", Grade::Vendor, HAL);
        self.clock = Figure::new(steps[steps.len() - 1] as f64, "MHz", Grade::Vendor, HAL);
        self.clock_steps = steps;
        self.dma_rates = dma;
        self.memory_levels = memory;
        self
    }

    /// A target whose cost table is not published but for cores, by the suffix of its name.
    const fn suffix(mut self, cores: f64) -> Target {
        self.hal_cores =
            Figure::new(cores, "cores", Grade::Derived, Cite::of(&ANEFORGE, "suffixes of targets"));
        self
    }

    /// A target of which the highest clock and the fabric's are published.
    const fn top(mut self, clock: f64, dma: &'static [u32], conflicts: &'static [Conflict]) -> Target {
        self.clock = Figure::new(clock, "MHz", Grade::Vendor, SOC).but(conflicts);
        self.dma_rates = dma;
        self
    }

    const fn unlisted(mut self) -> Target {
        self.listed = false;
        self
    }
}

use Family::{A13, A14, A15, A16, Older};

const H13: Option<(u32, u32)> = Some((4, 7));
const H14: Option<(u32, u32)> = Some((5, 11));
const H15: Option<(u32, u32)> = Some((6, 8));
const H16: Option<(u32, u32)> = Some((7, 17));
const H17: Option<(u32, u32)> = Some((9, 19));
const NEWEST: Option<(u32, u32)> = Some((11, 24));

const DMA: &[u32] = &[450, 600, 900];
const DMA_FAST: &[u32] = &[534, 810, 1068, 1308];
const MEMORY_3: &[u32] = &[732, 1467, 2133];
const MEMORY_8: &[u32] = &[733, 1467, 2133, 2733, 3200, 3733, 4267, 4800];
const STEPS_H13: &[u32] = &[396, 420, 558, 606, 720, 816, 912, 1104, 1284, 1428];
const STEPS_LARGE: &[u32] = &[
    744, 900, 924, 1032, 1164, 1272, 1356, 1500, 1524, 1668, 1680, 1800, 1812, 1932, 1956, 2064, 2148, 2160,
    2208, 2232, 2256, 2292, 2304, 2328, 2364,
];

/// Every target: the 28 that ANEForge lists, and two newer ones.
pub static TARGETS: &[Target] = &[
    row("m9", "M9", Older, None).cores(2.0),
    row("t0", "T0", Older, None),
    row("h11", "H11", Older, Some((1, 5))).cores(8.0).curve(
        4.0,
        1260.0,
        &[348, 456, 636, 816, 1152, 1260],
        DMA,
        &[712, 1467, 2133],
    ),
    row("h12", "H12", Older, Some((3, 6))).cores(8.0),
    row("h13", "H13", A13, H13).cores(16.0).curve(4.0, 1428.0, STEPS_H13, DMA, MEMORY_3),
    row("h13g", "H13", A13, H13).cores(16.0).curve(
        8.0,
        1464.0,
        &[432, 492, 552, 684, 804, 888, 996, 1164, 1236, 1320, 1380, 1464],
        &[514, 712, 1068],
        MEMORY_3,
    ),
    row("t1", "T1", A13, H13).curve(16.0, 1428.0, STEPS_H13, DMA, &[712, 1467, 2133]),
    row("h14", "H14", A14, H14).cores(16.0).curve(
        4.0,
        1452.0,
        &[528, 552, 744, 960, 1128, 1200, 1404, 1512, 1938],
        DMA,
        MEMORY_3,
    ),
    row("h14g", "H14", A14, H14).cores(16.0).suffix(8.0),
    row("h14c", "H14", A14, H14).cores(16.0).suffix(32.0),
    row("h15", "H15", A15, H15).cores(16.0).curve(
        4.0,
        1524.0,
        &[
            408, 444, 588, 636, 732, 864, 1020, 1068, 1128, 1248, 1356, 1386, 1446, 1536, 1608, 1716, 1788,
            1884, 1944, 2064,
        ],
        DMA,
        &[732, 1533, 2133, 2733, 3200],
    ),
    row("h15g", "H15", A15, H15).cores(16.0).suffix(8.0),
    row("h15c", "H15", A15, H15).cores(16.0).curve(
        32.0,
        1776.0,
        &[708, 984, 1260, 1536, 1812, 2088, 2364],
        &[533, 800, 1004],
        &[767, 1533, 2133, 2733, 3200],
    ),
    row("m11", "M11", A15, Some((8, 10))).curve(1.0, 500.0, &[500], &[200, 300, 400], &[600, 1533, 2133]),
    row("h16", "H16", A16, H16).cores(16.0).curve(
        4.0,
        1620.0,
        &[
            372, 444, 708, 804, 864, 972, 1092, 1104, 1212, 1224, 1320, 1344, 1428, 1452, 1512, 1560, 1608,
            1644, 1680, 1740, 1776, 1836, 1860, 1956, 1980, 2028, 2052, 2136, 2160,
        ],
        DMA,
        &[732, 1536, 2133, 2733, 3200],
    ),
    row("h16g", "H16", A16, H16).cores(16.0).suffix(8.0).top(2364.0, &[534, 712, 1068], &[]),
    row("h16s", "H16", A16, H16).cores(16.0).curve(
        16.0,
        1788.0,
        STEPS_LARGE,
        &[534, 800, 1068, 1068],
        &[733, 1467, 2133, 3200, 3733, 4266],
    ),
    row("h16c", "H16", A16, H16).cores(16.0).suffix(32.0),
    row("h17", "H17", A16, H17).cores(16.0).curve(
        4.0,
        1644.0,
        &[
            396, 456, 624, 708, 816, 900, 972, 1068, 1104, 1200, 1236, 1332, 1344, 1440, 1536, 1620, 1656,
            1716, 1764, 1812, 1860, 1908, 1944, 1992, 2016, 2064, 2076, 2124, 2148, 2172,
        ],
        DMA,
        &[732, 1467, 2133, 2733, 3200],
    ),
    row("h17a", "H17", A16, H17).cores(16.0),
    row("h17g", "H17", A16, H17).cores(16.0).suffix(8.0),
    row("h17s", "H17", A16, H17).cores(16.0).curve(16.0, 1788.0, STEPS_LARGE, DMA_FAST, MEMORY_8),
    row("h17c", "H17", A16, H17).cores(16.0).curve(32.0, 1788.0, STEPS_LARGE, DMA_FAST, MEMORY_8),
    row("h17d", "H17", A16, H17).cores(16.0).curve(64.0, 1788.0, STEPS_LARGE, DMA_FAST, MEMORY_8),
    row("h18", "H18", A16, Some((10, 20))).cores(16.0).top(2172.0, &[450, 600, 900, 1150], &[]),
    row("u1", "U1", Older, None),
    row("u2", "U2", Older, None),
    row("u3", "U3", Older, None),
    row("h18g", "H18G", A16, NEWEST).cores(16.0).unlisted().top(
        2508.0,
        &[534, 712, 1068, 1150, 1308],
        &[Conflict {
            claim: "2580 MHz under full load, the highest state of the device tree",
            cite: Cite::of(&M6_STUDY, "11.2.2, measured"),
        }],
    ),
    row("h19", "H19", A16, NEWEST).unlisted().top(2130.0, &[450, 600, 900, 1150], &[]),
];
