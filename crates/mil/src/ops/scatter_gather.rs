//! Indexed reads and writes.

use super::OpDecl;

/// The family's declarations.
pub static OPS: &[OpDecl] = &[];
