//! Which nodes compute with constants only, and which of their values are worth folding.
use crate::{Context, GrowthBudget, PassInfo};
use lapidary_ir::{Graph, NodeId, ValueId, schema};
use rustc_hash::{FxHashMap, FxHashSet};

/// Constants below this many bytes do not tie the nodes that share them together.
const SMALL: u64 = 1024;

/// Nodes looked at to find the constants that only one value needs.
const MAX_CONE: usize = 64;

/// Rounds of giving up the last nodes of a region that would grow the model.
const MAX_ROUNDS: usize = 8;

/// The nodes of a graph whose inputs are all constants, as far as they can be evaluated.
#[derive(Debug)]
pub(super) struct Region {
    inside: Vec<bool>,
    order: Vec<NodeId>,
}

/// A value to be folded, and the part of the region it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    pub(super) value: ValueId,
    pub(super) part: usize,
    /// Bytes the model grows by; for a part folded as a whole, the first value has them all.
    pub(super) added: u64,
}

/// Bytes of a value, from its inferred type.
fn byte_len(graph: &Graph, id: ValueId) -> Option<u64> {
    if let Some(tensor) = graph.constant(id) {
        return Some(tensor.byte_len());
    }
    let ty = graph.ty(id);
    let dims = ty.dims()?;
    let count =
        dims.iter().try_fold(1_u64, |count, &dim| count.checked_mul(u64::try_from(dim).ok()?))?;
    ty.elem_type?.byte_len(count)
}

/// Whether the number of elements depends on the data, but not beyond that of the input.
fn shrinks(op_type: &str) -> bool {
    matches!(op_type, "NonZero" | "Compress" | "Unique")
}

impl Region {
    /// Finds the nodes, and records those left alone for another reason than their inputs.
    pub(super) fn new(
        graph: &Graph,
        growth: GrowthBudget,
        info: &PassInfo,
        context: &mut Context,
    ) -> Self {
        let constants: u64 = graph
            .initializers()
            .filter(|&(id, _)| !graph.value(id).is_input())
            .map(|(_, tensor)| tensor.byte_len())
            .sum();
        let mut region = Self { inside: vec![false; graph.node_bound()], order: Vec::new() };
        for id in graph.topological_order() {
            if !is_evaluable(graph, id) || !region.has_constant_inputs(graph, id) {
                continue;
            }
            match is_in_proportion(graph, id, growth, constants) {
                Ok(()) => {
                    region.inside[id.index()] = true;
                    region.order.push(id);
                }
                Err(reason) => context.record(info).skip(reason),
            }
        }
        region
    }

    fn contains(&self, id: NodeId) -> bool {
        self.inside.get(id.index()).copied().unwrap_or(false)
    }

    fn has_constant_inputs(&self, graph: &Graph, id: NodeId) -> bool {
        graph[id].inputs().iter().flatten().all(|&input| {
            graph.constant(input).is_some()
                || graph.producer(input).is_some_and(|producer| self.contains(producer))
        })
    }

    /// The values to fold within `growth`.
    pub(super) fn select(
        &mut self,
        graph: &Graph,
        growth: GrowthBudget,
        info: &PassInfo,
        context: &mut Context,
    ) -> Vec<Fold> {
        for _ in 0..MAX_ROUNDS {
            let parts = self.parts(graph);
            let frontier = self.frontier(graph);
            let (accepted, refused) = within(&frontier, &parts, self, graph, growth, context.grown);
            if refused.is_empty() {
                return accepted;
            }
            // Without its last node, what is before it may still be folded.
            for id in refused {
                context.record(info).skip("folding would make the model larger than the budget");
                if let Some(producer) = graph.producer(id) {
                    self.inside[producer.index()] = false;
                }
            }
            self.order.retain(|id| self.inside[id.index()]);
        }
        Vec::new()
    }

    /// The values that something outside the region reads.
    fn frontier(&self, graph: &Graph) -> Vec<ValueId> {
        let outside = |id: &ValueId| graph.consumers(*id).any(|reader| !self.contains(reader));
        let nodes = self.order.iter().filter(|&&id| !graph[id].is("Constant"));
        nodes
            .flat_map(|&id| graph[id].outputs().iter().flatten().copied())
            .filter(outside)
            .collect()
    }

    /// For each node the part it belongs to: nodes that feed each other or share large constants.
    fn parts(&self, graph: &Graph) -> FxHashMap<NodeId, usize> {
        let position: FxHashMap<NodeId, usize> =
            self.order.iter().enumerate().map(|(position, &id)| (id, position)).collect();
        let mut parent: Vec<usize> = (0..self.order.len()).collect();
        let mut first_reader: FxHashMap<ValueId, usize> = FxHashMap::default();
        for (&id, own) in self.order.iter().zip(0..) {
            for &input in graph[id].inputs().iter().flatten() {
                let large = graph.constant(input).is_some_and(|tensor| tensor.byte_len() >= SMALL);
                let other = match graph.producer(input) {
                    Some(producer) => position.get(&producer).copied(),
                    None if large => Some(*first_reader.entry(input).or_insert(own)),
                    None => None,
                };
                if let Some(other) = other {
                    let (a, b) = (root(&mut parent, own), root(&mut parent, other));
                    parent[a.max(b)] = a.min(b);
                }
            }
        }
        self.order.iter().zip(0..).map(|(&id, own)| (id, root(&mut parent, own))).collect()
    }
}

fn root(parent: &mut [usize], mut at: usize) -> usize {
    while parent[at] != at {
        parent[at] = parent[parent[at]];
        at = parent[at];
    }
    at
}

/// Whether a node can be evaluated ahead of time and its values replaced.
fn is_evaluable(graph: &Graph, id: NodeId) -> bool {
    let node = &graph[id];
    node.is_standard()
        && !schema::is_random(&node.op_type)
        && schema::operator(&node.op_type).is_some()
        // Quantized weights stay quantized, and become so by the definition alone.
        && node.op_type != "DequantizeLinear"
        && node.op_type != "QuantizeLinear"
        && node.op_type != "Dropout"
        && node.subgraphs().next().is_none()
        && node.outputs().iter().flatten().all(|&output| !graph.value(output).is_output())
}

/// Whether the outputs stay in proportion to the inputs, judged by shapes alone.
fn is_in_proportion(
    graph: &Graph,
    id: NodeId,
    growth: GrowthBudget,
    constants: u64,
) -> Result<(), &'static str> {
    let node = &graph[id];
    if node.is("Constant") || shrinks(&node.op_type) {
        return Ok(());
    }
    let mut inputs: Vec<ValueId> = node.inputs().iter().flatten().copied().collect();
    inputs.sort_unstable();
    inputs.dedup();
    let read: u64 = inputs.into_iter().filter_map(|input| byte_len(graph, input)).sum();
    let limit = read.max(growth.total).min(constants.saturating_add(growth.total));
    for &output in node.outputs().iter().flatten() {
        let bytes = byte_len(graph, output).ok_or("the size of a constant result is unknown")?;
        if bytes > limit {
            return Err("a constant result would be far larger than what it is computed from");
        }
    }
    Ok(())
}

/// Divides the frontier into what fits the budget and what does not.
fn within(
    frontier: &[ValueId],
    parts: &FxHashMap<NodeId, usize>,
    region: &Region,
    graph: &Graph,
    growth: GrowthBudget,
    grown: u64,
) -> (Vec<Fold>, Vec<ValueId>) {
    let mut members: Vec<Vec<ValueId>> = vec![Vec::new(); region.order.len()];
    for &id in frontier {
        if let Some(part) = graph.producer(id).and_then(|node| parts.get(&node)) {
            members[*part].push(id);
        }
    }
    let mut unneeded = vec![0_u64; region.order.len()];
    for (id, tensor) in graph.initializers() {
        let mut readers = graph.consumers(id).map(|reader| parts.get(&reader).copied());
        let value = graph.value(id);
        if let Some(Some(part)) = readers.next()
            && readers.all(|other| other == Some(part))
            && !value.is_input()
            && !value.is_output()
        {
            unneeded[part] += tensor.byte_len();
        }
    }
    let mut left = growth.total.saturating_sub(grown);
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for (part, values) in members.iter().enumerate() {
        let bytes: u64 = values.iter().map(|&id| byte_len(graph, id).unwrap_or(0)).sum();
        let more = bytes.saturating_sub(unneeded[part]);
        if more <= growth.per_value.saturating_mul(values.len() as u64) && more <= left {
            left -= more;
            let added = std::iter::once(more).chain(std::iter::repeat(0));
            accepted.extend(values.iter().zip(added).map(|(&value, added)| Fold {
                value,
                part,
                added,
            }));
            continue;
        }
        for &value in values {
            let bytes = byte_len(graph, value).unwrap_or(0);
            let added = bytes.saturating_sub(own_constants(graph, region, value));
            if added <= growth.per_value && added <= left {
                left -= added;
                accepted.push(Fold { value, part, added });
            } else {
                refused.push(value);
            }
        }
    }
    (accepted, refused)
}

/// Bytes the model grows by when the outputs of a node whose inputs are constants are folded.
pub(super) fn added_bytes(graph: &Graph, id: NodeId) -> u64 {
    let outputs = graph[id].outputs().iter().flatten();
    let added: u64 = outputs.filter_map(|&output| byte_len(graph, output)).sum();
    let mut inputs: Vec<ValueId> = graph[id].inputs().iter().flatten().copied().collect();
    inputs.sort_unstable();
    inputs.dedup();
    let own = |&input: &ValueId| graph.consumers(input).all(|reader| reader == id);
    let saved: u64 =
        inputs.into_iter().filter(own).filter_map(|input| byte_len(graph, input)).sum();
    added.saturating_sub(saved)
}

/// Bytes of the constants that nothing but the computation of `value` reads.
fn own_constants(graph: &Graph, region: &Region, value: ValueId) -> u64 {
    let mut cone: FxHashSet<NodeId> = FxHashSet::default();
    let mut waiting: Vec<NodeId> = graph.producer(value).into_iter().collect();
    let mut bytes = 0;
    while let Some(id) = waiting.pop() {
        if cone.len() >= MAX_CONE || !region.contains(id) || !cone.insert(id) {
            continue;
        }
        for &input in graph[id].inputs().iter().flatten() {
            let own = !graph.value(input).is_output()
                && graph.consumers(input).all(|reader| reader == id);
            match graph.producer(input) {
                Some(producer) if own => waiting.push(producer),
                None if own => bytes += byte_len(graph, input).unwrap_or(0),
                _ => {}
            }
        }
    }
    bytes
}
