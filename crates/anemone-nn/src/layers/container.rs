//! Layers made of layers.

use crate::{Graph, Module, NnError};
use mil::ValueId;

/// Layers one after another. Parameter names carry the layer's name, by default its position.
#[derive(Default)]
pub struct Sequential {
    layers: Vec<(String, Box<dyn Module>)>,
}

impl Sequential {
    /// No layers yet.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Adds a layer named after its position.
    #[expect(clippy::should_implement_trait, reason = "the name that builders of layers use")]
    pub fn add(self, layer: impl Module + 'static) -> Sequential {
        let name = self.layers.len().to_string();
        self.named(name, layer)
    }

    /// Adds a named layer.
    pub fn named(mut self, name: impl Into<String>, layer: impl Module + 'static) -> Sequential {
        self.layers.push((name.into(), Box::new(layer)));
        self
    }
}

impl Module for Sequential {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        self.layers.iter().try_fold(x, |x, (name, layer)| g.scope(name.clone(), |g| layer.forward(g, x)))
    }
}

/// `x + inner(x)`.
pub struct Residual<M>(pub M);

impl<M: Module> Module for Residual<M> {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let change = self.0.forward(g, x)?;
        Ok(g.add(x, change)?)
    }
}

/// `[N, …]` to `[N, product of the rest]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Module for Flatten {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let shape = g.shape(x).to_vec();
        let rows = shape.first().copied().unwrap_or(1);
        let columns = shape.iter().skip(1).product();
        Ok(g.reshape(x, &[rows, columns])?)
    }
}
