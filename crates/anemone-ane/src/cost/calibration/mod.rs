//! How the model is calibrated: the published rows, their programs as MIL, the fit, and the judgement by cross-validation.

pub mod fit;
pub mod judge;
mod net;
pub mod programs;
pub mod roofline;
pub mod rows;

pub use net::ProgramError;
