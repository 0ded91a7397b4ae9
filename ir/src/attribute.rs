//! Attributes of nodes.
use crate::{Graph, Tensor};
use bytes::Bytes;
use lapidary_proto::onnx;
use std::sync::Arc;

/// A named attribute of a node.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name, unique within the node.
    pub name: String,
    /// The value.
    pub value: AttributeValue,
    /// `AttributeProto.doc_string`.
    pub doc_string: Option<String>,
}

/// The value of an attribute.
#[derive(Clone, Debug)]
pub enum AttributeValue {
    /// `FLOAT`
    Float(f32),
    /// `INT`
    Int(i64),
    /// `STRING`, not necessarily UTF-8.
    String(Bytes),
    /// `TENSOR`
    Tensor(Arc<Tensor>),
    /// `GRAPH`, a subgraph.
    Graph(Box<Graph>),
    /// `FLOATS`
    Floats(Vec<f32>),
    /// `INTS`
    Ints(Vec<i64>),
    /// `STRINGS`
    Strings(Vec<Bytes>),
    /// Anything else (references of functions, sparse tensors, types), as the file has it.
    Other(Box<onnx::AttributeProto>),
}

impl Attribute {
    /// An attribute without documentation.
    #[must_use]
    pub fn new(name: &str, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.to_owned(), value: value.into(), doc_string: None }
    }
}

impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f32> for AttributeValue {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for AttributeValue {
    fn from(value: &str) -> Self {
        Self::String(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl From<Vec<i64>> for AttributeValue {
    fn from(value: Vec<i64>) -> Self {
        Self::Ints(value)
    }
}

impl From<Vec<f32>> for AttributeValue {
    fn from(value: Vec<f32>) -> Self {
        Self::Floats(value)
    }
}

impl From<Tensor> for AttributeValue {
    fn from(value: Tensor) -> Self {
        Self::Tensor(Arc::new(value))
    }
}
