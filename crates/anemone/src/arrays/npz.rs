//! Several named arrays in one zip file.

use super::ArrayError;
use super::npy::{Array, write_npy, write_raw};
use anemone_runtime::Tensor;
use mil::TensorType;
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;
use zip::read::ZipFile;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// A `.npz` opened for reading; arrays are read one by one, when asked for.
pub struct Npz<R: Read + Seek = BufReader<File>> {
    what: String,
    archive: ZipArchive<R>,
}

impl Npz {
    /// Opens a file.
    pub fn open(path: &Path) -> Result<Npz, ArrayError> {
        let file = File::open(path).map_err(|source| ArrayError::Io { path: path.into(), source })?;
        Npz::new(BufReader::new(file), path.display().to_string())
    }
}

impl<R: Read + Seek> Npz<R> {
    /// Reads from anything; `what` names it in messages.
    pub fn new(data: R, what: impl Into<String>) -> Result<Npz<R>, ArrayError> {
        let what = what.into();
        match ZipArchive::new(data) {
            Ok(archive) => Ok(Npz { what, archive }),
            Err(error) => Err(ArrayError::Format { what, message: format!("this is no .npz file: {error}") }),
        }
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .archive
            .file_names()
            .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_string()))
            .collect();
        names.sort();
        names
    }

    /// The header and the data still to be read of one array.
    pub fn array(&mut self, name: &str) -> Result<Array<ZipFile<'_, R>>, ArrayError> {
        let what = format!("{}: array `{name}`", self.what);
        let names = self.names().join(", ");
        match self.archive.by_name(&format!("{name}.npy")) {
            Ok(file) => Array::new(file, what),
            Err(error) => Err(ArrayError::Format {
                what,
                message: format!("it cannot be read: {error}; there are: {names}"),
            }),
        }
    }

    /// One array as a tensor of this type.
    pub fn read(&mut self, name: &str, wanted: &TensorType) -> Result<Tensor, ArrayError> {
        self.array(name)?.read(wanted)
    }
}

/// What can be written under a name.
pub enum NamedArray<'t> {
    /// A tensor.
    Tensor(&'t Tensor),
    /// A vector of `float64`.
    Doubles(Vec<f64>),
    /// A vector of `int64`; with `true` its only element, without dimensions.
    Ints(Vec<i64>, bool),
    /// A vector of strings; with `true` its only element, without dimensions.
    Strings(Vec<String>, bool),
}

/// Writes arrays to a `.npz`, in the order given and without compression, as `numpy.savez` does. The file appears when it
/// is complete.
pub fn write_npz<'t>(
    path: &Path,
    arrays: impl IntoIterator<Item = (String, NamedArray<'t>)>,
) -> Result<(), ArrayError> {
    let io = |source: std::io::Error| ArrayError::Io { path: path.into(), source };
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    let mut zip = ZipWriter::new(file);
    let zipped = |error: zip::result::ZipError| io(error.into());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for (name, array) in arrays {
        zip.start_file(format!("{name}.npy"), options).map_err(zipped)?;
        match array {
            NamedArray::Tensor(tensor) => write_npy(&mut zip, tensor),
            NamedArray::Doubles(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                write_raw(&mut zip, "<f8", &[values.len()], &bytes)
            }
            NamedArray::Ints(values, scalar) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                write_raw(&mut zip, "<i8", dims(values.len(), scalar).as_slice(), &bytes)
            }
            NamedArray::Strings(values, scalar) => {
                let (descr, bytes) = unicode(&values);
                write_raw(&mut zip, &descr, dims(values.len(), scalar).as_slice(), &bytes)
            }
        }
        .map_err(io)?;
    }
    let mut file = zip.finish().map_err(zipped)?;
    file.flush().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

fn dims(count: usize, scalar: bool) -> Vec<usize> {
    if scalar { Vec::new() } else { vec![count] }
}

/// Strings as NumPy holds them: UTF-32, all as long as the longest, the rest zeros.
fn unicode(values: &[String]) -> (String, Vec<u8>) {
    let longest = values.iter().map(|value| value.chars().count()).max().unwrap_or(0).max(1);
    let mut bytes = Vec::with_capacity(values.len() * longest * 4);
    for value in values {
        let padded = value.chars().map(u32::from).chain(std::iter::repeat(0)).take(longest);
        bytes.extend(padded.flat_map(u32::to_le_bytes));
    }
    (format!("<U{longest}"), bytes)
}
