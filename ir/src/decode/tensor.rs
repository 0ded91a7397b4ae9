//! `TensorProto` to [`Tensor`].
use super::{BoxedError, LoadExternal};
use crate::tensor::{Notes, TensorError, element_count};
use crate::{ElemType, Tensor};
use lapidary_proto::onnx;

/// Why a `TensorProto` is no tensor.
#[derive(Debug, thiserror::Error)]
pub enum TensorDecodeError {
    /// Type, dimensions and data do not agree.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Data is in more than one field.
    #[error("data is in {0}, expected one field")]
    TwoFields(String),
    /// Strings can't be raw.
    #[error("string data is in raw_data, expected string_data")]
    RawStrings,
    /// The data is in another file, which can't be read.
    #[error("{0}")]
    External(#[source] BoxedError),
    /// Segments were never implemented by anyone.
    #[error("the tensor is a segment of another one, which is not supported")]
    Segment,
}

impl Tensor {
    /// The tensor of a `TensorProto`; `load` gives the data kept in other files.
    ///
    /// # Errors
    /// When type, dimensions and data do not agree, or the other file can't be read.
    pub fn decode(
        proto: onnx::TensorProto,
        load: &LoadExternal<'_>,
    ) -> Result<Self, TensorDecodeError> {
        decode(proto, load)
    }
}

/// Decodes constant data.
///
/// # Errors
/// When type, dimensions and data do not agree, or the other file can't be read.
pub(super) fn decode(
    mut proto: onnx::TensorProto,
    load: &LoadExternal<'_>,
) -> Result<Tensor, TensorDecodeError> {
    if proto.segment.is_some() {
        return Err(TensorDecodeError::Segment);
    }
    let notes = take_notes(&mut proto);
    let elem_type = ElemType(proto.data_type.unwrap_or(0));
    let external = onnx::tensor_proto::DataLocation::External as i32;
    let dims = std::mem::take(&mut proto.dims);
    element_count(&dims)?;
    let mut tensor = if proto.data_location == Some(external) {
        proto.dims.clone_from(&dims);
        let bytes = load(&proto).map_err(TensorDecodeError::External)?;
        Tensor::from_bytes(elem_type, dims, bytes)?
    } else {
        inline(elem_type, dims, proto)?
    };
    tensor.notes = notes;
    Ok(tensor)
}

fn take_notes(proto: &mut onnx::TensorProto) -> Option<Box<Notes>> {
    let entry = |entry: onnx::StringStringEntryProto| {
        (entry.key.unwrap_or_default(), entry.value.unwrap_or_default())
    };
    let metadata = std::mem::take(&mut proto.metadata_props).into_iter().map(entry).collect();
    let notes = Notes { name: None, doc_string: proto.doc_string.take(), metadata };
    (notes != Notes::default()).then(|| Box::new(notes))
}

fn inline(
    elem_type: ElemType,
    dims: Vec<i64>,
    proto: onnx::TensorProto,
) -> Result<Tensor, TensorDecodeError> {
    let fields = [
        ("raw_data", proto.raw_data.is_some()),
        ("float_data", !proto.float_data.is_empty()),
        ("int32_data", !proto.int32_data.is_empty()),
        ("string_data", !proto.string_data.is_empty()),
        ("int64_data", !proto.int64_data.is_empty()),
        ("double_data", !proto.double_data.is_empty()),
        ("uint64_data", !proto.uint64_data.is_empty()),
    ];
    let present: Vec<&str> = fields.iter().filter(|(_, given)| *given).map(|(n, _)| *n).collect();
    if present.len() > 1 {
        return Err(TensorDecodeError::TwoFields(present.join(" and ")));
    }
    if elem_type == ElemType::STRING {
        if proto.raw_data.is_some() {
            return Err(TensorDecodeError::RawStrings);
        }
        return Ok(Tensor::from_strings(dims, proto.string_data)?);
    }
    if let Some(raw) = proto.raw_data {
        return Ok(Tensor::from_bytes(elem_type, dims, raw)?);
    }
    // Typed fields hold one element per entry, sub-byte types one packed byte per entry.
    let width = elem_type.bits().unwrap_or(8).div_ceil(8) as usize;
    let mut bytes = Vec::new();
    for value in proto.float_data {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    for value in proto.double_data {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    for value in proto.int64_data {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    for value in proto.int32_data {
        bytes.extend_from_slice(&value.to_le_bytes()[..width.min(4)]);
    }
    for value in proto.uint64_data {
        bytes.extend_from_slice(&value.to_le_bytes()[..width.min(8)]);
    }
    Ok(Tensor::from_bytes(elem_type, dims, bytes.into())?)
}
