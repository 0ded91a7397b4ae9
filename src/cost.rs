//! What a model costs: nodes, parameters, bytes, multiplications.
use lapidary_ir::{Dim, ElemType, Graph, Model, Node, ValueId};
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

/// | op | multiply-accumulates |
/// | --- | --- |
/// | Conv | output elements · elements of one filter |
/// | ConvTranspose | input elements · elements of one filter |
/// | Gemm, MatMul | output elements · contracted dimension |
fn node_macs(graph: &Graph, node: &Node) -> Option<u64> {
    let quantized = matches!(node.op_type.as_str(), "QGemm" | "MatMulIntegerToFloat");
    if !node.is_standard() && !quantized && node.op_type != "FusedConv" {
        return None;
    }
    let shape = |value: Option<ValueId>| sample_shape(graph, value?);
    let output = shape(node.output(0))?;
    let (rows, contracted) = match node.op_type.as_str() {
        "Conv" | "FusedConv" | "ConvInteger" => (output, product(shape(node.input(1))?.get(1..)?)?),
        "QLinearConv" => (output, product(shape(node.input(3))?.get(1..)?)?),
        "ConvTranspose" => (shape(node.input(0))?, product(shape(node.input(1))?.get(1..)?)?),
        "Gemm" | "QGemm" => {
            let a = shape(node.input(0))?;
            let axis = usize::from(node.int("transA").unwrap_or(0) == 0);
            (output, *a.get(axis)?)
        }
        "MatMul" | "MatMulInteger" | "QLinearMatMul" | "MatMulIntegerToFloat" => {
            (output, *shape(node.input(0))?.last()?)
        }
        _ => return None,
    };
    product(&rows)?.checked_mul(contracted)
}

/// The dimensions for one sample.
pub(crate) fn sample_shape(graph: &Graph, value: ValueId) -> Option<Vec<u64>> {
    let one = |dim: &Dim| u64::try_from(dim.substitute(&|_| Some(1)).value()?).ok();
    graph.value(value).shape()?.iter().map(one).collect()
}

/// The product of sizes, unless it is too large.
pub(crate) fn product(dims: &[u64]) -> Option<u64> {
    dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))
}
