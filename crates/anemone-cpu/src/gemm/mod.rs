//! Matrix multiplication: `C = A · B` and `C = C + A · B` for fp32 and fp16 matrices, accumulated in fp32.
//!
//! Written here rather than taken from a crate because convolution wants to pack its operand itself (im2col
//! that is never stored), fp16 wants one rounding at the very end, and every result must be reproducible.
//!
//! # Order of accumulation
//!
//! Every element of `C`, whatever its shape, strides, dtype, thread count or instruction set, is
//!
//! ```text
//! s_b  = fma(a[k], b[k], … fma(a[1], b[1], fma(a[0], b[0], 0)))      k in block b, ascending
//! c    = (((c_old + s_0) + s_1) + …) + bias                          blocks ascending, then rounded once
//! ```
//!
//! where block `b` holds the [`K_BLOCK`] values of `k` from `b * K_BLOCK` on, every operation rounds to
//! nearest-even in fp32 (fp16 operands are widened exactly), and `c_old` is left out (not zero) unless
//! [`GemmOptions::accumulate`] is set. The last rounding, to fp16, happens only for an fp16 `C`. So the bits
//! of a result do not depend on the machine, on the number of threads, or on how many other rows were
//! computed beside it: one token decoded with a cache gives the bits that the whole sequence gives.
//!
//! # Parts
//!
//! `matrix` describes operands and checks them once; `plan` cuts the work; `drive` and `task` run it; `tile` is the
//! inner kernel, `pack` feeds it, `gemv` takes over when one side is a vector; `simd` holds the instruction sets. `fixed` is the
//! arithmetic of the Neural Engine ([`Arithmetic::Fixed`]), to which the order above does not apply.

mod buffer;
mod convert;
mod drive;
mod error;
pub(crate) mod fixed;
mod gemv;
mod isa;
mod matrix;
mod output;
mod pack;
mod packed;
mod plan;
mod simd;
mod task;
mod tile;

#[cfg(test)]
mod tests;

pub use convert::{narrow, widen};
pub use drive::gemm;
pub use error::{GemmError, UnknownIsa};
pub use isa::Isa;
pub use matrix::{Arithmetic, BatchDim, Bias, GemmOptions, MatMut, MatRef, Operand, OperandMut, Source};
pub use pack::Pack;
pub use packed::{Packed, Side};

/// How many products one accumulation chain holds; see the order of accumulation above. A part of the meaning
/// of every result, so it is the same for all instruction sets. 256 keeps a packed panel of `B` in the L1
/// cache.
pub const K_BLOCK: usize = 256;
