//! Programs as data: functions, blocks, operations, values.

use crate::{BuildError, Constant, DataType, Family, Op, OpView, Opset, Shape, TensorType, Type};
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::fmt;

/// Index of a [`Value`] in its function's arena.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

impl ValueId {
    /// The index as a number, for tables beside the arena.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The id with this index. Whether such a value exists is for the function to say.
    pub const fn from_index(index: usize) -> ValueId {
        ValueId(index as u32)
    }
}

impl fmt::Debug for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// How a value comes to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Def {
    /// An input of the function or of a nested block.
    Input,
    /// A constant.
    Const(Constant),
    /// An output of an operation.
    Op,
    /// An output of a `constexpr` operation: a constant in compressed form. It may stand where constants are asked for,
    /// though its elements are known only to who decompresses it.
    Constexpr,
}

impl Def {
    /// How the outputs of this op come to be.
    pub fn result_of(op: Op) -> Def {
        if op.family == Family::Constexpr { Def::Constexpr } else { Def::Op }
    }
}

/// A value: its type, how it is defined, and an optional name.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Name for people; inputs and outputs of a function always have one.
    pub name: Option<String>,
    /// Type.
    pub ty: Type,
    /// Definition.
    pub def: Def,
}

/// An argument of an operation.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Arg {
    /// Absent: the parameter's default holds.
    #[default]
    None,
    /// One value.
    One(ValueId),
    /// A tuple of values.
    Many(Vec<ValueId>),
}

impl Arg {
    /// The values of the argument, in order.
    pub fn values(&self) -> &[ValueId] {
        match self {
            Arg::None => &[],
            Arg::One(value) => std::slice::from_ref(value),
            Arg::Many(values) => values,
        }
    }

    /// The values, changeable in place.
    pub fn values_mut(&mut self) -> &mut [ValueId] {
        match self {
            Arg::None => &mut [],
            Arg::One(value) => std::slice::from_mut(value),
            Arg::Many(values) => values,
        }
    }
}

/// One operation: an op, its arguments (one per declared parameter, in that order), its outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Which op.
    pub op: Op,
    /// One argument per parameter of the declaration.
    pub args: SmallVec<[Arg; 4]>,
    /// Values that the operation defines.
    pub outputs: SmallVec<[ValueId; 1]>,
    /// Nested blocks (control flow).
    pub blocks: Vec<Block>,
    /// The operation's own name, where it is not that of its first output: tools show it, nothing computes with it.
    pub name: Option<String>,
}

impl Operation {
    /// An operation without outputs yet.
    pub fn new(op: Op, args: impl Into<SmallVec<[Arg; 4]>>) -> Operation {
        Operation { op, args: args.into(), outputs: SmallVec::new(), blocks: Vec::new(), name: None }
    }

    /// Every value that the operation uses directly, constants included, in parameter order.
    pub fn uses(&self) -> impl Iterator<Item = ValueId> {
        self.args.iter().flat_map(|arg| arg.values().iter().copied())
    }

    /// Every value that the operation or an operation in its blocks uses: values from outside of the blocks, and those
    /// that the blocks define and use themselves.
    pub fn uses_within(&self) -> BTreeSet<ValueId> {
        fn collect(operation: &Operation, used: &mut BTreeSet<ValueId>) {
            used.extend(operation.uses());
            for block in &operation.blocks {
                block.ops.iter().for_each(|inner| collect(inner, used));
                used.extend(&block.outputs);
            }
        }
        let mut used = BTreeSet::new();
        collect(self, &mut used);
        used
    }
}

/// Operations in order of execution, and the values that they yield.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Block {
    /// Values bound at entry (nested blocks only; a function's inputs stand in the function).
    pub inputs: Vec<ValueId>,
    /// Operations, each after those that define its arguments.
    pub ops: Vec<Operation>,
    /// Values yielded.
    pub outputs: Vec<ValueId>,
}

/// A function: inputs, a body, and the arena of all values in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Name; `main` by custom when there is one.
    pub name: String,
    /// The op set that the body is written for.
    pub opset: Opset,
    /// Inputs: tensors and states.
    pub inputs: Vec<ValueId>,
    /// The body; its outputs are the function's.
    pub body: Block,
    /// Every value of the function, nested blocks included.
    pub values: Vec<Value>,
}

impl Function {
    /// The value with this id.
    ///
    /// # Panics
    /// When the id is not of this function, which verification rules out.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// Type of a value.
    pub fn ty(&self, id: ValueId) -> &Type {
        &self.value(id).ty
    }

    /// Type of the tensor that a value is or, for a state, holds.
    pub fn tensor(&self, id: ValueId) -> &TensorType {
        self.value(id).ty.tensor()
    }

    /// Shape of a value.
    pub fn shape(&self, id: ValueId) -> &Shape {
        &self.tensor(id).shape
    }

    /// Element type of a value.
    pub fn dtype(&self, id: ValueId) -> DataType {
        self.tensor(id).dtype
    }

    /// The constant that a value is, if it is one with its elements at hand: none for [`Def::Constexpr`].
    pub fn constant(&self, id: ValueId) -> Option<&Constant> {
        match &self.value(id).def {
            Def::Const(constant) => Some(constant),
            Def::Input | Def::Op | Def::Constexpr => None,
        }
    }

    /// Name of a value for messages: its own, or `%12`.
    pub fn display_name(&self, id: ValueId) -> String {
        self.values
            .get(id.index())
            .and_then(|value| value.name.clone())
            .unwrap_or_else(|| format!("%{}", id.0))
    }

    /// Adds a value to the arena.
    pub fn add_value(&mut self, value: Value) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(value);
        id
    }

    /// The inputs that are states, in order.
    pub fn states(&self) -> impl Iterator<Item = ValueId> {
        self.inputs.iter().copied().filter(|&id| self.ty(id).is_state())
    }

    /// The inputs that are tensors, in order.
    pub fn tensor_inputs(&self) -> impl Iterator<Item = ValueId> {
        self.inputs.iter().copied().filter(|&id| !self.ty(id).is_state())
    }

    /// The input with this name.
    pub fn input_named(&self, name: &str) -> Option<ValueId> {
        self.inputs.iter().copied().find(|&id| self.value(id).name.as_deref() == Some(name))
    }

    /// Whether everything about the function is known before it runs: every value is a tensor or a state of known
    /// shape which inference gives, and there is no control flow. Compilers take such functions; the others are
    /// interpreted.
    pub fn is_static(&self) -> bool {
        let inferred = |operation: &Operation| crate::infer_operation(self, operation, None).is_ok();
        self.values.iter().all(|value| value.ty.is_static())
            && self.body.ops.iter().all(|operation| operation.blocks.is_empty() && inferred(operation))
    }

    /// Fails unless the function [is static](Function::is_static); passes that rewrite functions begin with this.
    pub fn require_static(&self) -> Result<(), BuildError> {
        if self.is_static() { Ok(()) } else { Err(BuildError::NotStatic { function: self.name.clone() }) }
    }

    /// A reader of one operation's arguments.
    pub fn view<'a>(&'a self, operation: &'a Operation) -> OpView<'a> {
        OpView::new(self, operation)
    }
}

/// A program: one or more functions.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Program {
    /// Functions, each with a name of its own.
    pub functions: Vec<Function>,
    /// `buildInfo` of the text form: pairs of key and value, kept as they are.
    pub build_info: Vec<(String, String)>,
}

impl Program {
    /// A program of one function.
    pub fn single(function: Function) -> Program {
        Program { functions: vec![function], build_info: Vec::new() }
    }

    /// The function with this name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}
