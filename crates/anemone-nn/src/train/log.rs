//! A run's log: a line of JSON per logged step in `log.jsonl`, the losses alone in memory.

use super::curve::Curve;
use crate::{NnError, file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Training losses that [`Log::recent_loss`] averages over.
const RECENT: usize = 50;

/// A line of `log.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// Steps made in all.
    pub(super) iteration: u64,
    /// Outputs of the training step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "numbers")]
    pub(super) train: BTreeMap<String, f32>,
    /// Means over the held-out data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "numbers")]
    pub(super) held_out: BTreeMap<String, f32>,
}

/// JSON has no infinities or NaN; serde writes `null` for them, which reads as NaN.
fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f32>, D::Error> {
    let values = BTreeMap::<String, Option<f32>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f32::NAN))).collect())
}

/// The log of a run, in its file if it has one.
#[derive(Debug, Default)]
pub(super) struct Log {
    path: Option<PathBuf>,
    curve: Curve,
}

impl Log {
    /// Writes to `path` from now on, beginning anew.
    pub(super) fn begin(&mut self, path: PathBuf) -> Result<(), NnError> {
        file::write_atomically(&path, |_| Ok(())).map_err(|error| NnError::not_written(&path, &error))?;
        self.path = Some(path);
        Ok(())
    }

    /// The log in `path` as it was after `iteration` steps: what a killed run logged after its last checkpoint did not
    /// happen. Lines that are damaged, as the last one may be, are left out.
    pub(super) fn rewind(path: PathBuf, iteration: u64) -> Result<Log, NnError> {
        let mut curve = Curve::default();
        let old = if path.is_file() { Some(file::open(&path)?.0) } else { None };
        let written = file::write_atomically(&path, |new| copy(old, new, iteration, &mut curve));
        written.map_err(|error| NnError::not_written(&path, &error))?;
        Ok(Log { path: Some(path), curve })
    }

    /// Adds a line.
    pub(super) fn append(&mut self, line: &Line) -> Result<(), NnError> {
        if let Some(path) = &self.path {
            write_line(path, line).map_err(|error| NnError::not_written(path, &error))?;
        }
        note(&mut self.curve, line);
        Ok(())
    }

    /// Mean of the last training losses (up to 50); nothing before the first.
    pub(super) fn recent_loss(&self) -> Option<f32> {
        let losses = &self.curve.train;
        let recent = &losses[losses.len().saturating_sub(RECENT)..];
        let sum: f32 = recent.iter().map(|point| point.1).sum();
        (!recent.is_empty()).then(|| sum / recent.len() as f32)
    }

    /// All losses.
    pub(super) fn curve(&self, title: String) -> Curve {
        Curve { title, ..self.curve.clone() }
    }
}

fn write_line(path: &Path, line: &Line) -> io::Result<()> {
    let text = serde_json::to_string(line)?;
    File::options().append(true).create(true).open(path)?.write_all(format!("{text}\n").as_bytes())
}

fn copy(old: Option<File>, new: &mut File, iteration: u64, curve: &mut Curve) -> io::Result<()> {
    let mut writer = BufWriter::new(new);
    for line in old.into_iter().flat_map(|file| BufReader::new(file).split(b'\n')) {
        let text = line.map_err(|error| io::Error::other(format!("its lines cannot be read: {error}")))?;
        match serde_json::from_slice::<Line>(&text) {
            Ok(line) if line.iteration <= iteration => {
                note(curve, &line);
                writer.write_all(&text)?;
                writer.write_all(b"\n")?;
            }
            _ => {}
        }
    }
    writer.flush()
}

fn note(curve: &mut Curve, line: &Line) {
    curve.train.extend(line.train.get("loss").map(|&loss| (line.iteration, loss)));
    curve.held_out.extend(line.held_out.get("loss").map(|&loss| (line.iteration, loss)));
}
