//! Nodes: one operator application each.
use crate::{Attribute, AttributeValue, Graph, Tensor, ValueId};
use lapidary_proto::onnx;
use std::sync::Arc;

/// A node of a graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// `NodeProto.name`, possibly empty.
    pub name: String,
    /// The operator set's domain; empty for ONNX's own.
    pub domain: String,
    /// The operator's name.
    pub op_type: String,
    pub(crate) inputs: Vec<Option<ValueId>>,
    pub(crate) outputs: Vec<Option<ValueId>>,
    pub(crate) attributes: Vec<Attribute>,
    /// Outer values the subgraphs of this node read, each once.
    pub(crate) captured: Vec<ValueId>,
    pub(crate) order: Order,
    /// Fields of `NodeProto` no pass looks at: documentation, metadata, overload, devices.
    pub(crate) rest: Option<Box<onnx::NodeProto>>,
}

/// Where a node stands among nodes that are free to go in any order: the position in the file of
/// the node it comes from, then the sequence of its making.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(pub(crate) u32, pub(crate) u32);

impl Node {
    /// The inputs; `None` is an omitted optional input.
    #[must_use]
    pub fn inputs(&self) -> &[Option<ValueId>] {
        &self.inputs
    }

    /// The outputs; `None` is an output nobody asked for.
    #[must_use]
    pub fn outputs(&self) -> &[Option<ValueId>] {
        &self.outputs
    }

    /// The attributes, in the file's order.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Outer values the subgraphs of this node read.
    #[must_use]
    pub fn captured(&self) -> &[ValueId] {
        &self.captured
    }

    /// The subgraphs among the attributes.
    pub fn subgraphs(&self) -> impl Iterator<Item = &Graph> {
        self.attributes.iter().filter_map(|attribute| match &attribute.value {
            AttributeValue::Graph(graph) => Some(&**graph),
            _ => None,
        })
    }

    /// Input `slot`, if it is there.
    #[must_use]
    pub fn input(&self, slot: usize) -> Option<ValueId> {
        self.inputs.get(slot).copied().flatten()
    }

    /// Output `slot`, if it is there.
    #[must_use]
    pub fn output(&self, slot: usize) -> Option<ValueId> {
        self.outputs.get(slot).copied().flatten()
    }

    /// Whether this is operator `op_type` of ONNX's own domain.
    #[must_use]
    pub fn is(&self, op_type: &str) -> bool {
        self.op_type == op_type && self.is_standard()
    }

    /// Whether the operator is of ONNX's own domain.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.domain.is_empty() || self.domain == "ai.onnx"
    }

    /// Whether a patch made the node, and not the file.
    pub(crate) fn is_new(&self) -> bool {
        self.order.1 > 0
    }

    /// The attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|a| &a.value)
    }

    /// An integer attribute.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            AttributeValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A float attribute.
    #[must_use]
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attribute(name)? {
            AttributeValue::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// A string attribute, if it is UTF-8.
    #[must_use]
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            AttributeValue::String(value) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// A list of integers.
    #[must_use]
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attribute(name)? {
            AttributeValue::Ints(values) => Some(values),
            _ => None,
        }
    }

    /// A list of floats.
    #[must_use]
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        match self.attribute(name)? {
            AttributeValue::Floats(values) => Some(values),
            _ => None,
        }
    }

    /// A tensor attribute.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&Arc<Tensor>> {
        match self.attribute(name)? {
            AttributeValue::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// How messages call the node: its name, or the name of its first output.
    #[must_use]
    pub fn label<'a>(&'a self, graph: &'a Graph) -> &'a str {
        if !self.name.is_empty() {
            return &self.name;
        }
        self.outputs.iter().flatten().next().map_or("", |&output| graph.value(output).name())
    }
}
