//! How long a program would take on a chip, how much energy, and bound by what.

pub mod calibration;
pub mod graph;
pub mod model;
pub mod params;
mod part;
pub mod work;
