//! Reads operations: constants become values, everything else is looked up in the op table.

use super::{Reader, named_type};
use crate::program::{WRITE_STATE, values};
use crate::proto::schema::{argument, binding, operation};
use crate::proto::wire::{Fault, Field, Fields, Read, Within, entry, once};
use mil::{Arg, BuildError, Constant, Def, Op, Operation, Opset, Type, Value, ValueId};
use smallvec::SmallVec;

impl<'a> Reader<'a, '_> {
    pub(super) fn operation(&mut self, bytes: &'a [u8], to: &mut Vec<Operation>, depth: usize) -> Read<()> {
        match op_type(bytes)? {
            "" => Err(Fault::new("the operation has no type")),
            "const" => self.constant(bytes),
            WRITE_STATE => self.write_state(bytes, to),
            "read_state" if self.merges(bytes, to)? => self.merge(bytes, to),
            name => {
                let op = Op::named(name).ok_or_else(|| unknown_op(name))?;
                let operation = self.call(op, bytes, depth)?;
                to.push(operation);
                Ok(())
            }
        }
    }

    /// A `const`: a value, not an operation.
    fn constant(&mut self, bytes: &'a [u8]) -> Read<()> {
        use operation as m;
        let (mut output, mut value) = (None, None);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::TYPE => {}
                m::OUTPUTS => once(&mut output, &field, field.bytes()?)?,
                m::ATTRIBUTES => {
                    let (name, content) = entry(field.bytes()?)?;
                    let content = content.map_or(Ok(&[][..]), |content| content.bytes())?;
                    match name {
                        "val" => once(&mut value, &field, content)?,
                        // Its output has the name that counts.
                        "name" => drop(values::read_string(content).within(|| "name")?),
                        _ => return Err(Fault::new(format!("a const has no attribute `{name}`"))),
                    }
                }
                m::INPUTS => return Err(Fault::new("a const has no inputs")),
                m::BLOCKS => return Err(Fault::new("a const has no blocks")),
                _ => return field.unknown(m::MESSAGE),
            }
        }
        let output = output.ok_or_else(|| Fault::new("the const has no output"))?;
        let (name, ty) = named_type(output).within(|| "outputs")?;
        let value = value.ok_or_else(|| Fault::new("the const has no value; its attribute is `val`"))?;
        let constant = values::read(value, self.weights).within(|| "val")?;
        if ty != Type::Tensor(constant.ty().clone()) {
            let found = constant.ty();
            return Err(Fault::new(format!("`{name}` is declared {ty}, but its value is {found}")));
        }
        self.define(name, ty, Def::Const(constant)).map(drop)
    }

    /// Any operation of the op table.
    fn call(&mut self, op: Op, bytes: &'a [u8], depth: usize) -> Read<Operation> {
        use operation as m;
        let mut result = Operation::new(op, SmallVec::from_elem(Arg::None, op.params.len()));
        let mut name = None;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::TYPE | m::OUTPUTS | m::BLOCKS => {}
                m::INPUTS => {
                    let (param, value) = entry(field.bytes()?)?;
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    let at = free_param(&result, param)?;
                    let tuple = op.params[at].kind.is_tuple();
                    result.args[at] = self.argument(value, tuple).within(|| format!("`{param}`"))?;
                }
                m::ATTRIBUTES => {
                    let (param, value) = entry(field.bytes()?)?;
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    if param == "name" {
                        once(&mut name, &field, values::read_string(value).within(|| "name")?)?;
                        continue;
                    }
                    let at = free_param(&result, param)?;
                    let constant = values::read(value, self.weights).within(|| format!("`{param}`"))?;
                    result.args[at] = Arg::One(self.unnamed(constant));
                }
                _ => return field.unknown(m::MESSAGE),
            }
        }
        for field in Fields::new(bytes) {
            let field = field?;
            if field.number == m::BLOCKS {
                if result.blocks.len() == op.effect.blocks() {
                    let (name, most) = (op.declaration().name, op.effect.blocks());
                    return Err(Fault::new(format!("`{name}` has {most} blocks, but more are given")));
                }
                let block = self
                    .block(field.bytes()?, depth + 1)
                    .within(|| format!("blocks[{}]", result.blocks.len()))?;
                result.blocks.push(block);
            }
        }
        for field in Fields::new(bytes) {
            let field = field?;
            if field.number == m::OUTPUTS {
                let id = self.definition(field.bytes()?, Def::result_of(op)).within(|| "outputs")?;
                result.outputs.push(id);
            }
        }
        complete(&result, self.function.opset)?;
        let first = result.outputs.first().and_then(|&id| self.function.value(id).name.as_ref());
        result.name = name.filter(|name| first != Some(name));
        Ok(result)
    }

    fn unnamed(&mut self, constant: Constant) -> ValueId {
        let ty = Type::Tensor(constant.ty().clone());
        self.function.add_value(Value { name: None, ty, def: Def::Const(constant) })
    }

    /// Reads an `Argument`: names of values, or values in place.
    pub(super) fn argument(&mut self, bytes: &'a [u8], tuple: bool) -> Read<Arg> {
        let mut ids = Vec::new();
        for field in Fields::new(bytes) {
            let field = field?;
            if field.number != argument::ARGUMENTS {
                return field.unknown(argument::MESSAGE);
            }
            if ids.len() == 1 && !tuple {
                return Err(Fault::new("several values are given, but the parameter takes one"));
            }
            ids.push(self.binding(field.bytes()?)?);
        }
        match (&ids[..], tuple) {
            (&[id], false) => Ok(Arg::One(id)),
            (_, true) => Ok(Arg::Many(ids)),
            _ => Err(Fault::new("no value is given")),
        }
    }

    fn binding(&mut self, bytes: &'a [u8]) -> Read<ValueId> {
        let mut bound = None;
        for field in Fields::new(bytes) {
            let field = field?;
            let id = match field.number {
                binding::NAME => self.known(field.string()?)?,
                binding::VALUE => {
                    let constant = values::read(field.bytes()?, self.weights)?;
                    self.unnamed(constant)
                }
                _ => return field.unknown(binding::MESSAGE),
            };
            once(&mut bound, &field, id)?;
        }
        bound.ok_or_else(|| Fault::new("no value is given"))
    }
}

/// Checks that nothing is missing. The verifier would find it too, but an operation takes a hundred times the bytes here
/// that an empty one takes in a file.
fn complete(operation: &Operation, opset: Opset) -> Read<()> {
    let op = operation.op;
    let given = |arg: &Arg| *arg != Arg::None;
    let missing =
        op.params.iter().zip(&operation.args).find(|(param, arg)| param.is_required(opset) && !given(arg));
    if let Some((param, _)) = missing {
        let error = BuildError::Missing { op: op.declaration().name, name: None, param: param.name };
        return Err(Fault::new(error.to_string()));
    }
    if operation.outputs.is_empty() && op.effect.blocks() == 0 {
        return Err(Fault::new("the operation has no outputs"));
    }
    Ok(())
}

/// The parameter called `name`, if it has no argument yet.
fn free_param(operation: &Operation, name: &str) -> Read<usize> {
    let op = operation.op;
    let Some(at) = op.params.iter().position(|param| param.name == name) else {
        let allowed: Vec<_> = op.params.iter().map(|param| param.name).collect();
        let error = BuildError::UnknownParam {
            op: op.declaration().name,
            param: name.into(),
            allowed: allowed.join(", "),
        };
        return Err(Fault::new(error.to_string()));
    };
    if operation.args[at] != Arg::None {
        return Err(Fault::new(format!("`{name}` is given twice")));
    }
    Ok(at)
}

pub(super) fn unknown_op(name: &str) -> Fault {
    Fault::new(BuildError::UnknownOp { op: name.into(), nearest: Op::nearest(name) }.to_string())
}

/// The type of an operation: `const`, `conv`, …
fn op_type(bytes: &[u8]) -> Read<&str> {
    let mut found = None;
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number == operation::TYPE {
            once(&mut found, &field, field.string()?)?;
        }
    }
    Ok(found.unwrap_or(""))
}

/// Where a fault is, for people: `operation 3 (conv)`.
pub(super) fn operation_place(field: &Field<'_>, index: usize) -> String {
    match field.bytes().and_then(op_type) {
        Ok(name) if !name.is_empty() => format!("operation {index} ({name})"),
        _ => format!("operation {index}"),
    }
}
