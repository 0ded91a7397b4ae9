//! Copies of a subgraph's nodes for the graph around it.
use crate::{Graph, NewNode, NodeId, Operand, Patch, ValueId};
use rustc_hash::FxHashMap;

/// A subgraph whose nodes can be copied, any number of times, into a patch of the graph around it.
#[derive(Debug)]
pub struct Splice<'a> {
    body: &'a Graph,
    order: Vec<NodeId>,
    /// What is the same in every copy: captured values and initializers.
    shared: FxHashMap<ValueId, Operand>,
}

impl<'a> Splice<'a> {
    /// Prepares `body`, a subgraph of node `holder` of `graph`. Its initializers are added to
    /// `patch`, once for all copies. None when it has data that can't be moved (sparse
    /// initializers).
    #[must_use]
    pub fn new(graph: &Graph, holder: NodeId, body: &'a Graph, patch: &mut Patch) -> Option<Self> {
        if !body.rest.sparse_initializer.is_empty() {
            return None;
        }
        let mut shared = FxHashMap::default();
        for &(inner, slot) in &body.captures {
            shared.insert(inner, Operand::Value(graph[holder].captured[slot as usize]));
        }
        for (id, tensor) in body.initializers() {
            if !body.value(id).is_input {
                shared.insert(id, patch.initializer(body.value(id).name(), tensor.clone()));
            }
        }
        Some(Self { body, order: body.topological_order(), shared })
    }

    /// Copies the nodes into `patch`, with `inputs` for the inputs of the body. Returns what the
    /// outputs of the body are; none when an input is missing.
    pub fn copy(&self, patch: &mut Patch, inputs: &[Operand]) -> Option<Vec<Operand>> {
        let body = self.body;
        if inputs.len() != body.inputs.len() {
            return None;
        }
        let mut known = self.shared.clone();
        known.extend(body.inputs.iter().copied().zip(inputs.iter().copied()));
        for &id in &self.order {
            let node = &body[id];
            let resolve = |value: &ValueId| known.get(value).copied();
            let operands = node.inputs.iter().map(|input| match input {
                None => Some(None),
                Some(value) => resolve(value).map(Some),
            });
            let name = |output: &Option<ValueId>| {
                output.map(|output| body.value(output).name().to_owned())
            };
            let made = patch.node(NewNode {
                node: node.clone(),
                inputs: operands.collect::<Option<_>>()?,
                outputs: node.outputs.len(),
                output_name: None,
                output_names: Some(node.outputs.iter().map(name).collect()),
                captured: node.captured.iter().map(resolve).collect::<Option<_>>()?,
                like: None,
            });
            for (slot, output) in node.outputs.iter().enumerate() {
                known.extend(output.map(|output| (output, patch.output(made, slot))));
            }
        }
        body.outputs.iter().map(|output| known.get(output).copied()).collect()
    }
}
