//! Elementwise operations: one small machine runs them all, alone or fused in groups.
//!
//! A [`Group`] is a straight line of [`Instruction`]s over one shape. Its kernel walks the shape in chunks that stay in
//! the first-level cache: operands are read once, intermediate values live in registers of one chunk each, results are
//! written once. A single operation is a group of one, run by the same code; so a group gives the bits that its
//! instructions give one after another.
//!
//! # What a register holds
//!
//! One 32-bit lane per element: `f32` for `fp32` and `fp16`, `i32` for integers, 0 or 1 for `bool`. Storage types are
//! widened when they are read and narrowed when they are written. After every instruction of type `fp16` the lane is
//! rounded to `fp16` (nearest, ties to even), exactly as if it had been stored and read back.
//!
//! # What the results depend on
//!
//! On the operands alone. No float operation is fused or reordered, the functions of [`math`] are made of basic
//! operations that IEEE 754 fixes, and no element looks at another: the instruction set, the number of threads and the
//! grouping do not show. (Only which of several `NaN`s comes out, its sign and payload, is not fixed.)

mod access;
mod body;
mod code;
mod compile;
mod from_view;
mod half_lanes;
mod kernel;
pub(crate) mod math;
mod memory;

#[cfg(test)]
mod tests;

pub(crate) use code::{Code, ElementOp};
pub(crate) use from_view::is_elementwise;
pub(crate) use kernel::Kernel;

use mil::{DataType, Shape, TensorType};
use smallvec::SmallVec;

/// Where an instruction takes an argument from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A leaf of the group, by index.
    Leaf(usize),
    /// The result of an earlier instruction, by index.
    Instruction(usize),
}

/// To which of two `fp16` numbers that are as near a result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// The even one.
    HalfEven,
    /// The one farther from zero.
    HalfAway,
}

/// One operation on every element.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instruction {
    /// What it computes.
    pub(crate) op: ElementOp,
    /// Arguments, in the order of [`ElementOp::operands`].
    pub(crate) args: SmallVec<[Source; 3]>,
    /// Element type of the result.
    pub(crate) dtype: DataType,
}

/// Operations of one shape that run in one pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    /// Shape of every instruction's result.
    pub(crate) shape: Shape,
    /// Types of the operands; each broadcasts to `shape`. (The coefficients of `prelu` and `softplus_parametric` are
    /// `[C]`, as the program has them, and apply to axis 1.)
    pub(crate) leaves: Vec<TensorType>,
    /// Instructions, each after those it uses.
    pub(crate) instructions: Vec<Instruction>,
    /// The instructions whose results are stored, one per output.
    pub(crate) outputs: Vec<usize>,
}

impl Group {
    /// Prepares the group to run.
    pub(crate) fn compile(self) -> Kernel {
        self.compile_rounding(Rounding::HalfEven)
    }

    /// The same where results of type `fp16` are rounded in this way.
    pub(crate) fn compile_rounding(self, rounding: Rounding) -> Kernel {
        compile::compile(&self, rounding)
    }
}
