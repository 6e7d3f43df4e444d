//! How long a program would take on a chip, how much energy, and bound by what.
//!
//! [`estimate`] answers for one function of a verified program. A call costs
//!
//! ```text
//! dispatch + Σ over operations (compute ⊕ weights ⊕ activations + issue) + ports [+ host copies]
//! ```
//!
//! where ⊕ is a norm between the sum and the largest, because the engine overlaps the three in part. Every term is a formula of
//! sizes with parameters that all chips share ([`params`]), times deviations of single chips that are drawn to 1; a chip that nobody measured follows
//! the law of its relatives. The parameters are fitted to published measurements ([`calibration`]); `cargo run -p anemone-ane
//! --example fit_cost` refits and judges them. Nothing here was measured by us.
//!
//! - [`graph`] reads a function as work: what is fused, what crosses the ports. [`work`] is the table by op family.
//! - [`model`] has the formulas, `fitted.rs` the numbers, [`energy`] the rails.
//! - [`compile`] has what is published about the time to compile, and a rough law.
//! - [`plan()`] splits what one program cannot hold.
//!
//! ```
//! use anemone_ane::chips::Chip;
//! use anemone_ane::cost::{Bound, EstimateOptions, estimate};
//! use mil::{FunctionBuilder, Opset, Program, TensorType, verify};
//!
//! let mut f = FunctionBuilder::new("main", Opset::Ios18);
//! let x = f.input("x", TensorType::fp16([1, 64]))?;
//! let y = f.unary("relu", x)?;
//! let program = verify(Program::single(f.finish(&[y])?)).map_err(|faults| faults[0].clone())?;
//!
//! let found = estimate(&program, "main", Chip::named("M4")?, &EstimateOptions::default())?;
//! assert_eq!(found.bound_by, Bound::Dispatch);
//! assert!(found.latency_ms.low < found.latency_ms.mid && found.latency_ms.mid < found.latency_ms.high);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod calibration;
pub mod compile;
pub mod energy;
mod estimate;
mod fitted;
pub mod graph;
pub mod model;
mod open;
pub mod params;
mod part;
mod plan;
pub mod work;

pub use compile::compile_time;
pub use estimate::{
    Bound, Estimate, EstimateError, EstimateOptions, OpCost, Provenance, Range, Terms, estimate,
};
pub use model::Path;
pub use part::estimate_parts;
pub(crate) use part::{access, writes};
pub use plan::{MAX_OPS, MAX_WEIGHTS, Part, Plan, Reason, plan};
