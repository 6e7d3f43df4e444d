//! Models: small definitions out of layers, with the sizes people know.

mod cifar_cnn;
mod classifier;
mod llama;
pub mod llama2c;
mod mlp;

pub use cifar_cnn::CifarCnn;
pub use classifier::classification;
pub use llama::{Decoder, Llama};
pub use mlp::Mlp;
