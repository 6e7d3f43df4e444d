//! Types of values as protobuf: `ValueType` and what is in it.

use crate::proto::schema::{
    constant_dimension, dictionary_type, dimension, list_type, state_type, tensor_type, unknown_dimension,
    value_type,
};
use crate::proto::wire::{Encoder, Fault, Field, Fields, Read, Within, once};
use mil::{DataType, ListType, Shape, TensorType, Type, UNKNOWN};

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
        DataType::Int64 => 24,
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

/// `fp64`: the probabilities in what `classify` gives, and nothing else.
const FP64: i64 = 12;

/// Element types that Apple's schema has and MIL programs here do not.
const FOREIGN: [(i64, &str); 6] =
    [(FP64, "fp64"), (13, "bf16"), (34, "uint64"), (40, "fp8e4m3fn"), (41, "fp8e5m2"), (0, "unset")];

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
    let (number, content) = only_type(bytes)?;
    let ty = match number {
        m::TENSOR_TYPE => tensor(content).map(Type::Tensor),
        m::STATE_TYPE => state(content).map(Type::State),
        m::LIST_TYPE => list(content).map(Type::List),
        m::DICTIONARY_TYPE => dictionary(content).map(Type::Dict),
        _ => Err(Fault::new("is a tuple, but no op gives one")),
    };
    ty.within(|| "type")
}

/// The one field that a `ValueType` has, and its content.
fn only_type(bytes: &[u8]) -> Read<(u32, &[u8])> {
    use value_type as m;
    let mut found = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::TENSOR_TYPE | m::LIST_TYPE | m::TUPLE_TYPE | m::DICTIONARY_TYPE | m::STATE_TYPE => {
                once(&mut found, &field, (field.number, field.bytes()?))?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    found.ok_or_else(|| Fault::new("the type is not given"))
}

fn tensor(bytes: &[u8]) -> Read<TensorType> {
    let (code, shape) = tensor_parts(bytes)?;
    Ok(TensorType::new(dtype(code)?, shape))
}

/// Number of the element type, and the shape.
fn tensor_parts(bytes: &[u8]) -> Read<(i64, Shape)> {
    use tensor_type as m;
    let (mut element, mut rank) = (None, None);
    let mut dims = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::DATA_TYPE => once(&mut element, &field, field.signed()?)?,
            m::RANK => once(&mut rank, &field, field.signed()?)?,
            m::DIMENSIONS if dims.len() == MAX_RANK => {
                return Err(Fault::new(format!("the tensor has more than {MAX_RANK} dimensions")));
            }
            m::DIMENSIONS => {
                let dim = dim(field.bytes()?).within(|| format!("dimensions[{}]", dims.len()))?;
                dims.push(dim);
            }
            m::ATTRIBUTES => {
                return Err(Fault::new("the tensor type has attributes, which are not supported"));
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let rank = rank.unwrap_or(0);
    if usize::try_from(rank) != Ok(dims.len()) {
        return Err(Fault::new(format!("the rank is {rank}, but there are {} dimensions", dims.len())));
    }
    Ok((element.unwrap_or(0), Shape::new(&dims)))
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
    // The largest number of all stands for unknown dimensions.
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
    Ok(UNKNOWN)
}

fn state(bytes: &[u8]) -> Read<TensorType> {
    use state_type as m;
    let mut held = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::WRAPPED_TYPE => once(&mut held, &field, inner(&field).within(|| "wrappedType")?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    held.ok_or_else(|| Fault::new("what the state holds is not given"))
}

fn list(bytes: &[u8]) -> Read<ListType> {
    use list_type as m;
    let (mut element, mut length) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::TYPE => once(&mut element, &field, inner(&field).within(|| "type")?)?,
            m::LENGTH => once(&mut length, &field, dim(field.bytes()?).within(|| "length")?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let element = element.ok_or_else(|| Fault::new("what the list holds is not given"))?;
    let length = length.ok_or_else(|| Fault::new("the length of the list is not given"))?;
    Ok(ListType { element, length: Some(length).filter(|&length| length != UNKNOWN) })
}

fn dictionary(bytes: &[u8]) -> Read<TensorType> {
    use dictionary_type as m;
    let (mut key, mut value) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::KEY_TYPE => once(&mut key, &field, inner(&field).within(|| "keyType")?)?,
            m::VALUE_TYPE => {
                let parts = match only_type(field.bytes()?)? {
                    (value_type::TENSOR_TYPE, content) => tensor_parts(content)?,
                    _ => (0, Shape::scalar()),
                };
                once(&mut value, &field, parts)?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let key = key.ok_or_else(|| Fault::new("the dictionary's key type is not given"))?;
    if value != Some((FP64, Shape::scalar())) {
        return Err(Fault::new("the dictionary's values must be fp64 scalars: probabilities of classes"));
    }
    Ok(key)
}

/// Reads a `ValueType` inside another one, which can only be a tensor: so types do not nest without end.
fn inner(field: &Field<'_>) -> Read<TensorType> {
    match only_type(field.bytes()?)? {
        (value_type::TENSOR_TYPE, content) => tensor(content),
        _ => Err(Fault::new("must be a tensor here")),
    }
}

/// Writes a `ValueType`.
pub(super) fn write(number: u32, ty: &Type, e: &mut Encoder) -> Result<(), String> {
    e.message(number, |e| match ty {
        Type::Tensor(tensor) => write_tensor(tensor, e),
        Type::State(held) => e.message(value_type::STATE_TYPE, |e| {
            e.message(state_type::WRAPPED_TYPE, |e| write_tensor(held, e))
        }),
        Type::List(list) => write_list(list, e),
        Type::Dict(key) => e.message(value_type::DICTIONARY_TYPE, |e| {
            e.message(dictionary_type::KEY_TYPE, |e| write_tensor(key, e))?;
            e.message(dictionary_type::VALUE_TYPE, |e| write_parts(FP64, &Shape::scalar(), e));
            Ok(())
        }),
        other => Err(format!("is {other}, which no model can hold")),
    })
}

/// Writes the content of the `ValueType` of a tensor.
pub(super) fn write_tensor(ty: &TensorType, e: &mut Encoder) -> Result<(), String> {
    let code =
        code(ty.dtype).ok_or_else(|| format!("has element type {}, which no model can hold", ty.dtype))?;
    write_parts(code, &ty.shape, e);
    Ok(())
}

/// Writes the content of the `ValueType` of a list.
pub(super) fn write_list(list: &ListType, e: &mut Encoder) -> Result<(), String> {
    e.message(value_type::LIST_TYPE, |e| {
        e.message(list_type::TYPE, |e| write_tensor(&list.element, e))?;
        write_dim(list_type::LENGTH, list.length.unwrap_or(UNKNOWN), e);
        Ok(())
    })
}

fn write_parts(code: i64, shape: &Shape, e: &mut Encoder) {
    use tensor_type as m;
    e.message(value_type::TENSOR_TYPE, |e| {
        e.signed(m::DATA_TYPE, code);
        e.unsigned(m::RANK, shape.rank() as u64);
        for &dim in shape.iter() {
            write_dim(m::DIMENSIONS, dim, e);
        }
    });
}

fn write_dim(number: u32, dim: usize, e: &mut Encoder) {
    e.message(number, |e| match dim {
        UNKNOWN => e.message(dimension::UNKNOWN, |_| ()),
        dim => e.message(dimension::CONSTANT, |e| e.unsigned(constant_dimension::SIZE, dim as u64)),
    });
}
