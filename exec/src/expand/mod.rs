//! Operators the runtime lacks or gets wrong, as the operators they stand for.
mod fused_conv;
mod fused_mat_mul;
mod integer_operators;
mod multi_head_attention;
mod slice;
mod stored_weights;
mod sub;
mod swish;
#[cfg(test)]
mod testing;
mod wide_integers;

use lapidary_ir::{Graph, Model, NewNode, NodeId, Patch};
use std::borrow::Cow;

/// The model with other operators in place of those the runtime lacks or gets wrong, in the main graph. What
/// can't be expanded stays, for the runtime to refuse.
pub(crate) fn expand(model: &Model) -> Cow<'_, Model> {
    let nodes: Vec<NodeId> = model.graph.nodes().map(|(id, _)| id).collect();
    if nodes.iter().all(|&id| rule(&model.graph, id).is_none()) {
        return Cow::Borrowed(model);
    }
    let mut model = model.clone();
    model.graph.infer();
    for id in nodes {
        if let Some(patch) = rule(&model.graph, id).and_then(|rule| rule(&model.graph, id)) {
            // A patch that can't be applied changes nothing.
            let _ = model.graph.apply(patch);
        }
    }
    Cow::Owned(model)
}

type Expansion = fn(&Graph, NodeId) -> Option<Patch>;

/// How the operator of a node is expanded, if it has to be.
fn rule(graph: &Graph, id: NodeId) -> Option<Expansion> {
    let node = graph.get_node(id)?;
    Some(match (node.domain.as_str(), node.op_type.as_str()) {
        ("com.microsoft", "FusedConv") => fused_conv::expansion,
        ("com.microsoft", "FusedMatMul") => fused_mat_mul::expansion,
        ("com.microsoft", "MultiHeadAttention") => multi_head_attention::expansion,
        ("" | "ai.onnx" | "com.microsoft", "DequantizeLinear")
            if stored_weights::applies(graph, id) =>
        {
            stored_weights::expansion
        }
        ("" | "ai.onnx" | "com.microsoft", "QuantizeLinear" | "DequantizeLinear")
            if wide_integers::applies(graph, id) =>
        {
            wide_integers::expansion
        }
        _ if integer_operators::applies(graph, id) => integer_operators::expansion,
        ("" | "ai.onnx", "Slice") if slice::applies(graph, id) => slice::expansion,
        ("" | "ai.onnx", "Sub") if sub::applies(graph, id) => sub::expansion,
        // The runtime takes every factor for 1.
        ("" | "ai.onnx", "Swish") if node.float("alpha").is_some_and(|alpha| alpha != 1.0) => {
            swish::expansion
        }
        _ => return None,
    })
}

/// A node that does a part of what `id` does, under a name of its own.
fn part(graph: &Graph, id: NodeId, op_type: &str, what: &str) -> NewNode {
    NewNode::new(op_type).named(format!("{}_{what}", graph[id].label(graph)))
}
