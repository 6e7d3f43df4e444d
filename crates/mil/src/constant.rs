//! Constant tensors: shared, immutable, possibly memory-mapped.

use crate::error::ConstantError;
use crate::{DataType, Shape, TensorType, packed};
use half::f16;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A Rust type that is the in-memory form of a [`DataType`]. (`bool` is stored as `u8` 0 or 1; its tensors
/// are made with [`Constant::bools`].)
pub trait Element: bytemuck::Pod + Send + Sync + PartialEq + fmt::Debug {
    /// The MIL type of which this is the element.
    const DTYPE: DataType;
}

macro_rules! element {
    ($($rust:ty => $dtype:ident),*) => {$(
        impl Element for $rust { const DTYPE: DataType = DataType::$dtype; }
    )*};
}
element!(f16 => Fp16, f32 => Fp32, i8 => Int8, u8 => Uint8, i16 => Int16, u16 => Uint16, i32 => Int32, u32 => Uint32, i64 => Int64);

#[derive(Clone)]
enum Storage {
    Bytes(Arc<dyn AsRef<[u8]> + Send + Sync>),
    Strings(Arc<[String]>),
}

/// Keeps a typed vector alive and lends it as bytes, so that alignment is that of the element.
struct TypedVec<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for TypedVec<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// A constant tensor, little-endian and row-major. Clones share the storage.
///
/// Invariants: the storage holds exactly `type.bytes()` bytes, aligned for the element type; `bool`
/// elements are 0 or 1.
#[derive(Clone)]
pub struct Constant {
    ty: TensorType,
    storage: Storage,
}

impl Constant {
    /// A constant from its elements.
    pub fn new<T: Element>(shape: impl Into<Shape>, data: Vec<T>) -> Result<Constant, ConstantError> {
        let ty = TensorType::new(T::DTYPE, shape);
        check_len(&ty, data.len())?;
        Ok(Constant { ty, storage: Storage::Bytes(Arc::new(TypedVec(data))) })
    }

    /// A `bool` constant.
    pub fn bools(shape: impl Into<Shape>, data: &[bool]) -> Result<Constant, ConstantError> {
        let ty = TensorType::bool(shape);
        check_len(&ty, data.len())?;
        let bytes: Vec<u8> = data.iter().map(|&b| b as u8).collect();
        Ok(Constant { ty, storage: Storage::Bytes(Arc::new(bytes)) })
    }

    /// A `string` constant.
    pub fn strings(shape: impl Into<Shape>, data: Vec<String>) -> Result<Constant, ConstantError> {
        let ty = TensorType::new(DataType::String, shape);
        check_len(&ty, data.len())?;
        Ok(Constant { ty, storage: Storage::Strings(data.into()) })
    }

    /// A constant of a packed type (`int4`, `uint1` … `uint6`) from its values.
    ///
    /// # Errors
    /// When the type is not a packed one, a value does not fit it, or their number does not match the shape.
    pub fn packed(
        dtype: DataType,
        shape: impl Into<Shape>,
        values: &[i64],
    ) -> Result<Constant, ConstantError> {
        let ty = TensorType::new(dtype, shape);
        check_len(&ty, values.len())?;
        let bytes = packed::pack(dtype, values).ok_or_else(|| ConstantError::Packed { ty: ty.clone() })?;
        Ok(Constant { ty, storage: Storage::Bytes(Arc::new(bytes)) })
    }

    /// A constant over foreign storage, such as a memory-mapped file. Copies when the bytes are not
    /// aligned for the element type.
    pub fn from_storage(
        ty: TensorType,
        bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    ) -> Result<Constant, ConstantError> {
        let slice = (*bytes).as_ref();
        let expected = ty.checked_bytes().ok_or_else(|| ConstantError::TooLarge { ty: ty.clone() })?;
        if ty.dtype == DataType::String {
            return Err(ConstantError::StringBytes);
        }
        if slice.len() != expected {
            return Err(ConstantError::Bytes { ty, expected, found: slice.len() });
        }
        if ty.dtype == DataType::Bool
            && let Some(&found) = slice.iter().find(|&&b| b > 1)
        {
            return Err(ConstantError::NotBool { found });
        }
        if (slice.as_ptr() as usize).is_multiple_of(ty.dtype.size()) {
            return Ok(Constant { ty, storage: Storage::Bytes(bytes) });
        }
        // u64 is the widest alignment that any element type asks for.
        let mut aligned = vec![0u64; slice.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut aligned)[..slice.len()].copy_from_slice(slice);
        let len = slice.len();
        Ok(Constant { ty, storage: Storage::Bytes(Arc::new(Prefix(aligned, len))) })
    }

    /// A scalar.
    pub fn scalar<T: Element>(value: T) -> Constant {
        Constant {
            ty: TensorType::scalar(T::DTYPE),
            storage: Storage::Bytes(Arc::new(TypedVec(vec![value]))),
        }
    }

    /// A `bool` scalar.
    pub fn bool(value: bool) -> Constant {
        Constant {
            ty: TensorType::scalar(DataType::Bool),
            storage: Storage::Bytes(Arc::new(vec![value as u8])),
        }
    }

    /// A `string` scalar.
    pub fn string(value: impl Into<String>) -> Constant {
        Constant {
            ty: TensorType::scalar(DataType::String),
            storage: Storage::Strings(Arc::from([value.into()])),
        }
    }

    /// A vector of `int32`, as most shape-like parameters are.
    pub fn ints(values: &[i32]) -> Constant {
        Constant {
            ty: TensorType::int32([values.len()]),
            storage: Storage::Bytes(Arc::new(TypedVec(values.to_vec()))),
        }
    }

    /// A scalar of a float type; the value is rounded to `fp16` for that type.
    pub fn float(dtype: DataType, value: f32) -> Constant {
        if dtype == DataType::Fp16 { Constant::scalar(f16::from_f32(value)) } else { Constant::scalar(value) }
    }

    /// A tensor filled with one float value, or `None` when `ty` is not a float type that fits in memory.
    pub fn splat(ty: &TensorType, value: f32) -> Option<Constant> {
        let len = ty.shape.checked_len()?;
        match ty.dtype {
            DataType::Fp32 => Constant::new(ty.shape.clone(), vec![value; len]).ok(),
            DataType::Fp16 => Constant::new(ty.shape.clone(), vec![f16::from_f32(value); len]).ok(),
            _ => None,
        }
    }

    /// The type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The little-endian bytes; empty for strings.
    pub fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::Bytes(bytes) => (**bytes).as_ref(),
            Storage::Strings(_) => &[],
        }
    }

    /// The elements, if `T` is the element type. (`bool` tensors are read with [`Constant::bytes`].)
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        if T::DTYPE != self.ty.dtype {
            return None;
        }
        bytemuck::try_cast_slice(self.bytes()).ok()
    }

    /// The strings, if this is a string constant.
    pub fn as_strings(&self) -> Option<&[String]> {
        match &self.storage {
            Storage::Strings(strings) => Some(strings),
            Storage::Bytes(_) => None,
        }
    }

    /// The elements as integers, if this is an integer or `bool` constant.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        fn widen<T: Element + Into<i64>>(constant: &Constant) -> Option<Vec<i64>> {
            Some(constant.as_slice::<T>()?.iter().map(|&v| v.into()).collect())
        }
        match self.ty.dtype {
            DataType::Int8 => widen::<i8>(self),
            DataType::Uint8 => widen::<u8>(self),
            DataType::Int16 => widen::<i16>(self),
            DataType::Uint16 => widen::<u16>(self),
            DataType::Int32 => widen::<i32>(self),
            DataType::Uint32 => widen::<u32>(self),
            DataType::Int64 => widen::<i64>(self),
            DataType::Bool => Some(self.bytes().iter().map(|&b| b as i64).collect()),
            dtype if dtype.is_packed() => Some(packed::unpack(dtype, self.bytes(), self.ty.shape.count())),
            _ => None,
        }
    }

    /// The elements as `f32`, if this is a float constant. Borrowed for `fp32`.
    pub fn to_f32(&self) -> Option<Cow<'_, [f32]>> {
        match self.ty.dtype {
            DataType::Fp32 => self.as_slice::<f32>().map(Cow::Borrowed),
            DataType::Fp16 => Some(self.as_slice::<f16>()?.iter().map(|v| v.to_f32()).collect()),
            _ => None,
        }
    }

    /// The same data under another shape with as many elements.
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Result<Constant, ConstantError> {
        let ty = self.ty.with_shape(shape);
        check_len(&ty, self.ty.shape.count())?;
        Ok(Constant { ty, storage: self.storage.clone() })
    }

    /// Whether both share the same storage (cheap) or hold equal bytes.
    pub fn same(&self, other: &Constant) -> bool {
        if self.ty != other.ty {
            return false;
        }
        match (&self.storage, &other.storage) {
            (Storage::Bytes(a), Storage::Bytes(b)) => {
                std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b)) || (**a).as_ref() == (**b).as_ref()
            }
            (Storage::Strings(a), Storage::Strings(b)) => a == b,
            _ => false,
        }
    }
}

/// The first bytes of an aligned buffer.
struct Prefix(Vec<u64>, usize);

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice::<u64, u8>(&self.0)[..self.1]
    }
}

fn check_len(ty: &TensorType, found: usize) -> Result<(), ConstantError> {
    match ty.shape.checked_len() {
        None => Err(ConstantError::TooLarge { ty: ty.clone() }),
        Some(expected) if expected != found => {
            Err(ConstantError::Elements { ty: ty.clone(), expected, found })
        }
        Some(_) => Ok(()),
    }
}

impl PartialEq for Constant {
    /// Equality of type and bits, so that `NaN` constants equal themselves.
    fn eq(&self, other: &Constant) -> bool {
        self.same(other)
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "const {}", self.ty)?;
        if self.ty.shape.count() > 8 {
            return Ok(());
        }
        match (&self.storage, self.to_f32(), self.to_i64()) {
            (Storage::Strings(strings), ..) => write!(f, " {strings:?}"),
            (_, Some(floats), _) => write!(f, " {floats:?}"),
            (_, _, Some(ints)) => write!(f, " {ints:?}"),
            _ => Ok(()),
        }
    }
}
