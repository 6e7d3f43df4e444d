//! Compiled models (`.mlmodelc`): MIL text, weights, and a description in JSON.
//!
//! `coremlc` turns a package into a folder with `model.mil`, `weights/` and `metadata.json`. The description is told in
//! strings there (`"shape": "[1, 3]"`); their spelling is that of `FeatureType::toDictionary` in coremltools (BSD-3-Clause),
//! which `coremlc` shares. Reading only: Apple alone makes these, the other half (`coremldata.bin`) is not documented.

use crate::description::{
    ArrayDataType, ArrayFeature, ArrayFlexibility, ColorSpace, Description, Feature, FeatureType,
    FunctionDescription, ImageFeature, ImageFlexibility, KeyType, Metadata, SequenceFeature, SizeRange,
};
use crate::error::{Error, Result};
use crate::package::Package;
use crate::program::version_for;
use crate::weights::Weights;
use crate::{map, model, save};
use mil::Program;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

const TEXT: &str = "model.mil";
const METADATA: &str = "metadata.json";
/// Files of the layer format, which has no text.
const LAYERS: [&str; 2] = ["model.espresso.net", "neural_network_optionals"];
/// Far more than any description takes: bounds what a damaged model can ask for.
const MAX_BYTES: usize = 64 << 20;

/// Opens a folder that is no `.mlpackage`.
pub(crate) fn open(path: &Path) -> Result<Package> {
    let text = path.join(TEXT);
    if !text.is_file() {
        if LAYERS.iter().any(|name| path.join(name).exists()) {
            let message = "this is a compiled neural network in the layer format that came before MIL, which is not \
                           supported; convert the original model again with a deployment target of iOS 15 or later";
            return Err(Error::Kind { path: path.into(), kind: "neuralNetwork", message: message.into() });
        }
        let message = "this folder is no model: a .mlpackage has a Manifest.json, a .mlmodelc of an ML Program a model.mil";
        return Err(Error::NotAModel { path: path.into(), message: message.into() });
    }
    let metadata = path.join(METADATA);
    let bytes = map::map(&metadata)?;
    let bytes = (*bytes).as_ref();
    let fault = |message: String| Error::Model { path: metadata.clone(), place: String::new(), message };
    if bytes.len() > MAX_BYTES {
        return Err(fault(format!("it has {} bytes; a description has a few thousand", bytes.len())));
    }
    let [model]: [Compiled; 1] = serde_json::from_slice(bytes)
        .map_err(|error| fault(format!("this is no description of a compiled model: {error}")))?;
    let version = model.specification_version;
    if version < 1 {
        return Err(fault(format!("`specificationVersion` is {version}; versions count from 1")));
    }
    let description = model.description().map_err(fault)?;
    Ok(Package::from_text(text, Weights::folder(path, Path::new("")), description, version))
}

/// Opens MIL text: described by the file beside it if there is one, else by what it says itself.
pub(crate) fn open_text(path: &Path) -> Result<Package> {
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let weights = Weights::folder(root, Path::new(""));
    let program = program(path, &weights)?;
    let beside = path.with_extension(DESCRIPTION);
    let (version, description) = if beside.is_file() {
        let bytes = map::map(&beside)?;
        let (version, description) = model::read_top((*bytes).as_ref(), &beside)?;
        save::check_description(&save::Model {
            version,
            description: &description,
            program: &program,
            new: false,
        })
        .map_err(|error| Error::Beside {
            path: beside.clone(),
            text: path.into(),
            message: error.to_string(),
        })?;
        (version, description)
    } else {
        let description = Description::of(&program)?;
        (version_for(&program, &description), description)
    };
    Ok(Package::from_text(path.into(), weights, description, version))
}

/// What takes the place of `mil` in the name of the file with the description of MIL text.
pub(crate) const DESCRIPTION: &str = "description.pb";

/// Reads the program of a compiled model.
pub(crate) fn program(path: &Path, weights: &Weights) -> Result<Program> {
    let bytes = map::map(path)?;
    let text = std::str::from_utf8((*bytes).as_ref()).map_err(|_| Error::Model {
        path: path.into(),
        place: String::new(),
        message: "this is no text: it is not UTF-8".into(),
    })?;
    mil::text::parse_with_weights(text, weights).map_err(|source| Error::Text { path: path.into(), source })
}

/// `metadata.json`. It says more (histograms, availability), all of which follows from the program.
#[derive(Deserialize)]
struct Compiled {
    #[serde(rename = "specificationVersion")]
    specification_version: i32,
    #[serde(flatten)]
    only: Schemas,
    #[serde(default)]
    functions: Vec<NamedSchemas>,
    #[serde(rename = "defaultFunctionName")]
    default_function: Option<String>,
    #[serde(rename = "shortDescription", default)]
    description: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    license: String,
    #[serde(rename = "userDefinedMetadata", default)]
    user_defined: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct NamedSchemas {
    name: String,
    #[serde(flatten)]
    schemas: Schemas,
}

#[derive(Deserialize)]
struct Schemas {
    #[serde(rename = "inputSchema", default)]
    inputs: Vec<Schema>,
    #[serde(rename = "outputSchema", default)]
    outputs: Vec<Schema>,
    #[serde(rename = "stateSchema", default)]
    states: Vec<Schema>,
    #[serde(rename = "predictedFeatureName")]
    predicted_feature: Option<String>,
    #[serde(rename = "predictedProbabilitiesName")]
    predicted_probabilities: Option<String>,
}

/// One feature, told in strings.
#[derive(Deserialize)]
struct Schema {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "shortDescription", default)]
    description: String,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

type Told<T> = std::result::Result<T, String>;

impl Compiled {
    fn description(self) -> Told<Description> {
        let multi_function = !self.functions.is_empty();
        let functions = if multi_function {
            self.functions
                .into_iter()
                .map(|function| function.schemas.function(function.name))
                .collect::<Told<_>>()?
        } else {
            vec![self.only.function("main".into())?]
        };
        Ok(Description {
            functions,
            default_function: self.default_function.filter(|_| multi_function),
            multi_function,
            metadata: Metadata {
                description: self.description,
                version: self.version,
                author: self.author,
                license: self.license,
                user_defined: self.user_defined,
            },
        })
    }
}

impl Schemas {
    fn function(self, name: String) -> Told<FunctionDescription> {
        let features = |schemas: Vec<Schema>| -> Told<Vec<Feature>> {
            schemas
                .into_iter()
                .map(|schema| {
                    let name = schema.name.clone();
                    schema.feature().map_err(|message| format!("the feature `{name}` {message}"))
                })
                .collect()
        };
        Ok(FunctionDescription {
            name,
            inputs: features(self.inputs)?,
            outputs: features(self.outputs)?,
            states: features(self.states)?,
            predicted_feature: self.predicted_feature,
            predicted_probabilities: self.predicted_probabilities,
        })
    }
}

impl Schema {
    fn feature(self) -> Told<Feature> {
        let ty = match self.kind.as_str() {
            "MultiArray" => FeatureType::Array(self.array()?),
            "State" => FeatureType::State(self.array()?),
            "Image" => FeatureType::Image(self.image()?),
            "Dictionary" => FeatureType::Dictionary(self.key("keyType")?),
            "Sequence" => FeatureType::Sequence(self.sequence()?),
            "String" => FeatureType::String,
            "Double" => FeatureType::Double,
            "Int64" => FeatureType::Int64,
            other => return Err(format!("has type `{other}`, which is not known")),
        };
        let optional = self.text("isOptional") == Some("1");
        Ok(Feature { name: self.name, description: self.description, ty, optional })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.rest.get(key)?.as_str()
    }

    fn required(&self, key: &str) -> Told<&str> {
        self.text(key).ok_or_else(|| format!("has no `{key}`"))
    }

    /// A value that is itself JSON, in a string: `"[1, 3]"`.
    fn nested<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Told<T> {
        let text = self.required(key)?;
        serde_json::from_str(text).map_err(|error| {
            let text: String = text.chars().take(40).collect();
            format!("has the `{key}` `{text}`, which is not understood: {error}")
        })
    }

    fn array(&self) -> Told<ArrayFeature> {
        let dtype = self.required("dataType")?;
        let dtype = ArrayDataType::from_name(dtype)
            .ok_or_else(|| format!("has element type `{dtype}`, which is not known"))?;
        let flexibility = match (self.text("enumeratedShapes"), self.text("shapeRange")) {
            (Some(_), _) => ArrayFlexibility::Enumerated(self.nested("enumeratedShapes")?),
            (None, Some(_)) => {
                let ranges: Vec<[i64; 2]> = self.nested("shapeRange")?;
                ArrayFlexibility::Ranges(ranges.into_iter().map(range).collect::<Told<_>>()?)
            }
            (None, None) => ArrayFlexibility::Fixed,
        };
        Ok(ArrayFeature { dtype, shape: self.nested("shape")?, flexibility, default: None })
    }

    fn image(&self) -> Told<ImageFeature> {
        let space = self.required("colorspace")?;
        let color_space = ColorSpace::from_name(space)
            .ok_or_else(|| format!("has color space `{space}`, which is not known"))?;
        let flexibility = match (self.text("enumeratedSizes"), self.text("sizeRange")) {
            (Some(_), _) => ImageFlexibility::Enumerated(self.nested("enumeratedSizes")?),
            (None, Some(_)) => {
                let [width, height]: [[i64; 2]; 2] = self.nested("sizeRange")?;
                ImageFlexibility::Range { width: range(width)?, height: range(height)? }
            }
            (None, None) => ImageFlexibility::Fixed,
        };
        Ok(ImageFeature {
            width: self.nested("width")?,
            height: self.nested("height")?,
            flexibility,
            color_space,
        })
    }

    fn key(&self, key: &str) -> Told<KeyType> {
        match self.required(key)? {
            "Int64" => Ok(KeyType::Int64),
            "String" => Ok(KeyType::String),
            other => Err(format!("has the `{key}` `{other}`, which is not known")),
        }
    }

    fn sequence(&self) -> Told<SequenceFeature> {
        Ok(SequenceFeature { element: self.key("valueType")?, length: range(self.nested("sizeRange")?)? })
    }
}

fn range([lower, upper]: [i64; 2]) -> Told<SizeRange> {
    let lower = u64::try_from(lower).map_err(|_| format!("has a range that begins at {lower}"))?;
    // A negative bound is none.
    Ok(SizeRange { lower, upper: u64::try_from(upper).ok() })
}
