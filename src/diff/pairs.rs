//! Which nodes of two models belong together.
use lapidary_ir::{Graph, NodeId, Number, ValueId};
use std::collections::{BTreeMap, VecDeque};

/// Nodes that belong together.
#[derive(Debug)]
pub(super) struct Pairs {
    /// By the index of the node of the first model.
    pub(super) after: Vec<Option<NodeId>>,
    /// By the index of the node of the second model.
    pub(super) before: Vec<Option<NodeId>>,
}

impl Pairs {
    pub(super) fn new(a: &Graph, b: &Graph, numbers: &[Vec<Option<Number>>; 2]) -> Self {
        let mut pairs =
            Self { after: vec![None; a.node_bound()], before: vec![None; b.node_bound()] };
        for id in b.topological_order() {
            let named = |&output: &ValueId| a.producer(a.find(b.value(output).name())?);
            if let Some(before) = b[id].outputs().iter().flatten().find_map(named) {
                pairs.join(before, id);
            }
        }
        pairs.by_number(a, b, numbers);
        pairs.by_place(a, b);
        pairs
    }

    /// Joins two nodes if both are free.
    fn join(&mut self, a: NodeId, b: NodeId) -> bool {
        let free = self.after[a.index()].is_none() && self.before[b.index()].is_none();
        if free {
            self.after[a.index()] = Some(b);
            self.before[b.index()] = Some(a);
        }
        free
    }

    /// Joins nodes whose first outputs are the same expression, in order.
    fn by_number(&mut self, a: &Graph, b: &Graph, numbers: &[Vec<Option<Number>>; 2]) {
        let number = |side: usize, graph: &Graph, id: NodeId| {
            let output = graph[id].outputs().iter().flatten().next()?;
            numbers[side][output.index()]
        };
        let mut free: BTreeMap<Number, VecDeque<NodeId>> = BTreeMap::new();
        for id in a.topological_order() {
            if self.after[id.index()].is_none()
                && let Some(number) = number(0, a, id)
            {
                free.entry(number).or_default().push_back(id);
            }
        }
        for id in b.topological_order() {
            if self.before[id.index()].is_none()
                && let Some(number) = number(1, b, id)
                && let Some(before) = free.get_mut(&number).and_then(VecDeque::pop_front)
            {
                self.join(before, id);
            }
        }
    }

    /// Joins nodes of the same operator that make the same output of the graph, or what nodes that
    /// belong together read at the same place.
    fn by_place(&mut self, a: &Graph, b: &Graph) {
        let producers = |before: Option<ValueId>, after: Option<ValueId>| {
            let (before, after) = (a.producer(before?)?, b.producer(after?)?);
            let alike = a[before].op_type == b[after].op_type;
            alike.then_some((before, after))
        };
        let outputs = a.outputs().iter().zip(b.outputs());
        let outputs = outputs.filter_map(|(&before, &after)| producers(Some(before), Some(after)));
        let mut waiting: Vec<(NodeId, NodeId)> = Vec::new();
        for (before, after) in outputs {
            self.join(before, after);
        }
        for (before, _) in a.nodes() {
            waiting.extend(self.after[before.index()].map(|after| (before, after)));
        }
        while let Some((before, after)) = waiting.pop() {
            let inputs = a[before].inputs().iter().zip(b[after].inputs());
            let inputs: Vec<_> =
                inputs.filter_map(|(&before, &after)| producers(before, after)).collect();
            for (before, after) in inputs {
                if self.join(before, after) {
                    waiting.push((before, after));
                }
            }
        }
    }
}
