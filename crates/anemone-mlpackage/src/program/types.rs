//! Types of values as protobuf: `ValueType` and what is in it.

use crate::proto::schema::{
    constant_dimension, dimension, list_type, state_type, tensor_type, unknown_dimension, value_type,
};
use crate::proto::wire::{Encoder, Fault, Fields, Read, Within, once};
use mil::{DataType, Shape, TensorType, Type};

/// Dimensions that a tensor may have here. Core ML allows five for most ops; this only bounds damaged files.
const MAX_RANK: usize = 64;

/// The number of an element type in files. Source: `DataType` in `MIL.proto`.
pub(super) const fn code(dtype: DataType) -> Option<i64> {
    Some(match dtype {
        DataType::Bool => 1,
        DataType::String => 2,
        DataType::Fp16 => 10,
        DataType::Fp32 => 11,
        DataType::Int8 => 21,
        DataType::Int16 => 22,
        DataType::Int32 => 23,
        DataType::Int4 => 25,
        DataType::Uint8 => 31,
        DataType::Uint16 => 32,
        DataType::Uint32 => 33,
        DataType::Uint4 => 35,
        DataType::Uint2 => 36,
        DataType::Uint1 => 37,
        DataType::Uint6 => 38,
        DataType::Uint3 => 39,
        _ => return None,
    })
}

/// Element types that Apple's schema has and MIL programs here do not.
const FOREIGN: [(i64, &str); 7] = [
    (12, "fp64"),
    (13, "bf16"),
    (24, "int64"),
    (34, "uint64"),
    (40, "fp8e4m3fn"),
    (41, "fp8e5m2"),
    (0, "unset"),
];

fn dtype(number: i64) -> Read<DataType> {
    if let Some(dtype) = DataType::ALL.into_iter().find(|&dtype| code(dtype) == Some(number)) {
        return Ok(dtype);
    }
    let name = FOREIGN.iter().find(|(code, _)| *code == number).map_or("of no name", |(_, name)| name);
    let known: Vec<_> = DataType::ALL.iter().filter(|&&d| code(d).is_some()).map(|d| d.name()).collect();
    let known = known.join(", ");
    Err(Fault::new(format!("element type {number} ({name}) is not supported; supported are {known}")))
}

/// Reads a `ValueType`.
pub(super) fn read(bytes: &[u8]) -> Read<Type> {
    use value_type as m;
    let mut ty = None;
    for field in Fields::new(bytes) {
        let field = field?;
        let read = match field.number {
            m::TENSOR_TYPE => tensor(field.bytes()?).map(Type::Tensor),
            m::STATE_TYPE => state(field.bytes()?).map(Type::State),
            m::TUPLE_TYPE => Err(Fault::new("is a tuple, but no op gives one")),
            _ => return field.unknown(m::MESSAGE),
        };
        once(&mut ty, &field, read.within(|| "type")?)?;
    }
    ty.ok_or_else(|| Fault::new("the type is not given"))
}

/// Reads a `ValueType` that must be that of a tensor.
pub(super) fn read_tensor(bytes: &[u8]) -> Read<TensorType> {
    match read(bytes)? {
        Type::Tensor(tensor) => Ok(tensor),
        other => Err(Fault::new(format!("must be a tensor here, but is {other}"))),
    }
}

fn tensor(bytes: &[u8]) -> Read<TensorType> {
    use tensor_type as m;
    let (mut element, mut rank) = (None, None);
    let mut dims = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::DATA_TYPE => once(&mut element, &field, dtype(field.signed()?)?)?,
            m::RANK => once(&mut rank, &field, field.signed()?)?,
            m::DIMENSIONS if dims.len() == MAX_RANK => {
                return Err(Fault::new(format!("the tensor has more than {MAX_RANK} dimensions")));
            }
            m::DIMENSIONS => {
                let dim = dim(field.bytes()?).within(|| format!("dimensions[{}]", dims.len()))?;
                dims.push(dim);
            }
            m::ATTRIBUTES => return Err(Fault::new("the tensor type has attributes, which are not supported")),
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let rank = rank.unwrap_or(0);
    if usize::try_from(rank) != Ok(dims.len()) {
        return Err(Fault::new(format!("the rank is {rank}, but there are {} dimensions", dims.len())));
    }
    let element = element.map_or_else(|| dtype(0), Ok)?;
    Ok(TensorType::new(element, Shape::new(&dims)))
}

fn dim(bytes: &[u8]) -> Read<usize> {
    use dimension as m;
    let mut dim = None;
    for field in Fields::new(bytes) {
        let field = field?;
        let read = match field.number {
            m::CONSTANT => constant_dim(field.bytes()?)?,
            m::UNKNOWN => unknown_dim(field.bytes()?)?,
            _ => return field.unknown(m::MESSAGE),
        };
        once(&mut dim, &field, read)?;
    }
    dim.ok_or_else(|| Fault::new("the dimension is not given"))
}

fn constant_dim(bytes: &[u8]) -> Read<usize> {
    use constant_dimension as m;
    let mut size = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::SIZE => once(&mut size, &field, field.unsigned()?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let size = size.unwrap_or(0);
    isize::try_from(size)
        .map(isize::cast_unsigned)
        .map_err(|_| Fault::new(format!("dimension {size} is more than memory can hold")))
}

fn unknown_dim(bytes: &[u8]) -> Read<usize> {
    use unknown_dimension as m;
    let mut variadic = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::VARIADIC => once(&mut variadic, &field, field.bool()?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    if variadic == Some(true) {
        return Err(Fault::new("the tensor has any number of dimensions, which is not supported"));
    }
    Err(Fault::new("unknown dimensions are not supported yet"))
}

fn state(bytes: &[u8]) -> Read<TensorType> {
    use state_type as m;
    let mut held = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::WRAPPED_TYPE => {
                // A tensor only: so types do not nest without end.
                let read = tensor_in(field.bytes()?).within(|| "wrappedType")?;
                once(&mut held, &field, read)?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    held.ok_or_else(|| Fault::new("what the state holds is not given"))
}

/// Reads a `ValueType` inside another one, which can only be a tensor.
fn tensor_in(bytes: &[u8]) -> Read<TensorType> {
    use value_type as m;
    let mut ty = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::TENSOR_TYPE => once(&mut ty, &field, tensor(field.bytes()?)?)?,
            m::LIST_TYPE | m::TUPLE_TYPE | m::DICTIONARY_TYPE | m::STATE_TYPE => {
                return Err(Fault::new("must be a tensor here"));
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    ty.ok_or_else(|| Fault::new("the type is not given"))
}

/// Writes a `ValueType`.
pub(super) fn write(number: u32, ty: &Type, e: &mut Encoder) -> Result<(), String> {
    e.message(number, |e| match ty {
        Type::Tensor(tensor) => write_tensor(tensor, e),
        Type::State(held) => e.message(value_type::STATE_TYPE, |e| {
            e.message(state_type::WRAPPED_TYPE, |e| write_tensor(held, e))
        }),
        other => Err(format!("is {other}, which no model can hold")),
    })
}

/// Writes the content of the `ValueType` of a tensor.
pub(super) fn write_tensor(ty: &TensorType, e: &mut Encoder) -> Result<(), String> {
    use tensor_type as m;
    let code = code(ty.dtype).ok_or_else(|| format!("has element type {}, which no model can hold", ty.dtype))?;
    e.message(value_type::TENSOR_TYPE, |e| {
        e.signed(m::DATA_TYPE, code);
        e.unsigned(m::RANK, ty.shape.rank() as u64);
        for &dim in ty.shape.iter() {
            e.message(m::DIMENSIONS, |e| {
                e.message(dimension::CONSTANT, |e| e.unsigned(constant_dimension::SIZE, dim as u64));
            });
        }
    });
    Ok(())
}
