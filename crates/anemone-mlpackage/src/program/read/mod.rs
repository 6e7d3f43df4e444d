//! Reads a program from its protobuf form, message by message, straight into [`mil::Program`].

mod operation;
mod state;

use super::{opset_name, types, values};
use crate::proto::schema::{
    block as schema_block, function as schema_function, named_value_type, program as schema_program,
};
use crate::proto::wire::{Fault, Fields, Read, Within, entry, once};
use crate::weights::Weights;
use mil::{Block, Def, Function, MAX_DEPTH, Opset, Program, Type, Value, ValueId};
use operation::operation_place;
use std::collections::{HashMap, HashSet};

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
    let mut names = HashSet::new();
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::VERSION => once(&mut version, &field, field.signed()?)?,
            m::FUNCTIONS => {
                let (name, value) = entry(field.bytes()?)?;
                if !names.insert(name) {
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
    let ranks: HashMap<&str, usize> =
        described.iter().enumerate().map(|(rank, &name)| (name, rank)).collect();
    let rank = |name: &str| ranks.get(name).copied().unwrap_or(usize::MAX);
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
