//! What is kept of a loop's variables, for its turns to be computed once more.

use super::lists;
use crate::autodiff::context::RuleError;
use mil::{
    Block, BuildError, DataType, FunctionBuilder, ListType, Operation, Shape, TensorType, Type, UNKNOWN,
    ValueId,
};

/// What is kept of one variable.
pub(super) enum Kept {
    /// Nothing: this value will do in every turn.
    Stands(ValueId),
    /// A tensor of this type for each turn.
    Tensors(TensorType),
    /// The elements of a list of this type for each turn, stacked, and how many they are.
    Lists(ListType),
}

impl Kept {
    pub(super) fn of(
        f: &FunctionBuilder,
        operation: &Operation,
        body: &Block,
        at: usize,
    ) -> Result<Kept, RuleError> {
        let (input, first) = (body.inputs[at], operation.args[0].values()[at]);
        let looked_at = body.ops.iter().any(|inner| inner.uses_within().contains(&input));
        if body.outputs[at] == input || !looked_at {
            return Ok(Kept::Stands(first));
        }
        match f.ty(input).clone() {
            // Nothing looks at the elements, so the list of the loop's end has the place for every one that is written.
            Type::List(ty) if is_only_written(body, input, &ty) => Ok(Kept::Stands(operation.outputs[at])),
            Type::List(ty) => Ok(Kept::Lists(ty)),
            Type::Tensor(ty) => Ok(Kept::Tensors(ty)),
            ty => Err(RuleError::Unsupported(format!("a variable is {ty}, which cannot be recorded"))),
        }
    }

    /// The value that stands for the variable in every turn.
    pub(super) fn stands(&self) -> Option<ValueId> {
        match self {
            Kept::Stands(value) => Some(*value),
            Kept::Tensors(_) | Kept::Lists(_) => None,
        }
    }

    /// The types of the lists that hold the record: one element for each turn.
    pub(super) fn records(&self) -> Vec<ListType> {
        let list = |element| ListType { element, length: None };
        match self {
            Kept::Stands(_) => Vec::new(),
            Kept::Tensors(ty) => vec![list(ty.clone())],
            Kept::Lists(ty) => {
                let length = ty.length.unwrap_or(UNKNOWN);
                let stacked: Shape = [length].iter().chain(ty.element.shape.iter()).copied().collect();
                vec![list(ty.element.with_shape(stacked)), list(TensorType::scalar(DataType::Int32))]
            }
        }
    }

    /// What is recorded of the variable at the beginning of a turn, one value for each of [`Kept::records`].
    pub(super) fn values(&self, f: &mut FunctionBuilder, var: ValueId) -> Result<Vec<ValueId>, BuildError> {
        match self {
            Kept::Stands(_) => Ok(Vec::new()),
            Kept::Tensors(_) => Ok(vec![var]),
            Kept::Lists(ty) => {
                let length = lists::length(f, var)?;
                let places = lists::counting(f, length, ty.length)?;
                Ok(vec![lists::stacked(f, var, places)?, length])
            }
        }
    }

    /// The variable as it was when turn `at` began; `None` where a value stands for it.
    pub(super) fn recall(
        &self,
        f: &mut FunctionBuilder,
        record: &[ValueId],
        at: ValueId,
    ) -> Result<Option<ValueId>, BuildError> {
        let mut values = Vec::with_capacity(record.len());
        for &list in record {
            values.push(f.op("list_read").arg("ls", list).arg("index", at).one()?);
        }
        match (self, values.as_slice()) {
            (Kept::Tensors(_), &[tensor]) => Ok(Some(tensor)),
            (Kept::Lists(ty), &[elements, length]) => {
                let list = lists::make(f, ty, length)?;
                let places = lists::counting(f, length, ty.length)?;
                lists::scattered(f, list, places, elements).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// Whether a list that comes into a block is written there, but nothing looks at its elements (or, if it grows, at
/// their number).
fn is_only_written(body: &Block, list: ValueId, ty: &ListType) -> bool {
    let mut forms = vec![list];
    for operation in &body.ops {
        let used = operation.uses_within();
        if !forms.iter().any(|form| used.contains(form)) {
            continue;
        }
        match operation.op.name {
            "list_write" | "list_scatter" => forms.extend(&operation.outputs),
            "list_length" if ty.length.is_some() => {}
            _ => return false,
        }
    }
    true
}
