//! A small convolutional network for 32 × 32 colour images.

use super::classifier;
use crate::layers::{BatchNorm2d, Conv2d, Linear, MaxPool2d, ReLU, Sequential};
use crate::train::{Loss, Model};
use crate::{Graph, Module, NnError};
use mil::{TensorType, ValueId};
use serde::{Deserialize, Serialize};

/// Five 3 × 3 convolutions with batch normalization, two poolings, the mean over positions and a linear layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CifarCnn {
    /// Channels, height and width of the images.
    pub image: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// Channels after the first convolution; doubled after each pooling.
    pub width: usize,
}

impl CifarCnn {
    /// For CIFAR-10 and sets of its format.
    pub fn new() -> CifarCnn {
        CifarCnn { image: [3, 32, 32], classes: 10, width: 16 }
    }

    fn features(&self) -> Sequential {
        let (image, w) = (self.image[0], self.width);
        let conv = |layers: Sequential, from, to| {
            layers.add(Conv2d::new(from, to, 3).padding(1).bias(false)).add(BatchNorm2d::new(to)).add(ReLU)
        };
        let layers = conv(conv(Sequential::new(), image, w), w, w).add(MaxPool2d::new(2));
        let layers = conv(conv(layers, w, 2 * w), 2 * w, 2 * w).add(MaxPool2d::new(2));
        conv(layers, 2 * w, 4 * w)
    }
}

impl Default for CifarCnn {
    fn default() -> CifarCnn {
        CifarCnn::new()
    }
}

impl Module for CifarCnn {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let x = g.scope("features", |g| self.features().forward(g, x))?;
        let x = g.reduce("reduce_mean", x, &[2, 3], false)?;
        g.scope("classifier", |g| Linear::new(4 * self.width, self.classes).forward(g, x))
    }
}

impl Model for CifarCnn {
    fn inputs(&self, batch_size: usize) -> Vec<(String, TensorType)> {
        classifier::inputs(batch_size, self.image)
    }

    fn loss(&self, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
        classifier::classification(self, g, inputs)
    }
}
