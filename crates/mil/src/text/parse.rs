//! Reads programs, functions and statements.
//!
//! Every token is looked at a fixed number of times, memory grows with the text only, and nothing recurses but blocks, which
//! may be nested [`MAX_DEPTH`] deep.

use super::lex::Token;
use super::literal::shortened;
use super::values::{Fault, Parsed, Reader, fault};
use super::{ParseError, WeightSource};
use crate::ops::{Op, Opset};
use crate::verify::{MAX_DEPTH, infer_operation};
use crate::{Arg, Block, BuildError, Constant, Def, Function, Operation, Program, Type, Value, ValueId};
use smallvec::{SmallVec, smallvec};
use std::collections::{HashMap, HashSet};

/// Reads a program whose constants all stand in the text.
///
/// # Errors
/// At the first fault: what was found, what is allowed, and where.
pub fn parse(source: &str) -> Result<Program, ParseError> {
    program(source, None)
}

/// Reads a program whose large constants are in weight files.
///
/// # Errors
/// As [`parse`], and when the weights do not have what the text refers to.
pub fn parse_with_weights(source: &str, weights: &dyn WeightSource) -> Result<Program, ParseError> {
    program(source, Some(weights))
}

fn program(source: &str, weights: Option<&dyn WeightSource>) -> Result<Program, ParseError> {
    let parsed = Reader::new(source, weights).and_then(|mut reader| read_program(&mut reader));
    parsed.map_err(|Fault { at, message }| ParseError::new(source, at, message))
}

fn read_program(reader: &mut Reader<'_>) -> Parsed<Program> {
    reader.word("program")?;
    reader.mark('(')?;
    read_version(reader)?;
    reader.mark(')')?;
    let mut program = Program::default();
    let mut names = HashSet::new();
    if reader.skip('[')? {
        reader.word("buildInfo")?;
        reader.mark('=')?;
        program.build_info = read_build_info(reader)?;
        reader.mark(']')?;
    }
    reader.mark('{')?;
    while !reader.skip('}')? {
        if reader.token != Token::Word("func") {
            return reader.expected("`func` or `}`");
        }
        let at = reader.at;
        let function = FunctionParser::new(reader).function()?;
        if !names.insert(function.name.clone()) {
            let name = shortened(&function.name);
            return fault(at, format!("there is a function `{name}` already; give each its own name"));
        }
        program.functions.push(function);
    }
    match reader.token {
        Token::End => Ok(program),
        _ => reader.expected("the end of the text after the program"),
    }
}

/// `1.0`, `1.3`: any minor version, as compilers read them all alike.
fn read_version(reader: &mut Reader<'_>) -> Parsed<()> {
    let Token::Number(version) = reader.token else { return reader.expected("a version such as 1.3") };
    let minor = version.strip_prefix("1.").unwrap_or("");
    if minor.is_empty() || !minor.bytes().all(|byte| byte.is_ascii_digit()) {
        let version = shortened(version);
        return fault(reader.at, format!("version {version} is not known; versions are 1.0 to 1.3 and on"));
    }
    reader.advance()?;
    Ok(())
}

fn read_build_info(reader: &mut Reader<'_>) -> Parsed<Vec<(String, String)>> {
    reader.word("dict")?;
    reader.mark('<')?;
    for after in [',', '>'] {
        let at = reader.at;
        let ty = reader.tensor_type()?;
        if ty != crate::TensorType::scalar(crate::DataType::String) {
            return fault(at, format!("buildInfo holds strings, not {ty}"));
        }
        reader.mark(after)?;
    }
    reader.mark('(')?;
    reader.mark('{')?;
    let mut pairs = Vec::new();
    if !reader.skip('}')? {
        loop {
            reader.mark_or('{', "a pair, `{\"key\", \"value\"}`")?;
            let key = reader.text()?.into_owned();
            reader.mark(',')?;
            let value = reader.text()?.into_owned();
            reader.mark('}')?;
            pairs.push((key, value));
            if !reader.skip(',')? {
                break;
            }
        }
        reader.mark('}')?;
    }
    reader.mark(')')?;
    Ok(pairs)
}

struct FunctionParser<'r, 's> {
    reader: &'r mut Reader<'s>,
    function: Function,
    names: HashMap<&'s str, ValueId>,
    /// The names in order of definition, so that those of a block can be forgotten at its end.
    defined: Vec<&'s str>,
    /// How many blocks are open around the statement.
    depth: usize,
}

/// A name that a statement declares, where it stands, and its type.
struct Declared<'s> {
    at: usize,
    name: &'s str,
    ty: Type,
}

/// An operation's arguments with the place of each, for messages.
struct Arguments {
    args: SmallVec<[Arg; 4]>,
    places: SmallVec<[usize; 4]>,
}

impl<'r, 's> FunctionParser<'r, 's> {
    fn new(reader: &'r mut Reader<'s>) -> FunctionParser<'r, 's> {
        let function = Function {
            name: String::new(),
            opset: Opset::Ios15,
            inputs: Vec::new(),
            body: Block::default(),
            values: Vec::new(),
        };
        FunctionParser { reader, function, names: HashMap::new(), defined: Vec::new(), depth: 0 }
    }

    fn function(mut self) -> Parsed<Function> {
        self.reader.word("func")?;
        self.function.name = self.reader.name("the function's name")?.to_string();
        self.reader.mark('<')?;
        self.function.opset = self.opset()?;
        self.reader.mark('>')?;
        self.function.inputs = self.inputs()?;
        self.reader.skip_attributes()?;
        self.reader.mark('{')?;
        while !self.reader.skip('}')? {
            self.statement()?;
        }
        self.function.body.outputs = self.outputs()?;
        self.reader.mark(';')?;
        Ok(self.function)
    }

    fn opset(&mut self) -> Parsed<Opset> {
        let at = self.reader.at;
        let name = self.reader.name("an opset")?;
        let known = Opset::ALL.map(Opset::name).join(", ");
        Opset::from_name(name).ok_or_else(|| Fault {
            at,
            message: format!("`{}` is no opset that is known here; there are {known}", shortened(name)),
        })
    }

    fn inputs(&mut self) -> Parsed<Vec<ValueId>> {
        let mut inputs = Vec::new();
        self.reader.mark('(')?;
        if self.reader.skip(')')? {
            return Ok(inputs);
        }
        loop {
            let declared = self.declared("the input's name")?;
            inputs.push(self.define(&declared, Def::Input)?);
            if !self.reader.skip(',')? {
                self.reader.mark_or(')', "`,` or `)` after an input")?;
                return Ok(inputs);
            }
        }
    }

    fn outputs(&mut self) -> Parsed<Vec<ValueId>> {
        if self.reader.token != Token::Arrow {
            return self.reader.expected("`-> (…)`, the outputs");
        }
        self.reader.advance()?;
        self.reader.mark('(')?;
        let mut outputs = Vec::new();
        if !self.reader.skip(')')? {
            loop {
                outputs.push(self.known()?);
                if !self.reader.skip(',')? {
                    break;
                }
            }
            self.reader.mark_or(')', "`,` or `)` after an output")?;
        }
        Ok(outputs)
    }

    /// The blocks after an operation: `(inputs) { statements } -> (outputs)`, one after the other.
    fn blocks(&mut self, op: Op) -> Parsed<Vec<Block>> {
        let mut blocks = Vec::new();
        if op.effect.blocks() == 0 {
            return Ok(blocks);
        }
        let at = self.reader.at;
        if self.depth == MAX_DEPTH {
            return fault(at, format!("blocks are nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        for _ in 0..op.effect.blocks() {
            blocks.push(self.block()?);
        }
        self.depth -= 1;
        Ok(blocks)
    }

    fn block(&mut self) -> Parsed<Block> {
        if self.reader.token != Token::Mark('(') {
            return self.reader.expected("`(inputs) { … } -> (outputs)`, a block of the operation");
        }
        let outside_ops = std::mem::take(&mut self.function.body.ops);
        let outside = self.defined.len();
        let inputs = self.inputs()?;
        self.reader.mark('{')?;
        while !self.reader.skip('}')? {
            self.statement()?;
        }
        let outputs = self.outputs()?;
        for name in self.defined.drain(outside..) {
            self.names.remove(name);
        }
        let ops = std::mem::replace(&mut self.function.body.ops, outside_ops);
        Ok(Block { inputs, ops, outputs })
    }

    /// A type and the name that gets it.
    fn declared(&mut self, what: &str) -> Parsed<Declared<'s>> {
        let ty = self.reader.ty()?;
        let at = self.reader.at;
        Ok(Declared { at, name: self.reader.name(what)?, ty })
    }

    fn define(&mut self, declared: &Declared<'s>, def: Def) -> Parsed<ValueId> {
        if self.names.contains_key(declared.name) {
            let name = shortened(declared.name);
            return fault(declared.at, format!("`{name}` is defined already; give each value its own name"));
        }
        let id = self.function.add_value(Value {
            name: Some(declared.name.to_string()),
            ty: declared.ty.clone(),
            def,
        });
        self.names.insert(declared.name, id);
        self.defined.push(declared.name);
        Ok(id)
    }

    /// A name that is defined above.
    fn known(&mut self) -> Parsed<ValueId> {
        let at = self.reader.at;
        let name = self.reader.name("the name of a value")?;
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        let hint = match name {
            "true" | "false" => "; write bool(true) or bool(false)",
            _ => "",
        };
        fault(at, format!("`{}` is not defined above{hint}", shortened(name)))
    }

    fn statement(&mut self) -> Parsed<()> {
        let mut outputs: SmallVec<[Declared<'s>; 1]> = SmallVec::new();
        if self.reader.ahead() != Token::Mark('(') {
            loop {
                outputs.push(self.declared("the name of the result")?);
                if !self.reader.skip(',')? {
                    break;
                }
            }
            self.reader.mark_or('=', "`,` or `=` after the result")?;
        }
        let at = self.reader.at;
        let name = self.reader.name("an op")?;
        self.reader.mark('(')?;
        match name {
            "const" => self.constant(at, &outputs)?,
            "write_state" => self.write_state(at, &outputs)?,
            _ => self.operation(at, name, &outputs)?,
        }
        self.reader.mark_or(';', "`;` after the statement")
    }

    fn constant(&mut self, at: usize, outputs: &[Declared<'s>]) -> Parsed<()> {
        let [output] = outputs else { return fault(at, "`const` has one result") };
        self.reader.mark_or(')', "`)`; the value of a const is its attribute `val`")?;
        let mut value = None;
        self.attributes(|parser, name, at| {
            let constant = parser.reader.constant()?;
            match name {
                "val" if value.is_some() => fault(at, "`val` is given twice"),
                "val" => {
                    value = Some((at, constant));
                    Ok(())
                }
                // Other attributes say nothing about the value.
                _ => Ok(()),
            }
        })?;
        let Some((at, constant)) = value else { return fault(at, "a const needs the attribute `val`") };
        if output.ty != Type::Tensor(constant.ty().clone()) {
            let (name, found) = (shortened(output.name), constant.ty());
            return fault(at, format!("`{name}` is declared {}, but its value is {found}", output.ty));
        }
        self.define(output, Def::Const(constant)).map(|_| ())
    }

    /// `[name = …, …]` if it is there; `take` reads the value of every attribute but `name`, which is returned.
    fn attributes(
        &mut self,
        mut take: impl FnMut(&mut Self, &'s str, usize) -> Parsed<()>,
    ) -> Parsed<Option<String>> {
        let mut given = None;
        if !self.reader.skip('[')? || self.reader.skip(']')? {
            return Ok(given);
        }
        loop {
            let at = self.reader.at;
            let name = self.reader.name("an attribute")?;
            self.reader.mark('=')?;
            let place = self.reader.at;
            if name != "name" {
                take(self, name, at)?;
            } else {
                match self.reader.constant()?.as_strings() {
                    Some([name]) => given = Some(name.clone()),
                    _ => return fault(place, "the name must be one string"),
                }
            }
            if !self.reader.skip(',')? {
                self.reader.mark_or(']', "`,` or `]` after an attribute")?;
                return Ok(given);
            }
        }
    }

    fn operation(&mut self, at: usize, name: &str, outputs: &[Declared<'s>]) -> Parsed<()> {
        let Some(op) = Op::named(name) else {
            let error = BuildError::UnknownOp { op: shortened(name).into(), nearest: Op::nearest(name) };
            return fault(at, error.to_string());
        };
        let mut arguments =
            Arguments { args: smallvec![Arg::None; op.params.len()], places: SmallVec::new() };
        arguments.places.resize(op.params.len(), at);
        self.arguments(op, &mut arguments)?;
        let mut attributes = |parser: &mut Self| {
            parser.attributes(|parser, name, at| {
                let id = parser.reader.constant().map(|constant| parser.unnamed(constant))?;
                parser.set(op, &mut arguments, name, at, Arg::One(id))
            })
        };
        let before = attributes(self)?;
        let blocks = self.blocks(op)?;
        let name = if blocks.is_empty() { before } else { attributes(self)?.or(before) };
        let mut operation = Operation::new(op, arguments.args);
        operation.name = name.filter(|name| outputs.first().is_none_or(|output| output.name != name));
        operation.blocks = blocks;
        self.push(at, operation, &arguments.places, outputs)
    }

    fn arguments(&mut self, op: Op, arguments: &mut Arguments) -> Parsed<()> {
        if self.reader.skip(')')? {
            return Ok(());
        }
        loop {
            let at = self.reader.at;
            let name = self.reader.name("a parameter")?;
            self.reader.mark('=')?;
            let arg = self.argument()?;
            self.set(op, arguments, name, at, arg)?;
            if !self.reader.skip(',')? {
                return self.reader.mark_or(')', "`,` or `)` after an argument");
            }
        }
    }

    fn set(&self, op: Op, to: &mut Arguments, name: &str, at: usize, arg: Arg) -> Parsed<()> {
        let Some(index) = op.params.iter().position(|param| param.name == name) else {
            let allowed: Vec<_> = op.params.iter().map(|param| param.name).collect();
            let error = BuildError::UnknownParam {
                op: op.declaration().name,
                param: shortened(name).into(),
                allowed: allowed.join(", "),
            };
            return fault(at, error.to_string());
        };
        if to.args[index] != Arg::None {
            return fault(at, format!("`{name}` is given twice"));
        }
        to.places[index] = at;
        to.args[index] = match arg {
            Arg::One(id) if op.params[index].kind.is_tuple() => Arg::Many(vec![id]),
            arg => arg,
        };
        Ok(())
    }

    fn argument(&mut self) -> Parsed<Arg> {
        if !self.reader.skip('(')? {
            return self.value().map(Arg::One);
        }
        let mut values = Vec::new();
        if !self.reader.skip(')')? {
            loop {
                values.push(self.value()?);
                if !self.reader.skip(',')? {
                    break;
                }
            }
            self.reader.mark_or(')', "`,` or `)` in a tuple")?;
        }
        Ok(Arg::Many(values))
    }

    /// A name, or a constant written in place.
    fn value(&mut self) -> Parsed<ValueId> {
        if self.reader.value_follows() {
            return self.reader.constant().map(|constant| self.unnamed(constant));
        }
        match self.reader.token {
            Token::Number(number) => fault(
                self.reader.at,
                format!("a number here needs its type: int32({0}), fp16({0}), …", shortened(number)),
            ),
            Token::Text(_) => fault(self.reader.at, "a string here needs its type: string(\"…\")"),
            _ => self.known(),
        }
    }

    fn unnamed(&mut self, constant: Constant) -> ValueId {
        let ty = Type::Tensor(constant.ty().clone());
        self.function.add_value(Value { name: None, ty, def: Def::Const(constant) })
    }

    /// Infers the operation's types, compares them with those declared, and adds it.
    fn push(
        &mut self,
        at: usize,
        mut operation: Operation,
        places: &[usize],
        declared: &[Declared<'s>],
    ) -> Parsed<()> {
        let op = operation.op;
        if op.since > self.function.opset {
            let (name, opset) = (op.declaration().name, self.function.opset);
            return fault(at, format!("op `{name}` needs opset {}, but the function is {opset}", op.since));
        }
        let recorded: Vec<&Type> = declared.iter().map(|declared| &declared.ty).collect();
        let types = infer_operation(&self.function, &operation, Some(&recorded)).map_err(|error| {
            let place = op.params.iter().position(|param| param.name == error.param);
            Fault {
                at: place.map_or(at, |index| places[index]),
                message: format!("op `{}`: {error}", op.name),
            }
        })?;
        if types.len() != declared.len() {
            let (name, found) = (op.declaration().name, declared.len());
            return fault(
                at,
                format!("op `{name}` gives {} results here, but {found} are named", types.len()),
            );
        }
        for (declared, ty) in declared.iter().zip(types) {
            if !declared.ty.accepts(&ty) {
                let (name, found) = (shortened(declared.name), &declared.ty);
                let op = op.declaration().name;
                return fault(declared.at, format!("`{name}` is declared {found}, but `{op}` gives {ty}"));
            }
            operation.outputs.push(self.define(declared, Def::result_of(op))?);
        }
        self.function.body.ops.push(operation);
        Ok(())
    }

    /// The serialized form of an update, which has no result: `write_state(input = state, data = value)`.
    fn write_state(&mut self, at: usize, outputs: &[Declared<'s>]) -> Parsed<()> {
        if !outputs.is_empty() {
            return fault(at, "`write_state` has no result; `coreml_update_state` has one");
        }
        let Some(op) = Op::named("coreml_update_state") else {
            return fault(at, "states are not known here");
        };
        let mut args = [None; 2];
        let mut places: SmallVec<[usize; 2]> = smallvec![at; 2];
        while !self.reader.skip(')')? {
            let place = self.reader.at;
            let index = match self.reader.name("`input` or `data`")? {
                "input" => 0,
                "data" => 1,
                _ => return fault(place, "`write_state` has the parameters input and data"),
            };
            self.reader.mark('=')?;
            places[index] = place;
            if args[index].replace(self.value()?).is_some() {
                return fault(place, "this parameter is given twice");
            }
            if !self.reader.skip(',')? && self.reader.token != Token::Mark(')') {
                return self.reader.expected("`,` or `)` after an argument");
            }
        }
        let name = self.attributes(|_, name, at| {
            fault(at, format!("`write_state` has no attribute `{}`", shortened(name)))
        })?;
        let [Some(state), Some(value)] = args else { return fault(at, "`write_state` needs input and data") };
        let args = smallvec![Arg::One(state), Arg::One(value)];
        let mut operation = Operation::new(op, args);
        operation.name = name;
        let types = infer_operation(&self.function, &operation, None).map_err(|error| {
            let index = usize::from(error.param == "value");
            Fault { at: places[index], message: format!("op `write_state`: {error}") }
        })?;
        for ty in types {
            operation.outputs.push(self.function.add_value(Value { name: None, ty, def: Def::Op }));
        }
        self.function.body.ops.push(operation);
        Ok(())
    }
}
