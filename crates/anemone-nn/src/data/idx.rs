//! MNIST and Fashion-MNIST: the IDX format (LeCun, Cortes, Burges; <http://yann.lecun.com/exdb/mnist/>),
//! plain or gzip.
//!
//! Big-endian: two zero bytes, the type of the values (8 is unsigned byte), the number of dimensions, then
//! each dimension as 32 bits, then the values. The header is believed only as far as the file can bear it
//! out: sizes are checked before anything is allocated, and unpacking stops at the size the header gave.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{DataError, ImageDataset, ImageSplits};
use crate::file;

/// Values allowed in one file: the largest set in this format (EMNIST) has 640 MB.
const MAX_VALUES: u64 = 1 << 30;
/// No byte of gzip can stand for more bytes than this (RFC 1951: a match of 258 in two bits).
const MAX_GZIP_RATIO: u64 = 1032;
const LAYOUT: &str = "an MNIST or Fashion-MNIST folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte, \
                      t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each plain or with .gz";
const STEMS: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
const DAMAGED: &str = "download the file again, or check that it is the one you mean";

/// The content of one file.
struct Idx {
    dimensions: Vec<usize>,
    values: Vec<u8>,
}

/// Reads the four files in `folder`.
///
/// # Errors
/// When files are missing, damaged, or do not belong together.
pub fn load(folder: &Path) -> Result<ImageSplits, DataError> {
    std::fs::read_dir(folder).map_err(|e| file::io_error(folder, "read the folder", e))?;
    let found = STEMS.map(|stem| find(folder, stem));
    let missing: Vec<String> = STEMS
        .iter()
        .zip(&found)
        .filter(|(_, path)| path.is_none())
        .map(|(stem, _)| stem.to_string())
        .collect();
    let [Some(train_images), Some(train_labels), Some(test_images), Some(test_labels)] = found else {
        return Err(DataError::MissingFiles { folder: folder.to_owned(), missing, layout: LAYOUT });
    };
    let train = load_pair(&train_images, &train_labels)?;
    let held_out = load_pair(&test_images, &test_labels)?;
    if train.shape() != held_out.shape() {
        let [_, height, width] = train.shape();
        let [_, test_height, test_width] = held_out.shape();
        return Err(DataError::Mismatch {
            first: train_images,
            first_found: format!("images of {height} x {width}"),
            second: test_images,
            second_found: format!("images of {test_height} x {test_width}"),
        });
    }
    Ok(ImageSplits { train, held_out })
}

/// Reads one file of images `[N, H, W]` and its file of labels `[N]`, of ten classes.
///
/// # Errors
/// When one is damaged, or their counts differ.
pub fn load_pair(images: &Path, labels: &Path) -> Result<ImageDataset, DataError> {
    let label_file = read(labels, 1)?;
    let image_file = read(images, 3)?;
    if label_file.dimensions[0] != image_file.dimensions[0] {
        return Err(DataError::Mismatch {
            first: images.to_owned(),
            first_found: format!("{} images", image_file.dimensions[0]),
            second: labels.to_owned(),
            second_found: format!("{} labels", label_file.dimensions[0]),
        });
    }
    if let Some(record) = label_file.values.iter().position(|&label| label > 9) {
        let found = label_file.values[record];
        return Err(DataError::LabelOutOfRange { path: labels.to_owned(), record, found, classes: 10 });
    }
    let shape = [1, image_file.dimensions[1], image_file.dimensions[2]];
    let names = (0..10).map(|digit| digit.to_string()).collect();
    ImageDataset::new(image_file.values, label_file.values, shape, names)
}

/// True when the folder has at least one of the files.
pub(crate) fn looks_like(folder: &Path) -> bool {
    STEMS.iter().any(|stem| find(folder, stem).is_some())
}

/// The file of this name, plain or packed, also with the dot that some archives write for the last dash.
fn find(folder: &Path, stem: &str) -> Option<PathBuf> {
    let dotted = stem.replace("-idx", ".idx");
    [stem.to_owned(), format!("{stem}.gz"), dotted.clone(), format!("{dotted}.gz")]
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Reads a file that must have `rank` dimensions.
fn read(path: &Path, rank: usize) -> Result<Idx, DataError> {
    let (mut source, size) = file::open(path)?;
    if size == 0 {
        return Err(DataError::Empty { path: path.to_owned(), remedy: "an IDX file begins with a header" });
    }
    let mut start = [0_u8; 2];
    let packed = size >= 2 && source.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b];
    let (source, _) = file::open(path)?;
    if packed {
        // A bound on what can come out, so that the header is refused before its size is believed.
        parse(path, MultiGzDecoder::new(source), rank, size.saturating_mul(MAX_GZIP_RATIO), true)
    } else {
        parse(path, source, rank, size, false)
    }
}

/// Reads header and values from a stream of at most `bound` bytes.
fn parse(
    path: &Path,
    mut stream: impl Read,
    rank: usize,
    bound: u64,
    packed: bool,
) -> Result<Idx, DataError> {
    let mut take = |count: u64| -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        match stream.by_ref().take(count).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) if packed => Err(DataError::BadGzip { path: path.to_owned(), source }),
            Err(source) => Err(file::io_error(path, "read the file", source)),
        }
    };
    let wrong_size = |found: u64, allowed: String| DataError::WrongSize {
        path: path.to_owned(),
        found,
        allowed,
        remedy: DAMAGED,
    };
    let header_bytes = 4 + 4 * rank as u64;
    let header = take(header_bytes)?;
    check_magic(path, &header, rank)?;
    if (header.len() as u64) < header_bytes {
        let allowed = format!("the header of an IDX file of {rank} dimensions alone has {header_bytes}");
        return Err(wrong_size(header.len() as u64, allowed));
    }
    let (dimensions, count) = check_dimensions(path, &header)?;
    if header_bytes + count > bound {
        let allowed = format!("its header promises {} ({})", header_bytes + count, by(&dimensions));
        return Err(wrong_size(bound, if packed { format!("{allowed} after unpacking") } else { allowed }));
    }
    // One byte more than promised shows whether the file goes on.
    let mut values = take(count + 1)?;
    if values.len() as u64 != count {
        let total = header_bytes + values.len() as u64;
        let more = if values.len() as u64 > count { " (it goes on after them)" } else { "" };
        let promised = header_bytes + count;
        return Err(wrong_size(total, format!("its header promises {promised} ({}){more}", by(&dimensions))));
    }
    values.shrink_to_fit();
    Ok(Idx { dimensions, values })
}

/// "60000 x 28 x 28".
fn by(dimensions: &[usize]) -> String {
    dimensions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// The first four bytes: zero, zero, unsigned byte, the number of dimensions.
fn check_magic(path: &Path, header: &[u8], rank: usize) -> Result<(), DataError> {
    let wanted = [0, 0, 8, rank as u8];
    let found = &header[..header.len().min(4)];
    if found == wanted {
        return Ok(());
    }
    let what = if rank == 3 { "images" } else { "labels" };
    Err(DataError::BadHeader {
        path: path.to_owned(),
        field: "the magic number",
        found: format!("{found:02x?}"),
        allowed: format!("an IDX file of {what} begins with {wanted:02x?}"),
        remedy: "check that images and labels are not swapped and that the file is unpacked or is gzip",
    })
}

/// The dimensions and the number of values, which must be at least one and no more than can be held.
fn check_dimensions(path: &Path, header: &[u8]) -> Result<(Vec<usize>, u64), DataError> {
    let sides: Vec<u32> =
        header[4..].chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
    let count = sides.iter().try_fold(1_u64, |product, &side| product.checked_mul(u64::from(side)));
    let dimensions: Vec<usize> = sides.iter().map(|&side| side as usize).collect();
    match count {
        Some(count @ 1..=MAX_VALUES) => Ok((dimensions, count)),
        _ => Err(DataError::BadHeader {
            path: path.to_owned(),
            field: "the list of dimensions",
            found: by(&dimensions),
            allowed: format!("1 to {MAX_VALUES} values are allowed"),
            remedy: DAMAGED,
        }),
    }
}
