//! `Manifest.json`: what is in a package.
//!
//! Source of the format: `ModelPackage.cpp` of coremltools (BSD-3-Clause). Every item has an identifier that only has to be
//! unique inside the package, and a path below `Data/`. coremltools draws random identifiers; the ones given
//! here are fixed (version 5 UUIDs of the item's path in the URL name space), so that the same model
//! always gives the same bytes.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Name of the manifest in a package.
pub(crate) const NAME: &str = "Manifest.json";
/// The model file, as the manifest names it.
pub(crate) const MODEL: &str = "com.apple.CoreML/model.mlmodel";
/// The weight folder, as the manifest names it.
pub(crate) const WEIGHTS: &str = "com.apple.CoreML/weights";
/// `uuid5(NAMESPACE_URL, MODEL)`.
const MODEL_ID: &str = "B7B312DC-4C52-5F9E-A2C1-08A40D60BF43";
/// `uuid5(NAMESPACE_URL, WEIGHTS)`.
const WEIGHTS_ID: &str = "AA794B57-6179-5AD2-8C64-3B8D10B76FAC";
const AUTHOR: &str = "com.apple.CoreML";
/// Far more than any manifest takes: bounds what a damaged package can ask for.
const MAX_BYTES: u64 = 16 << 20;

/// A package's list of contents. Keys that are not known are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    #[serde(rename = "fileFormatVersion")]
    version: String,
    #[serde(rename = "itemInfoEntries")]
    items: BTreeMap<String, Item>,
    #[serde(rename = "rootModelIdentifier")]
    root: String,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

/// One item of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) author: String,
    pub(crate) description: String,
    pub(crate) name: String,
    pub(crate) path: String,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

impl Manifest {
    /// The manifest of a package that holds a model and its weights.
    pub(crate) fn new() -> Manifest {
        let item = |description: &str, path: &str| Item {
            author: AUTHOR.into(),
            description: description.into(),
            name: path.rsplit('/').next().unwrap_or(path).into(),
            path: path.into(),
            rest: BTreeMap::new(),
        };
        let model = (MODEL_ID.to_string(), item("CoreML Model Specification", MODEL));
        let weights = (WEIGHTS_ID.to_string(), item("CoreML Model Weights", WEIGHTS));
        Manifest {
            version: "1.0.0".into(),
            items: BTreeMap::from([model, weights]),
            root: MODEL_ID.into(),
            rest: BTreeMap::new(),
        }
    }

    /// Reads the manifest of the package `package`.
    pub(crate) fn read(package: &Path) -> Result<Manifest> {
        let path = package.join(NAME);
        let size = std::fs::metadata(&path).map_err(Error::io(&path, "cannot be read"))?.len();
        let fault = |message: String| Error::Manifest { path: path.clone(), message };
        if size > MAX_BYTES {
            return Err(fault(format!("it has {size} bytes; a manifest has a few hundred")));
        }
        let text = std::fs::read(&path).map_err(Error::io(&path, "cannot be read"))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| fault(format!("this is no manifest of a model package: {error}")))?;
        manifest.check_version().map_err(fault)?;
        Ok(manifest)
    }

    fn check_version(&self) -> std::result::Result<(), String> {
        let parts: Vec<Option<u64>> = self.version.split('.').map(|part| part.parse().ok()).collect();
        match parts[..] {
            [Some(1), Some(0), Some(0)] | [Some(0), Some(_), Some(_)] => Ok(()),
            [Some(_), Some(_), Some(_)] => Err(format!(
                "fileFormatVersion is {}, but only packages up to 1.0.0 are known here; use a newer Anemone, or save the \
                 model again with an older coremltools",
                self.version
            )),
            _ => Err(format!(
                "fileFormatVersion is `{}`, but must be three numbers such as 1.0.0",
                self.version
            )),
        }
    }

    /// The package's items by path, apart from the model and the weights, which are written anew.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|(id, item)| **id != self.root && item.path != WEIGHTS).map(|(_, item)| item)
    }

    /// Path of the model file in the package, checked.
    pub(crate) fn model(&self, package: &Path) -> Result<PathBuf> {
        let fault = |message: String| Error::Manifest { path: package.join(NAME), message };
        let item = self.items.get(&self.root).ok_or_else(|| {
            fault(format!("rootModelIdentifier is `{}`, but there is no item of that name", self.root))
        })?;
        resolve(package, item).map_err(fault)
    }

    /// Checks that every item exists and lies in the package.
    pub(crate) fn check(&self, package: &Path) -> Result<()> {
        for item in self.items.values() {
            resolve(package, item)
                .map_err(|message| Error::Manifest { path: package.join(NAME), message })?;
        }
        Ok(())
    }

    /// The same manifest with the model and the weights where this crate writes them.
    pub(crate) fn rewritten(&self) -> Manifest {
        let mut manifest = self.clone();
        if let Some(model) = manifest.items.get_mut(&self.root) {
            model.path = MODEL.into();
        }
        if !manifest.items.values().any(|item| item.path == WEIGHTS) {
            let fresh = Manifest::new();
            manifest.items.extend(fresh.items.into_iter().filter(|(_, item)| item.path == WEIGHTS));
        }
        manifest
    }

    /// The manifest as text, keys sorted.
    pub(crate) fn to_text(&self, path: &Path) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| Error::Manifest {
            path: path.to_path_buf(),
            message: format!("it cannot be written: {error}"),
        })?;
        text.push(b'\n');
        Ok(text)
    }
}

/// The file of an item: below `Data/`, no way out of the package, and there.
fn resolve(package: &Path, item: &Item) -> std::result::Result<PathBuf, String> {
    inside(package, Path::new("Data"), &item.path)
        .map_err(|problem| format!("the item `{}` has the path `{}`, {problem}", item.name, item.path))
}

/// Joins `below` and `path` to `package`, refusing everything that could lead out of it. The error goes on a sentence
/// that has told the path.
pub(crate) fn inside(package: &Path, below: &Path, path: &str) -> std::result::Result<PathBuf, String> {
    if path.is_empty() || path.contains('\0') {
        return Err("which is no path".into());
    }
    // Backslashes are separators on Windows only; a package must mean the same everywhere.
    if path.contains('\\') {
        return Err("which has a backslash; use / in paths".into());
    }
    for component in Path::new(path).components() {
        match component {
            Component::Normal(_) => {}
            Component::RootDir | Component::Prefix(_) => {
                return Err("which is absolute; paths must be relative to the package".into());
            }
            Component::ParentDir | Component::CurDir => {
                return Err("which leads out of the folder that it must stay in".into());
            }
        }
    }
    let joined = package.join(below).join(path);
    let real = joined.canonicalize().map_err(|error| format!("which cannot be found: {error}"))?;
    let root =
        package.canonicalize().map_err(|error| format!("in a package that cannot be found: {error}"))?;
    if !real.starts_with(&root) {
        return Err(format!("which is a link to {}, out of the package", real.display()));
    }
    Ok(joined)
}
