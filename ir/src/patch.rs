//! Patches: the only way to change a graph.
//!
//! A pass looks at an immutable graph and writes down what to do; [`Graph::apply`] does it, whole,
//! and deletes what nothing uses any more. New values get names derived from old ones, so that a
//! reader of the result recognises them.
use crate::node::Order;
use crate::{
    Attribute, AttributeValue, Graph, Node, NodeId, Port, Tensor, Use, Value, ValueId, infer,
};
use std::collections::BTreeSet;
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
    node: Node,
    inputs: Vec<Option<Operand>>,
    outputs: usize,
    output_name: Option<String>,
    like: Option<NodeId>,
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
        Self { node, inputs: Vec::new(), outputs: 1, output_name: None, like: None }
    }

    /// A copy of a node with its inputs, attributes, name and documentation, and new outputs.
    #[must_use]
    pub fn like(graph: &Graph, id: NodeId) -> Self {
        let node = graph[id].clone();
        let inputs = node.inputs.iter().map(|input| input.map(Operand::Value)).collect();
        let outputs = node.outputs.len();
        Self { node, inputs, outputs, output_name: None, like: Some(id) }
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

fn set_attribute(attributes: &mut Vec<Attribute>, new: Attribute) {
    match attributes.iter_mut().find(|attribute| attribute.name == new.name) {
        Some(old) => old.value = new.value,
        None => attributes.push(new),
    }
}

#[derive(Clone, Debug)]
enum Action {
    Replace(ValueId, Operand),
    SetInput(NodeId, usize, Option<Operand>),
    SetAttribute(NodeId, Attribute),
    RemoveAttribute(NodeId, String),
    SetOpType(NodeId, String),
    SetTensor(ValueId, Arc<Tensor>),
    DropOutput(NodeId, usize),
    Remove(NodeId),
    RemoveInitializer(ValueId),
}

/// A list of changes to one graph.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    initializers: Vec<(String, Arc<Tensor>)>,
    nodes: Vec<NewNode>,
    actions: Vec<Action>,
}

/// What a patch did.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Nodes that are new or whose inputs or attributes changed, alive, each once.
    pub touched: Vec<NodeId>,
    /// Nodes removed.
    pub removed: usize,
}

/// Why a patch cannot be applied; a fault of the pass that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The value to replace is a graph input or an initializer.
    #[error("value `{0}` has no producer to replace")]
    NoProducer(String),
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
    /// identity of `old`: name, type and graph output. A new initializer takes over its name.
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

    /// Makes an existing node another operator of the same domain.
    pub fn set_op_type(&mut self, node: NodeId, op_type: &str) {
        self.actions.push(Action::SetOpType(node, op_type.to_owned()));
    }

    /// Gives an initializer other data, for everything that reads it.
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

impl Graph {
    /// Whether readers of `old` may read `new` instead: false when `old` is a graph output and
    /// `new` must keep its own name (it is an input, an initializer, a captured value or an
    /// output itself).
    #[must_use]
    pub fn can_replace(&self, old: ValueId, new: ValueId) -> bool {
        let (old, new) = (self.value(old), self.value(new));
        !old.is_output || (new.producer.is_some() && !new.is_output)
    }

    /// Applies a patch and deletes whatever nothing uses because of it.
    ///
    /// # Errors
    /// When the patch asks for something impossible. It is checked first: the graph is unchanged.
    pub fn apply(&mut self, patch: Patch) -> Result<Applied, PatchError> {
        self.check(&patch)?;
        let mut edit = Edit::new(self);
        edit.make(patch.initializers, patch.nodes, &patch.actions);
        for action in patch.actions {
            edit.perform(action);
        }
        Ok(edit.finish())
    }

    fn check(&self, patch: &Patch) -> Result<(), PatchError> {
        let name = |id: ValueId| self.value(id).name().to_owned();
        for action in &patch.actions {
            match *action {
                Action::Replace(old, _) if self.value(old).producer.is_none() => {
                    return Err(PatchError::NoProducer(name(old)));
                }
                Action::Replace(old, Operand::Value(new)) if !self.can_replace(old, new) => {
                    return Err(PatchError::PinnedName { output: name(old), by: name(new) });
                }
                Action::Replace(old, Operand::Initializer(_)) if self.value(old).is_output => {
                    let by = "an initializer".to_owned();
                    return Err(PatchError::PinnedName { output: name(old), by });
                }
                Action::SetTensor(id, _) | Action::RemoveInitializer(id)
                    if self.value(id).initializer.is_none() =>
                {
                    return Err(PatchError::NotAnInitializer(name(id)));
                }
                Action::Remove(node) => {
                    let mut outputs = self[node].outputs.iter().flatten();
                    if let Some(&output) = outputs.find(|&&id| !self.value(id).is_unused()) {
                        let node = self[node].label(self).to_owned();
                        return Err(PatchError::InUse { node, output: name(output) });
                    }
                }
                Action::DropOutput(node, slot) => {
                    if let Some(output) = self[node].output(slot)
                        && !self.value(output).is_unused()
                    {
                        let node = self[node].label(self).to_owned();
                        return Err(PatchError::InUse { node, output: name(output) });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a value under a name nothing else has.
    pub(crate) fn add_value(&mut self, name: &str, value: Value) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        let name: Arc<str> = Arc::from(name);
        self.names.insert(name.clone(), id);
        self.values.push(Some(Value { name, ..value }));
        id
    }

    /// A name that starts with `base` and that nothing has yet.
    fn fresh_name(&mut self, base: &str) -> String {
        let base = if base.is_empty() { "value" } else { base };
        let taken = |graph: &Self, name: &str| {
            graph.names.contains_key(name) || graph.foreign_names.contains(name)
        };
        if !taken(self, base) {
            return base.to_owned();
        }
        let mut suffix = self.next_suffix.get(base).copied().unwrap_or(1);
        loop {
            let name = format!("{base}_{suffix}");
            suffix += 1;
            if !taken(self, &name) {
                self.next_suffix.insert(base.to_owned(), suffix);
                return name;
            }
        }
    }

    pub(crate) fn value_mut(&mut self, id: ValueId) -> &mut Value {
        self.values[id.index()].as_mut().expect("the value is alive")
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes[id.index()].as_mut().expect("the node is alive")
    }
}

/// What a new node stands for.
#[derive(Clone, Copy, Default)]
struct Anchor {
    value: Option<ValueId>,
    position: Option<u32>,
}

/// A patch being applied.
struct Edit<'a> {
    graph: &'a mut Graph,
    initializers: Vec<ValueId>,
    /// First made node; the patch's node `i` is this plus `i`.
    first_node: u32,
    touched: BTreeSet<NodeId>,
    unused: Vec<ValueId>,
    removed: usize,
}

impl<'a> Edit<'a> {
    fn new(graph: &'a mut Graph) -> Self {
        let first_node = graph.nodes.len() as u32;
        Self {
            graph,
            initializers: Vec::new(),
            first_node,
            touched: BTreeSet::new(),
            unused: Vec::new(),
            removed: 0,
        }
    }

    /// Makes all new values and nodes; an output that takes over an old value becomes that value
    /// when the replacement is performed.
    fn make(
        &mut self,
        initializers: Vec<(String, Arc<Tensor>)>,
        nodes: Vec<NewNode>,
        actions: &[Action],
    ) {
        for (hint, tensor) in initializers {
            let name = self.graph.fresh_name(&hint);
            let ty = infer::tensor_type(&tensor);
            let value = Value { initializer: Some(tensor), ty, ..Value::default() };
            let id = self.graph.add_value(&name, value);
            self.graph.initializers.push(id);
            self.initializers.push(id);
            self.unused.push(id);
        }
        let anchors = self.anchors(&nodes, actions);
        for (new, anchor) in nodes.into_iter().zip(anchors) {
            self.make_node(new, anchor);
        }
    }

    /// What each new node stands for: the value it or a new reader of it replaces, and the
    /// position in the file it inherits.
    fn anchors(&self, nodes: &[NewNode], actions: &[Action]) -> Vec<Anchor> {
        let mut anchors = vec![Anchor::default(); nodes.len()];
        for action in actions {
            match *action {
                Action::Replace(old, Operand::Output(node, _)) => {
                    let producer = self.graph.producer(old).expect("checked");
                    anchors[node] =
                        Anchor { value: Some(old), position: Some(self.graph[producer].order.0) };
                }
                Action::SetInput(reader, _, Some(Operand::Output(node, _))) => {
                    let position = self.graph[reader].order.0;
                    let anchor = &mut anchors[node];
                    anchor.position = Some(anchor.position.map_or(position, |p| p.min(position)));
                }
                _ => {}
            }
        }
        for index in (0..nodes.len()).rev() {
            let anchor = anchors[index];
            for operand in nodes[index].inputs.iter().flatten() {
                if let Operand::Output(node, _) = *operand
                    && anchors[node].position.is_none()
                {
                    anchors[node] = anchor;
                }
            }
            if anchors[index].position.is_none() {
                anchors[index].position = nodes[index].like.map(|like| self.graph[like].order.0);
            }
        }
        anchors
    }

    fn make_node(&mut self, new: NewNode, anchor: Anchor) {
        let id = NodeId(self.graph.nodes.len() as u32);
        let mut node = new.node;
        let op_type = node.op_type.to_lowercase();
        self.graph.next_sequence += 1;
        node.order = Order(anchor.position.unwrap_or(0), self.graph.next_sequence);
        let stem = match anchor.value {
            Some(value) => format!("{}_{op_type}", self.graph.value(value).name),
            None if node.name.is_empty() => op_type,
            None => node.name.clone(),
        };
        if node.name.is_empty() {
            node.name.clone_from(&stem);
        }
        node.inputs = new.inputs.iter().map(|operand| operand.map(|o| self.resolve(o))).collect();
        let base = new.output_name.unwrap_or(stem);
        node.outputs = Vec::with_capacity(new.outputs);
        for slot in 0..new.outputs {
            let name = self.graph.fresh_name(&base);
            let producer = Some((id, slot as u32));
            let output = self.graph.add_value(&name, Value { producer, ..Value::default() });
            node.outputs.push(Some(output));
            self.unused.push(output);
        }
        let uses = uses_of(id, &node);
        self.graph.nodes.push(Some(node));
        for (value, used) in uses {
            self.graph.value_mut(value).uses.insert(used);
        }
        infer::update_node(self.graph, id);
        self.touched.insert(id);
    }

    fn resolve(&self, operand: Operand) -> ValueId {
        match operand {
            Operand::Value(id) => id,
            Operand::Initializer(index) => self.initializers[index],
            Operand::Output(node, slot) => {
                let node = NodeId(self.first_node + node as u32);
                self.graph[node].outputs[slot].expect("a new node has all its outputs")
            }
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Replace(old, new @ Operand::Output(..)) => self.take_over(old, new),
            Action::Replace(old, new) => {
                let value = self.resolve(new);
                self.redirect(old, value);
                if matches!(new, Operand::Initializer(_)) {
                    self.swap_names(old, value);
                }
            }
            Action::SetInput(node, slot, operand) => {
                let operand = operand.map(|operand| self.resolve(operand));
                self.set_input(node, slot, operand);
                self.touched.insert(node);
            }
            Action::SetAttribute(node, attribute) => {
                set_attribute(&mut self.graph.node_mut(node).attributes, attribute);
                self.touched.insert(node);
            }
            Action::RemoveAttribute(node, name) => {
                self.graph.node_mut(node).attributes.retain(|attribute| attribute.name != name);
                self.touched.insert(node);
            }
            Action::SetOpType(node, op_type) => {
                self.graph.node_mut(node).op_type = op_type;
                self.touched.insert(node);
            }
            Action::SetTensor(id, tensor) => {
                let ty = infer::tensor_type(&tensor);
                let value = self.graph.value_mut(id);
                value.ty = ty;
                value.initializer = Some(tensor);
                self.touched.extend(value.uses.iter().map(|used| used.node));
            }
            Action::DropOutput(node, slot) => {
                if let Some(output) = self.graph.node_mut(node).outputs[slot].take() {
                    self.delete_value(output);
                }
                let outputs = &mut self.graph.node_mut(node).outputs;
                while outputs.last() == Some(&None) {
                    outputs.pop();
                }
                self.touched.insert(node);
            }
            Action::Remove(node) => self.delete_node(node),
            Action::RemoveInitializer(id) => self.unused.push(id),
        }
    }

    /// The output of a new node becomes `old`: same id, name, uses and place among the outputs.
    fn take_over(&mut self, old: ValueId, new: Operand) {
        let made = self.resolve(new);
        if made == old {
            return;
        }
        let (producer, slot) = self.graph.value(made).producer.expect("a node makes it");
        // Readers of the new output inside the patch read `old` from now on.
        self.redirect(made, old);
        let (before, before_slot) = self.graph.value(old).producer.expect("checked");
        self.graph.node_mut(before).outputs[before_slot as usize] = None;
        self.graph.node_mut(producer).outputs[slot as usize] = Some(old);
        let ty = std::mem::take(&mut self.graph.value_mut(made).ty);
        let value = self.graph.value_mut(old);
        value.producer = Some((producer, slot));
        if value.ty.shape.is_none() {
            value.ty = ty;
        }
        self.delete_value(made);
        self.drop_if_dead(before);
        self.touched.extend(self.graph.consumers(old).collect::<Vec<_>>());
    }

    /// Everything that reads `old` reads `new`; a graph output passes its name on.
    fn redirect(&mut self, old: ValueId, new: ValueId) {
        let uses = std::mem::take(&mut self.graph.value_mut(old).uses);
        for used in uses {
            match used.port {
                Port::Input(slot) => {
                    self.graph.node_mut(used.node).inputs[slot as usize] = Some(new);
                }
                Port::Capture(slot) => {
                    self.graph.node_mut(used.node).captured[slot as usize] = new;
                }
            }
            self.graph.value_mut(new).uses.insert(used);
            self.touched.insert(used.node);
        }
        if self.graph.value(old).is_output {
            self.pass_on_output(old, new);
        }
        self.unused.push(old);
        self.unused.push(new);
    }

    fn pass_on_output(&mut self, old: ValueId, new: ValueId) {
        for output in &mut self.graph.outputs {
            if *output == old {
                *output = new;
            }
        }
        let old_value = self.graph.value_mut(old);
        old_value.is_output = false;
        let declared = old_value.declared.take();
        let old_shape = old_value.ty.clone();
        let new_value = self.graph.value_mut(new);
        new_value.is_output = true;
        new_value.declared = declared;
        if new_value.ty.shape.is_none() {
            new_value.ty = old_shape;
        }
        self.swap_names(old, new);
    }

    fn swap_names(&mut self, a: ValueId, b: ValueId) {
        let a_name = self.graph.value(a).name.clone();
        let b_name = std::mem::replace(&mut self.graph.value_mut(b).name, a_name.clone());
        self.graph.value_mut(a).name = b_name.clone();
        self.graph.names.insert(a_name, b);
        self.graph.names.insert(b_name, a);
    }

    fn set_input(&mut self, node: NodeId, slot: usize, operand: Option<ValueId>) {
        let used = Use { node, port: Port::Input(slot as u32) };
        let inputs = &mut self.graph.node_mut(node).inputs;
        if inputs.len() <= slot {
            inputs.resize(slot + 1, None);
        }
        let before = std::mem::replace(&mut inputs[slot], operand);
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        if let Some(before) = before {
            self.graph.value_mut(before).uses.remove(&used);
            self.unused.push(before);
        }
        if let Some(operand) = operand {
            self.graph.value_mut(operand).uses.insert(used);
        }
    }

    /// Deletes the values of the patch that ended up unused, and what becomes unused by that.
    fn finish(mut self) -> Applied {
        while let Some(id) = self.unused.pop() {
            let Some(value) = self.graph.get_value(id) else { continue };
            if !value.is_unused() || value.is_input {
                continue;
            }
            match value.producer {
                Some((node, _)) => self.drop_if_dead(node),
                None if value.initializer.is_some() => self.delete_value(id),
                None => {}
            }
        }
        let graph = self.graph;
        let alive = |id: &NodeId| graph.get_node(*id).is_some();
        let touched = self.touched.into_iter().filter(alive).collect();
        Applied { touched, removed: self.removed }
    }

    fn drop_if_dead(&mut self, node: NodeId) {
        let graph = &self.graph;
        let dead =
            |node: &Node| node.outputs.iter().flatten().all(|&id| graph.value(id).is_unused());
        if graph.get_node(node).is_some_and(dead) {
            self.delete_node(node);
        }
    }

    fn delete_node(&mut self, id: NodeId) {
        let Some(node) = self.graph.nodes[id.index()].take() else { return };
        for (value, used) in uses_of(id, &node) {
            self.graph.value_mut(value).uses.remove(&used);
            self.unused.push(value);
        }
        for output in node.outputs.into_iter().flatten() {
            self.delete_value(output);
        }
        self.removed += 1;
    }

    fn delete_value(&mut self, id: ValueId) {
        let Some(value) = self.graph.values[id.index()].take() else { return };
        if self.graph.names.get(&value.name) == Some(&id) {
            self.graph.names.remove(&value.name);
        }
    }
}

/// Every value `node` reads, with the place.
pub(crate) fn uses_of(id: NodeId, node: &Node) -> Vec<(ValueId, Use)> {
    let inputs = node.inputs.iter().enumerate().filter_map(|(slot, input)| {
        Some(((*input)?, Use { node: id, port: Port::Input(slot as u32) }))
    });
    let captured = node
        .captured
        .iter()
        .enumerate()
        .map(|(slot, &value)| (value, Use { node: id, port: Port::Capture(slot as u32) }));
    inputs.chain(captured).collect()
}
