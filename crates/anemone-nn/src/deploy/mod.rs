//! Programs for deployment: a model as an app calls it, without loss and optimizer, or the whole training step.
//!
//! What comes out still has the weights as states, as every function of a [`Graph`](crate::Graph); whoever ships it freezes them
//! (`anemone_passes::freeze`) and chooses the precision. Names of inputs and outputs are those that apps see.

mod classifier;
mod language;
mod training;

pub use classifier::{ClassifierHead, classifier, label};
pub use language::{decoder, prefill};
pub use training::{Carry, training};

/// Name of the only function of a deployed program, as Core ML expects it.
pub const MAIN: &str = "main";
