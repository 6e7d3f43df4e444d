//! CIFAR-10 in its binary version (Krizhevsky, 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>).
//!
//! Six files of records of 3073 bytes: a label, then 32 x 32 pixels of red, of green, of blue. The published
//! files have 10000 records each; any number is read here, since [`shapes`](super::shapes) writes the same
//! format.

use std::path::{Path, PathBuf};

use super::{DataError, ImageDataset, ImageSplits};
use crate::file;

/// Bytes of one image: 3 channels of 32 x 32.
pub const IMAGE_BYTES: usize = 3 * 32 * 32;
/// Bytes of one record: the label and the image.
pub const RECORD_BYTES: usize = 1 + IMAGE_BYTES;
/// The files of the training set.
pub const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];
/// The file of the held-out set.
pub const TEST_FILE: &str = "test_batch.bin";
/// The names of the published ten classes, used when the folder has no `batches.meta.txt`.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// The file of class names, one a line.
pub(crate) const NAMES_FILE: &str = "batches.meta.txt";

/// The folder inside the published archive.
const NESTED: &str = "cifar-10-batches-bin";
/// Records allowed in a file: 26 times what is published, 800 MB.
const MAX_RECORDS: u64 = 1 << 18;
const LAYOUT: &str = "a CIFAR-10 folder holds data_batch_1.bin to data_batch_5.bin and test_batch.bin, from \
                      cifar-10-binary.tar.gz (the \"binary version\") at https://www.cs.toronto.edu/~kriz/cifar.html";

/// Reads the six files in `folder`, or in `cifar-10-batches-bin` inside it.
///
/// # Errors
/// When files are missing, cut short, or hold a label above 9.
pub fn load(folder: &Path) -> Result<ImageSplits, DataError> {
    let folder = root(folder)?;
    let missing: Vec<String> = TRAIN_FILES
        .iter()
        .chain([&TEST_FILE])
        .filter(|name| !folder.join(name).exists())
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        return Err(DataError::MissingFiles { folder, missing, layout: LAYOUT });
    }
    let names = class_names(&folder)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for name in TRAIN_FILES {
        read_records(&folder.join(name), &mut images, &mut labels)?;
    }
    let train = ImageDataset::new(images, labels, [3, 32, 32], names.clone())?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    read_records(&folder.join(TEST_FILE), &mut images, &mut labels)?;
    Ok(ImageSplits { train, held_out: ImageDataset::new(images, labels, [3, 32, 32], names)? })
}

/// True when the folder has at least one of the files.
pub(crate) fn looks_like(folder: &Path) -> bool {
    [folder.to_owned(), folder.join(NESTED)]
        .iter()
        .any(|folder| TRAIN_FILES.iter().chain([&TEST_FILE]).any(|name| folder.join(name).exists()))
}

/// The folder the files are in.
fn root(folder: &Path) -> Result<PathBuf, DataError> {
    let metadata = std::fs::metadata(folder).map_err(|e| file::io_error(folder, "find the folder", e))?;
    if !metadata.is_dir() {
        return Err(DataError::WrongKind {
            path: folder.to_owned(),
            found: "a file",
            wanted: "a folder of CIFAR-10 batches",
            remedy: "unpack the archive (tar xzf cifar-10-binary.tar.gz) and give its folder",
        });
    }
    let nested = folder.join(NESTED);
    let direct = TRAIN_FILES.iter().any(|name| folder.join(name).exists());
    Ok(if !direct && nested.is_dir() { nested } else { folder.to_owned() })
}

/// Adds the records of one file.
fn read_records(path: &Path, images: &mut Vec<u8>, labels: &mut Vec<u8>) -> Result<(), DataError> {
    const REMEDY: &str = "copy or download the file again; a .tar.gz must be unpacked first";
    let limit = MAX_RECORDS * RECORD_BYTES as u64;
    let bytes = file::read(path, limit, REMEDY)?;
    if bytes.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
            remedy: "a CIFAR-10 batch has records of 3073 bytes",
        });
    }
    if bytes.len() % RECORD_BYTES != 0 {
        return Err(DataError::WrongSize {
            path: path.to_owned(),
            found: bytes.len() as u64,
            allowed: format!(
                "a CIFAR-10 batch is a multiple of {RECORD_BYTES} ({} records and {} bytes over)",
                bytes.len() / RECORD_BYTES,
                bytes.len() % RECORD_BYTES
            ),
            remedy: REMEDY,
        });
    }
    images.reserve_exact(bytes.len() / RECORD_BYTES * IMAGE_BYTES);
    for (record, line) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
        if line[0] > 9 {
            let found = line[0];
            return Err(DataError::LabelOutOfRange { path: path.to_owned(), record, found, classes: 10 });
        }
        labels.push(line[0]);
        images.extend_from_slice(&line[1..]);
    }
    Ok(())
}

/// The ten names in `batches.meta.txt`, or the published ones.
fn class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    const REMEDY: &str = "write one class name a line, or delete the file to use the published names";
    let path = folder.join(NAMES_FILE);
    if !path.exists() {
        return Ok(CLASS_NAMES.map(str::to_owned).to_vec());
    }
    let text = super::text::utf8(&path, file::read(&path, 1 << 16, REMEDY)?)?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() != 10 {
        return Err(DataError::BadHeader {
            path,
            field: "the number of class names",
            found: names.len().to_string(),
            allowed: "CIFAR-10 has 10 classes".to_owned(),
            remedy: REMEDY,
        });
    }
    Ok(names)
}
