//! From a model to a file, or to two.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message as _;
use thiserror::Error;

use crate::atomic::Replacement;
use crate::external;
use crate::memory::Stream;
use crate::onnx::tensor_proto::{DataLocation, DataType};
use crate::onnx::{GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};

/// Size in bytes from which other readers refuse a model.
const INLINE_LIMIT: u64 = i32::MAX as u64;

/// Graphs inside graphs that are written; what is read never has more.
const GRAPH_DEPTH: usize = 64;

/// Alignment in bytes of a tensor in the data file.
const ALIGNMENT: u64 = 64;

/// Alignment in bytes of a tensor of at least [`LARGE`] bytes, so that a runtime can map it.
const PAGE: u64 = 4096;

/// Size in bytes from which a tensor starts on a page of its own.
const LARGE: usize = 1 << 20;

/// Why a model was not written. No path names a half-written file.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The operating system refuses.
    #[error("cannot write `{path}`", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason given.
        source: io::Error,
    },
    /// The path has no file name that a model could refer to.
    #[error("`{path}` has no file name in UTF-8, expected one such as `model.onnx`", path = path.display())]
    FileName {
        /// The path.
        path: PathBuf,
    },
    /// One file cannot hold the model.
    #[error(
        "the model takes {bytes} bytes, a single file can have at most {limit}; write its tensors to external data \
         with `write_with_external`",
        limit = INLINE_LIMIT
    )]
    TooLarge {
        /// Size of the encoded model.
        bytes: u64,
    },
    /// Graphs are nested deeper than any reader follows.
    #[error("node `{node}` ({op_type}): its subgraph is nested deeper than {limit} graphs", limit = GRAPH_DEPTH)]
    TooDeep {
        /// Name of the node with the innermost graph.
        node: String,
        /// Its operator.
        op_type: String,
    },
    /// A tensor that is already external is kept in the file about to be replaced.
    #[error("tensor `{tensor}` is kept in `{path}`, which this write replaces; load it first", path = path.display())]
    DataInUse {
        /// Name of the tensor.
        tensor: String,
        /// The data file.
        path: PathBuf,
    },
}

/// What [`write_with_external`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Size of the model file.
    pub model_bytes: u64,
    /// Size of the data file; 0 without one.
    pub data_bytes: u64,
    /// The data file, if any tensor went there.
    pub data_path: Option<PathBuf>,
    /// Tensors in the data file.
    pub tensors: usize,
}

/// The wire form of a model.
pub fn encode(model: &ModelProto) -> Bytes {
    Bytes::from(model.encode_to_vec())
}

/// Writes a model to one file and returns its size in bytes.
///
/// Tensors that are already external are written as they are: the caller takes care that their files are found from
/// `path`.
pub fn write(model: &ModelProto, path: &Path) -> Result<u64, WriteError> {
    let replacement = write_temporary(model, path)?;
    let bytes = replacement.file().metadata().map_err(io_error(path))?.len();
    replacement.commit().map_err(io_error(path))?;
    Ok(bytes)
}

/// Writes a file that is no model, whole or not at all.
///
/// # Errors
/// When the operating system refuses.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let replacement = Replacement::begin(path).map_err(io_error(path))?;
    replacement.file().write_all(bytes).map_err(io_error(path))?;
    replacement.sync().map_err(io_error(path))?;
    replacement.commit().map_err(io_error(path))
}

/// Writes a model whose tensors of at least `threshold` bytes go to `<file name>.data` beside it.
///
/// Initializers of all graphs and the values of `Constant` nodes are moved. Both files are complete on the disk before
/// the first of them takes its place, the data file first. Replacing an older pair of the same names, the process can be
/// stopped between the two renames: then the older model is left with the newer data.
pub fn write_with_external(
    model: &ModelProto,
    path: &Path,
    threshold: usize,
) -> Result<Written, WriteError> {
    let no_name = || WriteError::FileName { path: path.to_owned() };
    let location =
        format!("{}.data", path.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?);
    let data_path = path.with_file_name(&location);
    check_depth(model)?;

    let mut layout =
        Layout { location, threshold: threshold.max(1), end: 0, pieces: Vec::new(), in_use: None };
    // Payloads are shared with the original; only the structure around them is copied.
    let mut model = model.clone();
    for graph in graphs_mut(&mut model) {
        layout.graph(graph);
    }
    if let Some(tensor) = layout.in_use {
        return Err(WriteError::DataInUse { tensor, path: data_path });
    }
    if layout.pieces.is_empty() {
        let model_bytes = write(&model, path)?;
        return Ok(Written { model_bytes, data_bytes: 0, data_path: None, tensors: 0 });
    }

    let data = Replacement::begin(&data_path).map_err(io_error(&data_path))?;
    layout.write(data.file()).and_then(|()| data.sync()).map_err(io_error(&data_path))?;
    let file = write_temporary(&model, path)?;
    let model_bytes = file.file().metadata().map_err(io_error(path))?.len();
    data.commit().map_err(io_error(&data_path))?;
    file.commit().map_err(io_error(path))?;
    let tensors = layout.pieces.len();
    Ok(Written { model_bytes, data_bytes: layout.end, data_path: Some(data_path), tensors })
}

/// The encoded model in a complete file that is not in place yet.
fn write_temporary(model: &ModelProto, path: &Path) -> Result<Replacement, WriteError> {
    if path.file_name().is_none() {
        return Err(WriteError::FileName { path: path.to_owned() });
    }
    check_depth(model)?;
    let bytes = model.encoded_len() as u64;
    if bytes > INLINE_LIMIT {
        return Err(WriteError::TooLarge { bytes });
    }
    let replacement = Replacement::begin(path).map_err(io_error(path))?;
    let mut stream = Stream::new(replacement.file());
    let encoded = model.encode(&mut stream).map_err(io::Error::other);
    encoded
        .and_then(|()| stream.finish())
        .and_then(|_| replacement.sync())
        .map_err(io_error(path))?;
    Ok(replacement)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::Io { path: path.to_owned(), source }
}

/// Where tensors go in the data file.
struct Layout {
    location: String,
    threshold: usize,
    /// Size of the data file so far.
    end: u64,
    /// Offsets and contents, in the order of the file.
    pieces: Vec<(u64, Bytes)>,
    /// A tensor that is already kept in the data file's place.
    in_use: Option<String>,
}

impl Layout {
    fn graph(&mut self, graph: &mut GraphProto) {
        for tensor in &mut graph.initializer {
            self.tensor(tensor);
        }
        for node in &mut graph.node {
            let is_constant =
                node.op_type() == "Constant" && matches!(node.domain(), "" | "ai.onnx");
            for attribute in &mut node.attribute {
                if let Some(tensor) = attribute.t.as_deref_mut().filter(|_| is_constant) {
                    self.tensor(tensor);
                }
                for graph in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
                    self.graph(graph);
                }
            }
        }
    }

    fn tensor(&mut self, tensor: &mut TensorProto) {
        if external::is_external(tensor) {
            let kept = external::location(tensor)
                .and_then(|location| external::relative_path(location).ok());
            if kept.is_some_and(|kept| kept == Path::new(&self.location)) {
                self.in_use.get_or_insert_with(|| tensor.name().to_owned());
            }
            return;
        }
        let moves = |raw_data: &mut Bytes| raw_data.len() >= self.threshold;
        let is_text = tensor.data_type() == DataType::String as i32;
        let Some(bytes) = tensor.raw_data.take_if(|raw_data| !is_text && moves(raw_data)) else {
            return;
        };

        let alignment = if bytes.len() >= LARGE { PAGE } else { ALIGNMENT };
        let offset = self.end.next_multiple_of(alignment);
        self.end = offset + bytes.len() as u64;
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        tensor.data_location = Some(DataLocation::External as i32);
        tensor.external_data = vec![
            entry("location", self.location.clone()),
            entry("offset", offset.to_string()),
            entry("length", bytes.len().to_string()),
        ];
        self.pieces.push((offset, bytes));
    }

    fn write(&self, file: &std::fs::File) -> io::Result<()> {
        let mut writer = io::BufWriter::with_capacity(64 << 10, file);
        let mut at = 0;
        for (offset, bytes) in &self.pieces {
            io::copy(&mut io::Read::take(io::repeat(0), offset - at), &mut writer)?;
            writer.write_all(bytes)?;
            at = offset + bytes.len() as u64;
        }
        writer.flush()
    }
}

/// The graphs a model starts from.
fn graphs_mut(model: &mut ModelProto) -> impl Iterator<Item = &mut GraphProto> {
    let training = model.training_info.iter_mut();
    let training =
        training.flat_map(|info| info.initialization.iter_mut().chain(&mut info.algorithm));
    model.graph.iter_mut().chain(training)
}

/// Refuses graphs nested so deep that encoding them could exhaust the stack.
fn check_depth(model: &ModelProto) -> Result<(), WriteError> {
    let training = model
        .training_info
        .iter()
        .flat_map(|info| info.initialization.iter().chain(&info.algorithm));
    for graph in model.graph.iter().chain(training) {
        check_nodes(&graph.node, 0)?;
    }
    model.functions.iter().try_for_each(|function| check_nodes(&function.node, 0))
}

fn check_nodes(nodes: &[NodeProto], depth: usize) -> Result<(), WriteError> {
    for node in nodes {
        for attribute in &node.attribute {
            for graph in attribute.g.as_deref().into_iter().chain(&attribute.graphs) {
                if depth == GRAPH_DEPTH {
                    let (node, op_type) = (node.name().to_owned(), node.op_type().to_owned());
                    return Err(WriteError::TooDeep { node, op_type });
                }
                check_nodes(&graph.node, depth + 1)?;
            }
        }
    }
    Ok(())
}
