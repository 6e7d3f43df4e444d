//! Types of values.

use crate::{DataType, Shape};
use std::fmt;

/// The type of a tensor: element type and shape. A scalar is a tensor of shape `[]`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    /// Element type.
    pub dtype: DataType,
    /// Dimensions, outermost first.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor type.
    pub fn new(dtype: DataType, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// A scalar of the given type.
    pub fn scalar(dtype: DataType) -> TensorType {
        TensorType::new(dtype, Shape::scalar())
    }

    /// An `fp32` tensor.
    pub fn fp32(shape: impl Into<Shape>) -> TensorType {
        TensorType::new(DataType::Fp32, shape)
    }

    /// An `fp16` tensor.
    pub fn fp16(shape: impl Into<Shape>) -> TensorType {
        TensorType::new(DataType::Fp16, shape)
    }

    /// An `int32` tensor.
    pub fn int32(shape: impl Into<Shape>) -> TensorType {
        TensorType::new(DataType::Int32, shape)
    }

    /// A `bool` tensor.
    pub fn bool(shape: impl Into<Shape>) -> TensorType {
        TensorType::new(DataType::Bool, shape)
    }

    /// The same shape with another element type.
    pub fn with_dtype(&self, dtype: DataType) -> TensorType {
        TensorType { dtype, shape: self.shape.clone() }
    }

    /// The same element type with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype: self.dtype, shape: shape.into() }
    }

    /// Bytes in memory, or `None` when they do not fit in `isize`.
    pub fn checked_bytes(&self) -> Option<usize> {
        let bits = self.shape.checked_len()?.checked_mul(self.dtype.bits())?;
        Some(bits.div_ceil(8)).filter(|&n| n <= isize::MAX as usize)
    }

    /// Bytes in memory; saturates instead of overflowing (a verified program never does).
    pub fn bytes(&self) -> usize {
        self.checked_bytes().unwrap_or(usize::MAX)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tensor<{}, {}>", self.dtype, self.shape)
    }
}

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Type {
    /// A tensor; scalars included.
    Tensor(TensorType),
    /// Storage that outlives a call and holds a tensor of this type.
    State(TensorType),
}

impl Type {
    /// The tensor type, unless this is a state.
    pub fn as_tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(tensor) => Some(tensor),
            Type::State(_) => None,
        }
    }

    /// The type of the tensor that this is or holds.
    pub fn tensor(&self) -> &TensorType {
        match self {
            Type::Tensor(tensor) | Type::State(tensor) => tensor,
        }
    }

    /// Whether this is a state.
    pub fn is_state(&self) -> bool {
        matches!(self, Type::State(_))
    }
}

impl From<TensorType> for Type {
    fn from(tensor: TensorType) -> Type {
        Type::Tensor(tensor)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Tensor(tensor) => tensor.fmt(f),
            Type::State(tensor) => write!(f, "state<{tensor}>"),
        }
    }
}
