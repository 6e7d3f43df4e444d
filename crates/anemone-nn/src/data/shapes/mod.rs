//! A task of our own in CIFAR-10's format: which of ten shapes is in the picture?
//!
//! Each picture has one shape at a random place, size and angle, in a random colour before a background of
//! random colours, with small distractors, gradients and noise. So neither the colour nor the brightness of
//! any pixel says anything about the class: a linear classifier stays near chance, while a small
//! convolutional network learns the task in minutes. Picture `index` is a function of `(seed, index)` alone.

mod draw;
mod figure;

use std::io::Write;
use std::path::Path;

use rayon::prelude::*;

use super::cifar::{IMAGE_BYTES, NAMES_FILE, RECORD_BYTES, TEST_FILE, TRAIN_FILES};
use super::rng::{Permutation, mix, stream};
use super::{DataError, ImageDataset, ImageSplits};
use crate::file;

pub use figure::CLASS_NAMES;

const CLASS_STREAM: u64 = stream("data.shapes.class");
/// Where held-out pictures begin: far beyond any training set.
const HELD_OUT: u64 = 10 << 40;
/// Pictures that one set may have, so that a set always fits into memory (1 GB) and into CIFAR-10 files.
const MAX_PICTURES: usize = 1 << 18;

/// Picture number `index`: its class, and its pixels `[3, 32, 32]`. Each ten pictures in a row have ten
/// classes.
#[must_use]
pub fn picture(seed: u64, index: u64) -> (u8, [u8; IMAGE_BYTES]) {
    let class = Permutation::new(seed, mix(CLASS_STREAM, index / 10), 10).get(index % 10) as u8;
    (class, draw::picture(seed, index, class))
}

/// Sets of `train` and `held_out` pictures.
///
/// # Errors
/// When a number is 0 or above 262144.
pub fn splits(seed: u64, train: usize, held_out: usize) -> Result<ImageSplits, DataError> {
    Ok(ImageSplits { train: dataset(seed, 0, train)?, held_out: dataset(seed, HELD_OUT, held_out)? })
}

/// Writes the same sets as the six files of CIFAR-10 and the names of the classes into `folder`, which is
/// made if need be. Each file appears whole or not at all.
///
/// # Errors
/// When there are fewer than 5 training pictures or no test picture, or too many, or the system refuses.
pub fn write_cifar10(folder: &Path, seed: u64, train: usize, test: usize) -> Result<(), DataError> {
    check_count("the number of training pictures", train, TRAIN_FILES.len())?;
    check_count("the number of test pictures", test, 1)?;
    std::fs::create_dir_all(folder).map_err(|e| file::io_error(folder, "make the folder", e))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        file::write_atomically(&path, |file| file.write_all(bytes))
            .map_err(|e| file::io_error(&path, "write the file", e))
    };
    for (number, name) in TRAIN_FILES.into_iter().enumerate() {
        let bounds = [number, number + 1].map(|n| (train * n / TRAIN_FILES.len()) as u64);
        write(name, &records(seed, bounds[0], bounds[1]))?;
    }
    write(TEST_FILE, &records(seed, HELD_OUT, HELD_OUT + test as u64))?;
    write(NAMES_FILE, format!("{}\n", CLASS_NAMES.join("\n")).as_bytes())
}

/// The pictures `first..last` as CIFAR-10 records.
fn records(seed: u64, first: u64, last: u64) -> Vec<u8> {
    let mut bytes = vec![0; (last - first) as usize * RECORD_BYTES];
    bytes.par_chunks_exact_mut(RECORD_BYTES).enumerate().for_each(|(index, record)| {
        let (class, pixels) = picture(seed, first + index as u64);
        record[0] = class;
        record[1..].copy_from_slice(&pixels);
    });
    bytes
}

/// The pictures from `first` on as a set.
fn dataset(seed: u64, first: u64, count: usize) -> Result<ImageDataset, DataError> {
    check_count("the number of pictures", count, 1)?;
    let mut images = vec![0; count * IMAGE_BYTES];
    let mut labels = vec![0; count];
    images.par_chunks_exact_mut(IMAGE_BYTES).zip(&mut labels).enumerate().for_each(
        |(index, (pixels, label))| {
            let (class, drawn) = picture(seed, first + index as u64);
            pixels.copy_from_slice(&drawn);
            *label = class;
        },
    );
    ImageDataset::new(images, labels, [3, 32, 32], CLASS_NAMES.map(str::to_owned).to_vec())
}

fn check_count(name: &'static str, count: usize, least: usize) -> Result<(), DataError> {
    if (least..=MAX_PICTURES).contains(&count) {
        return Ok(());
    }
    let allowed =
        if least == 1 { "1 to 262144 are allowed" } else { "5 to 262144 are allowed, one for each file" };
    Err(DataError::Argument { name, found: count.to_string(), allowed })
}
