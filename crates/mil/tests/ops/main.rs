//! What type inference gives and refuses, family by family, and that it withstands anything.

#![allow(clippy::unwrap_used, reason = "test code")]

mod activation_normalization;
mod constexpr;
mod control_flow;
mod conv_pool;
mod hostile;
mod image_resizing;
mod linear;
mod quantization;
mod recurrent;
mod reduction_random;
mod scatter_gather;
mod support;
mod table;
mod tensor_operation;
mod tensor_transformation;
