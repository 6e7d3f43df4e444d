//! One function of a model, compiled, fed and read by the names of its features.

use super::{ModelError, SessionOptions, only};
use anemone_mlpackage::{DefaultValue, FeatureType, FunctionDescription};
use anemone_passes::{Classifier, classifiers_to_scores};
use anemone_runtime::{Backend, CompileOptions, Executable, Feature, States, Tensor};
use mil::{DataType, Function, Program, TensorType, verify};
use std::collections::BTreeMap;

/// A class label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// A name.
    String(String),
    /// A number.
    Int64(i64),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Label::String(label) => f.write_str(label),
            Label::Int64(label) => label.fmt(f),
        }
    }
}

/// What a feature of the result holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// An array.
    Tensor(Tensor),
    /// A classifier's answer.
    Label(Label),
    /// A classifier's probabilities, in the order of its classes.
    Probabilities(Vec<(Label, f64)>),
}

impl Output {
    /// The array, if it is one.
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Output::Tensor(tensor) => Some(tensor),
            Output::Label(_) | Output::Probabilities(_) => None,
        }
    }
}

/// A compiled function of a model.
pub struct Session {
    executable: Box<dyn Executable>,
    defaults: BTreeMap<String, Tensor>,
    /// Names of the outputs in the function's order, before classifiers were taken apart.
    outputs: Vec<String>,
    classifiers: Vec<Classifier>,
}

impl Session {
    pub(super) fn new(
        function: &Function,
        description: Option<&FunctionDescription>,
        program: &Program,
        backend: &dyn Backend,
        options: &SessionOptions,
    ) -> Result<Session, ModelError> {
        let outputs = function.body.outputs.iter().map(|&id| function.display_name(id)).collect();
        let (scored, classifiers) = classifiers_to_scores(function);
        let verified = verify(only(program, scored)).map_err(ModelError::Invalid)?;
        let compile =
            CompileOptions { function: None, states: options.states.clone(), shapes: options.shapes.clone() };
        let executable = backend.compile(&verified, &compile)?;
        let mut defaults = BTreeMap::new();
        for feature in executable.inputs() {
            if let Some(default) = description.and_then(|description| default(description, feature)) {
                defaults.insert(feature.name.clone(), default?);
            }
        }
        Ok(Session { executable, defaults, outputs, classifiers })
    }

    /// The inputs. Dimensions that are not known take any size.
    pub fn inputs(&self) -> &[Feature] {
        self.executable.inputs()
    }

    /// Names of the outputs, in the function's order.
    pub fn output_names(&self) -> &[String] {
        &self.outputs
    }

    /// The states. They keep their values from one prediction to the next.
    pub fn states(&self) -> &States {
        self.executable.states()
    }

    /// Runs once. Every input must be there, but for optional ones, which have a default; the result has every output, in
    /// the function's order.
    ///
    /// # Errors
    /// When an input is missing, unknown or of another type, or the run fails.
    pub fn predict(
        &mut self,
        inputs: &BTreeMap<String, Tensor>,
    ) -> Result<Vec<(String, Output)>, ModelError> {
        let features = self.executable.inputs();
        if let Some(name) = inputs.keys().find(|name| features.iter().all(|feature| feature.name != **name)) {
            let known = features.iter().map(|feature| feature.name.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("is not one of the model's; they are: {known}");
            return Err(ModelError::Input { name: name.clone(), message });
        }
        let mut tensors = Vec::with_capacity(features.len());
        for feature in features {
            let given = inputs.get(&feature.name).or_else(|| self.defaults.get(&feature.name));
            tensors.push(given.ok_or_else(|| ModelError::Input {
                name: feature.name.clone(),
                message: format!("is missing; it is {}", feature.ty),
            })?);
        }
        // The caller's own tensors, but for scalars, which Core ML's users give as arrays of one element.
        let scalars = scalars(features, &tensors)?;
        let tensors: Vec<&Tensor> = tensors
            .into_iter()
            .zip(&scalars)
            .map(|(tensor, scalar)| scalar.as_ref().unwrap_or(tensor))
            .collect();
        let results = self.executable.call(&tensors)?;
        let named = self.executable.outputs().iter().map(|feature| feature.name.clone()).zip(results);
        let mut results: BTreeMap<String, Tensor> = named.collect();
        let mut found = BTreeMap::new();
        for classifier in &self.classifiers {
            let Some(scores) = results.get(&classifier.scores) else { continue };
            let probabilities = probabilities(classifier, scores)?;
            if let (Some(name), Some(label)) = (&classifier.label, likeliest(&probabilities)) {
                found.insert(name.clone(), Output::Label(label.clone()));
            }
            if let Some(name) = &classifier.probabilities {
                found.insert(name.clone(), Output::Probabilities(probabilities));
            }
        }
        let outputs = self.outputs.iter().filter_map(|name| {
            let output = found.remove(name).or_else(|| results.remove(name).map(Output::Tensor))?;
            Some((name.clone(), output))
        });
        Ok(outputs.collect())
    }
}

/// For inputs that the program takes as scalars and the caller gave as arrays of one element: the scalars.
fn scalars(features: &[Feature], tensors: &[&Tensor]) -> Result<Vec<Option<Tensor>>, ModelError> {
    let scalar = |(feature, tensor): (&Feature, &&Tensor)| {
        let reshape = feature.ty.shape.is_empty() && **tensor.shape() == [1];
        let ty = TensorType::scalar(tensor.dtype());
        reshape.then(|| Tensor::from_bytes(ty, tensor.bytes())).transpose().map_err(ModelError::from)
    };
    features.iter().zip(tensors).map(scalar).collect()
}

/// The value of an input that is optional, if it is: what the description gives, or zeros.
fn default(description: &FunctionDescription, feature: &Feature) -> Option<Result<Tensor, ModelError>> {
    let described = description.input(&feature.name)?;
    let FeatureType::Array(array) = &described.ty else { return None };
    if !described.optional || !feature.ty.shape.is_known() {
        return None;
    }
    let value = match array.default {
        Some(DefaultValue::Int(value)) => f64::from(value),
        Some(DefaultValue::Float(value)) => f64::from(value),
        Some(DefaultValue::Double(value)) => value,
        None => 0.0,
    };
    Some(filled(&feature.ty, value))
}

fn filled(ty: &TensorType, value: f64) -> Result<Tensor, ModelError> {
    let mut tensor = Tensor::zeros(ty.clone())?;
    let element = match ty.dtype {
        DataType::Fp16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
        DataType::Fp32 => (value as f32).to_le_bytes().to_vec(),
        DataType::Int32 => (value as i32).to_le_bytes().to_vec(),
        DataType::Int8 => (value as i8).to_le_bytes().to_vec(),
        _ => return Ok(tensor),
    };
    tensor.bytes_mut().chunks_exact_mut(element.len()).for_each(|to| to.copy_from_slice(&element));
    Ok(tensor)
}

fn probabilities(classifier: &Classifier, scores: &Tensor) -> Result<Vec<(Label, f64)>, ModelError> {
    let labels: Vec<Label> = match (classifier.classes.as_strings(), classifier.classes.to_i64()) {
        (Some(strings), _) => strings.iter().cloned().map(Label::String).collect(),
        (None, ints) => ints.unwrap_or_default().into_iter().map(Label::Int64).collect(),
    };
    Ok(labels.into_iter().zip(scores.to_f32()?.iter().map(|&score| f64::from(score))).collect())
}

/// The label of the greatest probability, the first of several.
fn likeliest(probabilities: &[(Label, f64)]) -> Option<&Label> {
    let mut best: Option<&(Label, f64)> = None;
    for candidate in probabilities {
        if best.is_none_or(|best| candidate.1 > best.1) {
            best = Some(candidate);
        }
    }
    best.map(|(label, _)| label)
}
