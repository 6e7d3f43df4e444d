//! Files. Those that are read may be anything: never a pipe that blocks, never more bytes than a format can need. Those
//! that are written appear whole or not at all.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use memmap2::Mmap;

use crate::data::DataError;

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

/// Maps a regular file into memory. Whoever reads the map relies on the file not being cut short meanwhile.
#[expect(unsafe_code, reason = "memory-mapping a file is unsafe in Rust's view of it")]
pub(crate) fn map(path: &Path) -> Result<Mmap, DataError> {
    let (file, _) = open(path)?;
    // SAFETY: the map is only read, through slices that are checked against its length. A file that another program rewrites
    // meanwhile changes what is read, and every reader checks what it reads; one that is cut short ends this program with
    // a bus error, as any mapped file does. Checkpoints are safe from that: they are replaced by renaming.
    unsafe { Mmap::map(&file) }.map_err(|e| io_error(path, "map the file into memory", e))
}

/// Writes a file through a temporary one in the same folder, synced and renamed, so that whoever looks finds the old file
/// or the whole new one, never a part. `write` gets the temporary file, empty.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    usual_permissions(&mut builder);
    let mut temporary = builder.tempfile_in(folder)?;
    write(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|e| e.error)?;
    // The new name itself must survive a power cut; systems without folder handles need no such call.
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied && cfg!(unix) => Err(error),
        _ => Ok(()),
    }
}

/// Temporary files are private to their owner; what is kept has the permissions of any new file, which the user's mask
/// decides.
#[cfg(unix)]
fn usual_permissions(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

#[cfg(not(unix))]
fn usual_permissions(_builder: &mut tempfile::Builder<'_, '_>) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(std::io::Error::other("the disk is full"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (plain, atomic) = (folder.path().join("plain"), folder.path().join("atomic"));
        std::fs::write(&plain, b"").unwrap();
        write_atomically(&atomic, |_| Ok(())).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&atomic), mode(&plain));
    }
}
