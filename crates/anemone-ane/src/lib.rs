//! What the Apple Neural Engine would do with a program, without an engine.
//!
//! Facts about the engine are tables here, every figure with its source and its grade. Nothing in this crate has been run
//! on a device by us.

pub mod chips;
pub mod facts;
pub mod legalize;
pub mod placement;
pub mod rules;
