//! Reads a program from its protobuf form, message by message, straight into [`mil::Program`].

use super::{UPDATE_STATE, WRITE_STATE, WRITE_SUFFIX, opset_name, types, values};
use crate::proto::schema::{
    argument, binding, block as schema_block, function as schema_function, named_value_type, operation,
    program as schema_program,
};
use crate::proto::wire::{Fault, Field, Fields, Read, Within, entry, once};
use crate::weights::Weights;
use mil::{
    Arg, Block, BuildError, Constant, Def, Function, MAX_DEPTH, Op, Operation, Opset, Program, Type, Value,
    ValueId,
};
use smallvec::{SmallVec, smallvec};
use std::collections::HashMap;

/// Names of a program's functions, in the order of the file; nothing else of the program is looked at.
pub(crate) fn function_names(bytes: &[u8]) -> Read<Vec<&str>> {
    let mut names = Vec::new();
    for field in Fields::new(bytes) {
        let field = field?;
        if field.number == schema_program::FUNCTIONS {
            names.push(entry(field.bytes()?)?.0);
        }
    }
    Ok(names)
}

/// Reads a `Program`. Functions come in the order of `described`, because the file keeps them in a map that has none;
/// others follow by name.
pub(crate) fn read(bytes: &[u8], described: &[&str], weights: &Weights) -> Read<Program> {
    use schema_program as m;
    let mut program = Program::default();
    let (mut version, mut build_info) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::VERSION => once(&mut version, &field, field.signed()?)?,
            m::FUNCTIONS => {
                let (name, value) = entry(field.bytes()?)?;
                if program.functions.iter().any(|function: &Function| function.name == name) {
                    return Err(Fault::new(format!("there are two functions named `{name}`")));
                }
                let bytes = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                let function = function(name, bytes, weights).within(|| format!("function `{name}`"))?;
                program.functions.push(function);
            }
            m::DOC_STRING => values::no_doc_string(&field)?,
            m::ATTRIBUTES => {
                let (name, value) = entry(field.bytes()?)?;
                if name != "buildInfo" {
                    return Err(Fault::new(format!(
                        "the program has the attribute `{name}`, but only buildInfo is known"
                    )));
                }
                let value = value.ok_or_else(|| Fault::new("buildInfo has no value"))?;
                let pairs = values::read_pairs(value.bytes()?).within(|| "buildInfo")?;
                once(&mut build_info, &field, pairs)?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    if version.unwrap_or(0) != 1 {
        let found = version.unwrap_or(0);
        return Err(Fault::new(format!("the program's version is {found}, but only version 1 is known")));
    }
    program.build_info = build_info.unwrap_or_default();
    let rank = |name: &str| described.iter().position(|&other| other == name).unwrap_or(usize::MAX);
    program.functions.sort_by(|a, b| rank(&a.name).cmp(&rank(&b.name)).then_with(|| a.name.cmp(&b.name)));
    Ok(program)
}

fn function(name: &str, bytes: &[u8], weights: &Weights) -> Read<Function> {
    use schema_function as m;
    let (mut opset, mut body) = (None, None);
    let function = Function {
        name: name.into(),
        opset: Opset::Ios15,
        inputs: Vec::new(),
        body: Block::default(),
        values: Vec::new(),
    };
    let mut reader = Reader { weights, function, names: HashMap::new(), scope: Vec::new() };
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::INPUTS => {
                let id = reader.definition(field.bytes()?, Def::Input).within(|| "inputs")?;
                reader.function.inputs.push(id);
            }
            m::OPSET => once(&mut opset, &field, field.string()?)?,
            m::BLOCK_SPECIALIZATIONS => {
                let (name, value) = entry(field.bytes()?)?;
                if body.is_some() {
                    return Err(Fault::new(
                        "it has blocks for several opsets, but a program here is written for one",
                    ));
                }
                body = Some((name, value.map_or(Ok(&[][..]), |value| value.bytes())?));
            }
            m::ATTRIBUTES => {
                let (name, _) = entry(field.bytes()?)?;
                return Err(Fault::new(format!("it has the attribute `{name}`, which is not known")));
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let opset = opset.ok_or_else(|| Fault::new("its opset is not given"))?;
    reader.function.opset = known_opset(opset)?;
    let (specialized, body) = body.ok_or_else(|| Fault::new("it has no block"))?;
    if specialized != opset {
        return Err(Fault::new(format!("it is written for {opset}, but its block is for {specialized}")));
    }
    reader.function.body = reader.block(body, 0)?;
    if !reader.function.body.inputs.is_empty() {
        return Err(Fault::new("its block has inputs of its own; they belong to the function"));
    }
    Ok(reader.function)
}

fn known_opset(name: &str) -> Read<Opset> {
    let known = Opset::ALL.into_iter().find(|&opset| opset_name(opset) == Some(name));
    known.ok_or_else(|| {
        let names: Vec<_> = Opset::ALL.iter().filter_map(|&opset| opset_name(opset)).collect();
        Fault::new(format!("opset `{name}` is not known here; known are {}", names.join(", ")))
    })
}

/// Reads the operations of one function.
struct Reader<'a, 'w> {
    weights: &'w Weights,
    function: Function,
    /// Values that can be seen from where we are.
    names: HashMap<&'a str, ValueId>,
    /// The names in `names`, innermost last, so that a block can take its own away when it ends.
    scope: Vec<&'a str>,
}

impl<'a> Reader<'a, '_> {
    fn block(&mut self, bytes: &'a [u8], depth: usize) -> Read<Block> {
        use schema_block as m;
        if depth > MAX_DEPTH {
            return Err(Fault::new(format!("blocks are nested more than {MAX_DEPTH} deep")));
        }
        let outer = self.scope.len();
        let mut block = Block::default();
        // Inputs first and outputs last, wherever they stand in the file.
        for field in Fields::new(bytes) {
            let field = field?;
            if field.number == m::INPUTS {
                let id = self.definition(field.bytes()?, Def::Input).within(|| "inputs")?;
                block.inputs.push(id);
            }
        }
        let mut count = 0;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::INPUTS | m::OUTPUTS => {}
                m::OPERATIONS => {
                    self.operation(field.bytes()?, &mut block.ops, depth)
                        .within(|| operation_place(&field, count))?;
                    count += 1;
                }
                m::ATTRIBUTES => {
                    let (name, _) = entry(field.bytes()?)?;
                    return Err(Fault::new(format!(
                        "the block has the attribute `{name}`, which is not known"
                    )));
                }
                _ => return field.unknown(m::MESSAGE),
            }
        }
        for field in Fields::new(bytes) {
            let field = field?;
            if field.number == m::OUTPUTS {
                block.outputs.push(self.known(field.string()?).within(|| "outputs")?);
            }
        }
        for name in self.scope.drain(outer..) {
            self.names.remove(name);
        }
        Ok(block)
    }

    /// Reads a `NamedValueType` and defines the value.
    fn definition(&mut self, bytes: &'a [u8], def: Def) -> Read<ValueId> {
        let (name, ty) = named_type(bytes)?;
        self.define(name, ty, def)
    }

    fn define(&mut self, name: &'a str, ty: Type, def: Def) -> Read<ValueId> {
        let id = self.function.add_value(Value { name: Some(name.into()), ty, def });
        self.bind(name, id)?;
        Ok(id)
    }

    fn bind(&mut self, name: &'a str, id: ValueId) -> Read<()> {
        if self.names.insert(name, id).is_some() {
            return Err(Fault::new(format!(
                "`{name}` is defined already; every value needs a name of its own"
            )));
        }
        self.scope.push(name);
        Ok(())
    }

    fn known(&self, name: &str) -> Read<ValueId> {
        let known = self.names.get(name).copied();
        known.ok_or_else(|| Fault::new(format!("`{name}` is used, but not defined before")))
    }

    fn operation(&mut self, bytes: &'a [u8], to: &mut Vec<Operation>, depth: usize) -> Read<()> {
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
                let id = self.definition(field.bytes()?, Def::Op).within(|| "outputs")?;
                result.outputs.push(id);
            }
        }
        complete(&result)?;
        let first = result.outputs.first().and_then(|&id| self.function.value(id).name.as_ref());
        result.name = name.filter(|name| first != Some(name));
        Ok(result)
    }

    fn unnamed(&mut self, constant: Constant) -> ValueId {
        let ty = Type::Tensor(constant.ty().clone());
        self.function.add_value(Value { name: None, ty, def: Def::Const(constant) })
    }

    /// Reads an `Argument`: names of values, or values in place.
    fn argument(&mut self, bytes: &'a [u8], tuple: bool) -> Read<Arg> {
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

    /// `write_state(input = state, data = value)`, without output: a `coreml_update_state` whose result nobody uses.
    fn write_state(&mut self, bytes: &'a [u8], to: &mut Vec<Operation>) -> Read<()> {
        use operation as m;
        let op = Op::named(UPDATE_STATE).ok_or_else(|| unknown_op(WRITE_STATE))?;
        let [mut state, mut data] = [None; 2];
        let mut name = None;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::TYPE => {}
                m::INPUTS => {
                    let (param, value) = entry(field.bytes()?)?;
                    let slot = match param {
                        "input" => &mut state,
                        "data" => &mut data,
                        _ => return Err(Fault::new(format!("write_state has no parameter `{param}`"))),
                    };
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    once(slot, &field, value)?;
                }
                m::ATTRIBUTES => {
                    let (key, value) = entry(field.bytes()?)?;
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    if key != "name" {
                        return Err(Fault::new(format!("write_state has no attribute `{key}`")));
                    }
                    once(&mut name, &field, values::read_string(value)?)?;
                }
                m::OUTPUTS => return Err(Fault::new("write_state has no outputs")),
                m::BLOCKS => return Err(Fault::new("write_state has no blocks")),
                _ => return field.unknown(m::MESSAGE),
            }
        }
        let (Some(state), Some(data)) = (state, data) else {
            return Err(Fault::new("write_state needs `input` and `data`"));
        };
        let state = self.argument(state, false).within(|| "`input`")?;
        let data = self.argument(data, false).within(|| "`data`")?;
        let held = data.values().iter().map(|&id| self.function.ty(id)).find_map(Type::as_tensor).cloned();
        let held = held.ok_or_else(|| Fault::new("`data` must be a tensor"))?;
        let mut update = Operation::new(op, smallvec![state, data]);
        // coremltools names the half after the whole; the whole's name is that of its result.
        let whole = name.as_deref().and_then(|name| name.strip_suffix(WRITE_SUFFIX)).map(str::to_string);
        update.name = name.filter(|_| whole.is_none());
        let output = Value { name: whole, ty: Type::Tensor(held), def: Def::Op };
        update.outputs.push(self.function.add_value(output));
        to.push(update);
        Ok(())
    }

    /// Whether a `read_state` is the second half of the update just before it: of the same state, under the same name.
    fn merges(&self, bytes: &'a [u8], to: &[Operation]) -> Read<bool> {
        let Some(last) = to.last().filter(|last| last.op.name == UPDATE_STATE) else { return Ok(false) };
        let whole = last.outputs.first().and_then(|&id| self.function.value(id).name.as_deref());
        let (mut same_state, mut same_name) = (false, false);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                operation::INPUTS => {
                    let (_, value) = entry(field.bytes()?)?;
                    let name = value.map(|value| bound_name(value.bytes()?)).transpose()?.flatten();
                    let state = name.and_then(|name| self.names.get(name));
                    same_state = state.is_some_and(|&state| last.args[0].values() == [state]);
                }
                operation::OUTPUTS => same_name = whole == Some(named_type(field.bytes()?)?.0),
                _ => {}
            }
        }
        // A result that has its name already was read before.
        Ok(same_state && same_name && !whole.is_some_and(|name| self.names.contains_key(name)))
    }

    /// Gives the update the result of the `read_state` that follows it.
    fn merge(&mut self, bytes: &'a [u8], to: &mut [Operation]) -> Read<()> {
        use operation as m;
        let (mut output, mut own) = (None, None);
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                m::TYPE | m::INPUTS => {}
                m::OUTPUTS => once(&mut output, &field, named_type(field.bytes()?).within(|| "outputs")?)?,
                m::ATTRIBUTES => {
                    let (key, value) = entry(field.bytes()?)?;
                    if key != "name" {
                        return Err(Fault::new(format!("read_state has no attribute `{key}`")));
                    }
                    let value = value.map_or(Ok(&[][..]), |value| value.bytes())?;
                    once(&mut own, &field, values::read_string(value).within(|| "name")?)?;
                }
                m::BLOCKS => return Err(Fault::new("read_state has no blocks")),
                _ => return field.unknown(m::MESSAGE),
            }
        }
        let (name, ty) = output.ok_or_else(|| Fault::new("read_state has one output"))?;
        let Some(update) = to.last_mut() else {
            return Err(Fault::new("read_state has no update before it"));
        };
        update.name = own.filter(|own| own != name);
        for &id in &update.outputs {
            self.bind(name, id)?;
            self.function.values[id.index()].ty = ty.clone();
        }
        Ok(())
    }
}

/// Checks that nothing is missing. The verifier would find it too, but an operation takes a hundred times the bytes here
/// that an empty one takes in a file.
fn complete(operation: &Operation) -> Read<()> {
    let op = operation.op;
    let given = |arg: &Arg| *arg != Arg::None;
    let missing =
        op.params.iter().zip(&operation.args).find(|(param, arg)| !param.is_optional() && !given(arg));
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

fn unknown_op(name: &str) -> Fault {
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

/// The name bound by an argument of one name.
fn bound_name(bytes: &[u8]) -> Read<Option<&str>> {
    let Some(field) = Fields::new(bytes).next().transpose()? else { return Ok(None) };
    let Some(inner) = Fields::new(field.bytes()?).next().transpose()? else { return Ok(None) };
    if inner.number == binding::NAME { inner.string().map(Some) } else { Ok(None) }
}

/// Where a fault is, for people: `operation 3 (conv)`.
fn operation_place(field: &Field<'_>, index: usize) -> String {
    match field.bytes().and_then(op_type) {
        Ok(name) if !name.is_empty() => format!("operation {index} ({name})"),
        _ => format!("operation {index}"),
    }
}

/// Reads a `NamedValueType`.
fn named_type(bytes: &[u8]) -> Read<(&str, Type)> {
    use named_value_type as m;
    let (mut name, mut ty) = (None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::NAME => once(&mut name, &field, field.string()?)?,
            m::TYPE => once(&mut ty, &field, field.bytes()?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| Fault::new("the value has no name"))?;
    let ty = ty.ok_or_else(|| Fault::new("the type is not given")).and_then(types::read);
    Ok((name, ty.within(|| format!("`{name}`"))?))
}
