//! Opening a file whole, mapped or read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use thiserror::Error;

use crate::memory;

/// Why the bytes of a file cannot be had.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The operating system refuses.
    #[error("cannot read `{path}`", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// The path names something else.
    #[error("`{path}` is {found}, expected a file", path = path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
    },
}

/// The contents of a file: mapped, or read into memory.
///
/// # Errors
/// When there is no such file or it can't be read, and when the path names a folder, a device or a pipe.
pub fn contents(path: &Path, mmap: bool) -> Result<Bytes, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    // Looked at before it is opened: opening a pipe waits for its other end.
    let file_type = fs::metadata(path).map_err(io)?.file_type();
    if !file_type.is_file() {
        let found = if file_type.is_dir() { "a folder" } else { "a device or pipe" };
        return Err(OpenError::NotAFile { path: path.to_owned(), found });
    }
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length == 0 {
        return Ok(Bytes::new());
    }
    if mmap { memory::map(&file).map_err(io) } else { whole(file, length).map_err(io) }
}

fn whole(file: File, length: u64) -> io::Result<Bytes> {
    let capacity = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(capacity)?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(Bytes::from(bytes))
}
