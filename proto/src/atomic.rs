//! Replacing a file so that its path always names a whole one: the old or the new.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A new file that takes its place only when it is complete.
pub(crate) struct Replacement {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl Replacement {
    /// Begins a file beside `target`, which need not exist.
    pub(crate) fn begin(target: &Path) -> io::Result<Self> {
        if fs::metadata(target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the path exists and is not a file",
            ));
        }
        let mut builder = Builder::new();
        builder.prefix(".lapidary-").suffix(".tmp");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(folder_of(target))?;
        if let Ok(metadata) = fs::metadata(target) {
            temporary.as_file().set_permissions(metadata.permissions())?;
        }
        Ok(Self { temporary, target: target.to_owned() })
    }

    /// The new file, for writing.
    pub(crate) fn file(&self) -> &fs::File {
        self.temporary.as_file()
    }

    /// Waits until the new file is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.temporary.as_file().sync_all()
    }

    /// Puts the new file in place and waits until its name is on the disk too.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.temporary.persist(&self.target).map_err(|error| error.error)?;
        sync_folder(folder_of(&self.target))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
