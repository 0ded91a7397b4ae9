//! Graphs: an arena of nodes, a table of values, and the order of both.
use crate::node::Order;
use crate::{Node, OpsetImports, Tensor, Use, Value, ValueType};
use lapidary_proto::onnx;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Index;
use std::sync::Arc;

/// A node of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

/// A value of one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) u32);

impl NodeId {
    /// A dense index, for tables beside the graph.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ValueId {
    /// A dense index, for tables beside the graph.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A graph or subgraph. See the [crate documentation](crate) for its invariants.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Option<Node>>,
    pub(crate) values: Vec<Option<Value>>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    /// What the file says of outputs that are inputs as well, by place among the outputs.
    pub(crate) passed_through: Vec<(usize, onnx::ValueInfoProto)>,
    /// Initializers in the file's order; entries that are gone are skipped.
    pub(crate) initializers: Vec<ValueId>,
    /// Values with a `value_info` entry, in the file's order.
    pub(crate) value_infos: Vec<ValueId>,
    /// Values of the enclosing graph read here: the value here, and the index into the
    /// enclosing node's `captured`.
    pub(crate) captures: Vec<(ValueId, u32)>,
    pub(crate) names: FxHashMap<Arc<str>, ValueId>,
    /// Every name in a family of graphs with subgraphs, which new names must avoid; empty for a
    /// graph on its own. Whichever graph is being changed has the complete set.
    pub(crate) foreign_names: Arc<FxHashSet<String>>,
    pub(crate) next_suffix: FxHashMap<String, u32>,
    pub(crate) next_sequence: u32,
    pub(crate) opsets: Arc<OpsetImports>,
    /// Everything but nodes, inputs, outputs, initializers and known value infos, as in the file.
    pub(crate) rest: onnx::GraphProto,
}

impl Index<NodeId> for Graph {
    type Output = Node;
    fn index(&self, id: NodeId) -> &Node {
        self.nodes[id.index()].as_ref().expect("the node is alive")
    }
}

impl Graph {
    /// The name of the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        self.rest.name.as_deref().unwrap_or("")
    }

    /// The operator sets in force.
    #[must_use]
    pub fn opsets(&self) -> &OpsetImports {
        &self.opsets
    }

    /// The version of ONNX's own operator set, 0 when none is imported.
    #[must_use]
    pub fn opset(&self) -> i64 {
        self.opsets.standard().unwrap_or(0)
    }

    /// The inputs, in order; for old models also initializers a caller may override.
    #[must_use]
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The outputs, in order.
    #[must_use]
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The inputs a caller must feed: those without an initializer.
    pub fn required_inputs(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.inputs.iter().copied().filter(|&id| self.value(id).initializer.is_none())
    }

    /// A value.
    ///
    /// # Panics
    /// When it is gone or belongs to another graph.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &Value {
        self.values[id.index()].as_ref().expect("the value is alive")
    }

    /// A value, unless it is gone.
    #[must_use]
    pub fn get_value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(id.index())?.as_ref()
    }

    /// A node, unless it is gone.
    #[must_use]
    pub fn get_node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())?.as_ref()
    }

    /// The value of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// Values of the enclosing graph that this subgraph reads.
    pub fn captures(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.captures.iter().map(|&(id, _)| id)
    }

    /// One more than the largest node index, for tables beside the graph.
    #[must_use]
    pub fn node_bound(&self) -> usize {
        self.nodes.len()
    }

    /// One more than the largest value index, for tables beside the graph.
    #[must_use]
    pub fn value_bound(&self) -> usize {
        self.values.len()
    }

    /// The number of nodes, without those in subgraphs.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.iter().flatten().count()
    }

    /// The nodes with their ids, in order of making.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let numbered = self.nodes.iter().enumerate();
        numbered.filter_map(|(index, node)| Some((NodeId(index as u32), node.as_ref()?)))
    }

    /// The values with their ids, in order of making.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        let numbered = self.values.iter().enumerate();
        numbered.filter_map(|(index, value)| Some((ValueId(index as u32), value.as_ref()?)))
    }

    /// The initializers in order, with those a caller may override.
    pub fn initializers(&self) -> impl Iterator<Item = (ValueId, &Arc<Tensor>)> {
        self.initializers
            .iter()
            .filter_map(|&id| Some((id, self.get_value(id)?.initializer.as_ref()?)))
    }

    /// The data of a value no caller can override.
    #[must_use]
    pub fn constant(&self, id: ValueId) -> Option<&Arc<Tensor>> {
        self.value(id).constant()
    }

    /// The data of input `slot` of `node`, if it is a constant.
    #[must_use]
    pub fn constant_input(&self, node: NodeId, slot: usize) -> Option<&Arc<Tensor>> {
        self.constant(self[node].input(slot)?)
    }

    /// The node that makes a value.
    #[must_use]
    pub fn producer(&self, id: ValueId) -> Option<NodeId> {
        self.value(id).producer.map(|(node, _)| node)
    }

    /// The distinct nodes that read a value, in a stable order.
    pub fn consumers(&self, id: ValueId) -> impl Iterator<Item = NodeId> + '_ {
        let mut last = None;
        self.value(id)
            .uses()
            .map(|used| used.node)
            .filter(move |&node| last.replace(node) != Some(node))
    }

    /// The only use of a value that is neither a graph output nor pinned.
    #[must_use]
    pub fn only_use(&self, id: ValueId) -> Option<Use> {
        let value = self.value(id);
        let mut uses = value.uses();
        match (uses.next(), uses.next()) {
            (Some(only), None) if !value.keeps_name() => Some(only),
            _ => None,
        }
    }

    /// The type of a value.
    #[must_use]
    pub fn ty(&self, id: ValueId) -> &ValueType {
        &self.value(id).ty
    }

    /// The nodes in topological order, ties by their order in the file. Nodes on a cycle and
    /// those behind them are missing.
    #[must_use]
    pub fn topological_order(&self) -> Vec<NodeId> {
        let mut waiting: Vec<u32> = vec![0; self.nodes.len()];
        let mut ready: BinaryHeap<Reverse<(Order, NodeId)>> = BinaryHeap::new();
        for (id, node) in self.nodes() {
            let reads = node.inputs.iter().flatten().chain(&node.captured);
            let count = reads.filter(|&&value| self.value(value).producer.is_some()).count();
            waiting[id.index()] = count as u32;
            if count == 0 {
                ready.push(Reverse((node.order, id)));
            }
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(Reverse((_, id))) = ready.pop() {
            order.push(id);
            for &output in self[id].outputs.iter().flatten() {
                for used in self.value(output).uses() {
                    let left = &mut waiting[used.node.index()];
                    *left -= 1;
                    if *left == 0 {
                        ready.push(Reverse((self[used.node].order, used.node)));
                    }
                }
            }
        }
        order
    }

    /// The number of nodes, with those in subgraphs.
    #[must_use]
    pub fn total_node_count(&self) -> usize {
        self.nodes().map(|(_, node)| node.total_count()).sum()
    }
}
