//! Affine maps and look-up tables.

use crate::{Graph, Init, Module, NnError};
use mil::ValueId;

/// `x · weightᵀ + bias` on the last dimension: `[…, in_features]` to `[…, out_features]`.
///
/// Parameters: `weight` `[out_features, in_features]` and `bias` `[out_features]`, both uniform within
/// `1 / sqrt(in_features)` as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Size of the input's last dimension.
    pub in_features: usize,
    /// Size of the output's last dimension.
    pub out_features: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// Initial weight; PyTorch's default when absent.
    pub init: Option<Init>,
    /// Initial bias; PyTorch's default when absent.
    pub bias_init: Option<Init>,
}

impl Linear {
    /// With bias and PyTorch's initial values.
    pub fn new(in_features: usize, out_features: usize) -> Linear {
        Linear { in_features, out_features, bias: true, init: None, bias_init: None }
    }

    /// With or without bias.
    pub fn bias(mut self, bias: bool) -> Linear {
        self.bias = bias;
        self
    }

    /// Another initial weight.
    pub fn init(mut self, init: Init) -> Linear {
        self.init = Some(init);
        self
    }
}

impl Module for Linear {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        check_last(g, "Linear", x, self.in_features)?;
        let default = Init::fan_in(self.in_features);
        let shape = [self.out_features, self.in_features];
        let weight = g.parameter("weight", &shape, self.init.unwrap_or(default))?;
        // One big product over all rows serves every rank.
        let dims = g.shape(x).to_vec();
        let rows = dims[..dims.len() - 1].iter().product();
        let flat = g.reshape(x, &[rows, self.in_features])?;
        let mut y = g.matmul(flat, weight, false, true)?;
        if self.bias {
            let bias = g.parameter("bias", &[self.out_features], self.bias_init.unwrap_or(default))?;
            y = g.add(y, bias)?;
        }
        let mut dims = dims;
        if let Some(last) = dims.last_mut() {
            *last = self.out_features;
        }
        Ok(g.reshape(y, &dims)?)
    }
}

/// Fails unless the last dimension of `x` is `features`.
pub(super) fn check_last(g: &Graph, layer: &str, x: ValueId, features: usize) -> Result<(), NnError> {
    match g.shape(x).last() {
        Some(&last) if last == features => Ok(()),
        _ => {
            let found = g.function().shape(x);
            Err(NnError::config(
                layer,
                format!("takes a last dimension of {features}, but x has shape {found}"),
            ))
        }
    }
}

/// Rows of a table: `int32` indices `[…]` to `[…, embedding_dim]`.
///
/// Parameter: `weight` `[num_embeddings, embedding_dim]`, standard normal as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Number of rows.
    pub num_embeddings: usize,
    /// Size of a row.
    pub embedding_dim: usize,
    /// Initial weight.
    pub init: Init,
}

impl Embedding {
    /// With PyTorch's initial values.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Embedding {
        Embedding { num_embeddings, embedding_dim, init: Init::Normal { std: 1.0 } }
    }

    /// Another initial weight.
    pub fn init(mut self, init: Init) -> Embedding {
        self.init = init;
        self
    }

    /// The table itself, for tying it to an output projection.
    pub fn weight(&self, g: &mut Graph) -> Result<ValueId, NnError> {
        g.parameter("weight", &[self.num_embeddings, self.embedding_dim], self.init)
    }
}

impl Module for Embedding {
    fn forward(&self, g: &mut Graph, x: ValueId) -> Result<ValueId, NnError> {
        let weight = self.weight(g)?;
        Ok(g.op("gather").arg("x", weight).arg("indices", x).int("axis", 0).one()?)
    }
}
