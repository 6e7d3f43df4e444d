//! The weight files of a model: found, mapped when they are first needed, and kept mapped while a constant lives.

use crate::error::{Error, Result};
use crate::manifest::inside;
use crate::map;
use mil::text::{BlobError, BlobFile, WeightSource};
use mil::{Constant, TensorType};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// How programs call the folder of the model file.
const MODEL_PATH: &str = "@model_path/";
/// Files that one model may refer to. coremltools writes one; this bounds damaged models.
const MAX_FILES: usize = 4096;

/// Where the weights of a model are.
#[derive(Debug)]
pub(crate) enum Weights {
    /// Files below a folder.
    Folder {
        /// What no path may lead out of: the package.
        root: PathBuf,
        /// The folder of the model file, relative to `root`.
        below: PathBuf,
        /// Files mapped so far, under the program's names.
        files: Mutex<BTreeMap<String, BlobFile>>,
    },
    /// Files given by the caller, under the program's names.
    Given(BTreeMap<String, BlobFile>),
}

impl Weights {
    /// Weights in the folder `below` of the package `root`.
    pub(crate) fn folder(root: &Path, below: &Path) -> Weights {
        Weights::Folder { root: root.into(), below: below.into(), files: Mutex::default() }
    }

    /// The constant of type `ty` whose record is at `offset` of `path`.
    pub(crate) fn constant(&self, path: &str, offset: u64, ty: &TensorType) -> Result<Constant> {
        let file = self.file(path)?;
        file.load(offset, ty).map_err(|source| Error::Weights { path: path.into(), source })
    }

    fn file(&self, path: &str) -> Result<BlobFile> {
        let (root, below, files) = match self {
            Weights::Given(files) => {
                return files.get(path).cloned().ok_or_else(|| {
                    let known = files.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                    let source = BlobError::NoFile { path: path.into(), known };
                    Error::Weights { path: path.into(), source }
                });
            }
            Weights::Folder { root, below, files } => (root, below, files),
        };
        // A panic elsewhere cannot leave a half-inserted file.
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(path) {
            return Ok(file.clone());
        }
        let fault = |message: String| Error::Weights {
            path: path.into(),
            source: BlobError::Io(io::Error::new(io::ErrorKind::InvalidInput, message)),
        };
        if files.len() == MAX_FILES {
            return Err(fault(format!("the model refers to more than {MAX_FILES} weight files")));
        }
        let relative = path.strip_prefix(MODEL_PATH).ok_or_else(|| {
            fault(format!("weight files must be named {MODEL_PATH}…, relative to the model"))
        })?;
        let found = inside(root, below, relative)
            .map_err(|problem| fault(format!("the model refers to this weight file, {problem}")))?;
        let file = BlobFile::new(map::map(&found)?)
            .map_err(|source| Error::Weights { path: found.clone(), source })?;
        files.insert(path.to_string(), file.clone());
        Ok(file)
    }
}

/// For MIL text, whose parser asks for constants.
impl WeightSource for Weights {
    fn load(&self, path: &str, offset: u64, ty: &TensorType) -> std::result::Result<Constant, BlobError> {
        self.constant(path, offset, ty).map_err(|error| match error {
            Error::Weights { source, .. } => source,
            other => BlobError::Io(io::Error::other(other.to_string())),
        })
    }
}
