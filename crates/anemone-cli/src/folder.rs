//! A run's folder: chosen so that no run is ever overwritten, and locked so that no two processes write to it.

use crate::config::RunConfig;
use crate::error::CliError;
use anemone::nn::train::Checkpoint;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The folder for a new run: the one asked for, else the first of `runs/TASK`, `runs/TASK-2`, … that holds no run.
pub(crate) fn choose(asked: Option<&Path>, task: &str) -> Result<PathBuf, CliError> {
    let Some(path) = asked else { return free(task) };
    if RunConfig::exists(path) {
        return Err(CliError::usage(
            format!("--out {} already holds a run", path.display()),
            format!("--resume {} to go on with it, or another folder", path.display()),
        ));
    }
    if path.exists() && !path.is_dir() {
        let message = format!("--out {} is not a folder", path.display());
        return Err(CliError::usage(message, "the name of a new folder"));
    }
    if path.as_os_str().is_empty() {
        return Err(CliError::usage("--out is empty", "the name of a new folder"));
    }
    Ok(path.to_owned())
}

fn free(task: &str) -> Result<PathBuf, CliError> {
    let names = std::iter::once(task.to_string()).chain((2..10_000).map(|number| format!("{task}-{number}")));
    names
        .map(|name| Path::new("runs").join(name))
        .find(|path| !RunConfig::exists(path))
        .ok_or_else(|| CliError::usage("runs/ is full of runs", "--out with another folder"))
}

/// A folder that this process alone may write to, until it ends in whatever way.
#[derive(Debug)]
pub(crate) struct RunFolder {
    /// Its files.
    pub(crate) checkpoint: Checkpoint,
    /// Locked; the system unlocks it when the process ends.
    _lock: File,
}

impl RunFolder {
    /// Makes the folder if need be, locks it, and sweeps out what a killed process left half written.
    pub(crate) fn lock(path: &Path) -> Result<RunFolder, CliError> {
        let checkpoint = Checkpoint::new(path);
        checkpoint.create()?;
        let file = path.join(".lock");
        let failed = |error| CliError::failed(format!("{}: cannot be locked: {error}", file.display()));
        let lock = File::create(&file).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CliError::failed_try(
                    format!("another process is training in {}", path.display()),
                    "wait for it, or give another folder with --out",
                ));
            }
            // Some network file systems have no locks; a run there is still worth having.
            Err(TryLockError::Error(error)) => tracing::warn!("{}: no lock: {error}", file.display()),
        }
        sweep(path);
        Ok(RunFolder { checkpoint, _lock: lock })
    }
}

/// Removes temporary files. What cannot be removed does no harm.
fn sweep(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let temporary = name.to_str().is_some_and(|name| name.starts_with(".tmp") && name.len() == 10);
        if temporary && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let removed = fs::remove_file(entry.path());
            tracing::debug!(?name, ?removed, "swept out a file left by a killed process");
        }
    }
}
