//! Constants as protobuf: `Value` and what is in it.
//!
//! A value stands in the file itself or in a weight file beside it. In the file, 32-bit floats, integers of 16 and 32
//! bits, truth values and strings are lists of their own; `fp16`, 8-bit integers, `uint32` and everything smaller
//! than a byte are raw little-endian bytes, packed lowest bit first. Source: `helper.py` of coremltools' MIL back end.
//!
//! The class labels of `classify` are a list of scalars there and a vector here; nothing else is a list.

use super::types;
use crate::proto::schema::{
    blob_file_value, dictionary_type, dictionary_value, immediate_value, key_value_pair, list_value,
    repeated_bools, repeated_bytes, repeated_floats, repeated_ints, repeated_strings, tensor_value, value,
    value_type,
};
use crate::proto::wire::{Encoder, Fault, Field, Fields, Read, Within, once};
use crate::weights::Weights;
use mil::text::WeightLocation;
use mil::{Constant, DataType, ListType, TensorType, Type};
use std::sync::Arc;

/// The parts of a `Value`.
struct Parts<'a> {
    ty: Type,
    immediate: Option<&'a [u8]>,
    blob: Option<&'a [u8]>,
}

fn parts(bytes: &[u8]) -> Read<Parts<'_>> {
    use value as m;
    let [mut ty, mut immediate, mut blob] = [None; 3];
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::TYPE => once(&mut ty, &field, field.bytes()?)?,
            m::IMMEDIATE_VALUE => once(&mut immediate, &field, field.bytes()?)?,
            m::BLOB_FILE_VALUE => once(&mut blob, &field, field.bytes()?)?,
            m::DOC_STRING => no_doc_string(&field)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let ty = ty.ok_or_else(|| Fault::new("the value has no type")).and_then(types::read)?;
    match (immediate, blob) {
        (Some(_), Some(_)) => Err(Fault::new("the value stands both here and in a weight file")),
        (None, None) => Err(Fault::new("the value is not given")),
        _ => Ok(Parts { ty, immediate, blob }),
    }
}

/// Reads a `Value`: a tensor, or a list of class labels. Values in weight files are not copied.
pub(super) fn read(bytes: &[u8], weights: &Weights) -> Read<Constant> {
    let parts = parts(bytes)?;
    match (parts.ty, parts.immediate, parts.blob) {
        (Type::List(list), Some(bytes), _) => labels(bytes, &list).within(|| "immediateValue"),
        (Type::Tensor(ty), Some(bytes), _) => immediate_tensor(bytes, ty).within(|| "immediateValue"),
        (Type::Tensor(ty), _, Some(bytes)) => {
            let (path, offset) = location(bytes).within(|| "blobFileValue")?;
            weights.constant(path, offset, &ty).map_err(|error| Fault::new(error.to_string()))
        }
        (other, ..) => Err(Fault::new(format!("a value of type {other} is not supported here"))),
    }
}

/// Reads a `Value` that is a tensor written in place.
fn read_immediate(bytes: &[u8]) -> Read<Constant> {
    let parts = parts(bytes)?;
    match (parts.ty, parts.immediate) {
        (Type::Tensor(ty), Some(bytes)) => immediate_tensor(bytes, ty).within(|| "immediateValue"),
        (other, _) => Err(Fault::new(format!("must be a tensor written in place, but is {other}"))),
    }
}

/// Nothing in a program holds a value's documentation, so that a text there would be lost.
pub(super) fn no_doc_string(field: &Field<'_>) -> Read<()> {
    match field.string()? {
        "" => Ok(()),
        _ => Err(Fault::new("it has a docString, which cannot be kept")),
    }
}

fn location(bytes: &[u8]) -> Read<(&str, u64)> {
    use blob_file_value as m;
    let (mut path, mut offset) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::FILE_NAME => once(&mut path, &field, field.string()?)?,
            m::OFFSET => once(&mut offset, &field, field.unsigned()?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let path = path.ok_or_else(|| Fault::new("the weight file is not named"))?;
    Ok((path, offset.unwrap_or(0)))
}

fn immediate_tensor(bytes: &[u8], ty: TensorType) -> Read<Constant> {
    use immediate_value as m;
    let mut tensor = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::TENSOR => once(&mut tensor, &field, field.bytes()?)?,
            m::TUPLE | m::LIST | m::DICTIONARY => {
                return Err(Fault::new(format!("must be a tensor, as its type {ty} says")));
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let tensor = tensor.ok_or_else(|| Fault::new("the value is not given"))?;
    elements(tensor, ty).within(|| "tensor")
}

/// Reads a `TensorValue` of a known type.
fn elements(bytes: &[u8], ty: TensorType) -> Read<Constant> {
    use tensor_value as m;
    let mut list = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::FLOATS | m::INTS | m::BOOLS | m::STRINGS | m::LONG_INTS | m::DOUBLES | m::BYTES => {
                once(&mut list, &field, (field.number, field.bytes()?))?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let (number, list) = list.ok_or_else(|| Fault::new("the elements are not given"))?;
    let shape = ty.shape.clone();
    let constant = match (number, ty.dtype) {
        (m::FLOATS, DataType::Fp32) => Constant::new(shape, floats(list)?),
        (m::INTS, DataType::Int32) => Constant::new(shape, ints::<i32>(list, &ty)?),
        (m::LONG_INTS, DataType::Int64) => Constant::new(shape, ints::<i64>(list, &ty)?),
        (m::INTS, DataType::Int16) => Constant::new(shape, ints::<i16>(list, &ty)?),
        (m::INTS, DataType::Uint16) => Constant::new(shape, ints::<u16>(list, &ty)?),
        (m::BOOLS, DataType::Bool) => Constant::bools(shape, &bools(list)?),
        (m::STRINGS, DataType::String) => Constant::strings(shape, strings(list, &ty)?),
        (m::BYTES, dtype) if in_bytes(dtype) => {
            let bytes = raw(list)?;
            // Checked before it is copied: the type may claim anything.
            if ty.checked_bytes() != Some(bytes.len()) {
                let found = bytes.len();
                return Err(Fault::new(format!("{ty} takes {} bytes, but there are {found}", ty.bytes())));
            }
            Constant::from_storage(ty.clone(), Arc::new(bytes.to_vec()))
        }
        _ => {
            let found = tensor_field(number);
            let wanted = tensor_field(list_of(ty.dtype));
            return Err(Fault::new(format!("elements of {ty} stand in `{wanted}`, but `{found}` was found")));
        }
    };
    constant.map_err(|error| Fault::new(error.to_string()))
}

/// Whether immediate elements of this type are raw bytes.
const fn in_bytes(dtype: DataType) -> bool {
    matches!(dtype, DataType::Fp16 | DataType::Int8 | DataType::Uint8 | DataType::Uint32) || dtype.is_packed()
}

/// The field of `TensorValue` for elements of this type.
const fn list_of(dtype: DataType) -> u32 {
    match dtype {
        DataType::Fp32 => tensor_value::FLOATS,
        DataType::Bool => tensor_value::BOOLS,
        DataType::String => tensor_value::STRINGS,
        DataType::Int64 => tensor_value::LONG_INTS,
        dtype if in_bytes(dtype) => tensor_value::BYTES,
        _ => tensor_value::INTS,
    }
}

fn tensor_field(number: u32) -> &'static str {
    let message = crate::proto::schema::MESSAGES.iter().find(|message| message.name == tensor_value::MESSAGE);
    let field = message.and_then(|message| message.fields.iter().find(|(n, _)| *n == number));
    field.map_or("?", |(_, name)| name)
}

fn floats(bytes: &[u8]) -> Read<Vec<f32>> {
    let mut values = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            repeated_floats::VALUES => field.floats(&mut values)?,
            _ => return field.unknown(repeated_floats::MESSAGE),
        }
    }
    Ok(values)
}

/// Integers; lists of 32 and 64 bits have the same field number.
fn ints<T: TryFrom<i64>>(bytes: &[u8], ty: &TensorType) -> Read<Vec<T>> {
    let mut values = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number != repeated_ints::VALUES {
            return field.unknown(repeated_ints::MESSAGE);
        }
        field.numbers(|value| {
            let value = value as i64;
            let element = T::try_from(value)
                .map_err(|_| Fault::new(format!("element {value} does not fit {}", ty.dtype)))?;
            values.push(element);
            Ok(())
        })?;
    }
    Ok(values)
}

fn bools(bytes: &[u8]) -> Read<Vec<bool>> {
    let mut values = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number != repeated_bools::VALUES {
            return field.unknown(repeated_bools::MESSAGE);
        }
        field.numbers(|value| match value {
            0 | 1 => {
                values.push(value == 1);
                Ok(())
            }
            _ => Err(Fault::new(format!("a truth value must be 0 or 1, but is {value}"))),
        })?;
    }
    Ok(values)
}

fn strings(bytes: &[u8], ty: &TensorType) -> Read<Vec<String>> {
    let mut values: Vec<String> = Vec::new();
    let expected = ty.shape.checked_len().unwrap_or(0);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            // An empty string takes two bytes in the file and many more here.
            repeated_strings::VALUES if values.len() == expected => {
                return Err(Fault::new(format!("{ty} has {expected} elements, but there are more strings")));
            }
            repeated_strings::VALUES => values.push(field.string()?.to_string()),
            _ => return field.unknown(repeated_strings::MESSAGE),
        }
    }
    Ok(values)
}

fn raw(bytes: &[u8]) -> Read<&[u8]> {
    let mut content = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            repeated_bytes::VALUES => once(&mut content, &field, field.bytes()?)?,
            _ => return field.unknown(repeated_bytes::MESSAGE),
        }
    }
    Ok(content.unwrap_or_default())
}

/// Reads an `ImmediateValue` that is a list of scalars, as a vector.
fn labels(bytes: &[u8], ty: &ListType) -> Read<Constant> {
    let mut list = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            immediate_value::LIST => once(&mut list, &field, field.bytes()?)?,
            immediate_value::TENSOR | immediate_value::TUPLE | immediate_value::DICTIONARY => {
                return Err(Fault::new("must be a list, as its type says"));
            }
            _ => return field.unknown(immediate_value::MESSAGE),
        }
    }
    let (mut strings, mut ints) = (Vec::new(), Vec::new());
    for field in Fields::new(list.ok_or_else(|| Fault::new("the value is not given"))?) {
        let field = field?;
        if field.number != list_value::VALUES {
            return field.unknown(list_value::MESSAGE);
        }
        let index = strings.len() + ints.len();
        let element = read_immediate(field.bytes()?).within(|| format!("list[{index}]"))?;
        if *element.ty() != ty.element {
            let found = element.ty();
            return Err(Fault::new(format!("list[{index}] is {found}, but the list holds {}", ty.element)));
        }
        match (element.as_strings(), element.as_slice::<i64>()) {
            (Some([text]), _) => strings.push(text.clone()),
            (_, Some(&[int])) => ints.push(int),
            _ => {
                return Err(Fault::new(format!(
                    "a list of {} is not supported, only class labels",
                    ty.element
                )));
            }
        }
    }
    let count = strings.len() + ints.len();
    if ty.length.is_some_and(|length| length != count) {
        return Err(Fault::new(format!(
            "the value is {} elements long, but its type is {}",
            count,
            Type::List(ty.clone())
        )));
    }
    let constant = if ty.element.dtype == DataType::Int64 {
        Constant::new([count], ints)
    } else {
        Constant::strings([count], strings)
    };
    constant.map_err(|error| Fault::new(error.to_string()))
}

/// Writes the content of a `Value` that is a list of the elements of a vector.
pub(super) fn write_labels(constant: &Constant, e: &mut Encoder) -> Result<(), String> {
    let element = TensorType::scalar(constant.ty().dtype);
    let scalars: Vec<Constant> = match (constant.as_strings(), constant.as_slice::<i64>()) {
        (Some(texts), _) => texts.iter().map(Constant::string).collect(),
        (_, Some(ints)) => ints.iter().map(|&int| Constant::scalar(int)).collect(),
        _ => return Err(format!("class labels must be strings or int64, but are {}", constant.ty())),
    };
    let list = ListType { element, length: Some(scalars.len()) };
    e.message(value::TYPE, |e| types::write_list(&list, e))?;
    e.message(value::IMMEDIATE_VALUE, |e| {
        e.message(immediate_value::LIST, |e| {
            scalars
                .iter()
                .try_for_each(|scalar| e.message(list_value::VALUES, |e| write_content(scalar, None, e)))
        })
    })
}

/// Reads a value that must be one string: names.
pub(super) fn read_string(bytes: &[u8]) -> Read<String> {
    let constant = read_immediate(bytes)?;
    match constant.as_strings() {
        Some([text]) => Ok(text.clone()),
        _ => Err(Fault::new(format!("must be one string, but is {}", constant.ty()))),
    }
}

/// Reads a `Value` that is a dictionary from strings to strings.
pub(super) fn read_pairs(bytes: &[u8]) -> Read<Vec<(String, String)>> {
    let mut dictionary = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            // Every key and value brings its own type.
            value::TYPE => {}
            value::DOC_STRING => no_doc_string(&field)?,
            value::IMMEDIATE_VALUE => {
                for field in Fields::new(field.bytes()?) {
                    let field = field?;
                    match field.number {
                        immediate_value::DICTIONARY => once(&mut dictionary, &field, field.bytes()?)?,
                        immediate_value::TENSOR | immediate_value::TUPLE | immediate_value::LIST => {
                            return Err(Fault::new("must be a dictionary of strings"));
                        }
                        _ => return field.unknown(immediate_value::MESSAGE),
                    }
                }
            }
            value::BLOB_FILE_VALUE => return Err(Fault::new("must be a dictionary of strings")),
            _ => return field.unknown(value::MESSAGE),
        }
    }
    let mut pairs = Vec::new();
    for field in Fields::new(dictionary.unwrap_or_default()) {
        let field = field?;
        if field.number != dictionary_value::VALUES {
            return field.unknown(dictionary_value::MESSAGE);
        }
        let [mut key, mut value] = [const { None }; 2];
        for field in Fields::new(field.bytes()?) {
            let field = field?;
            match field.number {
                key_value_pair::KEY => once(&mut key, &field, read_string(field.bytes()?)?)?,
                key_value_pair::VALUE => once(&mut value, &field, read_string(field.bytes()?)?)?,
                _ => return field.unknown(key_value_pair::MESSAGE),
            }
        }
        let (Some(key), Some(value)) = (key, value) else {
            return Err(Fault::new("an entry has no key or no value"));
        };
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Writes the content of a `Value` that is a dictionary from strings to strings.
pub(super) fn write_pairs(pairs: &[(String, String)], e: &mut Encoder) -> Result<(), String> {
    let text = TensorType::scalar(DataType::String);
    e.message(value::TYPE, |e| {
        e.message(value_type::DICTIONARY_TYPE, |e| {
            e.message(dictionary_type::KEY_TYPE, |e| types::write_tensor(&text, e))?;
            e.message(dictionary_type::VALUE_TYPE, |e| types::write_tensor(&text, e))
        })
    })?;
    e.message(value::IMMEDIATE_VALUE, |e| {
        e.message(immediate_value::DICTIONARY, |e| {
            for (key, value) in pairs {
                e.message(dictionary_value::VALUES, |e| {
                    e.message(key_value_pair::KEY, |e| write_string(key, e))?;
                    e.message(key_value_pair::VALUE, |e| write_string(value, e))
                })?;
            }
            Ok(())
        })
    })
}

/// Writes the content of a `Value`: in place, or by where it stands in a weight file.
pub(super) fn write_content(
    constant: &Constant,
    stored: Option<&WeightLocation>,
    e: &mut Encoder,
) -> Result<(), String> {
    e.message(value::TYPE, |e| types::write_tensor(constant.ty(), e))?;
    match stored {
        Some(location) => e.message(value::BLOB_FILE_VALUE, |e| {
            e.string(blob_file_value::FILE_NAME, &location.path);
            e.unsigned(blob_file_value::OFFSET, location.offset);
        }),
        None => e.message(value::IMMEDIATE_VALUE, |e| {
            e.message(immediate_value::TENSOR, |e| write_elements(constant, e));
        }),
    }
    Ok(())
}

fn write_elements(constant: &Constant, e: &mut Encoder) {
    let number = list_of(constant.ty().dtype);
    e.message(number, |e| match constant.ty().dtype {
        DataType::Fp32 => {
            e.packed_floats(repeated_floats::VALUES, constant.as_slice::<f32>().unwrap_or_default());
        }
        DataType::String => {
            for text in constant.as_strings().unwrap_or_default() {
                e.bytes(repeated_strings::VALUES, text.as_bytes());
            }
        }
        dtype if in_bytes(dtype) => {
            // A field outside a `oneof` that is empty is not written.
            if !constant.bytes().is_empty() {
                e.bytes(repeated_bytes::VALUES, constant.bytes());
            }
        }
        // Truth values and integers of 16, 32 and 64 bits; all their lists have the same field number.
        _ => {
            let values = constant.to_i64().unwrap_or_default();
            e.packed(repeated_ints::VALUES, values.into_iter().map(i64::cast_unsigned));
        }
    });
}

/// Writes a `Value` that is one string.
pub(super) fn write_string(text: &str, e: &mut Encoder) -> Result<(), String> {
    write_content(&Constant::string(text), None, e)
}
