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

    /// Bytes in memory, or `None` when they do not fit in `isize` or are not known.
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

/// The type of a list of tensors.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ListType {
    /// Type of the elements; dimensions may be unknown.
    pub element: TensorType,
    /// Number of elements; `None` for a list that grows as it is written.
    pub length: Option<usize>,
}

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Type {
    /// A tensor; scalars included.
    Tensor(TensorType),
    /// Storage that outlives a call and holds a tensor of this type.
    State(TensorType),
    /// A list of tensors.
    List(ListType),
    /// A dictionary from class labels (scalars of this type) to their `fp64` probabilities: what `classify` gives.
    Dict(TensorType),
}

impl Type {
    /// The tensor type, unless this is a state.
    pub fn as_tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(tensor) => Some(tensor),
            Type::State(_) | Type::List(_) | Type::Dict(_) => None,
        }
    }

    /// The type of the tensor that this is, that a state holds, of a list's elements, of a dictionary's keys.
    pub fn tensor(&self) -> &TensorType {
        match self {
            Type::Tensor(tensor) | Type::State(tensor) | Type::Dict(tensor) => tensor,
            Type::List(list) => &list.element,
        }
    }

    /// Whether a value of type `other` can stand where one of this type is declared: the same but for dimensions and
    /// lengths that are not known.
    pub fn accepts(&self, other: &Type) -> bool {
        let tensors = |a: &TensorType, b: &TensorType| a.dtype == b.dtype && a.shape.accepts(&b.shape);
        match (self, other) {
            (Type::Tensor(a), Type::Tensor(b)) => tensors(a, b),
            // Lengths may differ: coremltools records a growing list with the length that it begins with.
            (Type::List(a), Type::List(b)) => tensors(&a.element, &b.element),
            _ => self == other,
        }
    }

    /// Whether this is a tensor or state of known shape: what can be planned before anything runs.
    pub fn is_static(&self) -> bool {
        matches!(self, Type::Tensor(tensor) | Type::State(tensor) if tensor.shape.is_known())
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
            Type::List(list) => match list.length {
                Some(length) => write!(f, "list<{}, {length}>", list.element),
                None => write!(f, "list<{}, ?>", list.element),
            },
            Type::Dict(key) => write!(f, "dict<{}, fp64>", key.dtype),
        }
    }
}
