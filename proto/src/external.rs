//! Tensors kept in other files: where they may be, and their bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use thiserror::Error;

use crate::onnx::tensor_proto::{DataLocation, DataType};
use crate::onnx::{StringStringEntryProto, TensorProto};
use crate::open::{self, OpenError};
use crate::read::ReadOptions;

/// Access to the files next to a model that hold its tensors.
///
/// A file is opened when the first tensor in it is asked for, and once. It must lie, after resolving links, in the folder
/// of the model as given, in the folder the model's own path resolves to, or in a root the caller named.
#[derive(Debug, Default)]
pub struct ExternalData {
    /// Where a location is looked for, in this order.
    folders: Vec<PathBuf>,
    mmap: bool,
    allow_links: bool,
    /// Contents by location.
    files: Mutex<BTreeMap<PathBuf, Bytes>>,
}

/// Why an external tensor has no bytes.
#[derive(Debug, Error)]
pub enum ExternalError {
    /// The tensor keeps its elements itself.
    #[error("tensor `{tensor}` has no external data")]
    NotExternal {
        /// Name of the tensor.
        tensor: String,
    },
    /// The tensor names a file and also has elements of its own.
    #[error("tensor `{tensor}` has external data and `raw_data`, expected one of them")]
    Both {
        /// Name of the tensor.
        tensor: String,
    },
    /// Strings have no fixed size and are not kept in external files.
    #[error("tensor `{tensor}` has element type STRING, which cannot be external")]
    Strings {
        /// Name of the tensor.
        tensor: String,
    },
    /// A key of `external_data` is not one of the four.
    #[error(
        "tensor `{tensor}`: external data has the key `{key}`, expected location, offset, length or checksum"
    )]
    Key {
        /// Name of the tensor.
        tensor: String,
        /// The key.
        key: String,
    },
    /// A key of `external_data` is there twice.
    #[error("tensor `{tensor}`: external data has the key `{key}` twice")]
    Twice {
        /// Name of the tensor.
        tensor: String,
        /// The key.
        key: String,
    },
    /// An offset or length is not a number of bytes.
    #[error("tensor `{tensor}`: external {key} is `{value}`, expected a number of bytes")]
    Number {
        /// Name of the tensor.
        tensor: String,
        /// `offset` or `length`.
        key: &'static str,
        /// What it says instead.
        value: String,
    },
    /// The location is not a plain relative path.
    #[error("tensor `{tensor}`: external location `{location}` {reason}")]
    Location {
        /// Name of the tensor.
        tensor: String,
        /// The location, shortened if it is long.
        location: String,
        /// What it does that it must not.
        reason: &'static str,
    },
    /// No allowed folder has the file.
    #[error("tensor `{tensor}`: external file `{location}` is not in {folders}; {remedy}", remedy = MISSING_REMEDY)]
    Missing {
        /// Name of the tensor.
        tensor: String,
        /// The location.
        location: String,
        /// The folders searched.
        folders: String,
    },
    /// The file is a link that leaves the allowed folders.
    #[error(
        "tensor `{tensor}`: external file `{location}` leads to `{target}`, outside of {folders}"
    )]
    Outside {
        /// Name of the tensor.
        tensor: String,
        /// The location.
        location: String,
        /// Where the link leads.
        target: PathBuf,
        /// The allowed folders.
        folders: String,
    },
    /// The file is a link and links are not allowed.
    #[error(
        "tensor `{tensor}`: external file `{location}` is a link, which is not allowed for untrusted models"
    )]
    Link {
        /// Name of the tensor.
        tensor: String,
        /// The location.
        location: String,
    },
    /// The tensor ends behind the end of the file.
    #[error(
        "tensor `{tensor}`: bytes {offset} to {end} of external file `{location}`, which has {file_bytes} bytes"
    )]
    Short {
        /// Name of the tensor.
        tensor: String,
        /// The location.
        location: String,
        /// First byte of the tensor.
        offset: u64,
        /// One more than the last byte of the tensor.
        end: u64,
        /// Size of the file.
        file_bytes: u64,
    },
    /// The file cannot be read.
    #[error("tensor `{tensor}`")]
    Open {
        /// Name of the tensor.
        tensor: String,
        /// The reason.
        source: OpenError,
    },
}

const MISSING_REMEDY: &str = "put it there or name its folder as an external root";

/// The entries of `external_data`.
#[derive(Default)]
struct Reference<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl ExternalData {
    /// Access for the model at `path`.
    pub fn of_model(path: &Path, options: &ReadOptions) -> Self {
        let mut folders = vec![folder_of(path)];
        folders.extend(fs::canonicalize(path).ok().as_deref().map(folder_of));
        folders.extend(options.external_roots.iter().cloned());
        Self {
            folders,
            mmap: options.mmap,
            allow_links: options.allow_links,
            files: Mutex::default(),
        }
    }

    /// Access for a model without a path: only [`ReadOptions::external_roots`] are searched.
    pub fn of_roots(options: &ReadOptions) -> Self {
        Self {
            folders: options.external_roots.clone(),
            mmap: options.mmap,
            allow_links: options.allow_links,
            files: Mutex::default(),
        }
    }

    /// The elements of a tensor whose `data_location` is `EXTERNAL`, as a slice of their file.
    ///
    /// Without a `length` entry the slice reaches to the end of the file. Whether it fits the shape is not checked here.
    pub fn tensor_bytes(&self, tensor: &TensorProto) -> Result<Bytes, ExternalError> {
        let name = || tensor.name().to_owned();
        if !is_external(tensor) {
            return Err(ExternalError::NotExternal { tensor: name() });
        }
        if tensor.raw_data.as_ref().is_some_and(|raw_data| !raw_data.is_empty()) {
            return Err(ExternalError::Both { tensor: name() });
        }
        if tensor.data_type() == DataType::String as i32 {
            return Err(ExternalError::Strings { tensor: name() });
        }
        let reference = reference(tensor)?;
        let file = self.file(tensor, reference.location)?;
        let file_bytes = file.len() as u64;
        let length = reference.length.unwrap_or(file_bytes.saturating_sub(reference.offset));
        let end = reference.offset.saturating_add(length);
        let range = usize::try_from(reference.offset).ok().zip(usize::try_from(end).ok());
        match range {
            Some((offset, end)) if offset <= end && end <= file.len() => {
                Ok(file.slice(offset..end))
            }
            _ => Err(ExternalError::Short {
                tensor: name(),
                location: reference.location.to_owned(),
                offset: reference.offset,
                end,
                file_bytes,
            }),
        }
    }

    /// The contents of the file at `location`.
    fn file(&self, tensor: &TensorProto, location: &str) -> Result<Bytes, ExternalError> {
        let relative = relative_path(location).map_err(|reason| ExternalError::Location {
            tensor: tensor.name().to_owned(),
            location: location.chars().take(200).collect(),
            reason,
        })?;
        // A panic elsewhere cannot leave the map half-changed: entries are only ever added.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = files.get(&relative) {
            return Ok(bytes.clone());
        }
        let path = self.find(tensor, location, &relative)?;
        let bytes = open::contents(&path, self.mmap)
            .map_err(|source| ExternalError::Open { tensor: tensor.name().to_owned(), source })?;
        files.insert(relative, bytes.clone());
        Ok(bytes)
    }

    /// The resolved path of a location, known to lie in an allowed folder.
    fn find(
        &self,
        tensor: &TensorProto,
        location: &str,
        relative: &Path,
    ) -> Result<PathBuf, ExternalError> {
        let (tensor, location) = (tensor.name().to_owned(), location.to_owned());
        let found = self.folders.iter().find_map(|folder| {
            let path = folder.join(relative);
            fs::canonicalize(&path).ok().map(|target| (folder, target))
        });
        let Some((folder, target)) = found else {
            return Err(ExternalError::Missing { tensor, location, folders: self.folder_list() });
        };
        let allowed = self.folders.iter().filter_map(|folder| fs::canonicalize(folder).ok());
        if !allowed.into_iter().any(|root| target.starts_with(root)) {
            return Err(ExternalError::Outside {
                tensor,
                location,
                target,
                folders: self.folder_list(),
            });
        }
        let plain = fs::canonicalize(folder).is_ok_and(|folder| folder.join(relative) == target);
        if !self.allow_links && (!plain || has_hard_links(&target)) {
            return Err(ExternalError::Link { tensor, location });
        }
        Ok(target)
    }

    fn folder_list(&self) -> String {
        let mut names: Vec<String> =
            self.folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
        names.dedup();
        if names.is_empty() {
            "any folder, because the model has none".to_owned()
        } else {
            names.join(" or ")
        }
    }
}

/// Whether the elements of a tensor are in another file.
pub(crate) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// The `location` entry of a tensor, if it has one.
pub(crate) fn location(tensor: &TensorProto) -> Option<&str> {
    let entry = |entry: &&StringStringEntryProto| entry.key() == "location";
    tensor.external_data.iter().find(entry).map(StringStringEntryProto::value)
}

fn reference(tensor: &TensorProto) -> Result<Reference<'_>, ExternalError> {
    let name = || tensor.name().to_owned();
    let mut reference = Reference::default();
    for (i, entry) in tensor.external_data.iter().enumerate() {
        if tensor.external_data.iter().take(i).any(|earlier| earlier.key() == entry.key()) {
            return Err(ExternalError::Twice { tensor: name(), key: entry.key().to_owned() });
        }
        match entry.key() {
            "location" => reference.location = entry.value(),
            "offset" => reference.offset = number(tensor, "offset", entry.value())?,
            "length" => reference.length = Some(number(tensor, "length", entry.value())?),
            "checksum" => {}
            key => return Err(ExternalError::Key { tensor: name(), key: key.to_owned() }),
        }
    }
    Ok(reference)
}

fn number(tensor: &TensorProto, key: &'static str, value: &str) -> Result<u64, ExternalError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).ok_or_else(|| ExternalError::Number {
        tensor: tensor.name().to_owned(),
        key,
        value: value.to_owned(),
    })
}

/// A location as a path of plain names, or what is wrong with it.
pub(crate) fn relative_path(location: &str) -> Result<PathBuf, &'static str> {
    if location.is_empty() {
        return Err("is empty");
    }
    if location.contains('\0') {
        return Err("has a NUL character");
    }
    if location.contains('\\') {
        return Err("has a backslash, expected `/` between names");
    }
    if location.contains("_ORT_MEM_ADDR_") {
        return Err("is an address in memory, not a file");
    }
    let drive = location.as_bytes();
    if drive.first().is_some_and(u8::is_ascii_alphabetic) && drive.get(1) == Some(&b':') {
        return Err("names a drive, expected a path relative to the model");
    }
    let mut relative = PathBuf::new();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(name) => relative.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err("leaves the folder of the model with `..`"),
            Component::RootDir | Component::Prefix(_) => {
                return Err("is absolute, expected a path relative to the model");
            }
        }
    }
    if relative.as_os_str().is_empty() { Err("names no file") } else { Ok(relative) }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(unix)]
fn has_hard_links(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.nlink() > 1)
}

#[cfg(not(unix))]
fn has_hard_links(_path: &Path) -> bool {
    false
}
