//! Trained models as Core ML packages: weights frozen, precision chosen, features named and described.
//!
//! ```no_run
//! use anemone::export::{Export, Precision};
//! use anemone::mlpackage::WriteOptions;
//! use anemone::nn::models::llama2c;
//! use std::path::Path;
//!
//! let (model, weights) = llama2c::read(Path::new("stories15M.bin"))?;
//! let export = Export { precision: Precision::Fp16, ..Export::default() };
//! let package = export.decoder(&model, &weights, model.seq_len)?;
//! package.write("stories15M.mlpackage", WriteOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod lower;

pub use error::ExportError;

use crate::nn::deploy::{self, Carry, ClassifierHead};
use crate::nn::models::Llama;
use crate::nn::train::Programs;
use crate::nn::{Module, data::Normalization};
use anemone_mlpackage::{
    ArrayFlexibility, ColorSpace, Description, FeatureType, ImageFeature, ImageFlexibility, Metadata, Package,
};
use anemone_runtime::States;
use mil::{Function, Opset, Program, verify};

/// In what a package computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision: to the bit what evaluation computes. The Neural Engine does not take it.
    Fp32,
    /// Half precision, weights and arithmetic: what the Neural Engine computes in.
    #[default]
    Fp16,
}

/// How models are exported.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Export {
    /// Precision of weights and arithmetic.
    pub precision: Precision,
    /// Whether float arrays go in and come out as `fp16`, which needs iOS 16. Images stay images.
    pub half_io: bool,
    /// Who made the model, and what for.
    pub metadata: Metadata,
}

/// What a classifier sees and says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassifierFeatures {
    /// Takes an image, normalised in the program as in training. Absent: takes an array, normalised already.
    pub pixels: Option<Normalization>,
    /// Names of the classes: then the answer is a label and the probability of each. Absent: scores.
    pub classes: Option<Vec<String>>,
}

impl Export {
    /// An image classifier of one function `main`: input `image`, output `logits`, or `classLabel` and `classLabel_probs`.
    ///
    /// # Errors
    /// When weights are missing, or the images are none that Core ML has as a feature: those have one channel or three.
    pub fn classifier(
        &self,
        model: &dyn Module,
        image: [usize; 3],
        weights: &States,
        features: &ClassifierFeatures,
    ) -> Result<Package, ExportError> {
        let [channels, height, width] = image;
        let color_space = match (channels, &features.pixels) {
            (1, _) => ColorSpace::Grayscale,
            (3, _) | (_, None) => ColorSpace::Rgb,
            _ => {
                let message =
                    format!("have {channels} channels, but as an image feature they must have 1 or 3");
                return Err(ExportError::Option { what: "the model's images".to_string(), message });
            }
        };
        let head =
            ClassifierHead { pixels: features.pixels.clone(), probabilities: features.classes.is_some() };
        let function = deploy::classifier(model, image, &head)?;
        // An image comes as fp32, and `classify` takes nothing else.
        let keep = |name: &str| (name == "image" && head.pixels.is_some()) || name == "probabilities";
        let mut function = lower::lowered(function, weights, self.precision, &|_| false)?;
        if self.half_io {
            function = lower::half_io(&function, &keep)?;
        }
        if let Some(classes) = &features.classes {
            function = deploy::label(function, classes)?;
        }
        let mut package = self.package(vec![self.lowest(&function)])?;
        for feature in features_of(&mut package.description) {
            match feature.name.as_str() {
                "image" if head.pixels.is_some() => {
                    feature.ty = FeatureType::Image(ImageFeature {
                        width: width as u64,
                        height: height as u64,
                        flexibility: ImageFlexibility::Fixed,
                        color_space,
                    });
                    feature.description = "The image".into();
                }
                "image" => feature.description = "The image, normalised as in training".into(),
                "logits" => feature.description = "The score of each class".into(),
                "classLabel" => feature.description = "The likeliest class".into(),
                "classLabel_probs" => feature.description = "The probability of each class".into(),
                _ => {}
            }
        }
        Ok(package)
    }

    /// A language model of one function `main` that takes a whole sequence: input `tokens`, output `logits` for the place
    /// after each token. With several `lengths` any of these is taken, by one program with an unknown dimension.
    ///
    /// # Errors
    /// When weights are missing, or a length is none.
    pub fn prefill(
        &self,
        model: &Llama,
        weights: &States,
        lengths: &[usize],
    ) -> Result<Package, ExportError> {
        let mut sorted = lengths.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let build =
            |length| lower::lowered(deploy::prefill(model, length)?, weights, self.precision, &|_| false);
        let mut function = match sorted.as_slice() {
            [] | [0, ..] => {
                let message = format!("are {lengths:?}, but must be at least one, each at least 1");
                return Err(ExportError::Option { what: "the sequence lengths".to_string(), message });
            }
            &[length] => build(length)?,
            &[.., longest] => return self.flexible_prefill(&build, longest, &sorted),
        };
        if self.half_io {
            function = lower::half_io(&function, &|_| false)?;
        }
        self.language(function)
    }

    fn flexible_prefill(
        &self,
        build: &dyn Fn(usize) -> Result<Function, ExportError>,
        longest: usize,
        lengths: &[usize],
    ) -> Result<Package, ExportError> {
        let half = |function: Function| match self.half_io {
            true => Ok(lower::half_io(&function, &|_| false)?),
            false => Ok(function),
        };
        let function = lower::any_length(&|length| half(build(length)?), longest, "tokens", 1)?;
        let mut package = self.language(function)?;
        for feature in features_of(&mut package.description).filter(|feature| feature.name == "tokens") {
            if let FeatureType::Array(array) = &mut feature.ty {
                let shapes: Vec<Vec<u64>> = lengths.iter().map(|&length| vec![1, length as u64]).collect();
                array.shape = vec![1, longest as u64];
                array.flexibility = ArrayFlexibility::Enumerated(shapes);
            }
        }
        Ok(package)
    }

    /// A language model that writes token by token: inputs `token` and `position`, output `logits`, keys and values of up
    /// to `capacity` positions in states. They hold `fp16` whatever the precision: Core ML takes no other states.
    ///
    /// # Errors
    /// When weights are missing.
    pub fn decoder(&self, model: &Llama, weights: &States, capacity: usize) -> Result<Package, ExportError> {
        let function = deploy::decoder(model, capacity)?;
        let function = lower::lowered(function, weights, self.precision, &is_cache)?;
        let mut function = lower::half_states(&function)?;
        if self.half_io {
            function = lower::half_io(&function, &|_| false)?;
        }
        self.language(function)
    }

    fn language(&self, function: Function) -> Result<Package, ExportError> {
        let mut package = self.package(vec![self.lowest(&function)])?;
        for feature in features_of(&mut package.description) {
            feature.description = match feature.name.as_str() {
                "tokens" => "Numbers of the tokens in the vocabulary",
                "token" => "Number of the token in the vocabulary",
                "position" => "Its place in the text, counted from 0",
                "logits" => "The score of every token of the vocabulary for the place after",
                name if name.ends_with("_cache_k") => "Keys of earlier tokens",
                name if name.ends_with("_cache_v") => "Values of earlier tokens",
                _ => continue,
            }
            .into();
        }
        Ok(package)
    }

    /// The training step and the evaluation of a run, in the run's own precision, going on from `states`
    /// ([`deploy::training`]).
    ///
    /// # Errors
    /// When a state is missing.
    pub fn training(
        &self,
        programs: &Programs,
        states: &States,
        carry: Carry,
    ) -> Result<Package, ExportError> {
        let program = deploy::training(programs, states, carry)?;
        let functions = program.functions.iter().map(lower::acceptable).collect::<Result<_, _>>()?;
        let mut package = self.package(functions)?;
        package.description.default_function = Some(Programs::TRAIN.to_string());
        Ok(package)
    }

    fn lowest(&self, function: &Function) -> Function {
        let least = if self.half_io { Opset::Ios16 } else { Opset::Ios15 };
        anemone_passes::lowest_opset(function, least)
    }

    fn package(&self, functions: Vec<Function>) -> Result<Package, ExportError> {
        let program = Program { functions, build_info: Vec::new() };
        let program = verify(program).map_err(lower::first_fault)?;
        let mut package = Package::new(program)?;
        package.description.metadata = self.metadata.clone();
        Ok(package)
    }
}

/// Whether a state of this name holds keys or values of earlier positions.
fn is_cache(name: &str) -> bool {
    name.ends_with("_cache_k") || name.ends_with("_cache_v")
}

/// Every feature of every function.
fn features_of(description: &mut Description) -> impl Iterator<Item = &mut anemone_mlpackage::Feature> {
    description.functions.iter_mut().flat_map(|function| {
        function.inputs.iter_mut().chain(&mut function.outputs).chain(&mut function.states)
    })
}
