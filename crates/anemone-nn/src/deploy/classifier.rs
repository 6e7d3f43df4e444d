//! Image classifiers: pixels or normalised images in, scores or labels out.

use super::MAIN;
use crate::data::Normalization;
use crate::{Graph, Mode, Module, NnError};
use mil::{Constant, Function, FunctionBuilder, TensorType, ValueId};

/// What goes into a classifier and comes out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassifierHead {
    /// Takes pixels from 0 to 255 and normalises them so, as training did. Absent: takes images that are normalised.
    pub pixels: Option<Normalization>,
    /// Gives probabilities instead of scores.
    pub probabilities: bool,
}

/// A function that takes `image` `fp32` `[1, C, H, W]` and gives `logits`, or with [`ClassifierHead::probabilities`]
/// `probabilities`, both `[1, classes]`.
///
/// # Errors
/// When the model does not take such images, or the normalisation is for another number of channels.
pub fn classifier(model: &dyn Module, image: [usize; 3], head: &ClassifierHead) -> Result<Function, NnError> {
    let [channels, height, width] = image;
    let mut g = Graph::new(MAIN, Mode::Eval);
    let mut x = g.input("image", TensorType::fp32([1, channels, height, width]))?;
    if let Some(normalization) = &head.pixels {
        x = normalise(&mut g, x, normalization, channels)?;
    }
    let logits = model.forward(&mut g, x)?;
    let output = match head.probabilities {
        true => g.op("softmax").arg("x", logits).int("axis", -1).named("probabilities").one()?,
        false => {
            g.name(logits, "logits");
            logits
        }
    };
    g.finish(&[output])
}

/// `pixel * scale + shift` by channel, in the very steps by which batches for training are made.
fn normalise(
    g: &mut Graph,
    x: ValueId,
    normalization: &Normalization,
    channels: usize,
) -> Result<ValueId, NnError> {
    let Normalization { mean, std } = normalization;
    if mean.len() != channels || std.len() != channels {
        let message = format!("is for {} channels, but the model's images have {channels}", mean.len());
        return Err(NnError::config("the normalisation", message));
    }
    let scale = std.iter().map(|std| 1.0 / (255.0 * std)).collect();
    let shift = mean.iter().zip(std).map(|(mean, std)| -mean / std).collect();
    let shape = [1, channels, 1, 1];
    let scale = g.constant(Constant::new(shape, scale)?);
    let shift = g.constant(Constant::new(shape, shift)?);
    g.name(scale, "pixel_scale");
    g.name(shift, "pixel_shift");
    let scaled = g.mul(x, scale)?;
    Ok(g.add(scaled, shift)?)
}

/// The classifier with its answer in words: `classLabel`, the likeliest of `classes`, and `classLabel_probs`, the probability of
/// each. These are the names that coremltools gives them, which Apple's Vision framework looks for.
///
/// # Errors
/// When the function does not give `fp32` probabilities of as many classes.
pub fn label(function: Function, classes: &[String]) -> Result<Function, NnError> {
    let &[probabilities] = function.body.outputs.as_slice() else {
        let found = function.body.outputs.len();
        return Err(NnError::config(
            "a classifier",
            format!("has one output, but this function has {found}"),
        ));
    };
    let mut builder = FunctionBuilder::resume(function);
    let classes = Constant::strings([classes.len()], classes.to_vec())?;
    let results =
        builder.op("classify").arg("probabilities", probabilities).constant("classes", classes).many()?;
    for (&result, name) in results.iter().zip(["classLabel", "classLabel_probs"]) {
        builder.name(result, name);
    }
    Ok(builder.finish(&results)?)
}
