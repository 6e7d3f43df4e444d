//! Files as bytes, mapped into memory: opened in microseconds whatever their size, read where they are touched.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Bytes that somebody keeps alive: a mapped file, or a vector.
pub(crate) type Shared = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// Maps a regular file.
#[expect(unsafe_code, reason = "memory-maps a file, which nobody else is expected to truncate meanwhile")]
pub(crate) fn map(path: &Path) -> Result<Shared> {
    let file = File::open(path).map_err(Error::io(path, "cannot be opened"))?;
    let metadata = file.metadata().map_err(Error::io(path, "cannot be read"))?;
    if !metadata.is_file() {
        let message = "this is no regular file, so it cannot be mapped into memory".to_string();
        return Err(Error::NotAModel { path: path.to_path_buf(), message });
    }
    if metadata.len() == 0 {
        // Nothing to map, and some systems refuse to.
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: models are not changed in place while they are in use (this crate replaces them by renaming), so the mapped
    // file does not shrink. Every offset read from it is checked against the length of the mapping.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "cannot be mapped into memory"))?;
    Ok(Arc::new(map))
}
