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
        let meter = process.meter_mut();
        meter.calls += 1;
        meter.dispatches += self.cost.dispatches;
        meter.seconds += self.cost.seconds;
        meter.seconds_low += self.cost.seconds_low;
        meter.seconds_high += self.cost.seconds_high;
        meter.millijoules += self.cost.millijoules;
        Ok(())
    }
}
