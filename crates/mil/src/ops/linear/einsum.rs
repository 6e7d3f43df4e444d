//! Equations of `einsum`: parsing, and what they say about shapes.

use crate::ops::infer::{Inferred, one};
use crate::{InferError, OpView, Shape};

/// A parsed equation. Each distinct letter is a label, numbered in order of appearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equation {
    /// Labels of each operand's dimensions. A label may stand twice in one operand: its diagonal is meant.
    pub inputs: Vec<Vec<usize>>,
    /// Labels of the output's dimensions, each once.
    pub output: Vec<usize>,
    /// Number of labels.
    pub labels: usize,
}

impl Equation {
    /// Parses an equation such as `"bij,bjk->bik"`. Labels are ASCII letters; spaces do not count; the output is
    /// always written out, and without ellipsis.
    ///
    /// # Errors
    /// When the text is not such an equation.
    pub fn parse(text: &str) -> Result<Equation, InferError> {
        let (inputs, output) = text
            .split_once("->")
            .ok_or_else(|| fault("has no \"->\"; write the output's letters after it"))?;
        let mut letters: Vec<char> = Vec::new();
        let inputs =
            inputs.split(',').map(|term| labels(term, &mut letters)).collect::<Result<Vec<_>, _>>()?;
        let known = letters.len();
        let output = labels(output, &mut letters)?;
        for (i, label) in output.iter().enumerate() {
            let letter = letters[*label];
            if *label >= known {
                return Err(fault(format!("gives the output dimension `{letter}`, which no operand has")));
            }
            if output[..i].contains(label) {
                return Err(fault(format!("names `{letter}` twice in the output")));
            }
        }
        Ok(Equation { inputs, output, labels: known })
    }

    /// The size of each label for operands of these shapes; a dimension of 1 stretches.
    ///
    /// # Errors
    /// When the operands do not have as many dimensions as letters, or sizes of one label differ.
    pub fn sizes(&self, shapes: &[&Shape]) -> Result<Vec<usize>, InferError> {
        if shapes.len() != self.inputs.len() {
            let message =
                format!("must be {} tensors for this equation, but are {}", self.inputs.len(), shapes.len());
            return Err(InferError::new("values", message));
        }
        let mut sizes = vec![1; self.labels];
        for (index, (labels, shape)) in self.inputs.iter().zip(shapes).enumerate() {
            if labels.len() != shape.rank() {
                let message = format!(
                    "has shape {shape} as operand {index}, but the equation names {} dimensions",
                    labels.len()
                );
                return Err(InferError::new("values", message));
            }
            for (i, (&label, &dim)) in labels.iter().zip(shape.iter()).enumerate() {
                let twin = labels[..i].iter().position(|&other| other == label);
                if twin.is_some_and(|twin| shape[twin] != dim)
                    || (dim != 1 && sizes[label] != 1 && dim != sizes[label])
                {
                    let message = format!(
                        "has size {dim} in dimension {i} of operand {index}, but the same letter has size {} elsewhere",
                        twin.map_or(sizes[label], |twin| shape[twin])
                    );
                    return Err(InferError::new("values", message));
                }
                if dim != 1 {
                    sizes[label] = dim;
                }
            }
        }
        Ok(sizes)
    }
}

/// The parsed equation of an `einsum` and the size of each of its labels.
///
/// # Errors
/// When the equation does not parse or the operands do not fit; never for a verified operation.
pub fn geometry(op: &OpView<'_>) -> Result<(Equation, Vec<usize>), InferError> {
    let equation = Equation::parse(op.string("equation")?)?;
    let shapes: Vec<&Shape> = op.values("values").iter().map(|&value| op.function.shape(value)).collect();
    let sizes = equation.sizes(&shapes)?;
    Ok((equation, sizes))
}

fn labels(term: &str, letters: &mut Vec<char>) -> Result<Vec<usize>, InferError> {
    let label = |letter: char| {
        if !letter.is_ascii_alphabetic() {
            return Err(fault(format!("holds {letter:?}; dimensions are named with single letters")));
        }
        Ok(letters.iter().position(|&known| known == letter).unwrap_or_else(|| {
            letters.push(letter);
            letters.len() - 1
        }))
    };
    term.chars().filter(|letter| *letter != ' ').map(label).collect()
}

fn fault(message: impl Into<String>) -> InferError {
    InferError::new("equation", message)
}

pub(super) fn infer(op: &OpView<'_>) -> Inferred {
    let (equation, sizes) = geometry(op)?;
    // An equation has at least one term, so that there is a first operand.
    let first = op.function.tensor(op.values("values")[0]);
    one(first.with_shape(equation.output.iter().map(|&label| sizes[label]).collect::<Shape>()))
}
