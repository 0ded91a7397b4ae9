//! Changing subgraphs in place.
//!
//! A subgraph is a graph like any other, inside an attribute of its node. What ties it to the
//! graph around it are the values it captures and the names it must not use again; both are
//! brought in agreement before and after it is changed.
use crate::{Attribute, AttributeValue, Graph, Model, Node, NodeId, Port, Tensor, Use, ValueId};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Captured constants of at most this many bytes are shown to a subgraph however many nodes read
/// them: what is made of them there is small.
const SMALL: u64 = 1024;

/// What becomes of an input of a subgraph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputFate {
    /// It stays an input.
    Stays,
    /// It becomes the captured value of that index of its node.
    Captured(u32),
    /// It goes; nothing reads it.
    Dropped,
}

impl Model {
    /// Lets `edit` change the main graph and every subgraph, each before those inside it. It says
    /// whether it changed anything.
    ///
    /// # Errors
    /// The first one of `edit`.
    pub fn edit_graphs<E>(
        &mut self,
        mut edit: impl FnMut(&mut Graph) -> Result<bool, E>,
    ) -> Result<bool, E> {
        self.graph.edit_all(&mut edit)
    }
}

impl Node {
    /// Whether an attribute is a subgraph.
    #[must_use]
    pub fn has_subgraph(&self) -> bool {
        self.subgraphs().next().is_some()
    }

    /// One, and the number of nodes in its subgraphs.
    pub(crate) fn total_count(&self) -> usize {
        1 + self.subgraphs().map(Graph::total_node_count).sum::<usize>()
    }
}

impl Graph {
    fn edit_all<E>(
        &mut self,
        edit: &mut dyn FnMut(&mut Self) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut changed = edit(self)?;
        if self.foreign_names.is_empty() {
            return Ok(changed);
        }
        let holds_subgraph = |(id, node): (NodeId, &Node)| node.has_subgraph().then_some(id);
        let holders: Vec<NodeId> = self.nodes().filter_map(holds_subgraph).collect();
        for id in holders {
            changed |= self.edit_subgraphs(id, edit)?;
        }
        Ok(changed)
    }

    /// A copy of this subgraph with fewer inputs and outputs: one `fate` per input, and for each
    /// output whether it stays. None when an input that is read should be dropped.
    #[must_use]
    pub fn narrowed(&self, inputs: &[InputFate], outputs: &[bool]) -> Option<Self> {
        let mut body = self.clone();
        let kept = |&(_, &stays): &(&ValueId, &bool)| stays;
        let remaining = self.outputs.iter().zip(outputs).filter(kept);
        body.outputs = remaining.map(|(&id, _)| id).collect();
        for &id in &self.outputs {
            body.value_mut(id).is_output = body.outputs.contains(&id);
        }
        body.delete_unused(self.outputs.clone());
        body.inputs.clear();
        for (&id, fate) in self.inputs.iter().zip(inputs) {
            match *fate {
                InputFate::Stays => {
                    body.inputs.push(id);
                    continue;
                }
                InputFate::Captured(slot) => body.captures.push((id, slot)),
                InputFate::Dropped if body.value(id).is_unused() => drop(body.forget(id)),
                InputFate::Dropped => return None,
            }
            if let Some(value) = &mut body.values[id.index()] {
                value.is_input = false;
                value.declared = None;
            }
        }
        Some(body)
    }

    /// Lets `edit` change the subgraphs of one node and those inside them.
    fn edit_subgraphs<E>(
        &mut self,
        id: NodeId,
        edit: &mut dyn FnMut(&mut Self) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut attributes = std::mem::take(&mut self.node_mut(id).attributes);
        let mut result = Ok(false);
        for body in bodies(&mut attributes) {
            self.lend_to(body, &self[id].captured.clone());
            let edited = body.edit_all(edit);
            self.foreign_names = std::mem::take(&mut body.foreign_names);
            body.release_captures();
            match edited {
                Ok(changed) => result = result.map(|before| before || changed),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.drop_captures(id, &mut attributes);
        self.node_mut(id).attributes = attributes;
        // Bodies share the set of names; each gets it when it is its turn.
        if matches!(result, Ok(true)) {
            self.infer_from(&[id]);
        }
        result
    }

    /// Shows a body the names in use and the constants it captures. Types it has from inference.
    fn lend_to(&mut self, body: &mut Self, captured: &[ValueId]) {
        body.foreign_names = std::mem::take(&mut self.foreign_names);
        let mut seen: FxHashMap<ValueId, ValueId> = FxHashMap::default();
        for (inner, slot) in body.captures.clone() {
            let outer = captured[slot as usize];
            body.value_mut(inner).captured_constant = self.lendable(outer);
            // Outside, several captured values may have become one.
            let first = *seen.entry(outer).or_insert(inner);
            if first != inner && !body.value(inner).is_output {
                body.redirect(inner, first);
            }
        }
    }

    /// The data of a captured constant, if using it inside leaves nothing large behind outside.
    fn lendable(&self, outer: ValueId) -> Option<Arc<Tensor>> {
        let value = self.value(outer);
        let tensor = value.constant()?;
        let own = value.uses().len() == 1 && !value.is_output();
        (own || tensor.byte_len() <= SMALL).then(|| tensor.clone())
    }

    /// Forgets captured values that nothing reads any more, and the data that was lent.
    fn release_captures(&mut self) {
        let captures = std::mem::take(&mut self.captures);
        for (inner, slot) in captures {
            if self.value(inner).is_unused() {
                self.forget(inner);
            } else {
                self.value_mut(inner).captured_constant = None;
                self.captures.push((inner, slot));
            }
        }
    }

    /// Takes outer values that no body captures any more off a node.
    fn drop_captures(&mut self, id: NodeId, attributes: &mut [Attribute]) {
        let before = std::mem::take(&mut self.node_mut(id).captured);
        let mut needed = vec![false; before.len()];
        for body in bodies(attributes) {
            body.captures.iter().for_each(|&(_, slot)| needed[slot as usize] = true);
        }
        let mut places = vec![0_u32; before.len()];
        let mut kept = Vec::with_capacity(before.len());
        for (slot, &value) in before.iter().enumerate() {
            let port = |slot| Use { node: id, port: Port::Capture(slot as u32) };
            self.value_mut(value).uses.remove(&port(slot));
            if needed[slot] {
                places[slot] = kept.len() as u32;
                self.value_mut(value).uses.insert(port(kept.len()));
                kept.push(value);
            }
        }
        for body in bodies(attributes) {
            body.captures.iter_mut().for_each(|(_, slot)| *slot = places[*slot as usize]);
        }
        self.node_mut(id).captured = kept;
    }
}

fn bodies(attributes: &mut [Attribute]) -> impl Iterator<Item = &mut Graph> {
    attributes.iter_mut().filter_map(|attribute| match &mut attribute.value {
        AttributeValue::Graph(graph) => Some(&mut **graph),
        _ => None,
    })
}
