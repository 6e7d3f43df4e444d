//! Binding flexible inputs: a function whose shapes are not known becomes one whose shapes are.
//!
//! Types are inferred again from the bound inputs down. What then depends on shapes alone (`shape`, and the arithmetic on
//! what it gives) is computed, so that a `reshape` by computed dimensions has constant ones; a `cond` whose predicate is
//! known becomes the block that it chooses. What still depends on data stays as it is, for the interpreter.

use super::fold;
use anemone_runtime::CompileError;
use mil::{
    Arg, Block, Constant, DataType, Def, Effect, Function, InferError, OpView, Operation, Shape, Type, Value,
    ValueId, infer_operation,
};
use std::collections::BTreeMap;

/// The function with the inputs that `shapes` names bound to those shapes.
///
/// # Errors
/// When there is no such input, the shape does not fit its known dimensions, or an operation does not work with it.
pub fn specialize(function: &Function, shapes: &BTreeMap<String, Shape>) -> Result<Function, CompileError> {
    if function.is_static() && shapes.is_empty() {
        return Ok(function.clone());
    }
    for name in shapes.keys() {
        if function.input_named(name).is_none() {
            let known: Vec<String> = function.tensor_inputs().map(|id| function.display_name(id)).collect();
            let message =
                format!("there is no input `{name}` to give a shape to; there are: {}", known.join(", "));
            return Err(CompileError::Pass(message));
        }
    }
    let mut binder = Binder {
        source: function,
        bound: Function {
            name: function.name.clone(),
            opset: function.opset,
            inputs: Vec::new(),
            body: Block::default(),
            values: Vec::new(),
        },
        map: vec![None; function.values.len()],
    };
    for &input in &function.inputs {
        let new = binder.define(input);
        binder.bound.inputs.push(new);
        let name = function.display_name(input);
        if let Some(shape) = shapes.get(&name) {
            binder.bind_input(new, &name, shape)?;
        }
    }
    let ops = binder.operations(&function.body)?;
    binder.bound.body.ops.extend(ops);
    let outputs: Vec<ValueId> = function.body.outputs.iter().map(|&id| binder.output(id)).collect();
    binder.bound.body.outputs = outputs;
    Ok(binder.bound)
}

struct Binder<'f> {
    source: &'f Function,
    bound: Function,
    /// The new value of each old one.
    map: Vec<Option<ValueId>>,
}

impl Binder<'_> {
    /// A value as it is.
    fn define(&mut self, id: ValueId) -> ValueId {
        let new = self.bound.add_value(self.source.value(id).clone());
        self.map[id.index()] = Some(new);
        new
    }

    fn bind_input(&mut self, id: ValueId, name: &str, shape: &Shape) -> Result<(), CompileError> {
        let declared = self.bound.tensor(id).clone();
        if !declared.shape.accepts(shape) || !shape.is_known() || self.bound.ty(id).is_state() {
            let message = format!("input `{name}` is {declared}, so it cannot be bound to shape {shape}");
            return Err(CompileError::Pass(message));
        }
        self.bound.values[id.index()].ty = Type::Tensor(declared.with_shape(shape.clone()));
        Ok(())
    }

    /// The new value of an old one; constants come along when they are first used.
    fn get(&mut self, id: ValueId) -> ValueId {
        match self.map[id.index()] {
            Some(new) => new,
            None => self.define(id),
        }
    }

    /// An output of the function: the result of an operation, under its old name.
    fn output(&mut self, id: ValueId) -> ValueId {
        let new = self.get(id);
        if self.bound.constant(new).is_none() {
            return new;
        }
        let Some(op) = mil::Op::named("identity") else { return new };
        let name = self.source.value(id).name.clone();
        self.bound.values[new.index()].name = None;
        let ty = self.bound.ty(new).clone();
        let result = self.bound.add_value(Value { name, ty, def: Def::Op });
        let mut identity = Operation::new(op, [Arg::One(new)].as_slice());
        identity.outputs.push(result);
        self.bound.body.ops.push(identity);
        result
    }

    fn operations(&mut self, block: &Block) -> Result<Vec<Operation>, CompileError> {
        let mut ops = Vec::with_capacity(block.ops.len());
        for operation in &block.ops {
            self.operation(operation, &mut ops)?;
        }
        Ok(ops)
    }

    fn operation(&mut self, operation: &Operation, ops: &mut Vec<Operation>) -> Result<(), CompileError> {
        let mut new = Operation::new(operation.op, operation.args.clone());
        new.name = operation.name.clone();
        for id in new.args.iter_mut().flat_map(|arg| arg.values_mut()) {
            *id = self.get(*id);
        }
        if let Some(block) = self.chosen(operation, &new) {
            ops.extend(self.operations(block)?);
            for (&old, &result) in operation.outputs.iter().zip(&block.outputs) {
                let result = self.get(result);
                self.map[old.index()] = Some(result);
            }
            return Ok(());
        }
        for block in &operation.blocks {
            let block = self.block(block)?;
            new.blocks.push(block);
        }
        let recorded: Vec<&Type> = operation.outputs.iter().map(|&id| self.source.ty(id)).collect();
        let types =
            infer_operation(&self.bound, &new, Some(&recorded)).map_err(|e| self.fault(operation, e))?;
        for (&old, ty) in operation.outputs.iter().zip(types) {
            let name = self.source.value(old).name.clone();
            let id = self.bound.add_value(Value { name, ty, def: Def::Op });
            new.outputs.push(id);
            self.map[old.index()] = Some(id);
        }
        match self.known(&new)? {
            Some(constants) => {
                for (id, constant) in new.outputs.iter().zip(constants) {
                    let value = &mut self.bound.values[id.index()];
                    value.ty = Type::Tensor(constant.ty().clone());
                    value.def = Def::Const(constant);
                }
            }
            None => ops.push(new),
        }
        Ok(())
    }

    fn fault(&self, operation: &Operation, error: InferError) -> CompileError {
        let value = operation.outputs.first().map_or_else(String::new, |&id| self.source.display_name(id));
        let op = operation.op.declaration().name;
        CompileError::Pass(format!(
            "with these input shapes, op `{op}` (value `{value}`) does not work: {error}"
        ))
    }

    /// The block of a `cond` that a constant predicate chooses.
    fn chosen<'o>(&self, operation: &'o Operation, new: &Operation) -> Option<&'o Block> {
        if operation.op.name != "cond" {
            return None;
        }
        let pred = self.bound.constant(*new.args.first()?.values().first()?)?;
        operation.blocks.get(usize::from(pred.bytes().first() == Some(&0)))
    }

    /// A nested block. Its inputs keep their types: from turn to turn of a loop they may differ.
    fn block(&mut self, block: &Block) -> Result<Block, CompileError> {
        let inputs = block.inputs.iter().map(|&id| self.define(id)).collect();
        let ops = self.operations(block)?;
        let outputs = block.outputs.iter().map(|&id| self.get(id)).collect();
        Ok(Block { inputs, ops, outputs })
    }

    /// The results of an operation that depends on shapes and constants only.
    fn known(&self, new: &Operation) -> Result<Option<Vec<Constant>>, CompileError> {
        let view = OpView::new(&self.bound, new);
        if view.name() == "shape" {
            let shape = view.value("x").map(|x| self.bound.shape(x));
            return Ok(shape
                .filter(|shape| shape.is_known())
                .map(|shape| vec![Constant::ints(&shape.to_i32())]));
        }
        let constant = new.op.effect == Effect::Pure
            && new.outputs.iter().all(|&id| is_number(self.bound.ty(id)))
            && new.uses().all(|id| self.bound.constant(id).is_some());
        let to: usize = new
            .outputs
            .iter()
            .map(|&id| self.bound.tensor(id))
            .map(|ty| ty.checked_bytes().unwrap_or(0))
            .sum();
        if constant && to <= fold::SMALL_BYTES { fold::evaluate(&view) } else { Ok(None) }
    }
}

/// What a kernel can give: a tensor, and not of strings.
fn is_number(ty: &Type) -> bool {
    ty.as_tensor().is_some_and(|tensor| tensor.dtype != DataType::String)
}
