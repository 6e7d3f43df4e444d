//! Files as inputs: arrays and images become tensors under the names of the model's inputs.

use crate::error::CliError;
use anemone::arrays::{Array, ArrayError, Npz};
use anemone::mil::TensorType;
use anemone::mlpackage::{Feature, FeatureType};
use anemone::runtime::Tensor;
use anemone::{Model, read_image};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// One input of the function, as the program and as the description have it.
struct Wanted {
    name: String,
    ty: TensorType,
    feature: Option<Feature>,
}

/// What one `--input` gives.
pub(super) struct Feed {
    wanted: Vec<Wanted>,
    /// Files by input; of an `.npz` without a name, every input that is in it.
    files: Vec<(Option<String>, PathBuf)>,
}

fn inputs(model: &Model, function: Option<&str>) -> Result<Vec<Wanted>, CliError> {
    let function = model.function(function)?;
    let description = model.description().function(&function.name);
    let wanted = function.tensor_inputs().map(|id| {
        let name = function.display_name(id);
        let feature = description.and_then(|description| description.input(&name)).cloned();
        Wanted { ty: function.tensor(id).clone(), name, feature }
    });
    Ok(wanted.collect())
}

/// The inputs in words: `x: tensor<fp32, [1, 3]>, …`.
pub(super) fn wanted(model: &Model, function: Option<&str>) -> Result<String, CliError> {
    let list = inputs(model, function)?;
    Ok(list.iter().map(|wanted| format!("{}: {}", wanted.name, wanted.ty)).collect::<Vec<_>>().join(", "))
}

impl Feed {
    /// `in.npz`, `a.npy`, `image.png`, or `NAME=FILE,NAME=FILE…`.
    pub(super) fn parse(text: &str, model: &Model, function: Option<&str>) -> Result<Feed, CliError> {
        let wanted = inputs(model, function)?;
        let known = |name: &str| wanted.iter().any(|wanted| wanted.name == name);
        let named = text.split_once('=').is_some_and(|(name, _)| known(name));
        let files = if text.is_empty() {
            Vec::new()
        } else if !named {
            vec![(None, PathBuf::from(text))]
        } else {
            // A comma separates only where a name follows, so that paths may have some.
            let mut files: Vec<(Option<String>, PathBuf)> = Vec::new();
            for part in text.split(',') {
                match (part.split_once('='), files.last_mut()) {
                    (Some((name, path)), _) if known(name) => {
                        if files.iter().any(|(other, _)| other.as_deref() == Some(name)) {
                            return Err(CliError::usage(
                                format!("input `{name}` is given two files"),
                                "one file for each input; several --input for several runs",
                            ));
                        }
                        files.push((Some(name.into()), path.into()));
                    }
                    (_, Some((_, path))) => {
                        path.as_mut_os_string().push(",");
                        path.as_mut_os_string().push(part);
                    }
                    (_, None) => files.push((None, part.into())),
                }
            }
            files
        };
        for (_, path) in &files {
            check_file(path, &wanted)?;
        }
        Ok(Feed { wanted, files })
    }

    /// Reads everything.
    pub(super) fn read(&self) -> Result<BTreeMap<String, Tensor>, CliError> {
        let mut tensors = BTreeMap::new();
        for (name, path) in &self.files {
            if name.is_none() && extension(path) == "npz" {
                self.read_npz(path, &mut tensors)?;
                continue;
            }
            let wanted = self.input_of(name.as_deref(), path)?;
            let tensor = match (extension(path).as_str(), wanted.feature.as_ref().map(|feature| &feature.ty))
            {
                ("npz", _) => {
                    let mut npz = Npz::open(path)?;
                    let array = npz.array(&wanted.name)?;
                    read_array(array, wanted)?
                }
                ("npy", _) => {
                    let file =
                        File::open(path).map_err(|source| ArrayError::Io { path: path.clone(), source })?;
                    read_array(Array::new(BufReader::new(file), path.display().to_string())?, wanted)?
                }
                (_, Some(FeatureType::Image(image))) => read_image(path, &wanted.name, image, &wanted.ty)?,
                _ => {
                    return Err(CliError::usage(
                        format!(
                            "{}: input `{}` takes arrays, and this is no .npy or .npz",
                            path.display(),
                            wanted.name
                        ),
                        "numpy.save or numpy.savez",
                    ));
                }
            };
            tensors.insert(wanted.name.clone(), tensor);
        }
        Ok(tensors)
    }

    fn read_npz(&self, path: &Path, tensors: &mut BTreeMap<String, Tensor>) -> Result<(), CliError> {
        let mut npz = Npz::open(path)?;
        let names = npz.names();
        if let Some(unknown) =
            names.iter().find(|name| self.wanted.iter().all(|wanted| wanted.name != **name))
        {
            let known = self.wanted.iter().map(|wanted| wanted.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CliError::failed(format!(
                "{}: array `{unknown}` is none of the model's inputs, which are: {known}",
                path.display()
            )));
        }
        for wanted in self.wanted.iter().filter(|wanted| names.contains(&wanted.name)) {
            let tensor = read_array(npz.array(&wanted.name)?, wanted)?;
            tensors.insert(wanted.name.clone(), tensor);
        }
        Ok(())
    }

    fn input_of(&self, name: Option<&str>, path: &Path) -> Result<&Wanted, CliError> {
        match (name, self.wanted.as_slice()) {
            (Some(name), wanted) => wanted.iter().find(|wanted| wanted.name == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
        .ok_or_else(|| {
            let names = self.wanted.iter().map(|wanted| wanted.name.as_str()).collect::<Vec<_>>().join(", ");
            CliError::usage(
                format!("the model has several inputs ({names}): which of them is {}?", path.display()),
                "--input NAME=FILE,NAME=FILE, or an .npz with arrays of these names",
            )
        })
    }
}

/// Files are read more than once, so pipes and devices will not do; and of a name that no input has, the list goes on in
/// what was taken for a path.
fn check_file(path: &Path, wanted: &[Wanted]) -> Result<(), CliError> {
    let Ok(metadata) = std::fs::metadata(path) else {
        let text = path.display().to_string();
        let stray =
            text.split(',').skip(1).find_map(|part| part.split_once('=')).map(|(name, _)| name.to_string());
        return match stray {
            Some(name) => {
                let names = wanted.iter().map(|wanted| wanted.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(CliError::usage(
                    format!("`{name}` is none of the model's inputs, and there is no file {text}"),
                    names,
                ))
            }
            // Whoever reads it says why.
            None => Ok(()),
        };
    };
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "a folder" } else { "no regular file" };
    Err(CliError::failed_try(
        format!("{}: is {what}", path.display()),
        "a file: .npz, .npy, or an image for an image input",
    ))
}

fn extension(path: &Path) -> String {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Reads an array for an input, and checks its shape against those that the model allows.
fn read_array<R: Read>(array: Array<R>, wanted: &Wanted) -> Result<Tensor, CliError> {
    let shape = array.header().shape.clone();
    if let Some(Feature { ty: FeatureType::Array(feature), .. }) = &wanted.feature
        && !wanted.ty.shape.is_known()
    {
        let dims: Vec<u64> = shape.iter().map(|&dim| dim as u64).collect();
        feature
            .check_shape(&dims)
            .map_err(|error| CliError::failed(format!("input `{}`: {error}", wanted.name)))?;
    }
    // Core ML gives scalars as arrays of one element.
    let ty = if wanted.ty.shape.is_empty() && *shape == [1] {
        wanted.ty.with_shape([1])
    } else {
        wanted.ty.clone()
    };
    Ok(array.read(&ty)?)
}
