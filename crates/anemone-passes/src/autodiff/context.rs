//! What a rule sees: the operation, the cotangents of its outputs, and where to put those of its arguments.

use super::held::Held;
use super::sweep::Cotangents;
use super::{AutodiffError, shapes};
use mil::{BuildError, DataType, FunctionBuilder, InferError, OpView, Operation, Shape, ValueId};
use thiserror::Error;

/// Why a rule could not be applied to an operation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A backward operation could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An argument could not be read.
    #[error(transparent)]
    Argument(#[from] InferError),
    /// The op is used in a way that the rule does not cover.
    #[error("{0}")]
    Unsupported(String),
    /// An operation in a block could not be differentiated.
    #[error("in a block of it, {0}")]
    InBlock(Box<AutodiffError>),
    /// A rule made a gradient of another shape than its value has.
    #[error(
        "a gradient of shape {found} was made for a value of shape {expected}; this is a fault of the rule"
    )]
    Shape {
        /// Shape of the gradient.
        found: Shape,
        /// Shape of the value.
        expected: Shape,
    },
}

pub(super) type Done = Result<(), RuleError>;

/// The differentiation of one operation.
pub struct Gradient<'a> {
    /// Where backward operations are appended.
    pub(super) f: &'a mut FunctionBuilder,
    operation: &'a Operation,
    outputs: Vec<Option<ValueId>>,
    held: Option<&'a Held>,
    active: &'a [bool],
    cotangents: &'a mut Cotangents,
}

impl<'a> Gradient<'a> {
    pub(super) fn new(
        f: &'a mut FunctionBuilder,
        operation: &'a Operation,
        outputs: Vec<Option<ValueId>>,
        held: Option<&'a Held>,
        active: &'a [bool],
        cotangents: &'a mut Cotangents,
    ) -> Gradient<'a> {
        Gradient { f, operation, outputs, held, active, cotangents }
    }

    /// The arguments by name, defaults included.
    pub(super) fn view(&self) -> OpView<'_> {
        OpView::new(self.f.function(), self.operation)
    }

    /// The operation.
    pub(super) fn operation(&self) -> &'a Operation {
        self.operation
    }

    /// A single-valued argument that must be there.
    pub(super) fn arg(&self, param: &'static str) -> Result<ValueId, RuleError> {
        Ok(self.view().required(param)?)
    }

    /// A float constant of the operation, or its default.
    pub(super) fn float(&self, param: &'static str) -> Result<f32, RuleError> {
        Ok(self.view().float(param)?)
    }

    /// An axis parameter as an index into `rank` dimensions.
    pub(super) fn axis(&self, param: &'static str, rank: usize) -> Result<usize, RuleError> {
        let axis = self.view().int(param)?;
        mil::shape::normalize_axis(axis, rank)
            .ok_or_else(|| RuleError::Unsupported(format!("`{param}` is {axis} for a tensor of rank {rank}")))
    }

    /// The first output of the forward operation.
    pub(super) fn y(&self) -> ValueId {
        self.operation.outputs[0]
    }

    /// What the state that is read here may hold because it was written before in this function.
    pub(super) fn held(&self) -> Option<&'a Held> {
        self.held
    }

    /// Shape of a value.
    pub(super) fn shape(&self, id: ValueId) -> Shape {
        self.f.function().shape(id).clone()
    }

    /// Element type of a value.
    pub(super) fn dtype(&self, id: ValueId) -> DataType {
        self.f.dtype(id)
    }

    /// Whether an argument needs a gradient.
    pub(super) fn wants(&self, param: &str) -> bool {
        self.view().values(param).iter().any(|&id| self.wants_value(id))
    }

    /// Whether a value needs a gradient.
    pub(super) fn wants_value(&self, id: ValueId) -> bool {
        self.active.get(id.index()).copied().unwrap_or(false)
    }

    /// The cotangent of output `index` in full shape; `None` when the loss does not depend on that output.
    pub(super) fn cotangent(&mut self, index: usize) -> Result<Option<ValueId>, RuleError> {
        let Some(small) = self.outputs[index] else { return Ok(None) };
        let shape = self.shape(self.operation.outputs[index]);
        let full = shapes::stretch(self.f, small, &shape)?;
        self.outputs[index] = Some(full);
        Ok(Some(full))
    }

    /// The cotangent of the first output in full shape.
    pub(super) fn dy(&mut self) -> Result<ValueId, RuleError> {
        self.cotangent(0)?.ok_or_else(no_cotangent)
    }

    /// The cotangent of the first output; extents may be 1 where the output's are not (same rank), meaning that it is
    /// constant along them. For rules made of broadcasting ops.
    pub(super) fn dy_small(&mut self) -> Result<ValueId, RuleError> {
        self.outputs[0].ok_or_else(no_cotangent)
    }

    /// Adds `gradient` to the cotangent of the argument `param`.
    pub(super) fn give(&mut self, param: &'static str, gradient: ValueId) -> Done {
        let value = self.arg(param)?;
        self.give_value(value, gradient)
    }

    /// Adds `gradient`, which has the rank of the output (extents 1 where it is constant), to the cotangent of an
    /// argument that was broadcast to the output.
    pub(super) fn give_broadcast(&mut self, param: &'static str, gradient: ValueId) -> Done {
        let value = self.arg(param)?;
        let full = self.shape(self.y());
        self.give_reduced(value, gradient, &full)
    }

    /// Adds `gradient` of shape `full` (or smaller, where constant) to the cotangent of a value that was broadcast to
    /// that shape.
    pub(super) fn give_reduced(&mut self, value: ValueId, gradient: ValueId, full: &Shape) -> Done {
        if !self.wants_value(value) {
            return Ok(());
        }
        let to = self.shape(value);
        let gradient = shapes::unbroadcast(self.f, gradient, full, &to)?;
        self.give_value(value, gradient)
    }

    /// Adds `gradient` to the cotangent of a value. It has the value's rank; extents may be 1 where it is constant.
    /// Another float type is converted.
    pub(super) fn give_value(&mut self, value: ValueId, gradient: ValueId) -> Done {
        if !self.wants_value(value) {
            return Ok(());
        }
        let (found, expected) = (self.shape(gradient), self.shape(value));
        let fits = found.len() == expected.len()
            && found.iter().zip(expected.iter()).all(|(&found, &expected)| found == expected || found == 1);
        if !fits {
            return Err(RuleError::Shape { found, expected });
        }
        let dtype = self.dtype(value);
        let gradient = self.f.cast(gradient, dtype)?;
        Ok(self.cotangents.add(self.f, value, gradient)?)
    }

    /// The cotangent of a value so far, which is forgotten: to be given again with more.
    pub(super) fn take(&mut self, value: ValueId) -> Result<Option<ValueId>, RuleError> {
        Ok(self.cotangents.take(self.f, value)?)
    }

    /// The scalar 0 in the element type of `like`.
    pub(super) fn zero(&mut self, like: ValueId) -> ValueId {
        let dtype = self.dtype(like);
        self.f.float(dtype, 0.0)
    }

    /// `value` where `cond` is true, 0 elsewhere. (Not a product: 0 times infinity is not 0.)
    pub(super) fn keep_where(&mut self, cond: ValueId, value: ValueId) -> Result<ValueId, RuleError> {
        let zero = self.zero(value);
        Ok(self.f.select(cond, value, zero)?)
    }

    /// 0 where `cond` is true, `value` elsewhere.
    pub(super) fn drop_where(&mut self, cond: ValueId, value: ValueId) -> Result<ValueId, RuleError> {
        let zero = self.zero(value);
        Ok(self.f.select(cond, zero, value)?)
    }

    /// `-value`.
    pub(super) fn negative(&mut self, value: ValueId) -> Result<ValueId, RuleError> {
        Ok(self.f.mul(value, -1.0)?)
    }

    /// A per-channel vector `[C]` as `[1, C, 1, …]` of the given rank, in element type `dtype`.
    pub(super) fn per_channel(
        &mut self,
        vector: ValueId,
        rank: usize,
        dtype: DataType,
    ) -> Result<ValueId, RuleError> {
        let mut shape = vec![1; rank];
        shape[1] = self.shape(vector).count();
        let vector = self.f.cast(vector, dtype)?;
        Ok(self.f.reshape(vector, &shape)?)
    }

    /// Sums a tensor `[N, C, …]` to `[C]`.
    pub(super) fn sum_to_channels(&mut self, value: ValueId) -> Result<ValueId, RuleError> {
        let rank = self.shape(value).rank() as i32;
        let axes: Vec<i32> = (0..rank).filter(|&axis| axis != 1).collect();
        Ok(self.f.reduce("reduce_sum", value, &axes, false)?)
    }
}

fn no_cotangent() -> RuleError {
    RuleError::Unsupported("the first output has no cotangent; this is a fault of the rule".into())
}
