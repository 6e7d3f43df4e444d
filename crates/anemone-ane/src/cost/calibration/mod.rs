//! How the model is calibrated: the published rows, their programs as MIL, the fit, and the judgement by cross-validation.

pub mod energy;
pub mod fit;
pub mod judge;
mod net;
pub mod programs;
pub mod roofline;
pub mod rows;

pub use net::ProgramError;

use super::estimate::{EstimateError, EstimateOptions, committed_host_step, estimate};
use crate::chips::{CHIPS, Chip};
use rows::{Observation, Row};

/// What the committed model says of a published row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowEstimate {
    /// Time per measured unit in ms.
    pub latency_ms: f64,
    /// Energy of the engine's rail in mJ.
    pub energy_mj: f64,
}

/// A chip of the calibration by name; the first one for a name that nobody knows.
fn chip(name: &str) -> &'static Chip {
    Chip::named(name).unwrap_or(&CHIPS[0])
}

/// Estimates a row as a user would: builds its programs and calls [`super::estimate()`] on each, with the calls of the row; for a whole
/// training step, the host part is added.
///
/// # Errors
/// When the program of the row is not of the published language.
pub fn estimate_row(row: &Row) -> Result<RowEstimate, ProgramError> {
    let case = programs::build(&row.program)?;
    let chip = chip(&row.chip);
    let options = EstimateOptions {
        host_copy: Observation::copies(row, case.host.is_some()),
        path: Observation::route(row),
        ..EstimateOptions::default()
    };
    let mut sum = RowEstimate { latency_ms: 0.0, energy_mj: 0.0 };
    for (program, calls) in &case.programs {
        let function = program.functions.first().map_or("main", |function| function.name.as_str());
        let one = estimate(program, function, chip, &options)
            .map_err(|error: EstimateError| ProgramError::Verify(error.to_string()))?;
        sum.latency_ms += one.latency_ms.mid * calls;
        sum.energy_mj += one.energy_mj.mid * calls;
    }
    if let Some(host) = case.host.filter(|_| row.host_copy != "no") {
        sum.latency_ms += committed_host_step(chip, &host) / 1e3;
    }
    Ok(sum)
}
