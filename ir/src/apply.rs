//! Applies patches: makes what is new, performs every action, deletes what became dead.
use crate::node::Order;
use crate::patch::{Action, set_attribute};
use crate::{
    Applied, Graph, NewNode, Node, NodeId, Operand, Patch, PatchError, Port, Tensor, Use, Value,
    ValueId, infer,
};
use std::collections::BTreeSet;
use std::sync::Arc;

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
                Action::Replace(old, _) if !self.is_replaceable(old) => {
                    return Err(PatchError::NotReplaceable(name(old)));
                }
                Action::Replace(old, Operand::Value(new)) if !self.can_replace(old, new) => {
                    return Err(PatchError::PinnedName { output: name(old), by: name(new) });
                }
                Action::Replace(old, Operand::Initializer(_)) if self.value(old).is_output => {
                    let by = "an initializer".to_owned();
                    return Err(PatchError::PinnedName { output: name(old), by });
                }
                Action::SetTensor(id, _) if self.value(id).data().is_none() => {
                    return Err(PatchError::NotAnInitializer(name(id)));
                }
                Action::RemoveInitializer(id) if self.value(id).initializer.is_none() => {
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

    /// Whether a patch may give the readers of a value another one: it is made by a node, or a
    /// constant that is no output.
    fn is_replaceable(&self, id: ValueId) -> bool {
        let value = self.value(id);
        value.producer.is_some() || (value.constant().is_some() && !value.is_output)
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
        let name = self.free_name(base);
        if !self.foreign_names.is_empty() {
            Arc::make_mut(&mut self.foreign_names).insert(name.clone());
        }
        name
    }

    fn free_name(&mut self, base: &str) -> String {
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

    /// Deletes a value and frees its name.
    pub(crate) fn forget(&mut self, id: ValueId) -> Option<Value> {
        let value = self.values[id.index()].take()?;
        if self.names.get(&value.name) == Some(&id) {
            self.names.remove(&value.name);
        }
        Some(value)
    }

    /// Deletes those of `values` that nothing reads, and whatever nothing reads because of it.
    pub(crate) fn delete_unused(&mut self, values: Vec<ValueId>) {
        let mut edit = Edit::new(self);
        edit.unused = values;
        edit.finish();
    }

    /// Makes everything that reads `old` read `new`, which computes the same.
    pub(crate) fn redirect(&mut self, old: ValueId, new: ValueId) {
        Edit::new(self).redirect(old, new);
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
    added: usize,
    removed: usize,
    bytes: i64,
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
            added: 0,
            removed: 0,
            bytes: 0,
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
            let id = self.make_initializer(&hint, tensor);
            self.initializers.push(id);
        }
        let anchors = self.anchors(&nodes, actions);
        for (new, anchor) in nodes.into_iter().zip(anchors) {
            self.make_node(new, anchor);
        }
    }

    fn make_initializer(&mut self, hint: &str, tensor: Arc<Tensor>) -> ValueId {
        let name = self.graph.fresh_name(hint);
        let ty = infer::tensor_type(&tensor);
        self.bytes += tensor.byte_len() as i64;
        let value = Value { initializer: Some(tensor), ty, ..Value::default() };
        let id = self.graph.add_value(&name, value);
        self.graph.initializers.push(id);
        self.unused.push(id);
        id
    }

    /// What each new node stands for: the value it or a new reader of it replaces, and the
    /// position in the file it inherits.
    fn anchors(&self, nodes: &[NewNode], actions: &[Action]) -> Vec<Anchor> {
        let mut anchors = vec![Anchor::default(); nodes.len()];
        for action in actions {
            match *action {
                Action::Replace(old, Operand::Output(node, _)) => {
                    let producer = self.graph.producer(old);
                    let position = producer.map(|producer| self.graph[producer].order.0);
                    anchors[node] = Anchor { value: Some(old), position };
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
            for operand in nodes[index].inputs.iter().flatten().chain(&nodes[index].captured) {
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
        node.captured = new.captured.iter().map(|&operand| self.resolve(operand)).collect();
        let base = new.output_name.unwrap_or(stem);
        let names = new.output_names.unwrap_or_else(|| vec![Some(base); new.outputs]);
        node.outputs = Vec::with_capacity(names.len());
        for (name, slot) in names.into_iter().zip(0..) {
            let Some(name) = name else {
                node.outputs.push(None);
                continue;
            };
            let name = self.graph.fresh_name(&name);
            let producer = Some((id, slot));
            let output = self.graph.add_value(&name, Value { producer, ..Value::default() });
            node.outputs.push(Some(output));
            self.unused.push(output);
        }
        let uses = uses_of(id, &node);
        self.added += node.total_count();
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
            Action::Replace(old, new @ Operand::Output(..))
                if self.graph.value(old).producer.is_some() =>
            {
                self.take_over(old, new);
            }
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
            Action::SetTensor(id, tensor) if self.graph.value(id).initializer.is_none() => {
                let name = self.graph.value(id).name.to_string();
                let own = self.make_initializer(&name, tensor);
                self.redirect(id, own);
            }
            Action::SetTensor(id, tensor) => {
                let ty = infer::tensor_type(&tensor);
                let value = self.graph.value_mut(id);
                value.ty = ty;
                self.bytes += tensor.byte_len() as i64;
                let before = value.initializer.replace(tensor);
                self.bytes -= before.map_or(0, |tensor| tensor.byte_len() as i64);
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
        Applied { touched, added: self.added, removed: self.removed, bytes: self.bytes }
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
        self.removed += node.total_count();
        for (value, used) in uses_of(id, &node) {
            self.graph.value_mut(value).uses.remove(&used);
            self.unused.push(value);
        }
        for output in node.outputs.into_iter().flatten() {
            self.delete_value(output);
        }
    }

    fn delete_value(&mut self, id: ValueId) {
        let value = self.graph.forget(id);
        let tensor = value.and_then(|value| value.initializer);
        self.bytes -= tensor.map_or(0, |tensor| tensor.byte_len() as i64);
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

#[cfg(test)]
mod tests {
    use crate::{Graph, Model, NewNode, Patch, PatchError, Tensor, ValueId, text};

    fn parse(source: &str) -> Model {
        text::parse(source).expect("the text is valid")
    }

    fn value(graph: &Graph, name: &str) -> ValueId {
        graph.find(name).expect("the value is there")
    }

    /// Applies what `write` says and returns the printed graph, which must be valid.
    fn apply(source: &str, write: impl FnOnce(&Graph, &mut Patch)) -> String {
        let mut model = parse(source);
        let mut patch = Patch::default();
        write(&model.graph, &mut patch);
        model.graph.apply(patch).expect("the patch applies");
        assert_eq!(model.validate(), []);
        text::print(&model.graph)
    }

    fn refuse(source: &str, write: impl FnOnce(&Graph, &mut Patch)) -> PatchError {
        let mut model = parse(source);
        let before = text::print(&model.graph);
        let mut patch = Patch::default();
        write(&model.graph, &mut patch);
        let error = model.graph.apply(patch).expect_err("the patch is impossible");
        assert_eq!(text::print(&model.graph), before, "a refused patch changes nothing");
        error
    }

    #[test]
    fn a_new_output_takes_over_the_identity_of_the_old_value() {
        let after =
            apply("g (float[2] x) => (float[2] y) { a = Relu(x) y = Neg(a) }", |graph, patch| {
                let exp = patch.node(NewNode::new("Exp").input(value(graph, "x")));
                patch.replace(value(graph, "y"), exp);
            });
        insta::assert_snapshot!(after, @r"
        g (float[2] x) => (float[2] y)
        {
            y = Exp(x)
        }
        ");
    }

    #[test]
    fn readers_move_to_an_existing_value_and_dead_nodes_go() {
        let after = apply(
            "g (float[2] x) => (float[2] y) { a = Relu(x) b = Identity(a) y = Add(b, b) }",
            |graph, patch| patch.replace(value(graph, "b"), value(graph, "a")),
        );
        insta::assert_snapshot!(after, @r"
        g (float[2] x) => (float[2] y)
        {
            a = Relu(x)
            y = Add(a, a)
        }
        ");
    }

    #[test]
    fn a_graph_output_passes_its_name_on() {
        let after = apply(
            "g (float[2] x) => (float[2] y) { a = Relu(x) y = Identity(a) }",
            |graph, patch| patch.replace(value(graph, "y"), value(graph, "a")),
        );
        insta::assert_snapshot!(after, @r"
        g (float[2] x) => (float[2] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn a_graph_output_does_not_become_an_input() {
        let error = refuse("g (float[2] x) => (float[2] y) { y = Identity(x) }", |graph, patch| {
            patch.replace(value(graph, "y"), value(graph, "x"))
        });
        assert_eq!(
            error.to_string(),
            "graph output `y` can't become `x`, which has to keep its own name"
        );
    }

    #[test]
    fn an_input_has_no_producer_to_replace() {
        let error = refuse("g (float[2] x) => (float[2] y) { y = Relu(x) }", |graph, patch| {
            patch.replace(value(graph, "x"), value(graph, "y"))
        });
        assert_eq!(error, PatchError::NotReplaceable("x".to_owned()));
    }

    #[test]
    fn a_node_that_is_read_is_not_removed() {
        let error = refuse(
            "g (float[2] x) => (float[2] y) { [first] a = Relu(x) y = Neg(a) }",
            |graph, patch| {
                patch.remove(graph.producer(value(graph, "a")).expect("a node makes it"))
            },
        );
        assert_eq!(error.to_string(), "node `first` can't be removed: its output `a` is used");
    }

    #[test]
    fn new_names_avoid_old_ones_and_nodes_stand_where_they_are_read() {
        let after = apply(
            "g (float[2] x) => (float[2] y) { a = Relu(x) w = Exp(a) y = Neg(w) }",
            |graph, patch| {
                let y = value(graph, "y");
                let reader = graph.producer(y).expect("a node makes it");
                let weight = patch.initializer("w", Tensor::vector(&[1.0f32, 2.0]));
                let sum = NewNode::new("Add").input(value(graph, "w")).input(weight);
                let sum = patch.node(sum.output_name("a"));
                patch.set_input(reader, 0, Some(sum));
            },
        );
        insta::assert_snapshot!(after, @r"
        g (float[2] x) => (float[2] y)
        <float[2] w_1 = {1, 2}>
        {
            a = Relu(x)
            w = Exp(a)
            a_1 = Add(w, w_1)
            y = Neg(a_1)
        }
        ");
    }

    #[test]
    fn initializers_nobody_reads_any_more_go() {
        let after = apply(
            "g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { a = Mul(x, w) y = Relu(a) }",
            |graph, patch| {
                let y = graph.producer(value(graph, "y")).expect("a node makes it");
                patch.set_input(y, 0, Some(value(graph, "x").into()));
            },
        );
        insta::assert_snapshot!(after, @r"
        g (float[2] x) => (float[2] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn values_a_subgraph_reads_are_redirected_too() {
        let after = apply(
            "g (bool c, float[2] x) => (float[2] y) {
                a = Identity(x)
                y = If<then_branch = t () => (float[2] u) { u = Relu(a) },
                       else_branch = e () => (float[2] v) { v = Neg(a) }>(c)
            }",
            |graph, patch| patch.replace(value(graph, "a"), value(graph, "x")),
        );
        assert!(after.contains("u = Relu(x)") && after.contains("v = Neg(x)"), "{after}");
    }
}
