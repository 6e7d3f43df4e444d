//! Compiled models (`.mlmodelc`) and bare MIL text: the program as text, weights, and a description beside it.
//!
//! `coremlc` turns a package into a folder with `model.mil`, `weights/`, and the description twice: as protobuf in `coremldata.bin`, and
//! as JSON for people in `metadata.json`. Reading only: Apple alone makes these, and what else stands in `coremldata.bin` is not documented.

mod data;
mod metadata;

use crate::description::{self, Description};
use crate::error::{Error, Result};
use crate::map::Shared;
use crate::package::Package;
use crate::program::version_for;
use crate::proto::wire::Fault;
use crate::weights::Weights;
use crate::{map, model, save};
use mil::Program;
use std::path::Path;

const TEXT: &str = "model.mil";
const METADATA: &str = "metadata.json";
const DATA: &str = "coremldata.bin";
/// Files of the layer format, which has no text.
const LAYERS: [&str; 2] = ["model.espresso.net", "neural_network_optionals"];
/// Far more than any description takes: bounds what a damaged model can ask for.
const MAX_BYTES: usize = 64 << 20;

/// Opens a folder that is no `.mlpackage`.
pub(crate) fn open(path: &Path) -> Result<Package> {
    let text = path.join(TEXT);
    if !text.is_file() {
        return Err(without_text(path));
    }
    let (version, description) = described(path)?;
    Ok(Package::from_text(text, Weights::folder(path, Path::new("")), description, version))
}

/// The version and the description of a compiled model: from the file that Core ML reads, or, where that has a layout that is not known,
/// from the JSON. The models in a compiled pipeline have no JSON.
fn described(path: &Path) -> Result<(i32, Description)> {
    let (data, metadata) = (path.join(DATA), path.join(METADATA));
    if data.is_file() {
        let bytes = bounded(&data)?;
        if let Some((version, bytes)) = data::read((*bytes).as_ref()) {
            let description = description::read(bytes).map_err(Error::fault(&data))?;
            return Ok((version, description));
        }
        if !metadata.exists() {
            let fault = Fault::new("its layout is not known, and there is no metadata.json to read instead");
            return Err(Error::fault(&data)(fault));
        }
    }
    metadata::read((*bounded(&metadata)?).as_ref()).map_err(Error::fault(&metadata))
}

/// A file that holds a description.
fn bounded(path: &Path) -> Result<Shared> {
    let bytes = map::map(path)?;
    let size = (*bytes).as_ref().len();
    if size > MAX_BYTES {
        let fault = Fault::new(format!("it has {size} bytes; a description has a few thousand"));
        return Err(Error::fault(path)(fault));
    }
    Ok(bytes)
}

/// Says what a folder without MIL text is.
fn without_text(path: &Path) -> Error {
    let kind = |kind, message| Error::Kind { path: path.into(), kind, message };
    if LAYERS.iter().any(|name| path.join(name).exists()) {
        let message = "this is a compiled neural network in the layer format that came before MIL, which is not \
                       supported; convert the original model again with a deployment target of iOS 15 or later";
        return kind("neuralNetwork", message.into());
    }
    let first = path.join("model0");
    if first.join(TEXT).is_file() {
        let first = first.display();
        let message = format!(
            "this is a compiled pipeline of several models, which is not supported; open one of its models, such as {first}"
        );
        return kind("pipeline", message);
    }
    let message =
        "this folder is no model: a .mlpackage has a Manifest.json, a .mlmodelc of an ML Program a model.mil";
    Error::NotAModel { path: path.into(), message: message.into() }
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
