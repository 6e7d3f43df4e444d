//! What people write: layers, losses, optimizers, models, data, and the loop that trains them.
//!
//! Everything here makes MIL programs and hands them to a [`Backend`](anemone_runtime::Backend); nothing knows which one runs.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod data;
pub mod deploy;
mod error;
mod file;
pub mod generate;
mod graph;
mod init;
pub mod layers;
pub mod losses;
pub mod models;
mod module;
pub mod optim;
pub mod tokenizer;
pub mod train;

pub use error::NnError;
pub use graph::{Buffer, Graph, Mode, Parameter};
pub use init::Init;
pub use module::Module;
