//! Writes packages: complete, or not at all.

use crate::description::{self, Description, Feature, FeatureType, FunctionDescription};
use crate::error::{Error, Result};
use crate::manifest::{self, Manifest, inside};
use crate::package::WriteOptions;
use crate::proto::wire::shortened;
use crate::{model, program};
use mil::text::blob::DEFAULT_PATH;
use mil::text::{BlobError, BlobWriter, WeightLocation, WeightSink};
use mil::{Constant, Function, Program, ValueId};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Seek, Write};
use std::path::Path;

/// What is written.
pub(crate) struct Model<'a> {
    pub(crate) version: i32,
    pub(crate) description: &'a Description,
    pub(crate) program: &'a Program,
    /// Whether it was made here. What was read stays as it was: what a file leaves out stays left out, and what
    /// it says of its features is not judged.
    pub(crate) new: bool,
}

/// The model file and the weight file of a package, the latter empty when no constant is large.
pub(crate) fn bytes(model: &Model<'_>) -> Result<(Vec<u8>, Vec<u8>)> {
    check_description(model)?;
    let mut sink =
        LazySink { path: Path::new("weight.bin"), open: || Ok(Cursor::new(Vec::new())), writer: None };
    let program = program::write(model.program, model.options(), &mut sink)?;
    let weights = sink.finish()?.map_or_else(Vec::new, Cursor::into_inner);
    Ok((model::write(model.version, model.description, &program), weights))
}

impl Model<'_> {
    fn options(&self) -> program::Options {
        program::Options { explicit_defaults: self.new }
    }
}

/// Writes a package to `target`; `from` is the package that it was read from, whose other items come along.
pub(crate) fn package(
    model: &Model<'_>,
    from: Option<(&Path, &Manifest)>,
    target: &Path,
    options: WriteOptions,
) -> Result<()> {
    check_target(target, options)?;
    check_description(model)?;
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let draft = tempfile::Builder::new()
        .prefix(".anemone-")
        .suffix(".mlpackage.part")
        .tempdir_in(parent)
        .map_err(Error::io(parent, "no folder can be made here"))?;
    let manifest = from.map_or_else(Manifest::new, |(_, manifest)| manifest.rewritten());
    fill(model, &manifest, draft.path())?;
    if let Some((source, manifest)) = from {
        for item in manifest.others() {
            copy_item(source, &item.path, draft.path())?;
        }
    }
    publish(draft, target)
}

fn check_target(target: &Path, options: WriteOptions) -> Result<()> {
    if target.extension().is_none_or(|extension| extension != "mlpackage") {
        let message = "a package's name must end in .mlpackage; Core ML goes by that".to_string();
        return Err(Error::NotAModel { path: target.into(), message });
    }
    // A link that leads nowhere is there too.
    let Ok(metadata) = fs::symlink_metadata(target) else { return Ok(()) };
    let advice = if !options.overwrite {
        "choose another name, or ask for it to be replaced"
    } else if !metadata.is_dir() || !target.join(manifest::NAME).is_file() {
        "it is no model package, so it is not replaced; choose another name"
    } else {
        return Ok(());
    };
    Err(Error::Exists { path: target.into(), advice })
}

/// Checks that description and program speak of the same functions, inputs, outputs and states, and that a file can hold the description.
pub(crate) fn check_description(model: &Model<'_>) -> Result<()> {
    check_functions(model)?;
    let reread = description::reread(model.description).map_err(Error::unreadable)?;
    if reread == *model.description {
        return Ok(());
    }
    let message = "a model file cannot hold all of it, such as a range beyond 2^63 or a default function without a name";
    Err(Error::unwritable("description", message))
}

fn check_functions(model: &Model<'_>) -> Result<()> {
    let mut described: HashMap<&str, &FunctionDescription> = HashMap::new();
    for function in &model.description.functions {
        described.insert(&function.name, function);
    }
    for function in &model.program.functions {
        let Some(described) = described.remove(function.name.as_str()) else {
            let place = format!("function `{}`", function.name);
            return Err(Error::unwritable(place, "it is not in the description; Core ML would not find it"));
        };
        check_function(function, described, model.new)?;
    }
    // What is left has no function; the first in order is told.
    match model.description.functions.iter().find(|function| described.contains_key(function.name.as_str())) {
        None => Ok(()),
        Some(function) => {
            let place = format!("description of function `{}`", function.name);
            Err(Error::unwritable(place, "the program has no function of this name"))
        }
    }
}

fn check_function(function: &Function, described: &FunctionDescription, new: bool) -> Result<()> {
    let (states, inputs): (Vec<_>, Vec<_>) =
        (function.states().collect(), function.tensor_inputs().collect());
    for (what, features, values) in [
        ("input", &described.inputs, &inputs),
        ("output", &described.outputs, &function.body.outputs),
        ("state", &described.states, &states),
    ] {
        check_features(what, features, values, function, new).map_err(|message| {
            Error::unwritable(format!("description of function `{}`", function.name), message)
        })?;
    }
    Ok(())
}

fn check_features(
    what: &str,
    features: &[Feature],
    values: &[ValueId],
    function: &Function,
    new: bool,
) -> std::result::Result<(), String> {
    let name = |id| function.value(id).name.clone().unwrap_or_default();
    let names: Vec<String> = values.iter().map(|&id| name(id)).collect();
    let known: HashSet<&str> = names.iter().map(String::as_str).collect();
    let mut by_name: HashMap<&str, &Feature> = HashMap::new();
    for feature in features {
        let name = feature.name.as_str();
        if !known.contains(name) {
            let found = if names.is_empty() { "none".into() } else { shortened(&names.join(", "), 200) };
            return Err(format!("it has the {what} `{name}`, but the program has {found}"));
        }
        if matches!(feature.ty, FeatureType::State(_)) != (what == "state") {
            return Err(format!("the {what} `{name}` is {}", feature.ty));
        }
        if by_name.insert(name, feature).is_some() {
            return Err(format!("two {what}s are named `{name}`"));
        }
    }
    for (&id, name) in values.iter().zip(&names) {
        let Some(feature) = by_name.get(name.as_str()) else {
            return Err(format!("the program's {what} `{name}` is not in it"));
        };
        if new {
            let agreed = feature.ty.check_against(function.ty(id), what != "output");
            agreed.map_err(|message| format!("`{name}` {message}"))?;
        }
    }
    Ok(())
}

/// Writes the files of a package into an empty folder.
fn fill(model: &Model<'_>, manifest: &Manifest, package: &Path) -> Result<()> {
    let data = package.join("Data");
    let weights = data.join(manifest::WEIGHTS);
    fs::create_dir_all(&weights).map_err(Error::io(&weights, "the folder cannot be made"))?;
    let path = weights.join("weight.bin");
    let open = || Ok(BufWriter::with_capacity(1 << 20, File::create_new(&path)?));
    let mut sink = LazySink { path: &path, open, writer: None };
    let program = program::write(model.program, model.options(), &mut sink)?;
    if let Some(file) = sink.finish()? {
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(Error::io(&path, "cannot be written"))?;
    }
    let path = data.join(manifest::MODEL);
    write_file(&path, &model::write(model.version, model.description, &program))?;
    let path = package.join(manifest::NAME);
    write_file(&path, &manifest.to_text(&path)?)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(Error::io(path, "cannot be made"))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path, "cannot be written"))
}

/// A weight file that is made when the first constant comes.
struct LazySink<'a, W: Write + Seek, F: Fn() -> io::Result<W>> {
    /// For messages.
    path: &'a Path,
    open: F,
    writer: Option<BlobWriter<W>>,
}

impl<W: Write + Seek, F: Fn() -> io::Result<W>> LazySink<'_, W, F> {
    /// The complete file, if there is one.
    fn finish(self) -> Result<Option<W>> {
        let finished = self.writer.map(BlobWriter::finish).transpose();
        finished.map_err(|source| Error::Weights { path: self.path.into(), source })
    }
}

impl<W: Write + Seek, F: Fn() -> io::Result<W>> WeightSink for LazySink<'_, W, F> {
    fn store(&mut self, constant: &Constant) -> std::result::Result<WeightLocation, BlobError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => self.writer.insert(BlobWriter::new((self.open)()?, DEFAULT_PATH)?),
        };
        writer.store(constant)
    }
}

/// Copies an item that is neither the model nor its weights, a file or a folder.
fn copy_item(from: &Path, item: &str, package: &Path) -> Result<()> {
    let data = Path::new("Data");
    let source = inside(from, data, item).map_err(|problem| Error::Manifest {
        path: from.join(manifest::NAME),
        message: format!("an item has the path `{item}`, {problem}"),
    })?;
    let target = package.join(data).join(item);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(Error::io(parent, "the folder cannot be made"))?;
    }
    copy(&source, &target)
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    let metadata = fs::symlink_metadata(source).map_err(Error::io(source, "cannot be read"))?;
    if metadata.is_dir() {
        fs::create_dir_all(target).map_err(Error::io(target, "the folder cannot be made"))?;
        let entries = fs::read_dir(source).map_err(Error::io(source, "cannot be read"))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(source, "cannot be read"))?;
            copy(&entry.path(), &target.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if !metadata.is_file() {
        let message = "this item is neither a file nor a folder, so it cannot come along".to_string();
        return Err(Error::NotAModel { path: source.into(), message });
    }
    fs::copy(source, target).map(drop).map_err(Error::io(source, "cannot be copied"))
}

/// Moves a complete package to its place.
fn publish(draft: tempfile::TempDir, target: &Path) -> Result<()> {
    // What stands there goes aside first, because a folder cannot be moved onto another one; it is deleted last. What
    // is mapped of it stays readable, so a package may be written over itself.
    let parent = draft.path().parent().unwrap_or(Path::new("."));
    let aside = match fs::symlink_metadata(target) {
        Ok(_) => {
            let aside = tempfile::Builder::new()
                .prefix(".anemone-")
                .suffix(".mlpackage.old")
                .tempdir_in(parent)
                .map_err(Error::io(parent, "no folder can be made here"))?;
            fs::rename(target, aside.path().join("old"))
                .map_err(Error::io(target, "cannot be moved aside"))?;
            Some(aside)
        }
        Err(_) => None,
    };
    if let Err(error) = fs::rename(draft.path(), target) {
        if let Some(aside) = &aside {
            // Put back what was there; the first error is the one to tell.
            let _ = fs::rename(aside.path().join("old"), target);
        }
        return Err(Error::io(target, "the finished package cannot be moved here")(error));
    }
    // It is at its target now: nothing to delete.
    let _ = draft.keep();
    Ok(())
}
