//! A model: opened from a file, or made from a program.

use crate::description::Description;
use crate::error::{Error, Result};
use crate::manifest::{self, Manifest};
use crate::map::{self, Shared};
use crate::weights::Weights;
use crate::{compiled, model, program, save};
use mil::text::BlobFile;
use mil::{Program, Verified};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A model of the ML Program kind.
///
/// Opening one maps its files and reads its description; the program is read by [`Package::program`], and weights only
/// where somebody looks at them. So a package of any size opens at once.
///
/// ```no_run
/// use anemone_mlpackage::{Package, WriteOptions};
///
/// let package = Package::open("model.mlpackage")?;
/// for input in &package.description.functions[0].inputs {
///     println!("{}: {}", input.name, input.ty);
/// }
/// let program = package.program()?;
/// package.write("copy.mlpackage", WriteOptions::default())?;
/// # Ok::<(), anemone_mlpackage::Error>(())
/// ```
#[derive(Debug)]
pub struct Package {
    /// What the model says about itself. It may be changed before the package is written.
    pub description: Description,
    specification_version: i32,
    content: Content,
    manifest: Option<(PathBuf, Manifest)>,
}

/// Where the program is.
enum Content {
    /// In a model file.
    File { path: PathBuf, bytes: Shared, program: Range<usize>, weights: Weights },
    /// In the MIL text of a compiled model.
    Text { path: PathBuf, weights: Weights },
    /// Here.
    Program(Box<Verified>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Content::File { path, program, .. } => write!(f, "{} bytes of {}", program.len(), path.display()),
            Content::Text { path, .. } => write!(f, "{}", path.display()),
            Content::Program(program) => write!(f, "a program of {} functions", program.functions.len()),
        }
    }
}

/// How a package is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// Whether a package that stands there already is replaced.
    pub overwrite: bool,
}

impl Package {
    /// Opens a `.mlpackage`, a bare `.mlmodel` file, a compiled `.mlmodelc`, or MIL text (`.mil`) with its weights and, where
    /// it has one, its description beside it.
    ///
    /// # Errors
    /// When the path is no model or the model is damaged, was made for a later format, or is not an ML Program.
    pub fn open(path: impl AsRef<Path>) -> Result<Package> {
        let path = path.as_ref();
        let metadata = std::fs::metadata(path).map_err(Error::io(path, "cannot be opened"))?;
        if !metadata.is_dir() && path.extension().is_some_and(|extension| extension == "mil") {
            return compiled::open_text(path);
        }
        if !metadata.is_dir() {
            let root =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            return Package::from_file(path, Weights::folder(root, Path::new("")));
        }
        if path.join(manifest::NAME).is_file() {
            return Package::open_package(path);
        }
        compiled::open(path)
    }

    fn open_package(path: &Path) -> Result<Package> {
        let manifest = Manifest::read(path)?;
        let model = manifest.model(path)?;
        manifest.check(path)?;
        // The model was found below the package, so it has a parent there.
        let below = model.parent().and_then(|parent| parent.strip_prefix(path).ok()).unwrap_or(Path::new(""));
        let mut package = Package::from_file(&model, Weights::folder(path, below))?;
        package.manifest = Some((path.into(), manifest));
        Ok(package)
    }

    fn from_file(path: &Path, weights: Weights) -> Result<Package> {
        Package::from_shared(path, map::map(path)?, weights)
    }

    fn from_shared(path: &Path, bytes: Shared, weights: Weights) -> Result<Package> {
        let model::Model { specification_version, description, program } =
            model::read((*bytes).as_ref(), path)?;
        let content = Content::File { path: path.into(), bytes, program, weights };
        Ok(Package { description, specification_version, content, manifest: None })
    }

    /// A model from the bytes of a `.mlmodel` file and its weight files, under the names by which the program calls
    /// them (`@model_path/weights/weight.bin`).
    ///
    /// # Errors
    /// As [`Package::open`].
    pub fn from_bytes(model: Vec<u8>, weights: BTreeMap<String, BlobFile>) -> Result<Package> {
        let bytes: Shared = std::sync::Arc::new(model);
        Package::from_shared(Path::new("model.mlmodel"), bytes, Weights::Given(weights))
    }

    pub(crate) fn from_text(
        path: PathBuf,
        weights: Weights,
        description: Description,
        specification_version: i32,
    ) -> Package {
        let content = Content::Text { path, weights };
        Package { description, specification_version, content, manifest: None }
    }

    /// A package of a program, described by [`Description::of`].
    ///
    /// # Errors
    /// When the program's inputs or outputs are none that a model can have.
    pub fn new(program: Verified) -> Result<Package> {
        let description = Description::of(&program)?;
        let specification_version = program::version_for(&program, &description);
        let content = Content::Program(Box::new(program));
        Ok(Package { description, specification_version, content, manifest: None })
    }

    /// The version of Core ML's format: 6 for iOS 15 … 9 for iOS 18, 10 for iOS 26.
    pub fn specification_version(&self) -> i32 {
        self.specification_version
    }

    /// Names of the program's functions, without reading it where that can be avoided.
    ///
    /// # Errors
    /// When the model is damaged.
    pub fn function_names(&self) -> Result<Vec<String>> {
        match &self.content {
            Content::File { path, bytes, program, .. } => {
                let names = program::function_names(&(**bytes).as_ref()[program.clone()]);
                let names = names.map_err(Error::fault(path))?;
                Ok(names.into_iter().map(str::to_string).collect())
            }
            Content::Text { .. } => {
                Ok(self.program()?.functions.into_iter().map(|function| function.name).collect())
            }
            Content::Program(program) => {
                Ok(program.functions.iter().map(|function| function.name.clone()).collect())
            }
        }
    }

    /// The program. Types are those that the file declares; [`mil::verify()`] is the next step. Constants in weight files
    /// stay there and keep them mapped.
    ///
    /// # Errors
    /// When the model is damaged or uses what is not supported here.
    pub fn program(&self) -> Result<Program> {
        match &self.content {
            Content::File { path, bytes, program, weights } => {
                let described: Vec<_> =
                    self.description.functions.iter().map(|function| function.name.as_str()).collect();
                program::read(&(**bytes).as_ref()[program.clone()], &described, weights)
                    .map_err(Error::fault(path))
            }
            Content::Text { path, weights } => compiled::program(path, weights),
            Content::Program(program) => Ok((***program).clone()),
        }
    }

    /// Puts another program in place of the package's own, under the same description.
    pub fn set_program(&mut self, program: Verified) {
        let needed = program::version_for(&program, &self.description);
        self.specification_version = self.specification_version.max(needed);
        self.content = Content::Program(Box::new(program));
    }

    /// The model in memory: the bytes of its `.mlmodel` file, and those of its weight file, to which the program refers as
    /// `@model_path/weights/weight.bin`; empty when no constant is large. [`Package::from_bytes`] reads both.
    ///
    /// # Errors
    /// When the program or its description cannot be written.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let program = self.program()?;
        save::bytes(&self.model(&program))
    }

    /// What MIL text does not say of the model, for the file beside it that [`Package::open`] looks for
    /// ([`Package::description_path`]): version, features as an app sees them, default function, metadata. `None` when
    /// the program says it all.
    ///
    /// # Errors
    /// When the program cannot be read.
    pub fn description_beside_text(&self) -> Result<Option<Vec<u8>>> {
        let program = self.program()?;
        let derived = Description::of(&program).ok();
        let plain = derived.is_some_and(|derived| {
            derived == self.description
                && program::version_for(&program, &derived) == self.specification_version
        });
        Ok((!plain).then(|| model::write_top(self.specification_version, &self.description)))
    }

    /// Where the description of MIL text stands: `model.description.pb` beside `model.mil`.
    pub fn description_path(text: impl AsRef<Path>) -> PathBuf {
        text.as_ref().with_extension(compiled::DESCRIPTION)
    }

    fn model<'a>(&'a self, program: &'a Program) -> save::Model<'a> {
        let new = matches!(self.content, Content::Program(_));
        save::Model { version: self.specification_version, description: &self.description, program, new }
    }

    /// Writes a `.mlpackage`. It is put together beside the target and moved there when it is complete, so that nobody
    /// ever sees half of one. The same package always gives the same bytes.
    ///
    /// # Errors
    /// When something stands there and [`WriteOptions::overwrite`] does not say to replace it, when the program or its
    /// description cannot be written, and when writing fails; then nothing is left behind.
    pub fn write(&self, path: impl AsRef<Path>, options: WriteOptions) -> Result<()> {
        let program = self.program()?;
        let manifest = self.manifest.as_ref().map(|(path, manifest)| (path.as_path(), manifest));
        save::package(&self.model(&program), manifest, path.as_ref(), options)
    }
}
