//! A function that computes on the CPU and is charged as on the engine.

use super::process::Slots;
use anemone_runtime::{Executable, Feature, RunError, States, Tensor};

/// What one call costs.
#[derive(Clone, Debug, Default)]
pub(super) struct CallCost {
    pub(super) dispatches: u64,
    pub(super) seconds: f64,
    pub(super) seconds_low: f64,
    pub(super) seconds_high: f64,
    pub(super) millijoules: f64,
    pub(super) host_operations: u64,
    pub(super) host_bytes: u64,
    pub(super) copy_seconds: f64,
}

/// A compiled function.
pub(super) struct SimulatedExecutable {
    inner: Box<dyn Executable>,
    cost: CallCost,
    slots: Slots,
}

impl SimulatedExecutable {
    pub(super) fn new(inner: Box<dyn Executable>, cost: CallCost, slots: Slots) -> SimulatedExecutable {
        SimulatedExecutable { inner, cost, slots }
    }
}

impl Executable for SimulatedExecutable {
    fn inputs(&self) -> &[Feature] {
        self.inner.inputs()
    }

    fn outputs(&self) -> &[Feature] {
        self.inner.outputs()
    }

    fn states(&self) -> &States {
        self.inner.states()
    }

    fn run(&mut self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> Result<(), RunError> {
        self.inner.run(inputs, outputs)?;
        let mut process = self.slots.process();
        let (meter, cost) = (process.meter_mut(), &self.cost);
        meter.calls += 1;
        meter.dispatches += cost.dispatches;
        meter.seconds += cost.seconds;
        meter.seconds_low += cost.seconds_low;
        meter.seconds_high += cost.seconds_high;
        meter.millijoules += cost.millijoules;
        meter.host_operations += cost.host_operations;
        meter.copy_seconds += cost.copy_seconds;
        meter.host_bytes = meter.host_bytes.saturating_add(cost.host_bytes);
        Ok(())
    }
}
