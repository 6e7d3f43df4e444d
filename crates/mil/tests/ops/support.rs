//! One-line cases for type inference.
//!
//! Arguments are written `name: type` for an input, `name: const type` for a constant of zeros, `name: (type, type)` for
//! a tuple of inputs, and `name = value` for a constant given in full: `1`, `0.5`, `true`, `"text"`, `[1, 2]`, with an
//! element type before it where `int32` and `fp32` are not meant: `int16 [1, 2]`.

use mil::{Arg, Constant, DataType, FunctionBuilder, Op, Opset, Program, TensorType, ValueId, verify};

/// Output types of `op`, or the message of the error.
pub(crate) fn infer(opset: Opset, op: &str, arguments: &str) -> Result<String, String> {
    let mut f = FunctionBuilder::new("main", opset);
    let declaration = Op::named(op).unwrap_or_else(|| panic!("no op {op}"));
    let mut given: Vec<(String, Arg)> = Vec::new();
    for (index, text) in arguments.split(';').map(str::trim).filter(|text| !text.is_empty()).enumerate() {
        let at = text.find([':', '=']).unwrap_or_else(|| panic!("no value in {text:?}"));
        let (name, value) = (text[..at].trim(), text[at + 1..].trim());
        assert!(declaration.params.iter().any(|param| param.name == name), "{op} has no parameter {name}");
        let arg = if text.as_bytes()[at] == b'=' {
            Arg::One(f.constant(literal(value)))
        } else if let Some(types) = value.strip_prefix('(') {
            let types = types.strip_suffix(')').unwrap().split("],").filter(|ty| !ty.trim().is_empty());
            let inputs = types.enumerate().map(|(i, ty)| input(&mut f, &format!("v{index}_{i}"), ty));
            Arg::Many(inputs.collect())
        } else {
            Arg::One(input(&mut f, &format!("v{index}"), value))
        };
        given.push((name.to_string(), arg));
    }
    let mut builder = f.op(op);
    for (name, arg) in given {
        builder = builder.set_arg(&name, arg);
    }
    let outputs = builder.many().map_err(|error| error.to_string())?;
    let types: Vec<String> = outputs.iter().map(|&id| show(f.function().tensor(id))).collect();
    let program = Program::single(f.finish(&outputs).map_err(|error| error.to_string())?);
    verify(program).unwrap_or_else(|faults| panic!("{op} {arguments}: built, but not verified: {faults:?}"));
    Ok(types.join(" "))
}

fn input(f: &mut FunctionBuilder, name: &str, text: &str) -> ValueId {
    match text.trim().strip_prefix("const ") {
        Some(ty) => {
            let ty = tensor_type(ty);
            let bytes = vec![0u8; ty.checked_bytes().unwrap()];
            f.constant(Constant::from_storage(ty, std::sync::Arc::new(bytes)).unwrap())
        }
        None => f.input(name, tensor_type(text)).unwrap(),
    }
}

fn tensor_type(text: &str) -> TensorType {
    let text = text.trim().trim_end_matches(']');
    let (dtype, dims) = text.split_once('[').unwrap_or_else(|| panic!("no type: {text:?}"));
    let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty()).map(|dim| dim.parse().unwrap());
    TensorType::new(DataType::from_name(dtype.trim()).unwrap(), dims.collect::<Vec<usize>>())
}

fn literal(text: &str) -> Constant {
    let (dtype, text) = match text.split_once(' ') {
        Some((name, rest)) if DataType::from_name(name).is_some() => (DataType::from_name(name), rest.trim()),
        _ => (None, text),
    };
    if let Some(text) = text.strip_prefix('"') {
        return Constant::string(text.trim_end_matches('"'));
    }
    let items: Vec<&str> =
        text.trim_matches(['[', ']']).split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    let is = |item: &str| item.parse::<i32>().is_ok();
    let dtype = dtype.unwrap_or_else(|| match items.first() {
        Some(&("true" | "false")) => DataType::Bool,
        Some(item) if !is(item) => DataType::Fp32,
        _ => DataType::Int32,
    });
    let shape: Vec<usize> = match (text.starts_with("[["), text.starts_with('[')) {
        (true, _) => vec![text.matches('[').count() - 1, items.len() / (text.matches('[').count() - 1)],
        (_, true) => vec![items.len()],
        _ => vec![],
    };
    let items: Vec<&str> = items.iter().map(|item| item.trim_matches(['[', ']'])).collect();
    macro_rules! of {
        ($ty:ty) => {
            Constant::new(shape, items.iter().map(|item| item.parse::<$ty>().unwrap()).collect()).unwrap()
        };
    }
    match dtype {
        DataType::Bool => {
            Constant::bools(shape, &items.iter().map(|&item| item == "true").collect::<Vec<_>>()).unwrap()
        }
        DataType::Fp32 => of!(f32),
        DataType::Fp16 => {
            let halves = items.iter().map(|item| half::f16::from_f32(item.parse().unwrap())).collect();
            Constant::new(shape, halves).unwrap()
        }
        DataType::Int8 => of!(i8),
        DataType::Uint8 => of!(u8),
        DataType::Int16 => of!(i16),
        DataType::Uint16 => of!(u16),
        DataType::Uint32 => of!(u32),
        dtype if dtype.is_packed() => {
            let values: Vec<i64> = items.iter().map(|item| item.parse().unwrap()).collect();
            Constant::packed(dtype, shape, &values).unwrap()
        }
        _ => of!(i32),
    }
}

fn show(ty: &TensorType) -> String {
    format!("{}{}", ty.dtype, ty.shape).replace(' ', "")
}

/// Checks `(op, arguments, output types)` under iOS18.
#[track_caller]
pub(crate) fn gives(cases: &[(&str, &str, &str)]) {
    gives_in(Opset::Ios18, cases);
}

/// Checks `(op, arguments, output types)` under an opset.
#[track_caller]
pub(crate) fn gives_in(opset: Opset, cases: &[(&str, &str, &str)]) {
    for &(op, arguments, expected) in cases {
        match infer(opset, op, arguments) {
            Ok(found) => assert_eq!(found, expected, "{op} {arguments}"),
            Err(message) => panic!("{op} {arguments}: {message}"),
        }
    }
}

/// Checks `(op, arguments, part of the message)` of wrong calls under iOS18.
#[track_caller]
pub(crate) fn refuses(cases: &[(&str, &str, &str)]) {
    refuses_in(Opset::Ios18, cases);
}

/// Checks `(op, arguments, part of the message)` of wrong calls under an opset.
#[track_caller]
pub(crate) fn refuses_in(opset: Opset, cases: &[(&str, &str, &str)]) {
    for &(op, arguments, expected) in cases {
        match infer(opset, op, arguments) {
            Ok(found) => panic!("{op} {arguments} gave {found}, but must be refused: {expected}"),
            Err(message) => {
                assert!(message.contains(expected), "{op} {arguments}\n says: {message}\n not: {expected}")
            }
        }
    }
}
