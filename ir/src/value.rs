//! Values: what flows between nodes.
use crate::{Dim, ElemType, NodeId, Tensor};
use lapidary_proto::onnx;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A place where a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// The reading node.
    pub node: NodeId,
    /// How it reads it.
    pub port: Port,
}

/// How a node reads a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// As the input of that slot.
    Input(u32),
    /// Inside one of its subgraphs; the index into [`Node::captured`](crate::Node::captured).
    Capture(u32),
}

/// A value of a graph: an input, an initializer or the output of a node.
#[derive(Clone, Debug, Default)]
pub struct Value {
    pub(crate) name: Arc<str>,
    pub(crate) ty: ValueType,
    pub(crate) producer: Option<(NodeId, u32)>,
    pub(crate) uses: BTreeSet<Use>,
    pub(crate) initializer: Option<Arc<Tensor>>,
    /// The data of a captured value whose owner lends it while the subgraph is changed.
    pub(crate) captured_constant: Option<Arc<Tensor>>,
    pub(crate) is_input: bool,
    pub(crate) is_output: bool,
    /// Whether a quantization annotation of another value names it.
    pub(crate) is_parameter: bool,
    /// Whether training names it.
    pub(crate) is_trained: bool,
    /// The file's `ValueInfoProto`, whose type is `ty` unless a pass changed it.
    pub(crate) declared: Option<Box<onnx::ValueInfoProto>>,
}

/// What is known of the type of a value.
#[derive(Clone, Debug, Default)]
pub struct ValueType {
    /// The element type of a tensor.
    pub elem_type: Option<ElemType>,
    /// The shape of a tensor; unknown rank when absent.
    pub shape: Option<Vec<Dim>>,
    /// The elements of a shape-like integer tensor (rank 0 or 1), each possibly symbolic.
    pub elements: Option<Vec<Dim>>,
}

impl ValueType {
    /// A tensor type.
    #[must_use]
    pub fn tensor(elem_type: Option<ElemType>, shape: Option<Vec<Dim>>) -> Self {
        Self { elem_type, shape, elements: None }
    }

    /// The shape, when every dimension is a number.
    #[must_use]
    pub fn dims(&self) -> Option<Vec<i64>> {
        self.shape.as_ref()?.iter().map(Dim::value).collect()
    }

    /// The number of dimensions.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Vec::len)
    }
}

impl Value {
    /// The name, unique in its graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of its type.
    #[must_use]
    pub fn ty(&self) -> &ValueType {
        &self.ty
    }

    /// The element type, if known.
    #[must_use]
    pub fn elem_type(&self) -> Option<ElemType> {
        self.ty.elem_type
    }

    /// The shape, if the rank is known.
    #[must_use]
    pub fn shape(&self) -> Option<&[Dim]> {
        self.ty.shape.as_deref()
    }

    /// The elements of a shape-like tensor, if known.
    #[must_use]
    pub fn elements(&self) -> Option<&[Dim]> {
        self.ty.elements.as_deref()
    }

    /// The node that makes it and the output slot.
    #[must_use]
    pub fn producer(&self) -> Option<(NodeId, usize)> {
        self.producer.map(|(node, slot)| (node, slot as usize))
    }

    /// Every place that reads it, in a stable order. Being a graph output is not among them.
    pub fn uses(&self) -> impl ExactSizeIterator<Item = Use> + '_ {
        self.uses.iter().copied()
    }

    /// Its data, if it is an initializer, even one a caller may override.
    #[must_use]
    pub fn initializer(&self) -> Option<&Arc<Tensor>> {
        self.initializer.as_ref()
    }

    /// Its data, if no caller can override it and training does not change it: that of an
    /// initializer, here or, for a captured value, in an enclosing graph.
    #[must_use]
    pub fn constant(&self) -> Option<&Arc<Tensor>> {
        if self.is_input || self.is_trained { None } else { self.data() }
    }

    /// Its data as far as it is known here, even if a caller may override it.
    pub(crate) fn data(&self) -> Option<&Arc<Tensor>> {
        self.initializer.as_ref().or(self.captured_constant.as_ref())
    }

    /// Whether it is an input of the graph.
    #[must_use]
    pub fn is_input(&self) -> bool {
        self.is_input
    }

    /// Whether it is an output of the graph.
    #[must_use]
    pub fn is_output(&self) -> bool {
        self.is_output
    }

    /// Whether something besides nodes names it: an annotation of another value, or training. It
    /// stays then, under its name.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.is_parameter || self.is_trained
    }

    /// Whether nothing reads it, it is no output and it is not pinned.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.uses.is_empty() && !self.keeps_name()
    }

    /// Whether its name has a meaning outside of the nodes.
    pub(crate) fn keeps_name(&self) -> bool {
        self.is_output || self.is_pinned()
    }
}
