//! The published model, to compare with: `floor + Σ max(bytes / bandwidth, flops / peak)` over the nodes of a program.
//!
//! Formula and anchors: ANEForge, `estimate(target=…)`: h13 9 GB/s, 220 µs, 3.25 TFLOP/s; h14 48 GB/s, 100 µs, 7.3 TFLOP/s with the
//! utilization `min(1, (flops / 1.8e10)^0.38)` per node; h17s 57 GB/s, 110 µs, 8.9 TFLOP/s. Inside a family bandwidth goes with the cores of
//! the compiler's hardware table, peak with cores × clock, the floor with 1 / clock. Families without an anchor (M3, M6) take
//! that of the nearest family.

use super::rows::Observation;
use crate::cost::work::{Unit, Work};

/// Bandwidth in bytes per µs, floor in µs, peak in flop per µs, and whether utilization ramps.
struct Anchor {
    bandwidth: f64,
    floor: f64,
    peak: f64,
    ramp: bool,
}

/// Family, cores (of the hardware table), clock in MHz.
fn target(chip: &str) -> (u8, f64, f64) {
    match chip {
        "M1" => (2, 4.0, 1428.0),
        "M1 Pro" | "M1 Max" => (2, 8.0, 1464.0),
        "M2" => (3, 4.0, 1938.0),
        "M2 Pro" | "M2 Max" => (3, 8.0, 1938.0),
        "M3" => (4, 4.0, 2064.0),
        "M3 Pro" => (4, 8.0, 2064.0),
        "M3 Max" => (4, 16.0, 2364.0),
        "M3 Ultra" => (4, 32.0, 2364.0),
        "M4" => (5, 4.0, 2160.0),
        _ => (5, 16.0, 2364.0),
    }
}

fn anchor(chip: &str, scaled: bool) -> Anchor {
    let (family, cores, clock) = target(chip);
    let (bandwidth, floor, peak, ramp, base_cores, base_clock) = match family {
        2 => (9e3, 220.0, 3.25e6, false, 4.0, 1428.0),
        3 | 4 => (48e3, 100.0, 7.3e6, true, 4.0, 1938.0),
        _ => (57e3, 110.0, 8.9e6, false, 16.0, 2364.0),
    };
    let (by_cores, by_clock) = if scaled { (cores / base_cores, clock / base_clock) } else { (1.0, 1.0) };
    Anchor {
        bandwidth: bandwidth * by_cores,
        floor: floor / by_clock,
        peak: peak * by_cores * by_clock,
        ramp,
    }
}

/// Time of a row in µs by the published model; `scaled` by cores inside the family as published, else with the anchor as it is.
pub fn time(observation: &Observation, scaled: bool) -> f64 {
    let anchor = anchor(&observation.row.chip, scaled);
    let node = |work: &Work| {
        if work.unit == Unit::Free && work.bytes() == 0.0 {
            return 0.0;
        }
        let ramp = if anchor.ramp { libm::pow(work.flops / 1.8e10, 0.38).min(1.0) } else { 1.0 };
        let compute = if work.flops > 0.0 { work.flops / (anchor.peak * ramp) } else { 0.0 };
        (work.bytes() / anchor.bandwidth).max(compute) * work.count
    };
    observation
        .functions
        .iter()
        .map(|(function, calls)| (anchor.floor + function.parts().map(node).sum::<f64>()) * calls)
        .sum()
}
