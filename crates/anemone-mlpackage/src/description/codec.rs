//! Descriptions as protobuf: `ModelDescription` and what is in it, down to the features.

use super::feature::Feature;
use super::{Description, FunctionDescription, Metadata, types};
use crate::proto::schema::{
    feature_description, function_description, metadata as schema_metadata, model_description,
};
use crate::proto::wire::{Encoder, Fault, Field, Fields, Read, Within, entry, once};
use std::collections::HashSet;

/// Name of a function in a file that does not name its only one. Source: coremltools' default function name.
pub(crate) const MAIN: &str = "main";

/// Reads a `ModelDescription`.
pub(crate) fn read(bytes: &[u8]) -> Read<Description> {
    use model_description as m;
    let mut only = FunctionDescription { name: MAIN.into(), ..FunctionDescription::default() };
    let mut functions: Vec<FunctionDescription> = Vec::new();
    let (mut metadata, mut default_function) = (None, None);
    let mut names: [Names; 3] = Default::default();
    let mut function_names = Names::new();
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::INPUT => features(&field, "input", &mut names[0], &mut only.inputs)?,
            m::OUTPUT => features(&field, "output", &mut names[1], &mut only.outputs)?,
            m::STATE => features(&field, "state", &mut names[2], &mut only.states)?,
            m::PREDICTED_FEATURE_NAME => once(&mut only.predicted_feature, &field, text(&field)?)?,
            m::PREDICTED_PROBABILITIES_NAME => {
                once(&mut only.predicted_probabilities, &field, text(&field)?)?;
            }
            m::FUNCTIONS => {
                let function =
                    function(field.bytes()?).within(|| format!("functions[{}]", functions.len()))?;
                if !function_names.insert(function.name.clone()) {
                    let name = function.name;
                    return Err(Fault::new(format!("two functions are described under the name `{name}`")));
                }
                functions.push(function);
            }
            m::DEFAULT_FUNCTION_NAME => once(&mut default_function, &field, text(&field)?)?,
            m::METADATA => {
                let read = read_metadata(field.bytes()?).within(|| "metadata")?;
                once(&mut metadata, &field, read)?;
            }
            m::TRAINING_INPUT => {
                return Err(Fault::new(
                    "it has training inputs, which belong to updatable neural networks; ML Programs have none",
                ));
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let multi_function = !functions.is_empty();
    let named = FunctionDescription { name: MAIN.into(), ..FunctionDescription::default() };
    if multi_function && only != named {
        return Err(Fault::new("it describes features both by function and outside of any function"));
    }
    if !multi_function {
        functions.push(only);
    }
    if let Some(name) = &default_function
        && !functions.iter().any(|function| function.name == *name)
    {
        return Err(Fault::new(format!("the default function `{name}` is not described")));
    }
    Ok(Description { functions, default_function, multi_function, metadata: metadata.unwrap_or_default() })
}

fn text(field: &Field<'_>) -> Read<String> {
    field.string().map(str::to_string)
}

fn function(bytes: &[u8]) -> Read<FunctionDescription> {
    use function_description as m;
    let mut function = FunctionDescription::default();
    let mut names: [Names; 3] = Default::default();
    let mut name = None;
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::NAME => once(&mut name, &field, text(&field)?)?,
            m::INPUT => features(&field, "input", &mut names[0], &mut function.inputs)?,
            m::OUTPUT => features(&field, "output", &mut names[1], &mut function.outputs)?,
            m::STATE => features(&field, "state", &mut names[2], &mut function.states)?,
            m::PREDICTED_FEATURE_NAME => once(&mut function.predicted_feature, &field, text(&field)?)?,
            m::PREDICTED_PROBABILITIES_NAME => {
                once(&mut function.predicted_probabilities, &field, text(&field)?)?;
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    function.name = name.ok_or_else(|| Fault::new("the function has no name"))?;
    Ok(function)
}

/// The names of one list, so that twins are found without comparing each with each.
type Names = HashSet<String>;

fn features(field: &Field<'_>, what: &str, names: &mut Names, to: &mut Vec<Feature>) -> Read<()> {
    let feature = feature(field.bytes()?).within(|| format!("{what}[{}]", to.len()))?;
    if !names.insert(feature.name.clone()) {
        return Err(Fault::new(format!("two {what}s are described under the name `{}`", feature.name)));
    }
    to.push(feature);
    Ok(())
}

fn feature(bytes: &[u8]) -> Read<Feature> {
    use feature_description as m;
    let (mut name, mut description, mut ty) = (None, None, None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::NAME => once(&mut name, &field, text(&field)?)?,
            m::SHORT_DESCRIPTION => once(&mut description, &field, text(&field)?)?,
            m::TYPE => once(&mut ty, &field, field.bytes()?)?,
            _ => return field.unknown(m::MESSAGE),
        }
    }
    let name = name.ok_or_else(|| Fault::new("the feature has no name"))?;
    let (ty, optional) = ty
        .ok_or_else(|| Fault::new("the feature has no type"))
        .and_then(types::read)
        .within(|| format!("`{name}`"))?;
    Ok(Feature { name, description: description.unwrap_or_default(), ty, optional })
}

fn read_metadata(bytes: &[u8]) -> Read<Metadata> {
    use schema_metadata as m;
    let [mut description, mut version, mut author, mut license] = [const { None }; 4];
    let mut user_defined = std::collections::BTreeMap::new();
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            m::SHORT_DESCRIPTION => once(&mut description, &field, text(&field)?)?,
            m::VERSION_STRING => once(&mut version, &field, text(&field)?)?,
            m::AUTHOR => once(&mut author, &field, text(&field)?)?,
            m::LICENSE => once(&mut license, &field, text(&field)?)?,
            m::USER_DEFINED => {
                let (key, value) = entry(field.bytes()?)?;
                let value = value.map_or(Ok(""), |value| value.string())?;
                if user_defined.insert(key.to_string(), value.to_string()).is_some() {
                    return Err(Fault::new(format!("the user-defined key `{key}` is given twice")));
                }
            }
            _ => return field.unknown(m::MESSAGE),
        }
    }
    Ok(Metadata {
        description: description.unwrap_or_default(),
        version: version.unwrap_or_default(),
        author: author.unwrap_or_default(),
        license: license.unwrap_or_default(),
        user_defined,
    })
}

/// The description as a file has it: written, and read again. A fault when no file can have it.
pub(crate) fn reread(description: &Description) -> Read<Description> {
    let mut e = Encoder::default();
    write(description, &mut e);
    read(&e.finish())
}

/// Writes a `ModelDescription`.
pub(crate) fn write(description: &Description, e: &mut Encoder) {
    use model_description as m;
    if !description.multi_function
        && let Some(only) = description.functions.first()
    {
        write_features(e, m::INPUT, &only.inputs);
        write_features(e, m::OUTPUT, &only.outputs);
        e.string(m::PREDICTED_FEATURE_NAME, only.predicted_feature.as_deref().unwrap_or(""));
        e.string(m::PREDICTED_PROBABILITIES_NAME, only.predicted_probabilities.as_deref().unwrap_or(""));
        write_features(e, m::STATE, &only.states);
    }
    if description.multi_function {
        for function in &description.functions {
            e.message(m::FUNCTIONS, |e| write_function(function, e));
        }
    }
    e.string(m::DEFAULT_FUNCTION_NAME, description.default_function.as_deref().unwrap_or(""));
    if description.metadata != Metadata::default() {
        e.message(m::METADATA, |e| write_metadata(&description.metadata, e));
    }
}

fn write_function(function: &FunctionDescription, e: &mut Encoder) {
    use function_description as m;
    e.string(m::NAME, &function.name);
    write_features(e, m::INPUT, &function.inputs);
    write_features(e, m::OUTPUT, &function.outputs);
    e.string(m::PREDICTED_FEATURE_NAME, function.predicted_feature.as_deref().unwrap_or(""));
    e.string(m::PREDICTED_PROBABILITIES_NAME, function.predicted_probabilities.as_deref().unwrap_or(""));
    write_features(e, m::STATE, &function.states);
}

fn write_features(e: &mut Encoder, number: u32, features: &[Feature]) {
    use feature_description as m;
    for feature in features {
        e.message(number, |e| {
            e.string(m::NAME, &feature.name);
            e.string(m::SHORT_DESCRIPTION, &feature.description);
            e.message(m::TYPE, |e| types::write(&feature.ty, feature.optional, e));
        });
    }
}

fn write_metadata(metadata: &Metadata, e: &mut Encoder) {
    use schema_metadata as m;
    e.string(m::SHORT_DESCRIPTION, &metadata.description);
    e.string(m::VERSION_STRING, &metadata.version);
    e.string(m::AUTHOR, &metadata.author);
    e.string(m::LICENSE, &metadata.license);
    for (key, value) in &metadata.user_defined {
        e.message(m::USER_DEFINED, |e| {
            e.bytes(1, key.as_bytes());
            e.bytes(2, value.as_bytes());
        });
    }
}
