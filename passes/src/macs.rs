//! Multiply-accumulates of a node.
use lapidary_ir::{Dim, Graph, Node, ValueId};

/// Multiply-accumulates of a node for one sample; none for other operators, unknown shapes and what is too large.
///
/// | op | multiply-accumulates |
/// | --- | --- |
/// | Conv | output elements · elements of one filter |
/// | ConvTranspose | input elements · elements of one filter |
/// | Gemm, MatMul | output elements · contracted dimension |
#[must_use]
pub fn node_macs(graph: &Graph, node: &Node) -> Option<u64> {
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

/// The dimensions for one sample: symbolic ones count as 1.
#[must_use]
pub fn sample_shape(graph: &Graph, value: ValueId) -> Option<Vec<u64>> {
    let one = |dim: &Dim| u64::try_from(dim.substitute(&|_| Some(1)).value()?).ok();
    graph.value(value).shape()?.iter().map(one).collect()
}

/// The product of sizes, unless it is too large.
#[must_use]
pub fn product(dims: &[u64]) -> Option<u64> {
    dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim))
}
