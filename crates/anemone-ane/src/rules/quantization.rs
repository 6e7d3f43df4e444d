//! Quantization of activations.

use super::declare::{OpRule, native};
use crate::facts::{Cite, Conflict, HOLLANCE};

const STORAGE: &[Conflict] =
    &[Conflict { claim: "quantized values were storage only as of iOS 14", cite: Cite::of(&HOLLANCE, "") }];

/// Placements.
pub(super) static OPS: &[OpRule] = &[native("dequantize").but(STORAGE), native("quantize").but(STORAGE)];
