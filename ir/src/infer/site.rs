//! What a rule sees: one node and the types of its inputs.
use super::elements;
use crate::{AttributeValue, Dim, ElemType, Graph, Node, Tensor, Value, ValueId, ValueType};
use std::sync::Arc;

/// A node in its graph.
pub(super) struct Site<'a> {
    graph: &'a Graph,
    node: &'a Node,
}

impl<'a> Site<'a> {
    pub(super) fn new(graph: &'a Graph, node: &'a Node) -> Self {
        Self { graph, node }
    }

    pub(super) fn op_type(&self) -> &'a str {
        &self.node.op_type
    }

    pub(super) fn domain(&self) -> &'a str {
        &self.node.domain
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    /// The version of ONNX's own operator set.
    pub(super) fn opset(&self) -> i64 {
        self.graph.opset()
    }

    /// The number of input slots in use.
    pub(super) fn input_count(&self) -> usize {
        self.node.inputs().len()
    }

    /// The number of output slots in use.
    pub(super) fn output_count(&self) -> usize {
        self.node.outputs().len()
    }

    pub(super) fn input(&self, slot: usize) -> Option<ValueId> {
        self.node.input(slot)
    }

    pub(super) fn has_input(&self, slot: usize) -> bool {
        self.node.input(slot).is_some()
    }

    fn value(&self, slot: usize) -> Option<&'a Value> {
        self.graph.get_value(self.node.input(slot)?)
    }

    /// The type of an input.
    pub(super) fn ty(&self, slot: usize) -> Option<&'a ValueType> {
        Some(self.value(slot)?.ty())
    }

    pub(super) fn elem_type(&self, slot: usize) -> Option<ElemType> {
        self.value(slot)?.elem_type()
    }

    pub(super) fn shape(&self, slot: usize) -> Option<&'a [Dim]> {
        self.value(slot)?.shape()
    }

    pub(super) fn rank(&self, slot: usize) -> Option<usize> {
        Some(self.shape(slot)?.len())
    }

    /// Dimension `axis` of an input, unknown when the shape is.
    pub(super) fn dim(&self, slot: usize, axis: usize) -> Dim {
        let dim = self.shape(slot).and_then(|shape| shape.get(axis));
        dim.cloned().unwrap_or(Dim::UNKNOWN)
    }

    /// The elements of a shape-like input no caller can override.
    pub(super) fn elements(&self, slot: usize) -> Option<&'a [Dim]> {
        let value = self.value(slot)?;
        if value.is_input() { None } else { value.elements() }
    }

    /// The data of a constant input: an initializer or what a `Constant` makes.
    pub(super) fn constant(&self, slot: usize) -> Option<Arc<Tensor>> {
        if let Some(tensor) = self.value(slot)?.constant() {
            return Some(tensor.clone());
        }
        let node = self.producer(slot)?.node;
        let attribute = node.attributes().first().filter(|_| node.is("Constant"))?;
        match &attribute.value {
            AttributeValue::Tensor(tensor) => Some(tensor.clone()),
            AttributeValue::Float(value) => Some(Arc::new(Tensor::scalar(*value))),
            AttributeValue::Floats(values) => Some(Arc::new(Tensor::vector(values))),
            AttributeValue::Int(value) => Some(Arc::new(Tensor::scalar(*value))),
            AttributeValue::Ints(values) => Some(Arc::new(Tensor::vector(values))),
            _ => None,
        }
    }

    /// The elements of an integer input, when each is a known number.
    pub(super) fn integers(&self, slot: usize) -> Option<Vec<i64>> {
        match self.elements(slot) {
            Some(elements) => elements::numbers(elements),
            None => self.constant(slot).filter(|tensor| tensor.len() <= 1 << 16)?.to_i64(),
        }
    }

    /// The only element of a one-element integer input, possibly symbolic.
    pub(super) fn scalar(&self, slot: usize) -> Option<Dim> {
        match self.elements(slot) {
            Some([only]) => Some(only.clone()),
            Some(_) => None,
            None => self.constant(slot)?.as_i64().map(Dim::from),
        }
    }

    /// The node that makes an input.
    pub(super) fn producer(&self, slot: usize) -> Option<Site<'a>> {
        let node = self.graph.get_node(self.graph.producer(self.input(slot)?)?)?;
        Some(Site::new(self.graph, node))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.node.int(name).unwrap_or(default)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.int(name, 0) != 0
    }

    pub(super) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.node.ints(name)
    }

    pub(super) fn string(&self, name: &str) -> Option<&'a str> {
        self.node.string(name)
    }

    /// An element type in an attribute.
    pub(super) fn elem_type_attribute(&self, name: &str) -> Option<ElemType> {
        let number = i32::try_from(self.node.int(name)?).ok()?;
        Some(ElemType(number)).filter(|&elem_type| elem_type.name().is_some())
    }

    /// Axes that newer operator sets give as input `slot` and older ones as attribute `axes`.
    pub(super) fn axes(&self, slot: usize) -> Axes {
        if self.has_input(slot) {
            return self.integers(slot).map_or(Axes::Unknown, Axes::Known);
        }
        self.ints("axes").map_or(Axes::Absent, |axes| Axes::Known(axes.to_vec()))
    }
}

/// Axes a node may or may not give.
pub(super) enum Axes {
    Absent,
    Unknown,
    Known(Vec<i64>),
}

/// The position of an axis; negative ones count from the end.
pub(super) fn position(axis: i64, rank: usize) -> Option<usize> {
    let size = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(size)? } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

/// The positions of distinct axes.
pub(super) fn positions(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let positions: Vec<usize> =
        axes.iter().map(|&axis| position(axis, rank)).collect::<Option<_>>()?;
    let mut seen = vec![false; rank];
    let distinct = positions.iter().all(|&axis| !std::mem::replace(&mut seen[axis], true));
    distinct.then_some(positions)
}

/// Which of the axes are among `positions`.
pub(super) fn marked(positions: &[usize], rank: usize) -> Vec<bool> {
    let mut marked = vec![false; rank];
    for &axis in positions {
        marked[axis] = true;
    }
    marked
}
