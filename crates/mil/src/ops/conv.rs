//! Convolutions.

use super::OpDecl;

/// The family's declarations.
pub static OPS: &[OpDecl] = &[];
