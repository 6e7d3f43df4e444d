//! Checkpoints: every state in one safetensors file, written whole or not at all.

use super::program::StateSpec;
use crate::{NnError, file};
use anemone_runtime::{States, Tensor};
use mil::DataType;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes of the largest configuration that is read.
const MAX_CONFIG: u64 = 1 << 20;

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
        let path = self.config_path();
        file::write_atomically(&path, |file| file.write_all(text.as_bytes()))
            .map_err(|error| NnError::not_written(path, &error))
    }

    /// Reads the configuration.
    pub fn read_config<T: serde::de::DeserializeOwned>(&self) -> Result<T, NnError> {
        let path = self.config_path();
        let text = file::read(&path, MAX_CONFIG, "give the folder of a run, which has a small one")?;
        serde_json::from_slice(&text)
            .map_err(|error| NnError::file(&path, format!("is not a run's configuration: {error}")))
    }
}

/// Writes the states of `specs` to a safetensors file, under their names with dots, atomically. PyTorch reads it as the
/// state dict of a module with the same layers (`safetensors.torch.load_file`).
///
/// # Errors
/// When a state is missing or of another type, safetensors has no such type, or the file cannot be written.
pub fn write_states(path: &Path, specs: &[StateSpec], states: &States) -> Result<(), NnError> {
    let unstorable = |error: &dyn Display| NnError::file(path, format!("states cannot be stored: {error}"));
    let guard = states.lock();
    let mut tensors = Vec::with_capacity(specs.len());
    for spec in specs {
        let dtype = dtype_of(spec.ty.dtype).ok_or_else(|| {
            let message = format!("state `{}` is {}, which safetensors does not store", spec.path, spec.ty);
            NnError::file(path, message)
        })?;
        tensors.push((dtype, spec, spec.find(&guard)?));
    }
    // The widest elements come first, as the format asks, so that all are aligned.
    tensors.sort_by(|(dtype, spec, _), (other, next, _)| other.cmp(dtype).then(spec.path.cmp(&next.path)));
    let (mut infos, mut end) = (Vec::with_capacity(tensors.len()), 0);
    for (dtype, spec, tensor) in &tensors {
        let begin = end;
        end += tensor.bytes().len();
        let info = TensorInfo { dtype: *dtype, shape: spec.ty.shape.to_vec(), data_offsets: (begin, end) };
        infos.push((spec.path.clone(), info));
    }
    // One entry only: the order of several would change from run to run. It is the one that Python's readers look for.
    let entries = HashMap::from([("format".to_string(), "pt".to_string())]);
    let metadata = Metadata::new(Some(entries), infos).map_err(|error| unstorable(&error))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| unstorable(&error))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    // Written tensor by tensor: serializing first would hold everything in memory twice.
    let written = file::write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        tensors.iter().try_for_each(|(_, _, tensor)| file.write_all(tensor.bytes()))
    });
    written.map_err(|error| NnError::not_written(path, &error))
}

/// Reads the states that a run needs from a safetensors file: all of `specs`, with exactly these types, named with dots
/// or as in programs. States in the file that are not asked for are left out.
pub fn read_states(path: &Path, specs: &[StateSpec]) -> Result<States, NnError> {
    let map = file::map(path)?;
    let tensors = SafeTensors::deserialize(&map).map_err(|error| {
        NnError::file(path, format!("is not a whole safetensors file ({error}); take an earlier checkpoint"))
    })?;
    let states = States::new();
    for spec in specs {
        states.lock().insert(spec.name.clone(), read_state(path, &tensors, spec)?);
    }
    Ok(states)
}

fn read_state(path: &Path, tensors: &SafeTensors<'_>, spec: &StateSpec) -> Result<Tensor, NnError> {
    let name = &spec.path;
    let view = tensors.tensor(name).or_else(|_| tensors.tensor(&spec.name)).map_err(|_| {
        NnError::file(path, format!("has no state `{name}` ({}); was it made by another model?", spec.ty))
    })?;
    if Some(view.dtype()) != dtype_of(spec.ty.dtype) || view.shape() != &spec.ty.shape[..] {
        let found = format!("{:?} {:?}", view.dtype(), view.shape());
        return Err(NnError::file(path, format!("state `{name}` is {found}, but must be {}", spec.ty)));
    }
    Tensor::from_bytes(spec.ty.clone(), view.data())
        .map_err(|error| NnError::file(path, format!("state `{name}`: {error}")))
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
        states.lock().insert(spec.name.clone(), spec.init.tensor(&spec.ty, seed, &spec.name)?);
    }
    Ok(states)
}
