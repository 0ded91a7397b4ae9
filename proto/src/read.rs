//! From a path, or bytes, to a model.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;
use thiserror::Error;

use crate::external::ExternalData;
use crate::foreign::Foreign;
use crate::limits::{LimitError, Limits};
use crate::onnx::ModelProto;
use crate::open::{self, OpenError};
use crate::scan::{self, ScanError, UnknownField};
use crate::wire::WireProblem;

/// How to read a model.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Map files instead of reading them. A mapped file must not shrink while the model is in use.
    pub mmap: bool,
    /// What a file may ask for.
    pub limits: Limits,
    /// Drop fields this crate does not know, and report them, instead of refusing the model.
    pub allow_unknown_fields: bool,
    /// Folders, besides the model's own, that external data may come from.
    pub external_roots: Vec<PathBuf>,
    /// Accept external data behind symbolic links, and files with more than one hard link, if they lie in an allowed
    /// folder.
    pub allow_links: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            mmap: true,
            limits: Limits::default(),
            allow_unknown_fields: false,
            external_roots: Vec::new(),
            allow_links: true,
        }
    }
}

impl ReadOptions {
    /// For models from strangers: no maps that another process could pull away, no links.
    pub fn untrusted() -> Self {
        Self { mmap: false, allow_links: false, ..Self::default() }
    }
}

/// A model as it was read.
#[derive(Debug)]
pub struct File {
    /// The model. Its `raw_data` fields point into the file.
    pub model: ModelProto,
    /// Fields of the file that the model does not have; empty unless they were allowed.
    pub unknown_fields: Vec<UnknownField>,
    /// Size of the model file, without external data.
    pub bytes_len: u64,
    /// Access to tensors kept in other files.
    pub external: ExternalData,
}

/// Why a model cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The bytes are not a model.
    #[error("`{input}` is not an ONNX model: {reason}")]
    NotOnnx {
        /// The path as given, or what stands for it.
        input: String,
        /// What is wrong with the bytes.
        reason: NotOnnx,
    },
    /// The model has a field that decoding would lose.
    #[error(
        "`{input}` has a field this version does not know: {field}; allow unknown fields to drop it"
    )]
    UnknownField {
        /// The path as given, or what stands for it.
        input: String,
        /// The field.
        field: UnknownField,
    },
    /// The model asks for more than it may.
    #[error("`{input}` is over a limit")]
    Limit {
        /// The path as given, or what stands for it.
        input: String,
        /// The limit.
        source: LimitError,
    },
}

/// Why bytes are not an ONNX model.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NotOnnx {
    /// There are no bytes.
    #[error("it is empty")]
    Empty,
    /// They are another format.
    #[error("{0}")]
    Foreign(Foreign),
    /// They break the wire format.
    #[error("`{field}` at byte {offset} of {length}: {problem}")]
    Malformed {
        /// The field, from the model down.
        field: String,
        /// Position in the file, in bytes.
        offset: u64,
        /// Size of the file, in bytes.
        length: u64,
        /// What is wrong there.
        problem: WireProblem,
    },
    /// A string is not text.
    #[error("`{field}` at byte {offset} is not UTF-8 text")]
    NotUtf8 {
        /// The field, from the model down.
        field: String,
        /// Position of the first wrong byte in the file.
        offset: u64,
    },
    /// The message has no graph; other protobuf files and cut-off models look like this.
    #[error("it has no graph")]
    NoGraph,
    /// The decoder refuses what the scan accepted.
    #[error("{0}")]
    Decode(prost::DecodeError),
}

/// Reads a model and prepares access to its external data.
///
/// With [`ReadOptions::mmap`] no weight is read until it is used.
pub fn read(path: &Path, options: &ReadOptions) -> Result<File, ReadError> {
    let bytes = open::contents(path, options.mmap)?;
    let bytes_len = bytes.len() as u64;
    let (model, unknown_fields) = decode_named(bytes, &path.display().to_string(), options)?;
    Ok(File { model, unknown_fields, bytes_len, external: ExternalData::of_model(path, options) })
}

/// Decodes a model from memory. Its `raw_data` fields share `bytes`.
///
/// External data of such a model is found with [`ExternalData::of_roots`].
pub fn decode(
    bytes: Bytes,
    options: &ReadOptions,
) -> Result<(ModelProto, Vec<UnknownField>), ReadError> {
    decode_named(bytes, "model in memory", options)
}

fn decode_named(
    bytes: Bytes,
    input: &str,
    options: &ReadOptions,
) -> Result<(ModelProto, Vec<UnknownField>), ReadError> {
    let not_onnx = |reason| ReadError::NotOnnx { input: input.to_owned(), reason };
    if bytes.is_empty() {
        return Err(not_onnx(NotOnnx::Empty));
    }
    let scanned = scan::scan(&bytes, &options.limits, options.allow_unknown_fields);
    let unknown_fields = scanned.map_err(|error| refusal(error, &bytes, input))?;
    let model = ModelProto::decode(bytes).map_err(|error| not_onnx(NotOnnx::Decode(error)))?;
    if model.graph.is_none() {
        return Err(not_onnx(NotOnnx::NoGraph));
    }
    Ok((model, unknown_fields))
}

/// The error for a file the scan refuses: what the file is, if that can be told, or else where it breaks.
fn refusal(error: ScanError, bytes: &[u8], input: &str) -> ReadError {
    let reason = match (error, Foreign::recognize(bytes)) {
        (ScanError::Limit(source), _) => {
            return ReadError::Limit { input: input.to_owned(), source };
        }
        (_, Some(foreign)) => NotOnnx::Foreign(foreign),
        (ScanError::UnknownField(field), None) => {
            return ReadError::UnknownField { input: input.to_owned(), field };
        }
        (ScanError::NotUtf8 { field, offset }, None) => NotOnnx::NotUtf8 { field, offset },
        (ScanError::Malformed { field, offset, problem }, None) => {
            NotOnnx::Malformed { field, offset, length: bytes.len() as u64, problem }
        }
    };
    ReadError::NotOnnx { input: input.to_owned(), reason }
}
