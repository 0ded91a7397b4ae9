//! Patches: the only way to change a graph.
//!
//! A pass looks at an immutable graph and writes down what to do; [`Graph::apply`] does it, whole,
//! and deletes what nothing uses any more. New values get names derived from old ones, so that a
//! reader of the result recognises them.
use crate::node::Order;
use crate::{Attribute, AttributeValue, Graph, Node, NodeId, Tensor, ValueId};
use std::sync::Arc;

/// A value as a patch sees it: one of the graph, or one the patch makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A value of the graph.
    Value(ValueId),
    /// An output of a node the patch adds: index of the node, slot.
    Output(usize, usize),
    /// An initializer the patch adds.
    Initializer(usize),
}

impl From<ValueId> for Operand {
    fn from(id: ValueId) -> Self {
        Self::Value(id)
    }
}

/// A node to be added.
#[derive(Clone, Debug)]
pub struct NewNode {
    pub(crate) node: Node,
    pub(crate) inputs: Vec<Option<Operand>>,
    pub(crate) outputs: usize,
    pub(crate) output_name: Option<String>,
    /// The name each output derives from, none for an omitted one; wins over the fields above.
    pub(crate) output_names: Option<Vec<Option<String>>>,
    /// What the subgraphs of the node capture.
    pub(crate) captured: Vec<Operand>,
    pub(crate) like: Option<NodeId>,
}

impl NewNode {
    /// A node of ONNX's own domain with one output.
    #[must_use]
    pub fn new(op_type: &str) -> Self {
        let node = Node {
            name: String::new(),
            domain: String::new(),
            op_type: op_type.to_owned(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            attributes: Vec::new(),
            captured: Vec::new(),
            order: Order::default(),
            rest: None,
        };
        Self {
            node,
            inputs: Vec::new(),
            outputs: 1,
            output_name: None,
            output_names: None,
            captured: Vec::new(),
            like: None,
        }
    }

    /// A copy of a node with its inputs, attributes, name and documentation, and new outputs.
    #[must_use]
    pub fn like(graph: &Graph, id: NodeId) -> Self {
        let node = graph[id].clone();
        let inputs = node.inputs.iter().map(|input| input.map(Operand::Value)).collect();
        let captured = node.captured.iter().copied().map(Operand::Value).collect();
        let outputs = node.outputs.len();
        let (output_name, output_names) = (None, None);
        Self { node, inputs, outputs, output_name, output_names, captured, like: Some(id) }
    }

    /// Sets the domain.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        domain.clone_into(&mut self.node.domain);
        self
    }

    /// Sets the operator, keeping everything else.
    #[must_use]
    pub fn op_type(mut self, op_type: &str) -> Self {
        op_type.clone_into(&mut self.node.op_type);
        self
    }

    /// Sets the name; without one, the node is named after what it stands for.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.node.name = name.into();
        self
    }

    /// Appends an input.
    #[must_use]
    pub fn input(mut self, operand: impl Into<Operand>) -> Self {
        self.inputs.push(Some(operand.into()));
        self
    }

    /// Sets input `slot`, omitting the inputs before it that do not exist.
    #[must_use]
    pub fn with_input(mut self, slot: usize, operand: impl Into<Operand>) -> Self {
        if self.inputs.len() <= slot {
            self.inputs.resize(slot + 1, None);
        }
        self.inputs[slot] = Some(operand.into());
        self
    }

    /// Drops the inputs from `slot` on.
    #[must_use]
    pub fn truncate_inputs(mut self, slot: usize) -> Self {
        self.inputs.truncate(slot);
        self
    }

    /// Lets the subgraphs of the node capture one more value, under the next index.
    #[must_use]
    pub fn capturing(mut self, operand: impl Into<Operand>) -> Self {
        self.captured.push(operand.into());
        self
    }

    /// Sets the number of outputs.
    #[must_use]
    pub fn outputs(mut self, count: usize) -> Self {
        self.outputs = count;
        self
    }

    /// Sets what the names of the outputs derive from.
    #[must_use]
    pub fn output_name(mut self, name: impl Into<String>) -> Self {
        self.output_name = Some(name.into());
        self
    }

    /// Sets an attribute.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<AttributeValue>) -> Self {
        set_attribute(&mut self.node.attributes, Attribute::new(name, value));
        self
    }

    /// Removes an attribute.
    #[must_use]
    pub fn without_attribute(mut self, name: &str) -> Self {
        self.node.attributes.retain(|attribute| attribute.name != name);
        self
    }
}

pub(crate) fn set_attribute(attributes: &mut Vec<Attribute>, new: Attribute) {
    match attributes.iter_mut().find(|attribute| attribute.name == new.name) {
        Some(old) => old.value = new.value,
        None => attributes.push(new),
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Replace(ValueId, Operand),
    SetInput(NodeId, usize, Option<Operand>),
    SetAttribute(NodeId, Attribute),
    RemoveAttribute(NodeId, String),
    SetTensor(ValueId, Arc<Tensor>),
    DropOutput(NodeId, usize),
    Remove(NodeId),
    RemoveInitializer(ValueId),
}

/// A list of changes to one graph.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub(crate) initializers: Vec<(String, Arc<Tensor>)>,
    pub(crate) nodes: Vec<NewNode>,
    pub(crate) actions: Vec<Action>,
}

/// What a patch did.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Nodes that are new or whose inputs or attributes changed, alive, each once.
    pub touched: Vec<NodeId>,
    /// Nodes added.
    pub added: usize,
    /// Nodes removed, of those added too.
    pub removed: usize,
    /// Bytes of initializers added, less those removed.
    pub bytes: i64,
}

/// Why a patch cannot be applied; a fault of the pass that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The value to replace is an input, or captured.
    #[error("value `{0}` is neither made by a node nor constant, and can't be replaced")]
    NotReplaceable(String),
    /// A graph output can't become a value that must keep another name.
    #[error("graph output `{output}` can't become `{by}`, which has to keep its own name")]
    PinnedName {
        /// The output.
        output: String,
        /// What should replace it.
        by: String,
    },
    /// The node to remove is still read.
    #[error("node `{node}` can't be removed: its output `{output}` is used")]
    InUse {
        /// The node.
        node: String,
        /// The output in use.
        output: String,
    },
    /// The value is no initializer.
    #[error("value `{0}` is no initializer")]
    NotAnInitializer(String),
}

impl Patch {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Forgets everything, to be written again.
    pub fn clear(&mut self) {
        self.initializers.clear();
        self.nodes.clear();
        self.actions.clear();
    }

    /// Adds an initializer whose name derives from `hint`.
    pub fn initializer(
        &mut self,
        hint: impl Into<String>,
        tensor: impl Into<Arc<Tensor>>,
    ) -> Operand {
        self.initializers.push((hint.into(), tensor.into()));
        Operand::Initializer(self.initializers.len() - 1)
    }

    /// Adds a node; the operand is its first output.
    pub fn node(&mut self, node: NewNode) -> Operand {
        self.nodes.push(node);
        Operand::Output(self.nodes.len() - 1, 0)
    }

    /// Another output of a node this patch adds.
    ///
    /// # Panics
    /// When `first` is not an output of such a node.
    #[must_use]
    pub fn output(&self, first: Operand, slot: usize) -> Operand {
        match first {
            Operand::Output(node, _) => Operand::Output(node, slot),
            _ => panic!("only nodes of the patch have outputs"),
        }
    }

    /// Makes everything that reads `old` read `new`. An output of a new node takes over the
    /// identity of `old`, if a node makes it: name, type and graph output. A new initializer takes
    /// over its name.
    pub fn replace(&mut self, old: ValueId, new: impl Into<Operand>) {
        self.actions.push(Action::Replace(old, new.into()));
    }

    /// Sets one input of an existing node; `None` omits it.
    pub fn set_input(&mut self, node: NodeId, slot: usize, operand: Option<Operand>) {
        self.actions.push(Action::SetInput(node, slot, operand));
    }

    /// Sets an attribute of an existing node.
    pub fn set_attribute(&mut self, node: NodeId, name: &str, value: impl Into<AttributeValue>) {
        self.actions.push(Action::SetAttribute(node, Attribute::new(name, value)));
    }

    /// Removes an attribute of an existing node.
    pub fn remove_attribute(&mut self, node: NodeId, name: &str) {
        self.actions.push(Action::RemoveAttribute(node, name.to_owned()));
    }

    /// Gives an initializer other data, for everything that reads it. A constant that a subgraph
    /// captures becomes an initializer of the subgraph.
    pub fn set_tensor(&mut self, value: ValueId, tensor: impl Into<Arc<Tensor>>) {
        self.actions.push(Action::SetTensor(value, tensor.into()));
    }

    /// Omits an output of an existing node that nothing reads.
    pub fn drop_output(&mut self, node: NodeId, slot: usize) {
        self.actions.push(Action::DropOutput(node, slot));
    }

    /// Removes a node none of whose outputs is used.
    pub fn remove(&mut self, node: NodeId) {
        self.actions.push(Action::Remove(node));
    }

    /// Removes an initializer that nothing uses.
    pub fn remove_initializer(&mut self, value: ValueId) {
        self.actions.push(Action::RemoveInitializer(value));
    }
}
