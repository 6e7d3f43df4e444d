//! Checkpoints: every state in one safetensors file, written whole or not at all.

use super::program::StateSpec;
use crate::NnError;
use crate::data::file::set_usual_permissions;
use anemone_runtime::{States, Tensor};
use memmap2::Mmap;
use mil::{DataType, TensorType};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A run's folder and the files in it.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    dir: PathBuf,
}

impl Checkpoint {
    /// The checkpoint in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Checkpoint {
        Checkpoint { dir: dir.into() }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// All states: `states.safetensors`.
    pub fn states_path(&self) -> PathBuf {
        self.dir.join("states.safetensors")
    }

    /// What the run is: `config.json`.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    /// One JSON object per line for every logged step: `log.jsonl`.
    pub fn log_path(&self) -> PathBuf {
        self.dir.join("log.jsonl")
    }

    /// The loss curve: `curve.svg`.
    pub fn curve_path(&self) -> PathBuf {
        self.dir.join("curve.svg")
    }

    /// Creates the folder.
    pub fn create(&self) -> Result<(), NnError> {
        fs::create_dir_all(&self.dir)
            .map_err(|error| NnError::file(&self.dir, format!("the folder cannot be made: {error}")))
    }

    /// Writes the configuration.
    pub fn write_config<T: serde::Serialize>(&self, config: &T) -> Result<(), NnError> {
        let text = serde_json::to_string_pretty(config)
            .map_err(|error| NnError::file(self.config_path(), format!("cannot be written: {error}")))?;
        write_atomically(&self.config_path(), |file| file.write_all(text.as_bytes()))
    }

    /// Reads the configuration.
    pub fn read_config<T: serde::de::DeserializeOwned>(&self) -> Result<T, NnError> {
        let path = self.config_path();
        let text = fs::read_to_string(&path).map_err(|error| {
            let hint =
                if self.dir.is_dir() { "is this the --out folder of a run?" } else { "no such folder" };
            NnError::file(&path, format!("cannot be read ({error}); {hint}"))
        })?;
        serde_json::from_str(&text)
            .map_err(|error| NnError::file(&path, format!("is not a run's configuration: {error}")))
    }
}

/// Writes through a temporary file in the same folder, synced and renamed, so that whoever looks finds the old
/// file or the new one, never a part.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), NnError> {
    let failed = |error: std::io::Error| NnError::file(path, format!("cannot be written: {error}"));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    write(file.as_file_mut()).map_err(failed)?;
    set_usual_permissions(file.as_file()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // The rename itself must survive a power cut too.
    if let Ok(folder) = File::open(folder) {
        folder.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// Writes all states to a safetensors file, atomically.
pub fn write_states(path: &Path, states: &States) -> Result<(), NnError> {
    let guard = states.lock();
    let views = guard.iter().map(|(name, tensor)| {
        let dtype = dtype_of(tensor.dtype()).ok_or_else(|| {
            NnError::file(
                path,
                format!("state `{name}` is {}, which safetensors does not store", tensor.ty()),
            )
        })?;
        let view = TensorView::new(dtype, tensor.shape().to_vec(), tensor.bytes())
            .map_err(|error| NnError::file(path, format!("state `{name}` cannot be stored: {error}")))?;
        Ok((name.as_str(), view))
    });
    let views: Vec<(&str, TensorView<'_>)> = views.collect::<Result<_, NnError>>()?;
    let metadata = HashMap::from([("format".to_string(), "anemone-states-1".to_string())]);
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|error| NnError::file(path, format!("states cannot be stored: {error}")))?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// Reads the states that a run needs from a safetensors file: all of `specs`, with exactly these types. States in
/// the file that are not asked for are left out.
pub fn read_states(path: &Path, specs: &[StateSpec]) -> Result<States, NnError> {
    let file = File::open(path).map_err(|error| NnError::file(path, format!("cannot be opened: {error}")))?;
    let map = map_file(path, &file)?;
    let tensors = SafeTensors::deserialize(&map).map_err(|error| {
        NnError::file(path, format!("is not a whole safetensors file ({error}); take an earlier checkpoint"))
    })?;
    let states = States::new();
    for spec in specs {
        let tensor = read_state(path, &tensors, spec)?;
        states.ensure(&spec.name, &spec.ty)?;
        states.set(&spec.name, &tensor)?;
    }
    Ok(states)
}

fn read_state(path: &Path, tensors: &SafeTensors<'_>, spec: &StateSpec) -> Result<Tensor, NnError> {
    let view = tensors.tensor(&spec.name).map_err(|_| {
        NnError::file(
            path,
            format!("has no state `{}` ({}); was it made by another model?", spec.name, spec.ty),
        )
    })?;
    let expected = dtype_of(spec.ty.dtype);
    if Some(view.dtype()) != expected || view.shape() != &spec.ty.shape[..] {
        let found = format!("{:?} {:?}", view.dtype(), view.shape());
        return Err(NnError::file(
            path,
            format!("state `{}` is {found}, but must be {}", spec.name, spec.ty),
        ));
    }
    Tensor::from_bytes(spec.ty.clone(), view.data())
        .map_err(|error| NnError::file(path, format!("state `{}`: {error}", spec.name)))
}

#[expect(unsafe_code, reason = "memory-maps a file, which nobody else is expected to truncate meanwhile")]
pub(crate) fn map_file(path: &Path, file: &File) -> Result<Mmap, NnError> {
    // SAFETY: checkpoints are replaced by renaming, never changed in place, so the mapped file does not shrink.
    unsafe { Mmap::map(file) }.map_err(|error| NnError::file(path, format!("cannot be read: {error}")))
}

fn dtype_of(dtype: DataType) -> Option<Dtype> {
    Some(match dtype {
        DataType::Fp16 => Dtype::F16,
        DataType::Fp32 => Dtype::F32,
        DataType::Int8 => Dtype::I8,
        DataType::Uint8 => Dtype::U8,
        DataType::Int16 => Dtype::I16,
        DataType::Uint16 => Dtype::U16,
        DataType::Int32 => Dtype::I32,
        DataType::Uint32 => Dtype::U32,
        DataType::Bool => Dtype::BOOL,
        _ => return None,
    })
}

/// Fresh states at their initial values.
pub(crate) fn initial_states(specs: &[StateSpec], seed: u64) -> Result<States, NnError> {
    let states = States::new();
    for spec in specs {
        let ty: &TensorType = &spec.ty;
        states.ensure(&spec.name, ty)?;
        states.set(&spec.name, &spec.init.tensor(ty, seed, &spec.name)?)?;
    }
    Ok(states)
}
