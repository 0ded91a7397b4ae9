//! What a model costs: nodes, parameters, bytes, multiplications.
use lapidary_ir::{ElemType, Graph, Model};
use lapidary_passes::macs::node_macs;
pub(crate) use lapidary_passes::macs::{product, sample_shape};
use serde::Serialize;

/// The size of a model and of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Nodes, with those of subgraphs.
    pub nodes: usize,
    /// Elements of constant tensors other than indices and shapes (64-bit integers).
    pub parameters: u64,
    /// Bytes of the model in one file.
    pub bytes: u64,
    /// Multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul for one sample: symbolic
    /// dimensions count as 1. Nodes of unknown shape count nothing.
    pub macs: u64,
}

impl Cost {
    /// Measures a model whose shapes are inferred.
    #[must_use]
    pub fn of(model: &Model) -> Self {
        Self {
            nodes: model.graph.total_node_count(),
            parameters: parameters(&model.graph),
            bytes: model.encoded_len() as u64,
            macs: macs(&model.graph),
        }
    }
}

fn parameters(graph: &Graph) -> u64 {
    let counted = |elem_type| elem_type != ElemType::INT64 && elem_type != ElemType::STRING;
    let initializers = graph
        .initializers()
        .filter(|(_, tensor)| counted(tensor.elem_type()))
        .map(|(_, tensor)| tensor.len() as u64);
    let in_nodes = graph.nodes().map(|(_, node)| {
        let constant = node.tensor("value").filter(|_| node.is("Constant"));
        let constant = constant.filter(|tensor| counted(tensor.elem_type()));
        let nested: u64 = node.subgraphs().map(parameters).sum();
        constant.map_or(0, |tensor| tensor.len() as u64) + nested
    });
    initializers.sum::<u64>() + in_nodes.sum::<u64>()
}

fn macs(graph: &Graph) -> u64 {
    graph.nodes().filter_map(|(_, node)| node_macs(graph, node)).fold(0, u64::saturating_add)
}
