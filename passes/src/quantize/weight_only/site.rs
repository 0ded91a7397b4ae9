//! Which weights can be stored in few bits, and why others can't.
use super::{WeightFormat, WeightOptions};
use crate::quantize::existing::{computes_on_integers, is_dequantized};
use lapidary_ir::{ElemType, Graph, NodeId, Tensor, ValueId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A weight of fewer numbers saves less than what restores it costs.
const LEAST_NUMBERS: usize = 512;

/// Why a node keeps its weights.
pub(super) type Reason = &'static str;

/// A weight and the nodes that read it.
pub(super) struct Weight {
    pub(super) value: ValueId,
    pub(super) tensor: Arc<Tensor>,
    /// Whether channels are the first axis: else it is a matrix of inputs times channels.
    pub(super) channels_first: bool,
    /// The nodes and the input of each.
    pub(super) readers: Vec<(NodeId, usize)>,
}

/// What was found in a graph.
pub(super) struct Found {
    /// The weights, in the order of their first reader.
    pub(super) weights: Vec<Weight>,
    /// Nodes that keep theirs.
    pub(super) kept: Vec<(NodeId, Reason)>,
}

/// The weights of the nodes that are asked for.
pub(super) fn find(graph: &Graph, options: &WeightOptions) -> Found {
    let mut found = Found { weights: Vec::new(), kept: Vec::new() };
    let mut index: BTreeMap<ValueId, usize> = BTreeMap::new();
    for id in graph.topological_order() {
        let node = &graph[id];
        if computes_on_integers(node) {
            found.kept.push((id, "it is quantized already"));
            continue;
        }
        if !node.is_standard() || !options.includes(&node.op_type) {
            continue;
        }
        let slot = usize::from(node.op_type != "Gather");
        if node.op_type == "Gather" && !reads_numbers(graph, id) {
            continue;
        }
        match weight(graph, id, slot, options) {
            Err(reason) => found.kept.push((id, reason)),
            Ok(weight) => match index.get(&weight.value) {
                Some(&known) => found.weights[known].readers.push((id, slot)),
                None => {
                    index.insert(weight.value, found.weights.len());
                    found.weights.push(weight);
                }
            },
        }
    }
    keep_read_weights(graph, &mut found);
    found
}

/// A weight that another node reads in float would be stored twice.
fn keep_read_weights(graph: &Graph, found: &mut Found) {
    let (weights, kept) = (std::mem::take(&mut found.weights), &mut found.kept);
    for weight in weights {
        let readers: BTreeSet<NodeId> = weight.readers.iter().map(|(id, _)| *id).collect();
        let all = graph.value(weight.value).uses().len() == weight.readers.len();
        if all && !graph.value(weight.value).is_output() {
            found.weights.push(weight);
        } else {
            let reason = "its weights are also read by a node that keeps them";
            kept.extend(readers.into_iter().map(|id| (id, reason)));
        }
    }
}

/// Whether a `Gather` looks up in a constant of floats, and not in a shape or in what is computed.
fn reads_numbers(graph: &Graph, id: NodeId) -> bool {
    graph.constant_input(id, 0).is_some_and(|tensor| tensor.elem_type() == ElemType::FLOAT)
}

fn weight(
    graph: &Graph,
    id: NodeId,
    slot: usize,
    options: &WeightOptions,
) -> Result<Weight, Reason> {
    let node = &graph[id];
    if options.exclude.iter().any(|name| name == node.label(graph)) {
        return Err("excluded");
    }
    let constant = |value: ValueId| Some((value, graph.constant(value)?.clone()));
    let Some((value, tensor)) = node.input(slot).and_then(constant) else {
        return Err(match node.input(slot).is_some_and(|read| is_dequantized(graph, read)) {
            true => "its weights are quantized already",
            false => "its weights are no constant",
        });
    };
    if tensor.elem_type() != ElemType::FLOAT {
        return Err("its weights are not of type float");
    }
    let is_conv = node.op_type == "Conv";
    if tensor.rank() != 2 && !is_conv {
        return Err("its weights are no matrix");
    }
    if tensor.len() < LEAST_NUMBERS {
        return Err("its weights are too few to gain from it");
    }
    if node.op_type == "Gather" && node.int("axis").unwrap_or(0) != 0 {
        return Err("it does not look up rows");
    }
    if matches!(options.format, WeightFormat::MatMulNBits { .. }) {
        multiplies(graph, id)?;
    }
    let channels_first = is_conv
        || node.op_type == "Gather"
        || (node.op_type == "Gemm" && node.int("transB").unwrap_or(0) != 0);
    Ok(Weight { value, tensor, channels_first, readers: vec![(id, slot)] })
}

/// Whether `MatMulNBits` computes what a node does, with an `Add` behind it.
fn multiplies(graph: &Graph, id: NodeId) -> Result<(), Reason> {
    let node = &graph[id];
    match node.op_type.as_str() {
        "MatMul" => Ok(()),
        "Gemm" => {
            let plain = node.int("transA").unwrap_or(0) == 0
                && node.float("alpha").unwrap_or(1.0) == 1.0
                && (node.float("beta").unwrap_or(1.0) == 1.0 || node.input(2).is_none());
            if plain { Ok(()) } else { Err("it does more than multiply and add") }
        }
        _ => Err("MatMulNBits is a product of matrices"),
    }
}
