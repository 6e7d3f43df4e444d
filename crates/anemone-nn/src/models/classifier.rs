//! What every image classifier shares: its inputs and its loss.

use crate::losses::{accuracy, cross_entropy};
use crate::train::Loss;
use crate::{Graph, Module, NnError};
use mil::{TensorType, ValueId};

/// Inputs `images` `[B, C, H, W]` and `labels` `int32` `[B]`.
pub(super) fn inputs(batch_size: usize, [channels, height, width]: [usize; 3]) -> Vec<(String, TensorType)> {
    vec![
        ("images".to_string(), TensorType::fp32([batch_size, channels, height, width])),
        ("labels".to_string(), TensorType::int32([batch_size])),
    ]
}

/// Cross-entropy of a classifier, with its accuracy as metric. `inputs` are images and labels.
pub fn classification(model: &impl Module, g: &mut Graph, inputs: &[ValueId]) -> Result<Loss, NnError> {
    let &[images, labels] = inputs else {
        return Err(NnError::config(
            "a classifier",
            format!("takes images and labels, not {} inputs", inputs.len()),
        ));
    };
    let logits = model.forward(g, images)?;
    let loss = cross_entropy(g, logits, labels)?;
    let accuracy = accuracy(g, logits, labels)?;
    Ok(Loss { loss, metrics: vec![("accuracy".to_string(), accuracy)] })
}
