//! Define, train, check and run neural networks for the Apple Neural Engine, from any machine.
//!
//! This crate is the front door: it re-exports the others and picks a device. Every model, training step
//! and kernel is a program in Apple's own intermediate language ([`mil`]); front ends make programs, passes turn
//! programs into programs, back ends run them.
//!
//! ```no_run
//! use anemone::nn::data::{Augment, shapes};
//! use anemone::nn::models::CifarCnn;
//! use anemone::nn::train::{ImageData, TrainOptions, Trainer};
//! use anemone::Device;
//! use std::ops::ControlFlow;
//!
//! let options = TrainOptions { steps: 500, batch_size: 64, ..TrainOptions::default() };
//! let data = ImageData::new(shapes::splits(0, 10_000, 1_000)?, Augment::None, options.batch_size, options.seed);
//! let backend = Device::best().backend()?;
//! let mut trainer = Trainer::new(&CifarCnn::new(), &data, &*backend, options)?;
//! let report = trainer.run(&mut |_event| ControlFlow::Continue(()))?;
//! println!("held-out loss {:?}", report.held_out.map(|evaluation| evaluation.loss()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod arrays;
mod device;
pub mod export;
mod model;

pub use anemone_ane as ane;
pub use anemone_cpu as cpu;
pub use anemone_mlpackage as mlpackage;
pub use anemone_nn as nn;
pub use anemone_passes as passes;
pub use anemone_runtime as runtime;
pub use device::{Choice, Device, DeviceError};
pub use mil;
pub use model::{Label, Model, ModelError, Output, Session, SessionOptions, read_image};
