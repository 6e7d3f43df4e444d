//! Energy by rail: what the engine's rail takes for operations and bytes, and what the package takes besides.

use super::graph::Load;
use super::params::Spec;
use super::work::Unit;

/// What a call does, for its energy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activity {
    /// Time on the engine in µs, without the host.
    pub engine_us: f64,
    /// Time of the host in µs.
    pub host_us: f64,
    /// Floating-point operations of matrix products and 1×1 convolutions.
    pub flops: f64,
    /// Floating-point operations of convolutions with a window, which reuse what they load.
    pub window_flops: f64,
    /// Bytes of weights streamed.
    pub weight_bytes: f64,
    /// Bytes of activations and ports.
    pub activation_bytes: f64,
}

impl Activity {
    /// Adds a load that is called `calls` times.
    pub fn add(&mut self, load: &Load, calls: f64) {
        for work in load.parts.iter().filter(|work| work.unit != Unit::Free) {
            let flops = if work.windowed { &mut self.window_flops } else { &mut self.flops };
            *flops += work.flops * work.count * calls;
            self.weight_bytes += work.weight_bytes * work.count * calls;
            self.activation_bytes += work.internal_bytes * work.count * calls;
        }
        self.activation_bytes += load.port_bytes * calls;
    }
}

/// Shared parameters. A published row is rail power × time, idle power subtracted.
pub static GLOBALS: &[Spec] = &[
    Spec { name: "static_w", log: true, start: 0.5, spread: 0.7 },
    Spec { name: "pj_per_flop", log: true, start: 0.5, spread: 0.5 },
    Spec { name: "pj_per_window_flop", log: true, start: 0.4, spread: 0.5 },
    Spec { name: "pj_per_weight_byte", log: true, start: 20.0, spread: 0.7 },
    Spec { name: "pj_per_activation_byte", log: true, start: 20.0, spread: 0.7 },
];

/// One factor per chip on all of it.
pub static DEVIATIONS: &[Spec] = &[Spec { name: "energy", log: true, start: 1.0, spread: 0.4 }];

/// Shared parameters of what the package takes besides the engine's rail: the cores that convert, copy and wait.
pub static PACKAGE_GLOBALS: &[Spec] = &[
    Spec { name: "wait_w", log: true, start: 1.0, spread: 0.7 },
    Spec { name: "host_w", log: true, start: 8.0, spread: 0.7 },
];

/// Energy on the engine's rail, in mJ.
pub fn engine_mj(globals: &[f64], deviation: f64, activity: &Activity) -> f64 {
    let at = |index: usize| globals.get(index).copied().unwrap_or(0.0);
    let picojoules = at(1) * activity.flops
        + at(2) * activity.window_flops
        + at(3) * activity.weight_bytes
        + at(4) * activity.activation_bytes;
    (at(0) * activity.engine_us * 1e-3 + picojoules * 1e-9) * deviation
}

/// Energy of the rest of the package, in mJ.
pub fn rest_mj(globals: &[f64], deviation: f64, activity: &Activity) -> f64 {
    let at = |index: usize| globals.get(index).copied().unwrap_or(0.0);
    (at(0) * activity.engine_us + at(1) * activity.host_us) * 1e-3 * deviation
}
