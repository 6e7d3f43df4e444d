//! Writes programs as text.

use super::blob::{self, WeightLocation, WeightSink};
use super::layout::{Layout, Statement, by_name, in_place};
use super::literal::{self, HALF, SINGLE};
use super::{DEFAULT_BUILD_INFO, Dialect, PrintError};
use crate::ops::constexpr;
use crate::{
    Arg, Block, Constant, DataType, Def, Function, MAX_DEPTH, Operation, Opset, Program, TensorType, Type,
    ValueId,
};
use half::f16;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

/// The text of a program, with every constant in it. Meant for verified programs; the text of another one is of
/// use to people only.
pub fn print(program: &Program, dialect: Dialect) -> String {
    let mut text = Vec::new();
    // Neither a vector nor the absent sink can fail, and everything written is a `str`.
    match write_to(program, dialect, None, &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// The text of a program, with its large constants given to `weights`.
///
/// # Errors
/// When `weights` fails.
pub fn print_with_weights(
    program: &Program,
    dialect: Dialect,
    weights: &mut dyn WeightSink,
) -> Result<String, PrintError> {
    let mut text = Vec::new();
    write_to(program, dialect, Some(weights), &mut text)?;
    Ok(String::from_utf8(text).unwrap_or_default())
}

/// Writes the text of a program to `out`; constants of ten elements and more go to `weights` if there are any, in
/// the element types that coremltools stores for the function's opset. Constants that share storage are stored once.
///
/// # Errors
/// When `out` or `weights` fails.
pub fn write_to(
    program: &Program,
    dialect: Dialect,
    weights: Option<&mut dyn WeightSink>,
    out: &mut dyn io::Write,
) -> Result<(), PrintError> {
    let mut printer = Printer { dialect, weights, stored: HashMap::new(), line: String::new(), out };
    printer.program(program)
}

/// Elements from which on a constant goes to the weight file.
const LARGE: usize = 10;
/// Characters after which a line is handed on, so that long constants are never in memory as text.
const CHUNK: usize = 1 << 16;

struct Printer<'a, 'w> {
    dialect: Dialect,
    weights: Option<&'w mut dyn WeightSink>,
    /// Where constants went, by address, size and type of their storage (which the program keeps alive).
    stored: HashMap<(usize, usize, DataType), WeightLocation>,
    line: String,
    out: &'a mut dyn io::Write,
}

impl Printer<'_, '_> {
    fn program(&mut self, program: &Program) -> Result<(), PrintError> {
        let (version, text) = match self.dialect {
            Dialect::Ios16 => ("1.0", "tensor<string, []>"),
            Dialect::Ios18 => ("1.3", "string"),
        };
        let _ = write!(self.line, "program({version})\n[buildInfo = dict<{text}, {text}>({{");
        let default = DEFAULT_BUILD_INFO.into_iter().filter(|_| program.build_info.is_empty());
        let given = program.build_info.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (index, (key, value)) in given.chain(default).enumerate() {
            self.line.push_str(if index > 0 { ", {" } else { "{" });
            literal::print_string(key, &mut self.line);
            self.line.push_str(", ");
            literal::print_string(value, &mut self.line);
            self.line.push('}');
        }
        self.line.push_str("})]\n{\n");
        for function in &program.functions {
            self.function(function)?;
        }
        self.line.push_str("}\n");
        self.hand_on(0)
    }

    fn function(&mut self, function: &Function) -> Result<(), PrintError> {
        let layout = Layout::new(function);
        let _ = write!(self.line, "    func {}<{}>(", function.name, function.opset.text_name());
        self.typed_names(function, &layout, &function.inputs);
        self.line.push_str(") {\n");
        for &statement in &layout.statements {
            match statement {
                Statement::Const(id) => self.constant(function, &layout, id)?,
                Statement::Op(index) => self.operation(function, &layout, &function.body.ops[index], 0)?,
            }
            self.hand_on(CHUNK)?;
        }
        self.line.push_str("        } -> (");
        self.names(&layout, &function.body.outputs);
        self.line.push_str(");\n");
        Ok(())
    }

    fn operation(
        &mut self,
        function: &Function,
        layout: &Layout,
        operation: &Operation,
        depth: usize,
    ) -> Result<(), PrintError> {
        self.indent(2 * depth);
        self.typed_names(function, layout, &operation.outputs);
        let _ = write!(self.line, " = {}(", operation.op.name);
        let attributes = constexpr::in_attributes(operation.op, function.opset);
        if !attributes {
            self.arguments(function, layout, operation, "", |_| true)?;
        }
        self.line.push_str(")[");
        // Attributes are sorted, and the name is one of them.
        if attributes {
            self.arguments(function, layout, operation, "", |param| param < "name")?;
            if !self.line.ends_with('[') {
                self.line.push_str(", ");
            }
        }
        self.line.push_str("name = ");
        let name = operation.outputs.first().map_or_else(String::new, |&id| layout.name(id));
        self.string(operation.name.as_ref().unwrap_or(&name));
        if attributes {
            self.arguments(function, layout, operation, ", ", |param| param > "name")?;
        }
        self.line.push(']');
        // Depth is bounded in verified programs; of others the inner blocks are left out.
        if depth < MAX_DEPTH {
            for block in &operation.blocks {
                self.block(function, layout, block, depth)?;
            }
        }
        self.line.push_str(";\n");
        Ok(())
    }

    /// The arguments that are given and `wanted`, sorted, after `separator`: names; constants in place where the op has them so.
    fn arguments(
        &mut self,
        function: &Function,
        layout: &Layout,
        operation: &Operation,
        mut separator: &'static str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), PrintError> {
        for at in by_name(operation) {
            let (param, arg) = (operation.op.params[at].name, &operation.args[at]);
            if matches!(arg, Arg::None) || !wanted(param) {
                continue;
            }
            let _ = write!(self.line, "{separator}{param} = ");
            separator = ", ";
            let constant = |id: ValueId| match function.values.get(id.index())?.def {
                Def::Const(ref constant) if in_place(operation) => Some(constant),
                _ => None,
            };
            match arg {
                Arg::Many(ids) => {
                    self.line.push('(');
                    self.names(layout, ids);
                    self.line.push(')');
                }
                arg => match arg.values().first().and_then(|&id| constant(id)) {
                    Some(constant) => self.typed_value(constant, function.opset)?,
                    None => self.names(layout, arg.values()),
                },
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        function: &Function,
        layout: &Layout,
        block: &Block,
        depth: usize,
    ) -> Result<(), PrintError> {
        self.line.push('\n');
        self.indent(2 * depth + 1);
        self.line.push('(');
        self.typed_names(function, layout, &block.inputs);
        self.line.push_str(") {\n");
        for operation in &block.ops {
            self.operation(function, layout, operation, depth + 1)?;
        }
        self.indent(2 * depth + 1);
        self.line.push_str("} -> (");
        self.names(layout, &block.outputs);
        self.line.push(')');
        Ok(())
    }

    fn indent(&mut self, depth: usize) {
        self.line.push_str("            ");
        self.line.extend(std::iter::repeat_n("    ", depth));
    }

    fn constant(&mut self, function: &Function, layout: &Layout, id: ValueId) -> Result<(), PrintError> {
        let Some(constant) = function.constant(id) else { return Ok(()) };
        self.line.push_str("            ");
        self.typed_name(&Type::Tensor(constant.ty().clone()), &layout.name(id));
        self.line.push_str(" = const()[name = ");
        self.string(&layout.name(id));
        self.line.push_str(", val = ");
        self.typed_value(constant, function.opset)?;
        self.line.push_str("];\n");
        Ok(())
    }

    /// `tensor<…>(elements)`, or where they are.
    fn typed_value(&mut self, constant: &Constant, opset: Opset) -> Result<(), PrintError> {
        self.tensor_type(constant.ty());
        self.line.push('(');
        match self.location(constant, opset)? {
            Some(location) => self.blob(&location),
            None => self.elements(constant)?,
        }
        self.line.push(')');
        Ok(())
    }

    /// Stores a constant with the weights, if it belongs there.
    fn location(&mut self, constant: &Constant, opset: Opset) -> Result<Option<WeightLocation>, PrintError> {
        let dtype = constant.ty().dtype;
        let bytes_or_floats =
            matches!(dtype, DataType::Fp16 | DataType::Fp32 | DataType::Int8 | DataType::Uint8);
        let storable = bytes_or_floats || (opset >= Opset::Ios18 && blob::code(dtype).is_some());
        let Some(weights) = self.weights.as_deref_mut() else { return Ok(None) };
        if !storable || constant.ty().shape.count() < LARGE {
            return Ok(None);
        }
        let bytes = constant.bytes();
        let key = (bytes.as_ptr() as usize, bytes.len(), dtype);
        if let Some(location) = self.stored.get(&key) {
            return Ok(Some(location.clone()));
        }
        let location = weights.store(constant)?;
        self.stored.insert(key, location.clone());
        Ok(Some(location))
    }

    fn blob(&mut self, location: &WeightLocation) {
        self.line.push_str("BLOBFILE(path = ");
        self.string(&location.path);
        let offset = match self.dialect {
            Dialect::Ios16 => "tensor<uint64, []>",
            Dialect::Ios18 => "uint64",
        };
        let _ = write!(self.line, ", offset = {offset}({}))", location.offset);
    }

    fn elements(&mut self, constant: &Constant) -> Result<(), PrintError> {
        let print_float = |format: literal::Format, bits, out: &mut String| format.print(bits, out);
        match (constant.ty().dtype, constant.as_strings()) {
            (DataType::String, strings) => {
                let strings = strings.unwrap_or(&[]);
                self.list(&constant.ty().shape, |at, out| literal::print_string(&strings[at], out))
            }
            (DataType::Fp16, _) => {
                let floats: &[f16] = constant.as_slice().unwrap_or(&[]);
                self.list(&constant.ty().shape, |at, out| print_float(HALF, floats[at].to_bits().into(), out))
            }
            (DataType::Fp32, _) => {
                let floats: &[f32] = constant.as_slice().unwrap_or(&[]);
                self.list(&constant.ty().shape, |at, out| print_float(SINGLE, floats[at].to_bits(), out))
            }
            (DataType::Bool, _) => {
                let bytes = constant.bytes();
                self.list(&constant.ty().shape, |at, out| {
                    out.push_str(if bytes[at] != 0 { "true" } else { "false" })
                })
            }
            _ => {
                let ints = constant.to_i64().unwrap_or_default();
                self.list(&constant.ty().shape, |at, out| {
                    let _ = write!(out, "{}", ints[at]);
                })
            }
        }
    }

    /// The elements in brackets, nested as the shape is; of an empty tensor, one pair of brackets.
    fn list(&mut self, dims: &[usize], element: impl Fn(usize, &mut String)) -> Result<(), PrintError> {
        let count: usize = dims.iter().product();
        if count == 0 {
            self.line.push_str("[]");
            return Ok(());
        }
        // Elements in each bracket, outermost first: brackets open and close at multiples of these.
        let sizes: Vec<usize> = (0..dims.len()).map(|at| dims[at..].iter().product()).collect();
        for at in 0..count {
            if at > 0 {
                self.line.push_str(", ");
            }
            self.line.extend(sizes.iter().filter(|&&size| at % size == 0).map(|_| '['));
            element(at, &mut self.line);
            self.line.extend(sizes.iter().filter(|&&size| (at + 1) % size == 0).map(|_| ']'));
            self.hand_on(CHUNK)?;
        }
        Ok(())
    }

    fn typed_names(&mut self, function: &Function, layout: &Layout, ids: &[ValueId]) {
        for (index, &id) in ids.iter().enumerate() {
            if index > 0 {
                self.line.push_str(", ");
            }
            match function.values.get(id.index()) {
                Some(value) => self.typed_name(&value.ty, &layout.name(id)),
                None => self.line.push_str(&layout.name(id)),
            }
        }
    }

    fn typed_name(&mut self, ty: &Type, name: &str) {
        match ty {
            Type::Tensor(tensor) => self.tensor_type(tensor),
            other => {
                let _ = write!(self.line, "{other}");
            }
        }
        self.line.push(' ');
        self.line.push_str(name);
    }

    fn names(&mut self, layout: &Layout, ids: &[ValueId]) {
        for (index, &id) in ids.iter().enumerate() {
            self.line.push_str(if index > 0 { ", " } else { "" });
            self.line.push_str(&layout.name(id));
        }
    }

    fn tensor_type(&mut self, ty: &TensorType) {
        let _ = match self.dialect {
            Dialect::Ios18 if ty.shape.is_empty() => write!(self.line, "{}", ty.dtype),
            Dialect::Ios16 | Dialect::Ios18 => write!(self.line, "{ty}"),
        };
    }

    fn string(&mut self, text: &str) {
        self.tensor_type(&TensorType::scalar(DataType::String));
        self.line.push('(');
        literal::print_string(text, &mut self.line);
        self.line.push(')');
    }

    /// Hands the text on once it is longer than `limit`.
    fn hand_on(&mut self, limit: usize) -> Result<(), PrintError> {
        if self.line.len() > limit {
            self.out.write_all(self.line.as_bytes())?;
            self.line.clear();
        }
        Ok(())
    }
}
