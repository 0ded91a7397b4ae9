//! How inferred types meet the ones a value already has, and how changes travel.
//!
//! * An inferred element type, rank or dimension wins over the declared one. A dimension
//!   inference knows nothing about takes the declared one; so does a whole output of an operator
//!   without a rule.
//! * An inferred number or rank that contradicts what was there makes the value *contradicted*:
//!   the declarations around it were made for another model, say before pruning. Behind a
//!   contradicted value, only inferred facts count.
//! * Inputs keep their types. So does `Value::declared`, the interface the file states.
use super::site::Site;
use super::{control, outputs};
use crate::node::Order;
use crate::{Dim, Graph, NodeId, ValueId, ValueType};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Visits of one node in one incremental run before the whole graph is inferred instead.
const MAX_VISITS: u8 = 8;

/// Nodes with more inputs are inferred with the whole graph only.
const MANY_INPUTS: usize = 64;

/// Infers the output types of one node from those of its inputs.
pub(crate) fn update_node(graph: &mut Graph, id: NodeId) {
    refresh(graph, id, &mut FxHashSet::default());
}

impl Graph {
    /// Infers element types, shapes and shape-like elements of every value, subgraphs included.
    ///
    /// Inferred facts win over declared ones; what inference does not know stays as declared,
    /// unless something upstream contradicts its declaration. Inputs keep their types, and the
    /// declared interface does not change. Nodes on a cycle are left alone.
    pub fn infer(&mut self) {
        self.infer_behind(&mut FxHashSet::default());
    }

    /// Infers the outputs of `nodes` again and, while types change, those of their consumers.
    ///
    /// The same as [`infer`](Self::infer) where only these nodes or their inputs changed since,
    /// except that nodes with very many inputs keep the types they have: one change each to a
    /// thousand of them would else look at all of them a thousand times.
    pub fn infer_from(&mut self, nodes: &[NodeId]) {
        let mut contradicted = FxHashSet::default();
        let mut visits: FxHashMap<NodeId, u8> = FxHashMap::default();
        let mut waiting: BinaryHeap<Reverse<(Order, NodeId)>> = BinaryHeap::new();
        let place = |graph: &Self, id: NodeId| Some(Reverse((graph.get_node(id)?.order, id)));
        let few = |graph: &Self, id: NodeId| {
            graph.get_node(id).is_some_and(|node| node.inputs.len() <= MANY_INPUTS)
        };
        let nodes = nodes.iter().filter(|&&id| few(self, id));
        waiting.extend(nodes.filter_map(|&id| place(self, id)));
        while let Some(next) = waiting.pop() {
            while waiting.peek() == Some(&next) {
                waiting.pop();
            }
            let Reverse((_, id)) = next;
            let count = visits.entry(id).or_default();
            *count += 1;
            if *count > MAX_VISITS {
                self.infer_behind(&mut contradicted);
                return;
            }
            for value in refresh(self, id, &mut contradicted) {
                let readers = self.consumers(value).filter(|&reader| few(self, reader));
                waiting.extend(readers.filter_map(|reader| place(self, reader)));
            }
        }
    }

    /// Infers everything, given which values are contradicted already.
    pub(super) fn infer_behind(&mut self, contradicted: &mut FxHashSet<ValueId>) {
        for id in self.topological_order() {
            refresh(self, id, contradicted);
        }
    }
}

/// Infers the outputs of one node; returns those whose type changed.
fn refresh(graph: &mut Graph, id: NodeId, contradicted: &mut FxHashSet<ValueId>) -> Vec<ValueId> {
    if graph[id].subgraphs().next().is_some() {
        control::enter(graph, id, contradicted);
    }
    let node = &graph[id];
    let inferred = outputs(&Site::new(graph, node)).unwrap_or_default();
    let mut reads = node.inputs.iter().flatten().chain(&node.captured);
    let behind = !contradicted.is_empty() && reads.any(|input| contradicted.contains(input));
    let slots = node.outputs.clone();
    let mut inferred = inferred.into_iter();
    let mut changed = Vec::new();
    for slot in slots {
        let inferred = inferred.next().unwrap_or_default();
        let Some(output) = slot else { continue };
        let ty = &mut graph.value_mut(output).ty;
        let merged = merge(inferred, ty, behind);
        if contradicts(&merged, ty) || (behind && knows_less(&merged, ty)) {
            contradicted.insert(output);
        }
        if !same(&merged, ty) {
            *ty = merged;
            changed.push(output);
        }
    }
    changed
}

/// What is inferred, completed by what was known before, unless that is out of date.
fn merge(inferred: ValueType, before: &ValueType, behind: bool) -> ValueType {
    let shape = inferred.shape.map(|shape| shape.into_iter().map(possible).collect::<Vec<_>>());
    if behind {
        return ValueType { shape, ..inferred };
    }
    let shape = match (shape, &before.shape) {
        (Some(shape), Some(before)) if shape.len() == before.len() => {
            let either =
                |(dim, before): (Dim, &Dim)| if dim.is_unknown() { before.clone() } else { dim };
            Some(shape.into_iter().zip(before).map(either).collect())
        }
        (Some(shape), _) => Some(shape),
        (None, before) => before.clone(),
    };
    let elem_type = inferred.elem_type.or(before.elem_type);
    ValueType { elem_type, shape, elements: inferred.elements }
}

/// A dimension, unless it is a negative number: the model is invalid then.
fn possible(dim: Dim) -> Dim {
    if dim.value().is_some_and(|value| value < 0) { Dim::UNKNOWN } else { dim }
}

/// Whether `now` states another element type, rank or number than `before`.
fn contradicts(now: &ValueType, before: &ValueType) -> bool {
    let numbers_differ = |(now, before): (&Dim, &Dim)| {
        now.value().zip(before.value()).is_some_and(|(now, before)| now != before)
    };
    let elem_type = now.elem_type.zip(before.elem_type).is_some_and(|(now, before)| now != before);
    let shape = now.shape.as_ref().zip(before.shape.as_ref()).is_some_and(|(now, before)| {
        now.len() != before.len() || now.iter().zip(before).any(numbers_differ)
    });
    elem_type || shape
}

/// Whether something `before` states is missing from `now`.
fn knows_less(now: &ValueType, before: &ValueType) -> bool {
    let dims = match (&now.shape, &before.shape) {
        (Some(now), Some(before)) => {
            now.iter().zip(before).any(|(now, before)| now.is_unknown() && !before.is_unknown())
        }
        (None, Some(_)) => true,
        (_, None) => false,
    };
    dims || (now.elem_type.is_none() && before.elem_type.is_some())
}

/// Whether two types state the same, unknown dimensions counting as the same.
fn same(a: &ValueType, b: &ValueType) -> bool {
    a.elem_type == b.elem_type
        && same_dims(&a.shape, &b.shape)
        && same_dims(&a.elements, &b.elements)
}

fn same_dims(a: &Option<Vec<Dim>>, b: &Option<Vec<Dim>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => {
            let same = |(a, b): (&Dim, &Dim)| a == b || (a.is_unknown() && b.is_unknown());
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        (None, None) => true,
        _ => false,
    }
}
