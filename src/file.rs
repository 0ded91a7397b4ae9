//! Reading and writing model files.
use crate::{Error, ReadOptions};
use lapidary_ir::Model;
use lapidary_proto::{ReadError, UnknownField, prost::Message};
use std::path::Path;

/// Files from this size on keep their tensors in a second file: protobuf ends at 2 GiB.
const INLINE_LIMIT: usize = (1 << 31) - 1;

/// Tensors from this size on go to the second file, if there is one.
const EXTERNAL_THRESHOLD: usize = 1024;

/// A model read from a file.
#[derive(Debug)]
pub struct Opened {
    /// The model.
    pub model: Model,
    /// Size of the model file in bytes, without external data.
    pub bytes: u64,
    /// Fields this version does not know, dropped because the options allow it.
    pub dropped: Vec<UnknownField>,
}

/// Reads and checks a model. Weights stay in the mapped file.
///
/// # Errors
/// When the file can't be read, is no ONNX or breaks a rule of ONNX.
pub fn open(path: &Path, options: &ReadOptions) -> Result<Opened, Error> {
    let file = lapidary_proto::read(path, options)
        .map_err(|source| Error::Read { help: read_help(&source), source })?;
    let external = file.external;
    let load = |tensor: &_| external.tensor_bytes(tensor).map_err(Into::into);
    let model = Model::decode(file.model, &load)
        .map_err(|source| Error::Decode { path: path.to_owned(), source })?;
    let violations = model.validate();
    if !violations.is_empty() {
        return Err(Error::Invalid { path: path.to_owned(), violations });
    }
    Ok(Opened { model, bytes: file.bytes_len, dropped: file.unknown_fields })
}

fn read_help(source: &ReadError) -> &'static str {
    match source {
        ReadError::Open(_) => "check the path and its permissions",
        ReadError::NotOnnx { .. } => {
            "pass an .onnx file, complete, as torch.onnx.export or a converter writes it"
        }
        ReadError::UnknownField { .. } => {
            "the file is newer than this version; `--allow-unknown-fields` drops what it does not know"
        }
        ReadError::Limit { .. } => "the file asks for far more memory than its size warrants",
    }
}

/// Writes a model: to a temporary file that then takes the place of `path`. Tensors go to
/// `<file name>.data` if the model came with external data or is too large for one file.
///
/// # Errors
/// When the file can't be written; an older file is then as it was.
pub fn save(model: &Model, path: &Path) -> Result<u64, Error> {
    let proto = model.encode();
    if model.external_data || proto.encoded_len() > INLINE_LIMIT {
        let written = lapidary_proto::write_with_external(&proto, path, EXTERNAL_THRESHOLD);
        return written.map(|w| w.model_bytes + w.data_bytes).map_err(Error::Write);
    }
    lapidary_proto::write(&proto, path).map_err(Error::Write)
}

/// Writes a file of text: to a temporary file that then takes the place of `path`.
///
/// # Errors
/// When the file can't be written; the old one is then as it was.
pub fn save_text(text: &str, path: &Path) -> Result<(), Error> {
    lapidary_proto::replace(path, text.as_bytes()).map_err(Error::Write)
}
