//! What can be wrong with a request to multiply, and with the name of an instruction set.

/// Why a matrix or a multiplication was refused. Nothing has been written when one of these is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GemmError {
    /// The strides reach beyond the data.
    #[error("{what} reaches element {last} but its data holds {len}; give more data or smaller strides")]
    OutOfBounds {
        /// Which operand.
        what: &'static str,
        /// The highest index that the shape and the strides reach; `usize::MAX` when it overflows.
        last: usize,
        /// The number of elements there are.
        len: usize,
    },
    /// The shapes of the operands do not fit each other.
    #[error(
        "{what} is {found:?} but the product needs {expected:?}; the shapes are A [M, K], B [K, N], C [M, N]"
    )]
    Shape {
        /// Which operand.
        what: &'static str,
        /// Its shape.
        found: (usize, usize),
        /// The shape that the other operands ask for.
        expected: (usize, usize),
    },
    /// Two elements of the output may share a place, so tasks could not write them independently.
    #[error(
        "the strides of C may map two elements to one place; make each larger than the reach of all smaller ones"
    )]
    OverlappingOutput,
    /// A packed operand was given on the other side of the product, or was packed for another instruction
    /// set.
    #[error("a matrix packed as {packed} was given as {used}; pack it for the side on which it is used")]
    PackedSide {
        /// The side that it was packed for.
        packed: &'static str,
        /// The side on which it was given.
        used: &'static str,
    },
}

/// Why an instruction set cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{variable} names the instruction set `{found}`, but this CPU has: {available}; unset the variable for the first of them",
    variable = super::Isa::VARIABLE
)]
pub struct UnknownIsa {
    /// The name.
    pub found: String,
    /// The names of those that the CPU has, fastest first.
    pub available: String,
}
