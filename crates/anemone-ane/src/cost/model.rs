//! The formulas: time of one piece of work, and of a function, on one chip.

use super::graph::Load;
use super::params::{ChipFacts, Deviations, Globals};
use super::work::{Stream, Unit, Work};

/// Which route a program takes to the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// `e5rt` of Espresso.
    #[default]
    E5rt,
    /// `_ANEInMemoryModel` and `_ANEClient`.
    Direct,
}

/// The parameters as they are on one chip.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    globals: Globals,
    facts: ChipFacts,
    floor_e5rt: f64,
    floor_direct: f64,
    /// Peak of the array in flop per µs.
    pub(super) peak: f64,
    /// Factor on compute of a loop without pauses.
    pub(super) sustained: f64,
    issue: f64,
    planar_issue: f64,
    batch_issue: f64,
    /// Bytes per µs.
    pub(super) weight: f64,
    pub(super) act: f64,
    planar: f64,
    relayout: f64,
    regroup: f64,
    port: f64,
    host: f64,
    host_row: f64,
    cpu: f64,
    update: f64,
    stage: f64,
}

/// Where the time of one piece of work goes, in µs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkTime {
    /// Array or planar engine.
    pub compute: f64,
    /// Weights.
    pub weights: f64,
    /// Activations that leave the chip, layout changes.
    pub traffic: f64,
    /// Instructions issued.
    pub issue: f64,
    /// All together.
    pub total: f64,
}

/// Where the time of a call goes, in µs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Breakdown {
    /// Fixed time per program.
    pub floor: f64,
    /// Operations.
    pub ops: f64,
    /// Ports read and written by the engine.
    pub ports: f64,
    /// Conversion and copies by the host.
    pub host: f64,
}

impl Breakdown {
    /// The sum.
    pub fn total(&self) -> f64 {
        self.floor + self.ops + self.ports + self.host
    }
}

const MIB: f64 = 1024.0 * 1024.0;

/// Smooth step from 0 to 1 around `x = 1`.
fn rise(x: f64, sharpness: i32) -> f64 {
    let power = x.min(1e6).powi(sharpness);
    power / (1.0 + power)
}

impl Rates {
    /// The rates of a chip.
    pub fn new(globals: &Globals, facts: &ChipFacts, deviations: &Deviations) -> Rates {
        let g = globals;
        let generation = facts.generation / 4.0;
        let dram = facts.dram_gb_s / 120.0;
        let law = |base: f64, by_generation: f64, by_dram: f64| {
            base * libm::pow(generation, by_generation) * libm::pow(dram, by_dram)
        };
        let floor = law(g.floor, g.floor_gen, 0.0) * deviations.floor;
        let clock = facts.clock_mhz / 2160.0;
        Rates {
            globals: *g,
            facts: *facts,
            floor_e5rt: floor,
            floor_direct: floor * g.direct * deviations.direct,
            // 16 cores × 256 multiply-accumulates × 2 per cycle: the peak that fits every chip with published chains.
            peak: 4096.0 * 2.0 * facts.clock_mhz * facts.engines * deviations.compute,
            sustained: 1.0,
            issue: g.issue / clock,
            planar_issue: g.planar_issue / clock,
            batch_issue: g.batch_issue / clock,
            weight: law(g.weight_bw, g.weight_gen, g.weight_dram) * deviations.weight * 1e3,
            act: law(g.act_bw, g.act_gen, g.act_dram) * deviations.act * 1e3,
            planar: g.planar * 1e3 * facts.clock_mhz / 2000.0,
            relayout: law(g.relayout, g.act_gen, 0.0) * deviations.act * 1e3,
            regroup: law(g.regroup, g.act_gen, 0.0) * deviations.act * 1e3,
            port: law(g.port_bw, g.act_gen, g.act_dram) * deviations.act * 1e3,
            host: law(g.host_bw, g.host_gen, g.host_dram) * deviations.host * 1e3,
            host_row: law(g.host_row, -g.host_gen, 0.0) / deviations.host * 1e-3,
            cpu: law(g.cpu, g.cpu_gen, 0.0) * deviations.cpu * 1e6,
            update: law(g.update, g.cpu_gen, 0.0) * deviations.cpu * 1e3,
            stage: law(g.stage, g.cpu_gen, 0.0) * deviations.cpu * 1e3,
        }
    }

    /// Fixed time per program in µs.
    pub fn floor(&self, path: Path) -> f64 {
        match path {
            Path::E5rt => self.floor_e5rt,
            Path::Direct => self.floor_direct,
        }
    }

    /// Bytes of activations that leave the chip between operations.
    fn off_chip(&self, work: &Work) -> f64 {
        let g = &self.globals;
        let size = work.internal_largest / MIB;
        let share = rise(size / g.on_chip, 2) * if work.conv { g.conv_traffic } else { 1.0 };
        let thrash = 1.0 + g.overflow_slow * rise(size / g.overflow, 16);
        work.internal_bytes * share * thrash
    }

    /// Time of one piece of work, once, in µs.
    pub fn time(&self, work: &Work) -> WorkTime {
        let g = &self.globals;
        if work.unit == Unit::Free {
            return WorkTime::default();
        }
        let issue = if work.unit == Unit::Mac { self.issue } else { self.planar_issue };
        let mut time = WorkTime { issue: issue * work.issues, ..WorkTime::default() };
        time.traffic = self.off_chip(work) / self.act;
        match work.unit {
            Unit::Mac => {
                time.compute = self.product(work) * self.sustained;
                time.weights = self.weights(work);
                if work.stream == Stream::None {
                    time.issue += self.batch_issue * (work.batch - 1.0).max(0.0);
                }
            }
            Unit::Planar => {
                let elements = (work.in_bytes.max(work.out_bytes)) / 2.0;
                time.compute = elements * work.passes / self.planar;
                // Every pass over what does not fit goes out and in again.
                time.traffic *= 1.0 + 0.5 * (work.passes - 1.0).max(0.0);
                time.weights = work.weight_bytes / self.weight;
            }
            Unit::Move | Unit::Free => {
                time.weights = work.weight_bytes / self.weight;
            }
        }
        time.traffic += work.relayout_bytes / self.relayout;
        if work.regroup_bytes > 0.0 {
            let slow = 1.0 + g.regroup_slow * rise(work.regroup_bytes / (2.2 * MIB), 4);
            time.traffic += work.regroup_bytes * slow / self.regroup;
        }
        // The engine overlaps them in part: a norm between the sum (exponent 1) and the largest.
        let largest = time.compute.max(time.weights).max(time.traffic);
        if largest > 0.0 {
            let p = g.overlap.max(1.0);
            let shares = [time.compute, time.weights, time.traffic].map(|part| libm::pow(part / largest, p));
            let sum: f64 = shares.iter().sum();
            let joined = largest * libm::pow(sum, 1.0 / p);
            // What is reported of each part is its share of the joined time.
            [time.compute, time.weights, time.traffic] = shares.map(|share| joined * share / sum);
        }
        time.total = time.compute + time.weights + time.traffic + time.issue;
        time
    }

    /// The array, in µs.
    fn product(&self, work: &Work) -> f64 {
        let g = &self.globals;
        let mut speed = self.peak * if work.windowed { g.conv_eff } else { g.matmul_eff };
        if work.winograd && self.facts.winograd {
            speed *= g.winograd;
        }
        if work.int8 && self.facts.generation >= 3.5 {
            speed *= g.int8;
        }
        if work.stream == Stream::None {
            speed *= g.batched;
        }
        let used = (1.0 + g.rows_half / work.rows.max(1.0))
            * (1.0 + g.depth_half / work.depth.max(1.0))
            * (1.0 + g.columns_half / work.columns.max(1.0));
        // Operands beyond the on-chip memories are read again for every tile of the result.
        let operand =
            2.0 * (work.depth * work.columns).max(work.rows * work.depth).max(work.rows * work.columns);
        let again = if work.windowed {
            0.0
        } else {
            g.spill_slow * rise(operand / (g.spill * MIB), 3) * rise(work.rows / 192.0, 5)
        };
        work.flops / speed * used * (1.0 + again)
    }

    /// The weight stream, in µs.
    fn weights(&self, work: &Work) -> f64 {
        let g = &self.globals;
        let dense = 2.0 * work.weight_elements;
        if dense <= 0.0 {
            return 0.0;
        }
        let bytes = match work.stream {
            Stream::None => return 0.0,
            Stream::Fp16 | Stream::Int8 => dense,
            Stream::Blockwise => dense * g.blockwise,
            // 0.25 is a 4-bit index for 16 bits, 0.3825 two thirds of zeros with a mask: what was measured.
            Stream::Lut => dense * interpolate(work.weight_bytes / dense, 0.25, g.lut),
            Stream::Sparse => dense * interpolate(work.weight_bytes / dense, 0.3825, g.sparse),
        };
        let size = dense / MIB;
        let mut rate = self.weight * (1.0 + g.prefetch / (1.0 + size * size));
        let multiple = |x: f64| x >= 4096.0 && x % 4096.0 == 0.0;
        if self.facts.slow_4096 && multiple(work.depth) && multiple(work.columns) {
            rate /= g.slow_4096;
        }
        bytes / rate
    }

    /// A call of a function, in µs.
    pub fn call(&self, load: &Load, path: Path, host_copy: bool) -> Breakdown {
        let ops = load.parts.iter().map(|part| self.time(part).total * part.count).sum();
        Breakdown {
            floor: self.floor(path),
            ops,
            ports: self.ports(load.port_bytes),
            host: if host_copy { self.host_copy(load.host_bytes, load.ragged_rows) } else { 0.0 },
        }
    }

    /// Ports read and written by the engine, in µs.
    pub(super) fn ports(&self, bytes: f64) -> f64 {
        let slow = 1.0 + self.globals.port_slow * rise(bytes / (self.globals.port_spill * MIB), 2);
        bytes / self.port * slow
    }

    /// Conversion and copies by the host, in µs.
    pub(super) fn host_copy(&self, bytes: f64, ragged_rows: f64) -> f64 {
        bytes / self.host + ragged_rows * self.host_row
    }

    /// The host part of a training step, in µs: products on the CPU, updates, staging, and paging where it does not fit.
    pub fn host_step(&self, host: &HostStep) -> f64 {
        let page = 1.0 + self.globals.paging * rise(host.resident / (self.facts.memory_gb * 1e9), 12);
        let speed = if host.second_code { self.globals.second_code } else { 1.0 };
        ((host.flops / self.cpu + host.updated / self.update) / speed + host.staged / self.stage) * page
    }
}

/// What the host does in a step, beside the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostStep {
    /// Floating-point operations of products.
    pub flops: f64,
    /// Bytes of parameters and moments read and written by updates.
    pub updated: f64,
    /// Bytes staged: operands written to ports.
    pub staged: f64,
    /// Bytes that have to be in memory.
    pub resident: f64,
    /// Whether the code base is the second one (rustane).
    pub second_code: bool,
}

/// Time relative to dense of a stream that stores `share` of the bytes: through (`at`, `time`) and (1, 1), and (0, ·) in line.
fn interpolate(share: f64, at: f64, time: f64) -> f64 {
    let slope = (1.0 - time) / (1.0 - at);
    (time + (share.clamp(0.0, 1.0) - at) * slope).max(0.02)
}
