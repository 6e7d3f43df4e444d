//! What a model says about itself: functions, features, metadata.
//!
//! The description is what Core ML shows to an app. It names the inputs, outputs and states of every function with the
//! types that the app sees (an image, a dictionary of class probabilities, an array whose shape may vary), where the program
//! below knows only tensors. [`Description`] holds all of it, so that writing it back loses nothing.

mod agree;
mod codec;
mod derive;
mod feature;
mod types;

pub use feature::{
    ArrayDataType, ArrayFeature, ArrayFlexibility, ColorSpace, DefaultValue, Feature, FeatureType,
    ImageFeature, ImageFlexibility, KeyType, SequenceFeature, ShapeError, SizeRange,
};

pub(crate) use codec::{read, reread, write};

use std::collections::BTreeMap;

/// Description of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The functions, at least one. In a model of one function that does not name it, it is called `main`.
    pub functions: Vec<FunctionDescription>,
    /// The function that runs when none is asked for; only models of several functions name it.
    pub default_function: Option<String>,
    /// Whether the file lists functions by name (Core ML 8 and later) or has the features of its one function in
    /// place of that list. Both forms mean the same for one function; the form is kept.
    pub multi_function: bool,
    /// Author, licence and so on.
    pub metadata: Metadata,
}

impl Description {
    /// The function with this name.
    pub fn function(&self, name: &str) -> Option<&FunctionDescription> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// The function that runs when none is asked for.
    pub fn default_function(&self) -> Option<&FunctionDescription> {
        match &self.default_function {
            Some(name) => self.function(name),
            None => self.functions.first(),
        }
    }
}

/// Inputs, outputs and states of one function, as an app sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionDescription {
    /// Name, that of the program's function.
    pub name: String,
    /// Inputs.
    pub inputs: Vec<Feature>,
    /// Outputs.
    pub outputs: Vec<Feature>,
    /// States.
    pub states: Vec<Feature>,
    /// For classifiers: the output that holds the most probable class.
    pub predicted_feature: Option<String>,
    /// For classifiers: the output that holds the probability of every class.
    pub predicted_probabilities: Option<String>,
}

impl FunctionDescription {
    /// The input with this name.
    pub fn input(&self, name: &str) -> Option<&Feature> {
        self.inputs.iter().find(|feature| feature.name == name)
    }

    /// The output with this name.
    pub fn output(&self, name: &str) -> Option<&Feature> {
        self.outputs.iter().find(|feature| feature.name == name)
    }

    /// The state with this name.
    pub fn state(&self, name: &str) -> Option<&Feature> {
        self.states.iter().find(|feature| feature.name == name)
    }
}

/// Who made a model, and what for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// One or two sentences on what the model does.
    pub description: String,
    /// The model's version, in the author's own scheme.
    pub version: String,
    /// Author.
    pub author: String,
    /// Licence.
    pub license: String,
    /// Anything else, by key. coremltools keeps its version and the source framework here.
    pub user_defined: BTreeMap<String, String>,
}
