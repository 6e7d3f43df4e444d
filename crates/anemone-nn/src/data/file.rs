//! Opening files that may be anything: never a pipe that blocks, never more bytes than a format can need.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use super::DataError;

/// Wraps what the system said about `path`.
pub(crate) fn io_error(path: &Path, action: &'static str, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_owned(), action, source }
}

/// Opens a regular file; gives it and its size.
pub(crate) fn open(path: &Path) -> Result<(File, u64), DataError> {
    // Asked before opening, for opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(|e| io_error(path, "find the file", e))?;
    if !metadata.is_file() {
        return Err(DataError::WrongKind {
            path: path.to_owned(),
            found: if metadata.is_dir() { "a folder" } else { "a device or pipe" },
            wanted: "a plain file",
            remedy: "give the path of a file",
        });
    }
    let file = File::open(path).map_err(|e| io_error(path, "open the file", e))?;
    Ok((file, metadata.len()))
}

/// Reads at most `limit` bytes of `file`; a file that grows while it is read does not grow the result.
pub(crate) fn read_at_most(path: &Path, file: &mut impl Read, limit: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|e| io_error(path, "read the file", e))?;
    Ok(bytes)
}

/// Reads a whole file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64, remedy: &'static str) -> Result<Vec<u8>, DataError> {
    let (mut file, size) = open(path)?;
    if size > limit {
        return Err(DataError::WrongSize {
            path: path.to_owned(),
            found: size,
            allowed: format!("at most {limit} are read into memory"),
            remedy,
        });
    }
    read_at_most(path, &mut file, limit)
}

/// Writes a file so that a reader sees the old one or the whole new one, never a part.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    set_usual_permissions(temporary.as_file())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    // The new name itself must survive a power cut; systems without folder handles need no such call.
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied && cfg!(unix) => Err(error),
        _ => Ok(()),
    }
}

/// Temporary files are private to their owner; data files are not.
#[cfg(unix)]
pub(crate) fn set_usual_permissions(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
pub(crate) fn set_usual_permissions(_file: &File) -> std::io::Result<()> {
    Ok(())
}
