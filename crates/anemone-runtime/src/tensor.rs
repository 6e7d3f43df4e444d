//! Tensors in host memory.

use crate::buffer::Buffer;
use crate::error::TensorError;
use half::f16;
use mil::{Constant, DataType, Element, Shape, TensorType};
use std::borrow::Cow;
use std::fmt;

/// A tensor in host memory: row-major, little-endian, aligned to 64 bytes.
#[derive(Clone)]
pub struct Tensor {
    ty: TensorType,
    buffer: Buffer,
}

impl Tensor {
    /// A tensor of zeros (`false` for `bool`).
    ///
    /// # Errors
    /// When the type is `string` or needs more bytes than there are.
    pub fn zeros(ty: TensorType) -> Result<Tensor, TensorError> {
        if ty.dtype == DataType::String {
            return Err(TensorError::Strings);
        }
        match ty.checked_bytes().and_then(Buffer::zeroed) {
            Some(buffer) => Ok(Tensor { ty, buffer }),
            None => Err(TensorError::TooLarge { ty }),
        }
    }

    /// A tensor from its elements.
    pub fn new<T: Element>(shape: impl Into<Shape>, data: &[T]) -> Result<Tensor, TensorError> {
        Tensor::from_bytes(TensorType::new(T::DTYPE, shape), bytemuck::cast_slice(data))
    }

    /// A `bool` tensor.
    pub fn bools(shape: impl Into<Shape>, data: &[bool]) -> Result<Tensor, TensorError> {
        let bytes: Vec<u8> = data.iter().map(|&value| value as u8).collect();
        Tensor::from_bytes(TensorType::bool(shape), &bytes)
    }

    /// A tensor from its bytes.
    pub fn from_bytes(ty: TensorType, bytes: &[u8]) -> Result<Tensor, TensorError> {
        let expected = ty.checked_bytes().ok_or_else(|| TensorError::TooLarge { ty: ty.clone() })?;
        if expected != bytes.len() {
            return Err(TensorError::Bytes { ty, expected, found: bytes.len() });
        }
        if ty.dtype == DataType::Bool
            && let Some(&found) = bytes.iter().find(|&&byte| byte > 1)
        {
            return Err(TensorError::NotBool { found });
        }
        let mut tensor = Tensor::zeros(ty)?;
        tensor.bytes_mut().copy_from_slice(bytes);
        Ok(tensor)
    }

    /// A scalar.
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor { ty: TensorType::scalar(T::DTYPE), buffer: Buffer::of(bytemuck::bytes_of(&value)) }
    }

    /// The type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The dimensions.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// The element type.
    pub fn dtype(&self) -> DataType {
        self.ty.dtype
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// The bytes, changeable. Bytes of `bool` tensors must stay 0 or 1.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut()
    }

    /// The elements, if `T` is the element type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        self.check::<T>()?;
        Ok(bytemuck::cast_slice(self.bytes()))
    }

    /// The elements, changeable, if `T` is the element type.
    pub fn as_mut_slice<T: Element>(&mut self) -> Result<&mut [T], TensorError> {
        self.check::<T>()?;
        Ok(bytemuck::cast_slice_mut(self.bytes_mut()))
    }

    fn check<T: Element>(&self) -> Result<(), TensorError> {
        if T::DTYPE == self.ty.dtype {
            return Ok(());
        }
        Err(TensorError::DataType { asked: T::DTYPE, found: self.ty.dtype })
    }

    /// The elements as `f32`, if this is a float tensor. Borrowed for `fp32`.
    pub fn to_f32(&self) -> Result<Cow<'_, [f32]>, TensorError> {
        match self.ty.dtype {
            DataType::Fp16 => Ok(self.as_slice::<f16>()?.iter().map(|value| value.to_f32()).collect()),
            _ => self.as_slice::<f32>().map(Cow::Borrowed),
        }
    }

    /// The only element of a float tensor that has just one, as `f32`.
    pub fn item(&self) -> Result<f32, TensorError> {
        match self.to_f32()?.as_ref() {
            &[value] => Ok(value),
            values => Err(TensorError::NotScalar { found: values.len() }),
        }
    }

    /// The tensor as a constant of a program.
    ///
    /// # Errors
    /// Never for tensors made by this type's constructors with valid `bool` bytes.
    pub fn to_constant(&self) -> Result<Constant, TensorError> {
        let bytes = std::sync::Arc::new(self.buffer_owned());
        Constant::from_storage(self.ty.clone(), bytes).map_err(TensorError::from)
    }

    /// The tensor as a constant, without copying.
    ///
    /// # Errors
    /// As [`Tensor::to_constant`].
    pub fn into_constant(self) -> Result<Constant, TensorError> {
        let bytes = std::sync::Arc::new(SharedBuffer(self.buffer));
        Constant::from_storage(self.ty, bytes).map_err(TensorError::from)
    }

    fn buffer_owned(&self) -> SharedBuffer {
        SharedBuffer(self.buffer.clone())
    }

    /// A tensor with the data of a constant.
    pub fn from_constant(constant: &Constant) -> Result<Tensor, TensorError> {
        Tensor::from_bytes(constant.ty().clone(), constant.bytes())
    }
}

struct SharedBuffer(Buffer);

impl AsRef<[u8]> for SharedBuffer {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl PartialEq for Tensor {
    /// Equality of type and bits.
    fn eq(&self, other: &Tensor) -> bool {
        self.ty == other.ty && self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({})", self.ty)
    }
}
