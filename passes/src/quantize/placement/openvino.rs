//! OpenVINO.
use super::super::range::Limits;
use super::operators::{average_pool, clip, conv, conv_transpose, gemm, mat_mul, max_pool, resize};
use super::{Reason, Support};
use lapidary_ir::{Graph, Node};

/// | integers | operators |
/// | --- | --- |
/// | with constant weights | Conv, ConvTranspose, Gemm, MatMul |
/// | operands | Add, Sub, Mul, Concat (one scale), AveragePool, GlobalAveragePool |
/// | pass integers on | MaxPool, Reshape, Transpose, … |
/// | part of what computes their input | Relu, Clip |
pub(super) fn support(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    match node.op_type.as_str() {
        "Conv" => conv(graph, node),
        "ConvTranspose" => conv_transpose(graph, node),
        "Gemm" => gemm(graph, node),
        "MatMul" => mat_mul(graph, node),
        "Mul" if is_gated(graph, node) => {
            Err("what a Sigmoid weighs stays in floating point, as in NNCF".into())
        }
        "Add" | "Sub" | "Mul" | "Concat" | "GlobalAveragePool" => {
            Ok(Support::Arithmetic { fixed: None })
        }
        "AveragePool" => average_pool(node),
        "MaxPool" => max_pool(node),
        "Resize" => resize(node),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Slice"
        | "Split" | "Gather" | "DepthToSpace" | "ReduceMax" | "Tile" => Ok(Support::Movement),
        "Relu" => Ok(Support::Limits(Limits::RELU)),
        "Clip" => clip(graph, node),
        other => Err(format!("OpenVINO computes {other} in floating point").into()),
    }
}

/// Whether a factor is what `Sigmoid` or `HardSigmoid` computes: squeeze and excitation.
fn is_gated(graph: &Graph, node: &Node) -> bool {
    let makers = node.inputs().iter().flatten().filter_map(|&input| graph.producer(input));
    makers.into_iter().any(|id| graph[id].is("Sigmoid") || graph[id].is("HardSigmoid"))
}
