//! The files of a folder.
use super::DatasetError;
use std::path::{Path, PathBuf};

/// Everything in a folder, sorted by name, without what is hidden.
pub(super) fn entries(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
    let mut paths: Vec<PathBuf> = entries.collect::<std::io::Result<_>>()?;
    let hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    paths.retain(|path| !hidden(path));
    paths.sort();
    Ok(paths)
}

/// Whether the name of a file ends in one of these, in capitals or not.
pub(super) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| extensions.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// The files with one of these extensions.
pub(super) fn files(entries: &[PathBuf], extensions: &[&str]) -> Vec<PathBuf> {
    let wanted = |path: &&PathBuf| has_extension(path, extensions) && path.is_file();
    entries.iter().filter(wanted).cloned().collect()
}
