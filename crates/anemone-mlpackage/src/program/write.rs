//! Writes a program in its protobuf form, as coremltools writes programs.
//!
//! Maps are sorted by key and everything else follows the program, so equal programs give equal bytes.

use super::layout::{BlockNumber, Layout, is_constant};
use super::{
    Form, UPDATE_STATE, WRITE_STATE, WRITE_SUFFIX, constant_form, defaults, opset_name, types, values,
};
use crate::error::{Error, Result};
use crate::proto::schema::{
    argument, binding, block as schema_block, function as schema_function, named_value_type, operation as m,
    program as schema_program,
};
use crate::proto::wire::Encoder;
use mil::text::{WeightLocation, WeightSink};
use mil::{Arg, Block, Constant, DataType, Function, Operation, Opset, Program, ValueId};
use std::collections::HashMap;
use std::path::Path;

/// Elements from which on a constant goes to the weight file. Source: coremltools' `should_use_weight_file`.
const LARGE: usize = 10;

/// Choices in how a program is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Whether parameters that are absent and have a default are written out, as coremltools does.
    pub(crate) explicit_defaults: bool,
}

/// Writes a `Program`; its large constants go to `weights`.
pub(crate) fn write(program: &Program, options: Options, weights: &mut dyn WeightSink) -> Result<Vec<u8>> {
    let mut writer = Writer { weights, stored: HashMap::new() };
    let mut e = Encoder::default();
    e.signed(schema_program::VERSION, 1);
    let mut functions: Vec<&Function> = program.functions.iter().collect();
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    // The constants' addresses are the key to sharing, so all functions live until all are written.
    let functions: Vec<_> = functions
        .into_iter()
        .map(
            |function| {
                if options.explicit_defaults { defaults::explicit(function) } else { function.clone() }
            },
        )
        .collect();
    for function in &functions {
        e.entry(schema_program::FUNCTIONS, &function.name, |e| writer.function(function, e))?;
    }
    if !program.build_info.is_empty() {
        e.entry(schema_program::ATTRIBUTES, "buildInfo", |e| values::write_pairs(&program.build_info, e))
            .map_err(|message| Error::unwritable("buildInfo", message))?;
    }
    Ok(e.finish())
}

struct Writer<'w> {
    weights: &'w mut dyn WeightSink,
    /// Where constants went, by address, size and type of their storage.
    stored: HashMap<(usize, usize, DataType), WeightLocation>,
}

impl Writer<'_> {
    fn function(&mut self, function: &Function, e: &mut Encoder) -> Result<()> {
        let place = || format!("function `{}`", function.name);
        let opset = opset_name(function.opset).ok_or_else(|| {
            Error::unwritable(place(), format!("opset {} has no name in model files", function.opset))
        })?;
        let layout = Layout::new(function)?;
        for &input in &function.inputs {
            named_type(schema_function::INPUTS, function, &layout, input, e)?;
        }
        e.string(schema_function::OPSET, opset);
        e.entry(schema_function::BLOCK_SPECIALIZATIONS, opset, |e| {
            FunctionWriter { writer: self, function, layout: &layout, blocks: 0 }.block(&function.body, e)
        })
    }

    /// Where the constant stands in the weight file, if it belongs there.
    fn store(&mut self, constant: &Constant, opset: Opset) -> Result<Option<WeightLocation>> {
        let ty = constant.ty();
        if ty.shape.count() < LARGE || !goes_to_file(ty.dtype, opset) {
            return Ok(None);
        }
        let bytes = constant.bytes();
        let key = (bytes.as_ptr() as usize, bytes.len(), ty.dtype);
        if let Some(location) = self.stored.get(&key) {
            return Ok(Some(location.clone()));
        }
        let location = self
            .weights
            .store(constant)
            .map_err(|source| Error::Weights { path: Path::new("weight.bin").into(), source })?;
        self.stored.insert(key, location.clone());
        Ok(Some(location))
    }
}

/// Whether large constants of this type go to the weight file.
fn goes_to_file(dtype: DataType, opset: Opset) -> bool {
    match dtype {
        DataType::Fp16 | DataType::Fp32 | DataType::Int8 | DataType::Uint8 => true,
        DataType::Int16 | DataType::Uint16 | DataType::Int32 | DataType::Uint32 => opset >= Opset::Ios18,
        dtype => dtype.is_packed(),
    }
}

/// Writes a `NamedValueType`.
fn named_type(number: u32, function: &Function, layout: &Layout, id: ValueId, e: &mut Encoder) -> Result<()> {
    let name = layout.name(id);
    e.message(number, |e| {
        e.string(named_value_type::NAME, name);
        types::write(named_value_type::TYPE, function.ty(id), e)
    })
    .map_err(|message| Error::unwritable(format!("function `{}`, `{name}`", function.name), message))
}

/// An attribute that is a constant, and where it stands if not in place.
struct Attribute<'a> {
    key: &'static str,
    value: &'a Constant,
    stored: Option<WeightLocation>,
}

struct FunctionWriter<'a, 'w, 's> {
    writer: &'a mut Writer<'w>,
    function: &'s Function,
    layout: &'s Layout,
    /// Blocks met so far, which is the number of the next one.
    blocks: BlockNumber,
}

impl FunctionWriter<'_, '_, '_> {
    fn block(&mut self, block: &Block, e: &mut Encoder) -> Result<()> {
        let number = self.blocks;
        self.blocks += 1;
        for &input in &block.inputs {
            named_type(schema_block::INPUTS, self.function, self.layout, input, e)?;
        }
        for &output in &block.outputs {
            e.bytes(schema_block::OUTPUTS, self.layout.name(output).as_bytes());
        }
        for (index, operation) in block.ops.iter().enumerate() {
            self.constants(number, index, e)?;
            match operation.op.name {
                UPDATE_STATE => self.update(operation, e)?,
                _ => e.message(schema_block::OPERATIONS, |e| self.operation(operation, e))?,
            }
        }
        self.constants(number, block.ops.len(), e)
    }

    fn constants(&mut self, block: BlockNumber, index: usize, e: &mut Encoder) -> Result<()> {
        for &id in self.layout.constants_before(block, index) {
            let Some(constant) = self.function.constant(id) else { continue };
            let attribute = self.attribute("val", constant)?;
            e.message(schema_block::OPERATIONS, |e| {
                e.string(m::TYPE, "const");
                named_type(m::OUTPUTS, self.function, self.layout, id, e)?;
                self.attributes(self.layout.name(id), &[attribute], e)
            })?;
        }
        Ok(())
    }

    /// Writes the name and other attributes, sorted by key.
    fn attributes(&self, name: &str, others: &[Attribute<'_>], e: &mut Encoder) -> Result<()> {
        let mut keys: Vec<(&str, Option<&Attribute<'_>>)> = vec![("name", None)];
        keys.extend(others.iter().map(|attribute| (attribute.key, Some(attribute))));
        keys.sort_unstable_by_key(|(key, _)| *key);
        for (key, attribute) in keys {
            e.entry(m::ATTRIBUTES, key, |e| match attribute {
                Some(attribute) => values::write_content(attribute.value, attribute.stored.as_ref(), e),
                None => values::write_string(name, e),
            })
            .map_err(|message| {
                Error::unwritable(format!("function `{}`, `{name}`", self.function.name), message)
            })?;
        }
        Ok(())
    }

    fn operation(&mut self, operation: &Operation, e: &mut Encoder) -> Result<()> {
        let (function, op) = (self.function, operation.op);
        e.string(m::TYPE, op.name);
        let mut arguments: Vec<(&'static str, &Arg)> = op
            .params
            .iter()
            .map(|param| param.name)
            .zip(&operation.args)
            .filter(|(_, arg)| **arg != Arg::None)
            .collect();
        arguments.sort_unstable_by_key(|(name, _)| *name);
        let mut attributes = Vec::new();
        for (param, arg) in arguments {
            let form = constant_form(op, param, function.opset);
            match arg {
                Arg::One(id) if form == Form::Attribute && is_constant(function, *id) => {
                    let Some(constant) = function.constant(*id) else { continue };
                    attributes.push(self.attribute(param, constant)?);
                }
                _ => e.entry(m::INPUTS, param, |e| {
                    arg.values().iter().try_for_each(|&id| self.binding(id, form, e))
                })?,
            }
        }
        for &output in &operation.outputs {
            named_type(m::OUTPUTS, function, self.layout, output, e)?;
        }
        for block in &operation.blocks {
            e.message(m::BLOCKS, |e| self.block(block, e))?;
        }
        let first = operation.outputs.first().map_or(op.name, |&id| self.layout.name(id));
        self.attributes(operation.name.as_deref().unwrap_or(first), &attributes, e)
    }

    fn attribute<'c>(&mut self, key: &'static str, value: &'c Constant) -> Result<Attribute<'c>> {
        Ok(Attribute { key, value, stored: self.writer.store(value, self.function.opset)? })
    }

    fn binding(&mut self, id: ValueId, form: Form, e: &mut Encoder) -> Result<()> {
        let function = self.function;
        e.message(argument::ARGUMENTS, |e| match function.constant(id).filter(|_| form != Form::Name) {
            Some(constant) if form == Form::List => e
                .message(binding::VALUE, |e| values::write_labels(constant, e))
                .map_err(|message| self.fault(message)),
            Some(constant) => {
                let stored = self.writer.store(constant, function.opset)?;
                e.message(binding::VALUE, |e| values::write_content(constant, stored.as_ref(), e))
                    .map_err(|message| self.fault(message))
            }
            None => {
                e.bytes(binding::NAME, self.layout.name(id).as_bytes());
                Ok(())
            }
        })
    }

    fn fault(&self, message: String) -> Error {
        Error::unwritable(format!("function `{}`", self.function.name), message)
    }

    /// A `coreml_update_state`: `write_state`, and `read_state` when the result is used.
    fn update(&mut self, operation: &Operation, e: &mut Encoder) -> Result<()> {
        let output = operation.outputs.first().copied();
        let output_name = output.map_or(UPDATE_STATE, |id| self.layout.name(id));
        let name = operation.name.as_deref().unwrap_or(output_name);
        let used = output.filter(|&id| self.layout.is_used(id));
        // The halves belong together by the name of the result, whatever the operation is called. An update that was read without
        // its second half may have a name that is none for the whole.
        let half = if used.is_none() && operation.name.is_some() {
            name.to_string()
        } else {
            format!("{output_name}{WRITE_SUFFIX}")
        };
        let place = || format!("function `{}`, `{name}`", self.function.name);
        let [state, value] = &operation.args[..] else {
            return Err(Error::unwritable(place(), "a state update takes a state and a value"));
        };
        e.message(schema_block::OPERATIONS, |e| {
            e.string(m::TYPE, WRITE_STATE);
            for (param, arg) in [("data", value), ("input", state)] {
                e.entry(m::INPUTS, param, |e| {
                    arg.values().iter().try_for_each(|&id| self.binding(id, Form::Name, e))
                })?;
            }
            self.attributes(&half, &[], e)
        })?;
        let Some(output) = used else { return Ok(()) };
        e.message(schema_block::OPERATIONS, |e| {
            e.string(m::TYPE, "read_state");
            e.entry(m::INPUTS, "input", |e| {
                state.values().iter().try_for_each(|&id| self.binding(id, Form::Name, e))
            })?;
            named_type(m::OUTPUTS, self.function, self.layout, output, e)?;
            self.attributes(name, &[], e)
        })
    }
}
