//! Turning probabilities into a class label.

use super::{Effect, Family, OpDecl, Opset, Param};
use crate::{DataType, DataTypeSet, InferError, OpView, TensorType, Type};

const LABELS: DataTypeSet = DataTypeSet::of(&[DataType::String, DataType::Int64]);

/// The family's declarations.
pub static OPS: &[OpDecl] = &[OpDecl {
    name: "classify",
    family: Family::Classify,
    since: Opset::Ios15,
    summary: "The label in `classes` of the greatest probability, and a dictionary from every label to its probability. `classes` \
              holds as many labels as `probabilities` has elements, strings or `int64`. The results are outputs of the program; \
              no other op takes them.",
    params: &[
        Param::tensor("probabilities", 0, DataTypeSet::of(&[DataType::Fp32])),
        Param::tensor("classes", 0, LABELS).constant(),
    ],
    effect: Effect::Pure,
    infer: classify,
}];

fn classify(op: &OpView<'_>) -> Result<Vec<Type>, InferError> {
    let (probabilities, classes) = (op.shape("probabilities")?, op.tensor("classes")?);
    if probabilities.checked_len() != classes.shape.checked_len() {
        let message = format!("is {classes}, but must hold one label for each element of {probabilities}");
        return Err(InferError::new("classes", message));
    }
    let label = TensorType::scalar(classes.dtype);
    Ok(vec![Type::Tensor(label.clone()), Type::Dict(label)])
}
