//! Makes defaults explicit, as coremltools does when it writes a program.
//!
//! Core ML's own compiler asks for parameters that MIL's documentation calls optional (`interleave` of `concat`, the
//! strides of `conv`), so a program that leaves them out loads in fewer places.

use mil::{Arg, Constant, DataType, Def, DefaultValue, Function, Operation, Param, Type, Value, ValueId};

/// The function with every absent parameter that has a default given as a constant.
pub(super) fn explicit(function: &Function) -> Function {
    let mut result = function.clone();
    let mut body = std::mem::take(&mut result.body);
    block(&mut result, &mut body);
    result.body = body;
    result
}

fn block(function: &mut Function, block: &mut mil::Block) {
    for operation in &mut block.ops {
        for inner in &mut operation.blocks {
            self::block(function, inner);
        }
        for (index, param) in operation.op.params.iter().enumerate() {
            let absent = operation.args.get(index) == Some(&Arg::None) && param.exists_in(function.opset);
            if let Some(constant) = absent.then(|| default(function, operation, param)).flatten() {
                operation.args[index] = Arg::One(add(function, constant));
            }
        }
    }
}

fn add(function: &mut Function, constant: Constant) -> ValueId {
    let ty = Type::Tensor(constant.ty().clone());
    function.add_value(Value { name: None, ty, def: Def::Const(constant) })
}

fn default(function: &Function, operation: &Operation, param: &Param) -> Option<Constant> {
    match param.default {
        DefaultValue::Bool(value) => Some(Constant::bool(value)),
        DefaultValue::Str(value) => Some(Constant::string(value)),
        DefaultValue::Int(value) => i32::try_from(value).ok().map(Constant::scalar),
        DefaultValue::Float(value) => Some(Constant::float(float_type(function, operation, param), value)),
        DefaultValue::Absent => by_rank(function, operation, param),
        _ => None,
    }
}

/// The element type of the parameters that must agree with this one; else that of the first float argument.
fn float_type(function: &Function, operation: &Operation, param: &Param) -> DataType {
    let (_, domain) = param.constraint(function.opset);
    let given = || operation.op.params.iter().zip(&operation.args);
    let dtype = |arg: &Arg| arg.values().first().map(|&id| function.tensor(id).dtype);
    let partner = given()
        .filter(|(other, _)| domain != 0 && other.constraint(function.opset).1 == domain)
        .find_map(|(_, arg)| dtype(arg));
    let first = || given().filter_map(|(_, arg)| dtype(arg)).find(|dtype| dtype.is_float());
    partner.filter(|dtype| dtype.is_float()).or_else(first).unwrap_or(DataType::Fp32)
}

/// Defaults whose length is the number of spatial dimensions. Source: `default_inputs` of `conv`, `conv_transpose` and
/// the pools in coremltools' op definitions.
fn by_rank(function: &Function, operation: &Operation, param: &Param) -> Option<Constant> {
    let op = operation.op.name;
    if !matches!(op, "conv" | "conv_transpose" | "avg_pool" | "max_pool" | "l2_pool") {
        return None;
    }
    let x = function.view(operation).value("x")?;
    let spatial = function.tensor(x).shape.rank().checked_sub(2)?;
    match param.name {
        "strides" | "dilations" => Some(Constant::ints(&vec![1; spatial])),
        "pad" => Some(Constant::ints(&vec![0; 2 * spatial])),
        _ => None,
    }
}
