//! The fit of energy: the same method, on rows that publish the power of a rail.

use super::fit::{Fitted, Model, engine_time, facts};
use super::rows::Observation;
use crate::cost::energy::{Activity, DEVIATIONS, GLOBALS, PACKAGE_GLOBALS, engine_mj, rest_mj};
use crate::cost::params::{ChipFacts, Spec};

/// Energy on the engine's rail, with times as a latency fit has them.
pub struct Engine<'a>(pub &'a Fitted);

/// Energy of the rest of the package.
pub struct Rest<'a>(pub &'a Fitted);

/// What a row does.
pub fn activity(latency: &Fitted, row: &Observation) -> Activity {
    let mut activity = Activity::default();
    for (load, calls) in &row.loads {
        activity.add(load, *calls);
    }
    if let Some(facts) = facts(&row.row.chip) {
        let rates = latency.rates(&facts);
        let all = engine_time(&rates, row);
        let host = |calls: f64, bytes: f64, ragged: f64| {
            if row.host_copy { rates.host_copy(bytes, ragged) * calls } else { 0.0 }
        };
        activity.host_us =
            row.loads.iter().map(|(load, calls)| host(*calls, load.host_bytes, load.ragged_rows)).sum();
        activity.engine_us = (all - activity.host_us).max(0.0);
    }
    activity
}

impl Model for Engine<'_> {
    fn globals(&self) -> &'static [Spec] {
        GLOBALS
    }

    fn deviations(&self) -> &'static [Spec] {
        DEVIATIONS
    }

    fn residuals(
        &self,
        globals: &[f64],
        deviations: &[f64],
        _: &ChipFacts,
        rows: &[&Observation],
    ) -> Vec<f64> {
        let predicted = |row: &&Observation| {
            engine_mj(globals, deviations.first().copied().unwrap_or(1.0), &activity(self.0, row))
        };
        rows.iter().map(|row| libm::log(predicted(row) / row.row.energy_mj.unwrap_or(f64::NAN))).collect()
    }
}

impl Model for Rest<'_> {
    fn globals(&self) -> &'static [Spec] {
        PACKAGE_GLOBALS
    }

    fn deviations(&self) -> &'static [Spec] {
        DEVIATIONS
    }

    fn residuals(
        &self,
        globals: &[f64],
        deviations: &[f64],
        _: &ChipFacts,
        rows: &[&Observation],
    ) -> Vec<f64> {
        let predicted = |row: &&Observation| {
            rest_mj(globals, deviations.first().copied().unwrap_or(1.0), &activity(self.0, row))
        };
        let measured = |row: &&Observation| rest_measured(row).unwrap_or(f64::NAN);
        rows.iter().map(|row| libm::log(predicted(row) / measured(row))).collect()
    }
}

/// Measured energy of the package without the engine's rail.
pub fn rest_measured(row: &Observation) -> Option<f64> {
    Some(row.row.package_mj? - row.row.energy_mj?).filter(|&rest| rest > 0.0)
}
