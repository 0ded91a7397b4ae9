//! Rewrites one graph: which nodes compute in 16 bits, and the casts between them and the others.
use super::float_type::FloatOptions;
use super::half::rounded;
use super::precision::{has_half, reads_any_type, stays_float};
use crate::quantize::{Existing, Outcome, StoredWeight};
use lapidary_ir::{
    AttributeValue, ElemType, Graph, NewNode, Node, NodeId, Operand, Patch, Port, Tensor, Use,
    ValueId,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is decided, and the patch as far as it is written.
pub(super) struct Casting<'a> {
    graph: &'a Graph,
    options: &'a FloatOptions,
    existing: Existing,
    /// Nodes that compute in 16 bits.
    half: BTreeSet<NodeId>,
    /// Values as another operand than themselves, by type.
    operands: BTreeMap<(ValueId, ElemType), Operand>,
    pub(super) patch: Patch,
    pub(super) outcome: Outcome,
}

impl<'a> Casting<'a> {
    /// Decides which nodes compute in 16 bits.
    pub(super) fn new(graph: &'a Graph, options: &'a FloatOptions) -> Self {
        let order = graph.topological_order();
        let mut casting = Self {
            graph,
            options,
            existing: Existing::new(graph, &order),
            half: BTreeSet::new(),
            operands: BTreeMap::new(),
            patch: Patch::default(),
            outcome: Outcome::default(),
        };
        for &id in &order {
            if !casting.concerns(id) {
                continue;
            }
            let reason = casting.refusal(id);
            if reason.is_none() {
                casting.half.insert(id);
            }
            casting.outcome.node(graph, id, reason.map(str::to_owned));
        }
        for id in order.into_iter().rev() {
            if casting.is_cast_to_half(id) {
                casting.half.insert(id);
            }
        }
        casting
    }

    /// Whether a node reads or makes floats and is no mere reader of types.
    fn concerns(&self, id: NodeId) -> bool {
        let node = &self.graph[id];
        let inputs = node.inputs().iter().enumerate();
        let inputs = inputs.filter(|(slot, _)| !stays_float(&node.op_type, *slot));
        let values = inputs.map(|(_, input)| input).chain(node.outputs()).flatten();
        let mut floats = values.filter(|&&value| self.is_float(value));
        floats.next().is_some() && !(node.is_standard() && reads_any_type(&node.op_type))
    }

    fn is_float(&self, value: ValueId) -> bool {
        self.graph.value(value).elem_type() == Some(ElemType::FLOAT)
    }

    /// Why a node computes in single precision.
    fn refusal(&self, id: NodeId) -> Option<&'static str> {
        let node = &self.graph[id];
        let blocked = |names: &[String], name: &str| names.iter().any(|known| known == name);
        if blocked(&self.options.block_nodes, node.label(self.graph))
            || blocked(&self.options.block_ops, &node.op_type)
        {
            return Some("blocked");
        }
        if self.existing.contains(id) {
            return Some("it is quantized already");
        }
        if node.has_subgraph() {
            return Some("its subgraphs stay in single precision");
        }
        if !node.is_standard() || !has_half(&node.op_type) {
            return Some("its operator stays in single precision");
        }
        let mut values = node.inputs().iter().chain(node.outputs()).flatten();
        if values.any(|&value| self.graph.value(value).elem_type().is_none()) {
            return Some("not all its types are known");
        }
        None
    }

    /// Whether a `Cast` to float is read as 16 bits only.
    fn is_cast_to_half(&self, id: NodeId) -> bool {
        let node = &self.graph[id];
        let to_float = node.is("Cast") && node.int("to") == Some(i64::from(ElemType::FLOAT.0));
        let Some(output) = node.output(0).filter(|_| to_float) else { return false };
        let value = self.graph.value(output);
        let mut uses = value.uses();
        uses.len() > 0 && !value.is_output() && uses.all(|used| self.wants_half(used))
    }

    /// Whether a use of a float reads 16 bits.
    fn wants_half(&self, used: Use) -> bool {
        match used.port {
            Port::Capture(_) => false,
            Port::Input(slot) => {
                let node = &self.graph[used.node];
                self.half.contains(&used.node)
                    && !reads_any_type(&node.op_type)
                    && !stays_float(&node.op_type, slot as usize)
            }
        }
    }

    /// The type a float is made in.
    fn made(&self, value: ValueId) -> ElemType {
        let half = match self.graph.producer(value) {
            Some(producer) => self.half.contains(&producer),
            None => self.graph.value(value).is_input() && self.named(value) != ElemType::FLOAT,
        };
        if half { self.options.elem_type } else { ElemType::FLOAT }
    }

    /// The type of what carries the name of a float.
    fn named(&self, value: ValueId) -> ElemType {
        let found = self.graph.value(value);
        let mut uses = found.uses();
        if uses.any(|used| matches!(used.port, Port::Capture(_))) {
            return ElemType::FLOAT;
        }
        if found.is_output() || (found.is_input() && found.initializer().is_none()) {
            let kept = self.options.keep_io;
            return if kept { ElemType::FLOAT } else { self.options.elem_type };
        }
        match self.graph.producer(value) {
            Some(producer) if self.half.contains(&producer) => self.options.elem_type,
            _ => ElemType::FLOAT,
        }
    }

    /// The inputs and outputs of the graph that get another type.
    pub(super) fn interface(&self) -> Vec<ValueId> {
        let (inputs, outputs) = (self.graph.inputs().iter(), self.graph.outputs().iter());
        let changed =
            |&&value: &&ValueId| self.is_float(value) && self.named(value) != ElemType::FLOAT;
        inputs.chain(outputs).filter(changed).copied().collect()
    }

    /// Writes every node that changes.
    pub(super) fn write(&mut self) {
        for id in self.graph.topological_order() {
            let changes = self.changed_inputs(id);
            let node = &self.graph[id];
            let mut outputs = node.outputs().iter().flatten().copied();
            let renamed =
                |value: ValueId| self.is_float(value) && self.made(value) != self.named(value);
            if outputs.any(renamed) {
                self.remake(id, &changes);
                continue;
            }
            for &(slot, operand) in &changes {
                self.patch.set_input(id, slot, Some(operand));
            }
            if let Some((name, value)) = self.changed_attribute(node, id) {
                self.patch.set_attribute(id, name, value);
            }
        }
    }

    /// The inputs of a node that it reads in another type than they are named in.
    fn changed_inputs(&mut self, id: NodeId) -> Vec<(usize, Operand)> {
        let node = &self.graph[id];
        let mut changes = Vec::new();
        for (slot, input) in node.inputs().iter().enumerate() {
            let Some(value) = input.filter(|&value| self.is_float(value)) else { continue };
            if node.is_standard() && reads_any_type(&node.op_type) {
                continue;
            }
            let half = self.wants_half(Use { node: id, port: Port::Input(slot as u32) });
            let wanted = if half { self.options.elem_type } else { ElemType::FLOAT };
            if let Some(operand) = self.operand(value, wanted) {
                changes.push((slot, operand));
            }
        }
        changes
    }

    /// A value in a type; none if that is the value itself.
    fn operand(&mut self, value: ValueId, wanted: ElemType) -> Option<Operand> {
        let is_constant = self.graph.constant(value).is_some();
        if self.named(value) == wanted && !is_constant {
            return None;
        }
        if let Some(&known) = self.operands.get(&(value, wanted)) {
            return Some(known).filter(|&known| known != Operand::Value(value));
        }
        let operand = match self.graph.constant(value) {
            Some(_) if wanted == ElemType::FLOAT => return None,
            Some(tensor) => self.constant(value, tensor),
            None => self.cast(value, value.into(), wanted),
        };
        self.operands.insert((value, wanted), operand);
        Some(operand).filter(|&operand| operand != Operand::Value(value))
    }

    fn cast(&mut self, value: ValueId, operand: Operand, to: ElemType) -> Operand {
        let name = self.graph.value(value).name();
        let node = NewNode::new("Cast").attribute("to", i64::from(to.0)).input(operand);
        let node = node.named(format!("{name}_Cast_{to}"));
        self.patch.node(node.output_name(format!("{name}_{to}")))
    }

    /// A constant in 16 bits: in place where nothing reads it in float.
    fn constant(&mut self, value: ValueId, tensor: &Tensor) -> Operand {
        let found = self.graph.value(value);
        let Some(rounded) = rounded(tensor, self.options.elem_type) else { return value.into() };
        let mut form = self.options.elem_type.to_string();
        if rounded.clamped > 0 {
            form += &format!(", {} beyond the largest number", rounded.clamped);
        }
        if rounded.lost > 0 {
            form += &format!(", {} below the smallest number", rounded.lost);
        }
        self.outcome.weights.push(StoredWeight {
            name: found.name().to_owned(),
            form,
            bytes_before: tensor.byte_len(),
            bytes_after: rounded.tensor.byte_len(),
            nmse: rounded.nmse,
        });
        let mut uses = found.uses();
        if uses.all(|used| self.wants_half(used)) && !found.is_output() && !found.is_pinned() {
            self.patch.set_tensor(value, rounded.tensor);
            return value.into();
        }
        let name = format!("{}_{}", found.name(), self.options.elem_type);
        self.patch.initializer(name, rounded.tensor)
    }

    /// Replaces a node by a copy with a `Cast` behind the outputs whose names stand for another type
    /// than they are made in.
    fn remake(&mut self, id: NodeId, changes: &[(usize, Operand)]) {
        let mut copy = NewNode::like(self.graph, id);
        for &(slot, operand) in changes {
            copy = copy.with_input(slot, operand);
        }
        let node = &self.graph[id];
        if let Some((name, value)) = self.changed_attribute(node, id) {
            copy = copy.attribute(name, value);
        }
        let outputs: Vec<Option<ValueId>> = node.outputs().to_vec();
        if let Some(&first) = outputs.iter().flatten().next() {
            let made = self.made(first);
            copy = copy.output_name(format!("{}_{made}", self.graph.value(first).name()));
        }
        let first = self.patch.node(copy);
        for (slot, output) in outputs.into_iter().enumerate() {
            let Some(output) = output.filter(|&id| !self.graph.value(id).is_unused()) else {
                continue;
            };
            let raw = self.patch.output(first, slot);
            let (made, named) = (self.made(output), self.named(output));
            if !self.is_float(output) || made == named {
                self.patch.replace(output, raw);
                continue;
            }
            self.operands.insert((output, made), raw);
            let cast = NewNode::new("Cast").attribute("to", i64::from(named.0)).input(raw);
            let cast = self.patch.node(cast);
            self.patch.replace(output, cast);
        }
    }

    /// The attribute that says the type a node makes, for nodes that have one.
    fn changed_attribute(&self, node: &Node, id: NodeId) -> Option<(&'static str, AttributeValue)> {
        if !self.half.contains(&id) {
            return None;
        }
        match node.op_type.as_str() {
            "Cast" => Some(("to", AttributeValue::Int(i64::from(self.options.elem_type.0)))),
            "ConstantOfShape" => {
                let zero = Tensor::vector(&[0.0f32]);
                let value = node.tensor("value").map_or(&zero, |tensor| tensor);
                let value = rounded(value, self.options.elem_type)?.tensor;
                Some(("value", AttributeValue::Tensor(value.into())))
            }
            _ => None,
        }
    }
}
