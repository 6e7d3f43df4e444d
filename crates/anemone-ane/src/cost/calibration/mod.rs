//! How the model is calibrated: the published rows, their programs as MIL, the fit, and the judgement by cross-validation.

pub mod energy;
pub mod fit;
pub mod judge;
mod net;
pub mod programs;
pub mod roofline;
pub mod rows;

pub use net::ProgramError;

use super::estimate::{EstimateOptions, committed_host_step, of_work, work};
use rows::{Observation, Row};

/// What the committed model says of a published row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowEstimate {
    /// Time per measured unit in ms.
    pub latency_ms: f64,
    /// Energy of the engine's rail in mJ.
    pub energy_mj: f64,
}

/// Estimates a row as [`super::estimate()`] does: its programs, with the calls of the row; for a whole training step, the host part is
/// added.
///
/// # Errors
/// When the program of the row is not of the published language, or nothing is known of its chip.
pub fn estimate_row(row: &Row) -> Result<RowEstimate, ProgramError> {
    let case = programs::build(&row.program)?;
    let chip = fit::facts(&row.chip).ok_or_else(|| ProgramError::Chip(row.chip.clone()))?;
    let options = EstimateOptions {
        host_copy: Observation::copies(row, case.host.is_some()),
        path: Observation::route(row),
        ..EstimateOptions::default()
    };
    let mut sum = RowEstimate { latency_ms: 0.0, energy_mj: 0.0 };
    for (program, calls) in &case.programs {
        let function = program.functions.first().map_or("main", |function| function.name.as_str());
        let work =
            work(program, function, &options).map_err(|error| ProgramError::Verify(error.to_string()))?;
        let one = of_work(&work, function, &chip, &options);
        sum.latency_ms += one.latency_ms.mid * calls;
        sum.energy_mj += one.energy_mj.mid * calls;
    }
    if let Some(host) = case.host.filter(|_| row.host_copy != "no") {
        sum.latency_ms += committed_host_step(&chip, &host) / 1e3;
    }
    Ok(sum)
}
