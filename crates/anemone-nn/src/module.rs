//! The interface of layers.

use crate::{Graph, NnError};
use mil::ValueId;

/// A layer, or a model made of layers: adds its operations to a graph.
pub trait Module {
    /// Computes the output for `x`, asking the graph for the parameters it needs.
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError>;
}
