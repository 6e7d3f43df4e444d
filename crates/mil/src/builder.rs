//! Building functions: types are inferred and checked as operations are added.

use crate::ops::Op;
use crate::verify::{infer_operation, is_name};
use crate::{
    Arg, Block, BuildError, Constant, DataType, Def, Function, Operation, Opset, TensorType, Type, Value,
    ValueId,
};
use smallvec::{SmallVec, smallvec};
use std::collections::HashSet;

/// Builds one function. Operations are appended in order of execution.
#[derive(Clone, Debug)]
pub struct FunctionBuilder {
    function: Function,
}

impl FunctionBuilder {
    /// An empty function.
    pub fn new(name: impl Into<String>, opset: Opset) -> FunctionBuilder {
        FunctionBuilder {
            function: Function {
                name: name.into(),
                opset,
                inputs: Vec::new(),
                body: Block::default(),
                values: Vec::new(),
            },
        }
    }

    /// Goes on with a function: its operations stay, its outputs are forgotten until [`finish`](Self::finish).
    pub fn resume(mut function: Function) -> FunctionBuilder {
        function.body.outputs.clear();
        FunctionBuilder { function }
    }

    /// The function so far.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Type of a value.
    ///
    /// # Panics
    /// When the value is not of this function; the same holds for the other readers of one value.
    pub fn ty(&self, id: ValueId) -> &Type {
        self.function.ty(id)
    }

    /// Shape of a value.
    pub fn shape(&self, id: ValueId) -> &[usize] {
        self.function.shape(id)
    }

    /// Element type of a value.
    pub fn dtype(&self, id: ValueId) -> DataType {
        self.function.dtype(id)
    }

    /// Adds a tensor input.
    pub fn input(&mut self, name: impl Into<String>, ty: TensorType) -> Result<ValueId, BuildError> {
        self.add_input(name.into(), Type::Tensor(ty))
    }

    /// Adds a state.
    pub fn state(&mut self, name: impl Into<String>, ty: TensorType) -> Result<ValueId, BuildError> {
        let (name, opset) = (name.into(), self.function.opset);
        if opset < Opset::Ios18 {
            return Err(BuildError::Opset { op: "read_state", name: Some(name), since: Opset::Ios18, opset });
        }
        self.add_input(name, Type::State(ty))
    }

    fn add_input(&mut self, name: String, ty: Type) -> Result<ValueId, BuildError> {
        if !is_name(&name) {
            return Err(BuildError::Name { name });
        }
        if self.function.input_named(&name).is_some() {
            return Err(BuildError::Duplicate { function: self.function.name.clone(), what: "inputs", name });
        }
        if ty.tensor().shape.is_known() && ty.tensor().checked_bytes().is_none() {
            return Err(BuildError::TooLarge { ty: ty.tensor().clone() });
        }
        let id = self.function.add_value(Value { name: Some(name), ty, def: Def::Input });
        self.function.inputs.push(id);
        Ok(id)
    }

    /// Adds a constant.
    pub fn constant(&mut self, constant: Constant) -> ValueId {
        let ty = Type::Tensor(constant.ty().clone());
        self.function.add_value(Value { name: None, ty, def: Def::Const(constant) })
    }

    /// A scalar constant of a float type.
    pub fn float(&mut self, dtype: DataType, value: f32) -> ValueId {
        self.constant(Constant::float(dtype, value))
    }

    /// A scalar `int32` constant.
    pub fn int(&mut self, value: i32) -> ValueId {
        self.constant(Constant::scalar(value))
    }

    /// Names a value; the last name given holds.
    ///
    /// # Panics
    /// When the value is not of this function.
    pub fn name(&mut self, id: ValueId, name: impl Into<String>) {
        self.function.values[id.index()].name = Some(name.into());
    }

    /// Begins an operation: `f.op("conv").arg("x", x).arg("weight", w).ints("strides", &[2, 2]).one()?`.
    pub fn op<'b>(&'b mut self, name: &str) -> OpBuilder<'b> {
        let op = Op::named(name);
        OpBuilder {
            error: op
                .is_none()
                .then(|| BuildError::UnknownOp { op: name.to_string(), nearest: Op::nearest(name) }),
            op,
            args: op.map_or_else(SmallVec::new, |op| smallvec![Arg::None; op.params.len()]),
            floats: SmallVec::new(),
            blocks: Vec::new(),
            declared: None,
            name: None,
            builder: self,
        }
    }

    /// A block for an operation with nested blocks ([`OpBuilder::block`]): `body` adds its operations and returns its
    /// outputs. What it defines is seen in the block only. An error of `body` is returned as it is.
    pub fn block<E>(
        &mut self,
        inputs: &[Type],
        body: impl FnOnce(&mut FunctionBuilder, &[ValueId]) -> Result<Vec<ValueId>, E>,
    ) -> Result<Block, E> {
        let define = |ty: &Type| Value { name: None, ty: ty.clone(), def: Def::Input };
        let inputs: Vec<ValueId> = inputs.iter().map(|ty| self.function.add_value(define(ty))).collect();
        let outside = std::mem::take(&mut self.function.body.ops);
        let outputs = body(self, &inputs);
        let ops = std::mem::replace(&mut self.function.body.ops, outside);
        Ok(Block { inputs, ops, outputs: outputs? })
    }

    /// `cond`: the results of `on_true` or those of `on_false`, as `pred` says.
    pub fn cond(
        &mut self,
        pred: ValueId,
        on_true: impl FnOnce(&mut FunctionBuilder) -> Result<Vec<ValueId>, BuildError>,
        on_false: impl FnOnce(&mut FunctionBuilder) -> Result<Vec<ValueId>, BuildError>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let on_true = self.block(&[], |f, _| on_true(f))?;
        let on_false = self.block(&[], |f, _| on_false(f))?;
        self.op("cond").arg("pred", pred).block(on_true).block(on_false).many()
    }

    /// `while_loop`: while `condition` of the variables holds, `body` gives their next values. The variables keep their
    /// types; for tensors that change shape build the blocks with [`FunctionBuilder::block`].
    pub fn while_loop(
        &mut self,
        vars: &[ValueId],
        condition: impl FnOnce(&mut FunctionBuilder, &[ValueId]) -> Result<ValueId, BuildError>,
        body: impl FnOnce(&mut FunctionBuilder, &[ValueId]) -> Result<Vec<ValueId>, BuildError>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let known = |id: &ValueId| self.function.values.get(id.index()).map(|value| value.ty.clone());
        let types: Vec<Type> = vars.iter().filter_map(known).collect();
        let condition = self.block(&types, |f, vars| condition(f, vars).map(|go| vec![go]))?;
        let body = self.block(&types, body)?;
        self.op("while_loop").args("loop_vars", vars).block(condition).block(body).many()
    }

    /// Ends the function with these outputs. Unnamed outputs are named `output`, `output_1`, … (the next number that is
    /// free); an output that is an input, a constant or listed twice is passed through `identity`, so that it has a name
    /// of its own.
    ///
    /// # Errors
    /// When an output is not of this function, or its name is no name in MIL or that of an input or another output.
    pub fn finish(mut self, outputs: &[ValueId]) -> Result<Function, BuildError> {
        let mut seen: Vec<ValueId> = Vec::with_capacity(outputs.len());
        for &output in outputs {
            let value = self.function.values.get(output.index());
            let direct = value.is_some_and(|value| matches!(value.def, Def::Op | Def::Constexpr))
                && !seen.contains(&output);
            seen.push(if direct { output } else { self.op("identity").arg("x", output).one()? });
        }
        self.name_outputs(&seen)?;
        self.function.body.outputs = seen;
        Ok(self.function)
    }

    fn name_outputs(&mut self, outputs: &[ValueId]) -> Result<(), BuildError> {
        let mut taken: HashSet<String> = HashSet::new();
        for name in outputs.iter().filter_map(|&id| self.function.value(id).name.clone()) {
            if !is_name(&name) {
                return Err(BuildError::Name { name });
            }
            // No output is an input here.
            let what = if self.function.input_named(&name).is_some() {
                "values, an input and an output,"
            } else if !taken.insert(name.clone()) {
                "outputs"
            } else {
                continue;
            };
            return Err(BuildError::Duplicate { function: self.function.name.clone(), what, name });
        }
        taken.extend(self.function.inputs.iter().filter_map(|&id| self.function.value(id).name.clone()));
        let mut free = (0..).map(|i| if i == 0 { "output".to_string() } else { format!("output_{i}") });
        for &id in outputs {
            if self.function.value(id).name.is_none() {
                let name = free.find(|name| !taken.contains(name));
                self.function.values[id.index()].name = name;
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        mut operation: Operation,
        declared: Option<&[Type]>,
        name: Option<String>,
    ) -> Result<Vec<ValueId>, BuildError> {
        let (op, args) = (operation.op, &operation.args);
        for (param, arg) in op.params.iter().zip(args) {
            for &id in arg.values() {
                if id.index() >= self.function.values.len() {
                    return Err(BuildError::UnknownValue { op: op.name, param: param.name, value: id.0 });
                }
            }
            if matches!(arg, Arg::None) && param.is_required(self.function.opset) {
                return Err(BuildError::Missing { op: op.name, name, param: param.name });
            }
        }
        if op.since > self.function.opset {
            return Err(BuildError::Opset { op: op.name, name, since: op.since, opset: self.function.opset });
        }
        let fault = |source| BuildError::Infer { op: op.name, name: name.clone(), source };
        let declared = declared.map(|types| types.iter().collect::<Vec<_>>());
        let types = infer_operation(&self.function, &operation, declared.as_deref()).map_err(fault)?;
        let several = types.len() > 1;
        for (index, ty) in types.into_iter().enumerate() {
            let name = match (&name, several) {
                (Some(name), true) => Some(format!("{name}_{index}")),
                (name, _) => name.clone(),
            };
            operation.outputs.push(self.function.add_value(Value { name, ty, def: Def::result_of(op) }));
        }
        let outputs = operation.outputs.to_vec();
        self.function.body.ops.push(operation);
        Ok(outputs)
    }
}

/// An operation being built. Errors are kept and come out at the end.
#[derive(Debug)]
#[must_use = "an operation is added by `one`, `many` or `none`"]
pub struct OpBuilder<'b> {
    builder: &'b mut FunctionBuilder,
    op: Option<Op>,
    args: SmallVec<[Arg; 4]>,
    /// Float literals, whose element type is settled when all arguments are known.
    floats: SmallVec<[(usize, f32); 2]>,
    blocks: Vec<Block>,
    declared: Option<Vec<Type>>,
    name: Option<String>,
    error: Option<BuildError>,
}

impl OpBuilder<'_> {
    fn set(mut self, param: &str, arg: Arg) -> Self {
        if let Some(at) = self.position(param) {
            self.args[at] = arg;
        }
        self
    }

    fn position(&mut self, param: &str) -> Option<usize> {
        let op = self.op?;
        let at = op.params.iter().position(|declared| declared.name == param);
        if at.is_none() && self.error.is_none() {
            let allowed: Vec<_> = op.params.iter().map(|declared| declared.name).collect();
            self.error = Some(BuildError::UnknownParam {
                op: op.declaration().name,
                param: param.to_string(),
                allowed: allowed.join(", "),
            });
        }
        at
    }

    /// A value (for a tuple parameter: a tuple of one).
    pub fn arg(self, param: &str, value: ValueId) -> Self {
        let tuple = self.op.is_some_and(|op| {
            op.params.iter().any(|declared| declared.name == param && declared.kind.is_tuple())
        });
        self.set(param, if tuple { Arg::Many(vec![value]) } else { Arg::One(value) })
    }

    /// A value, or nothing.
    pub fn maybe(self, param: &str, value: Option<ValueId>) -> Self {
        match value {
            Some(value) => self.arg(param, value),
            None => self,
        }
    }

    /// A tuple of values.
    pub fn args(self, param: &str, values: &[ValueId]) -> Self {
        self.set(param, Arg::Many(values.to_vec()))
    }

    /// Any argument as it is.
    pub fn set_arg(self, param: &str, arg: Arg) -> Self {
        self.set(param, arg)
    }

    /// A constant.
    pub fn constant(self, param: &str, constant: Constant) -> Self {
        let value = self.builder.constant(constant);
        self.set(param, Arg::One(value))
    }

    /// A vector of `int32`.
    pub fn ints(self, param: &str, values: &[i32]) -> Self {
        self.constant(param, Constant::ints(values))
    }

    /// A shape, as a vector of `int32`.
    pub fn shape(self, param: &str, dims: &[usize]) -> Self {
        self.constant(param, Constant::ints(&crate::Shape::new(dims).to_i32()))
    }

    /// An `int32` scalar.
    pub fn int(self, param: &str, value: i32) -> Self {
        self.constant(param, Constant::scalar(value))
    }

    /// A `bool` scalar.
    pub fn bool(self, param: &str, value: bool) -> Self {
        self.constant(param, Constant::bool(value))
    }

    /// A vector of `bool`.
    pub fn bools(self, param: &str, values: &[bool]) -> Self {
        match Constant::bools([values.len()], values) {
            Ok(constant) => self.constant(param, constant),
            Err(_) => self,
        }
    }

    /// A string.
    pub fn string(self, param: &str, value: &str) -> Self {
        self.constant(param, Constant::string(value))
    }

    /// A float scalar in the element type of the op's first float argument (`fp32` when there is none).
    pub fn float(mut self, param: &str, value: f32) -> Self {
        if let Some(at) = self.position(param) {
            self.floats.push((at, value));
        }
        self
    }

    /// The next nested block ([`FunctionBuilder::block`]).
    pub fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    /// Types of the results, for an operation whose types only running the program can tell. Where they can be inferred,
    /// the inferred ones hold.
    pub fn declared(mut self, types: &[Type]) -> Self {
        self.declared = Some(types.to_vec());
        self
    }

    /// Names the output (several outputs: `name_0`, `name_1`, …).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds the operation and returns all of its outputs.
    pub fn many(mut self) -> Result<Vec<ValueId>, BuildError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let Some(op) = self.op else { return Ok(Vec::new()) };
        let dtype = self
            .args
            .iter()
            .flat_map(|arg| arg.values())
            .filter_map(|&id| self.builder.function.values.get(id.index()))
            .map(|value| value.ty.tensor().dtype)
            .find(|dtype| dtype.is_float())
            .unwrap_or(DataType::Fp32);
        for (at, value) in std::mem::take(&mut self.floats) {
            self.args[at] = Arg::One(self.builder.float(dtype, value));
        }
        let mut operation = Operation::new(op, self.args);
        operation.blocks = self.blocks;
        self.builder.push(operation, self.declared.as_deref(), self.name)
    }

    /// Adds the operation, which must have one output, and returns it.
    pub fn one(self) -> Result<ValueId, BuildError> {
        let op = self.op;
        let outputs = self.many()?;
        match (outputs.as_slice(), op) {
            (&[output], _) => Ok(output),
            (outputs, Some(op)) => {
                Err(BuildError::Outputs { op: op.declaration().name, expected: 1, found: outputs.len() })
            }
            ([], None) | (_, None) => Err(BuildError::UnknownOp { op: String::new(), nearest: None }),
        }
    }
}

/// An operand of the arithmetic shorthands: a value, or a number in the other operand's element type.
#[derive(Clone, Copy, Debug)]
pub enum Operand {
    /// A value.
    Value(ValueId),
    /// A number; becomes a scalar constant.
    Number(f32),
}

impl From<ValueId> for Operand {
    fn from(value: ValueId) -> Operand {
        Operand::Value(value)
    }
}

impl From<f32> for Operand {
    fn from(value: f32) -> Operand {
        Operand::Number(value)
    }
}

macro_rules! binary_shorthands {
    ($($name:ident: $doc:literal;)*) => {
        /// Shorthands for the most common operations.
        impl FunctionBuilder {
            $(#[doc = $doc]
            pub fn $name(
                &mut self,
                x: impl Into<Operand>,
                y: impl Into<Operand>,
            ) -> Result<ValueId, BuildError> {
                self.binary(stringify!($name), x.into(), y.into())
            })*
        }
    };
}

binary_shorthands! {
    add: "`x + y`.";
    sub: "`x - y`.";
    mul: "`x * y`.";
    real_div: "`x / y`.";
    pow: "`x` to the power of `y`.";
    maximum: "The larger of both.";
    minimum: "The smaller of both.";
    equal: "Whether `x == y`.";
    not_equal: "Whether `x != y`.";
    greater: "Whether `x > y`.";
    greater_equal: "Whether `x >= y`.";
    less: "Whether `x < y`.";
    less_equal: "Whether `x <= y`.";
    logical_and: "Logical and.";
    logical_or: "Logical or.";
}

impl FunctionBuilder {
    /// The tensor type of a value, if it is of this function.
    fn known(&self, id: ValueId) -> Option<&TensorType> {
        self.function.values.get(id.index()).map(|value| value.ty.tensor())
    }

    fn binary(&mut self, op: &str, x: Operand, y: Operand) -> Result<ValueId, BuildError> {
        let dtype = match (x, y) {
            (Operand::Value(id), _) | (_, Operand::Value(id)) => {
                self.known(id).map_or(DataType::Fp32, |ty| ty.dtype)
            }
            _ => DataType::Fp32,
        };
        let mut value = |operand| match operand {
            Operand::Value(id) => id,
            // A fraction stays one, so that the element types differ and the op says so.
            Operand::Number(number) if dtype == DataType::Int32 && number as i32 as f32 == number => {
                self.constant(Constant::scalar(number as i32))
            }
            Operand::Number(number) => self.float(dtype, number),
        };
        let (x, y) = (value(x), value(y));
        self.op(op).arg("x", x).arg("y", y).one()
    }

    /// An op of one tensor `x` and no other required parameter (`relu`, `exp`, `sqrt`, …).
    pub fn unary(&mut self, op: &str, x: ValueId) -> Result<ValueId, BuildError> {
        self.op(op).arg("x", x).one()
    }

    /// Converts to another element type; the value itself if it has that type already.
    pub fn cast(&mut self, x: ValueId, dtype: DataType) -> Result<ValueId, BuildError> {
        if self.known(x).is_some_and(|ty| ty.dtype == dtype) {
            return Ok(x);
        }
        self.op("cast").arg("x", x).string("dtype", dtype.name()).one()
    }

    /// `reshape` to known dimensions; the value itself if it has them already.
    pub fn reshape(&mut self, x: ValueId, shape: &[usize]) -> Result<ValueId, BuildError> {
        if self.known(x).is_some_and(|ty| *ty.shape == *shape) {
            return Ok(x);
        }
        self.op("reshape").arg("x", x).shape("shape", shape).one()
    }

    /// `transpose` by a permutation.
    pub fn transpose(&mut self, x: ValueId, perm: &[i32]) -> Result<ValueId, BuildError> {
        self.op("transpose").arg("x", x).ints("perm", perm).one()
    }

    /// `matmul` with optional transposition of the last two dimensions of either operand.
    pub fn matmul(
        &mut self,
        x: ValueId,
        y: ValueId,
        transpose_x: bool,
        transpose_y: bool,
    ) -> Result<ValueId, BuildError> {
        self.op("matmul")
            .arg("x", x)
            .arg("y", y)
            .bool("transpose_x", transpose_x)
            .bool("transpose_y", transpose_y)
            .one()
    }

    /// A reduction (`reduce_sum`, `reduce_mean`, …) over the given axes.
    pub fn reduce(
        &mut self,
        op: &str,
        x: ValueId,
        axes: &[i32],
        keep_dims: bool,
    ) -> Result<ValueId, BuildError> {
        self.op(op).arg("x", x).ints("axes", axes).bool("keep_dims", keep_dims).one()
    }

    /// `select`: `a` where `cond` is true, `b` elsewhere.
    pub fn select(&mut self, cond: ValueId, a: ValueId, b: ValueId) -> Result<ValueId, BuildError> {
        self.op("select").arg("cond", cond).arg("a", a).arg("b", b).one()
    }

    /// `read_state`.
    pub fn read_state(&mut self, state: ValueId) -> Result<ValueId, BuildError> {
        self.op("read_state").arg("input", state).one()
    }

    /// `coreml_update_state`; returns what the state now holds.
    pub fn update_state(&mut self, state: ValueId, value: ValueId) -> Result<ValueId, BuildError> {
        self.op("coreml_update_state").arg("state", state).arg("value", value).one()
    }
}
