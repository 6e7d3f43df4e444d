//! Layers under PyTorch's names, with PyTorch's defaults and parameter names.

mod activation;
mod attention;
mod container;
mod conv;
mod dropout;
mod linear;
mod normalization;
mod pool;

pub use activation::{GELU, LeakyReLU, ReLU, SiLU, Sigmoid, Softmax, Softplus, Tanh};
pub use attention::{Causal, KeyValueCache, MultiheadAttention, Rope};
pub use container::{Flatten, Residual, Sequential};
pub use conv::{Conv2d, ConvTranspose2d};
pub use dropout::Dropout;
pub use linear::{Embedding, Linear};
pub use normalization::{BatchNorm2d, GroupNorm, LayerNorm, RMSNorm};
pub use pool::{AvgPool2d, MaxPool2d};
