//! A multi-layer perceptron for images.

use super::classifier;
use crate::layers::{Flatten, Linear, ReLU, Sequential};
use crate::train::{Loss, Model};
use crate::{Graph, Module, NnError};
use mil::{TensorType, ValueId};
use serde::{Deserialize, Serialize};

/// Two hidden layers with ReLU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mlp {
    /// Channels, height and width of the images.
    pub image: [usize; 3],
    /// Size of the hidden layers.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
}

impl Module for Mlp {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let inputs = self.image.iter().product();
        Sequential::new()
            .add(Flatten)
            .add(Linear::new(inputs, self.hidden))
            .add(ReLU)
            .add(Linear::new(self.hidden, self.hidden))
            .add(ReLU)
            .add(Linear::new(self.hidden, self.classes))
            .forward(g, x)
    }
}

impl Model for Mlp {
    fn inputs(&self, batch_size: usize) -> Vec<(String, TensorType)> {
        classifier::inputs(batch_size, self.image)
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        classifier::classification(self, g, inputs)
    }
}
