//! `metadata.json` of compiled models: the description, told in strings (`"shape": "[1, 3]"`).
//!
//! The spelling of features is that of `FeatureType::toDictionary` in coremltools (BSD-3-Clause), which `coremlc` shares; the other keys are
//! those of published compiled models. What stands in for an optional input that is left out is not told.

use crate::description::{
    self, ArrayDataType, ArrayFeature, ArrayFlexibility, ColorSpace, Description, Feature, FeatureType,
    FunctionDescription, ImageFeature, ImageFlexibility, KeyType, Metadata, SequenceFeature, SizeRange,
};
use crate::proto::wire::{Fault, Read};
use serde::Deserialize;
use std::collections::BTreeMap;

type Told<T> = std::result::Result<T, String>;

/// Reads the specification version and the description.
pub(super) fn read(bytes: &[u8]) -> Read<(i32, Description)> {
    let [model]: [Compiled; 1] = serde_json::from_slice(bytes)
        .map_err(|error| Fault::new(format!("this is no description of a compiled model: {error}")))?;
    let version = model.specification_version;
    if version < 1 {
        return Err(Fault::new(format!("`specificationVersion` is {version}; versions count from 1")));
    }
    // JSON can say what no model can have, such as two inputs of one name.
    let description = description::reread(&model.description().map_err(Fault::new)?)?;
    Ok((version, description))
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
