//! The engine's numbers against published measurements of real engines.

mod attention;
mod audits;
mod fingerprints;
mod numpy;
mod ops;
mod reference;
