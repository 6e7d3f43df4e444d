//! Reading an operation's arguments by parameter name, defaults included.

use crate::ops::DefaultValue;
use crate::{Arg, Constant, DataType, Function, InferError, Operation, Param, Shape, TensorType, ValueId};

/// One operation in its function. Type inference, kernels, gradient rules and analyses all read
/// arguments through this, so that a default means the same to each of them.
#[derive(Clone, Copy)]
pub struct OpView<'a> {
    /// The function around it.
    pub function: &'a Function,
    /// The operation.
    pub operation: &'a Operation,
}

type Read<T> = Result<T, InferError>;

impl<'a> OpView<'a> {
    /// A view of `operation`, which must be of `function`.
    pub fn new(function: &'a Function, operation: &'a Operation) -> OpView<'a> {
        OpView { function, operation }
    }

    /// Name of the op.
    pub fn name(&self) -> &'static str {
        self.operation.op.name
    }

    /// The argument of a parameter; `Arg::None` when it is absent or there is no such parameter.
    pub fn arg(&self, param: &str) -> &'a Arg {
        let at = self.operation.op.params.iter().position(|declared| declared.name == param);
        at.and_then(|at| self.operation.args.get(at)).unwrap_or(&Arg::None)
    }

    /// The value of a single-valued argument, if present.
    pub fn value(&self, param: &str) -> Option<ValueId> {
        match self.arg(param) {
            Arg::One(value) => Some(*value),
            Arg::None | Arg::Many(_) => None,
        }
    }

    /// The value of an argument that must be present.
    pub fn required(&self, param: &'static str) -> Read<ValueId> {
        self.value(param).ok_or_else(|| InferError::new(param, "is missing"))
    }

    /// The values of a tuple argument (or of a single one).
    pub fn values(&self, param: &str) -> &'a [ValueId] {
        self.arg(param).values()
    }

    /// Type of an argument that must be present.
    pub fn tensor(&self, param: &'static str) -> Read<&'a TensorType> {
        Ok(self.function.tensor(self.required(param)?))
    }

    /// Shape of an argument that must be present.
    pub fn shape(&self, param: &'static str) -> Read<&'a Shape> {
        Ok(&self.tensor(param)?.shape)
    }

    /// Element type of an argument that must be present.
    pub fn dtype(&self, param: &'static str) -> Read<DataType> {
        Ok(self.tensor(param)?.dtype)
    }

    /// The constant given for a parameter, if it is given and constant.
    pub fn constant(&self, param: &str) -> Option<&'a Constant> {
        self.value(param).and_then(|value| self.function.constant(value))
    }

    /// The operands that a back end binds at run time: every argument that is not of a constant-only
    /// parameter, in parameter order, tuples flattened.
    pub fn operands(&self) -> impl Iterator<Item = (&'static Param, ValueId)> + 'a {
        let operation = self.operation;
        operation
            .op
            .params
            .iter()
            .zip(&operation.args)
            .filter(|(param, _)| !param.constant)
            .flat_map(|(param, arg)| arg.values().iter().map(move |&value| (param, value)))
    }

    /// Type of output `index`.
    pub fn output(&self, index: usize) -> &'a TensorType {
        self.function.tensor(self.operation.outputs[index])
    }

    /// Integers of a constant parameter (a scalar gives one), `None` when it is absent without a default.
    pub fn ints(&self, param: &'static str) -> Read<Option<Vec<i64>>> {
        match self.value(param) {
            Some(value) => {
                let constant = self.function.constant(value).ok_or_else(|| {
                    InferError::at_run_time(param, "must be a constant here, so that the shapes are known")
                })?;
                let ints = constant.to_i64();
                ints.map(Some).ok_or_else(|| wrong_type(param, "integers", constant))
            }
            None => Ok(match self.default(param) {
                DefaultValue::Int(value) => Some(vec![value]),
                _ => None,
            }),
        }
    }

    /// A single integer of a constant parameter, or its default.
    pub fn int(&self, param: &'static str) -> Read<i64> {
        match self.ints(param)?.as_deref() {
            Some([value]) => Ok(*value),
            Some(values) => {
                Err(InferError::new(param, format!("must be one integer, but has {} elements", values.len())))
            }
            None => Err(InferError::new(param, "is missing")),
        }
    }

    /// A truth value of a constant parameter, or its default (`false` when none is declared).
    pub fn bool(&self, param: &'static str) -> Read<bool> {
        match self.constant(param) {
            Some(constant) => match constant.to_i64().as_deref() {
                Some([value]) => Ok(*value != 0),
                _ => Err(wrong_type(param, "one bool", constant)),
            },
            None if self.value(param).is_some() => Err(InferError::at_run_time(param, "must be a constant")),
            None => Ok(self.default(param) == DefaultValue::Bool(true)),
        }
    }

    /// Truth values of a constant parameter; `None` when it is absent.
    pub fn bools(&self, param: &'static str) -> Read<Option<Vec<bool>>> {
        Ok(self.ints(param)?.map(|values| values.into_iter().map(|value| value != 0).collect()))
    }

    /// A float of a constant parameter, or its default.
    pub fn float(&self, param: &'static str) -> Read<f32> {
        match self.constant(param) {
            Some(constant) => match (constant.to_f32().as_deref(), constant.to_i64().as_deref()) {
                (Some([value]), _) => Ok(*value),
                (_, Some([value])) => Ok(*value as f32),
                _ => Err(wrong_type(param, "one number", constant)),
            },
            None if self.value(param).is_some() => Err(InferError::at_run_time(param, "must be a constant")),
            None => match self.default(param) {
                DefaultValue::Float(value) => Ok(value),
                DefaultValue::Int(value) => Ok(value as f32),
                _ => Err(InferError::new(param, "is missing")),
            },
        }
    }

    /// A string of a constant parameter, or its default.
    pub fn string(&self, param: &'static str) -> Read<&'a str> {
        match self.constant(param) {
            Some(constant) => match constant.as_strings() {
                Some([value]) => Ok(value),
                _ => Err(wrong_type(param, "one string", constant)),
            },
            None if self.value(param).is_some() => Err(InferError::at_run_time(param, "must be a constant")),
            None => match self.default(param) {
                DefaultValue::Str(value) => Ok(value),
                _ => Err(InferError::new(param, "is missing")),
            },
        }
    }

    fn default(&self, param: &str) -> DefaultValue {
        let declared = self.operation.op.params.iter().find(|declared| declared.name == param);
        declared.map_or(DefaultValue::Required, |declared| declared.default)
    }

    /// Whether the parameter is a tuple.
    pub fn is_tuple(&self, param: &str) -> bool {
        let declared = self.operation.op.params.iter().find(|declared| declared.name == param);
        declared.is_some_and(|declared| declared.kind.is_tuple())
    }
}

fn wrong_type(param: &'static str, wanted: &str, found: &Constant) -> InferError {
    InferError::new(param, format!("must be {wanted}, but is {}", found.ty()))
}
