//! ONNX Runtime.
use super::super::range::{FixedRange, Limits};
use super::operators::{average_pool, clip, conv, gemm, mat_mul, max_pool, resize};
use super::{Reason, Support};
use lapidary_ir::{Graph, Node};

/// | integers | operators |
/// | --- | --- |
/// | with constant weights, `int8` per output channel | Conv, Gemm, MatMul |
/// | scales may differ | Add, Mul, Concat, AveragePool, GlobalAveragePool, LeakyRelu, Sigmoid |
/// | outputs share scale and zero point with the input | MaxPool, Reshape, Transpose, … |
/// | disappear into the quantization behind them | Relu, Clip |
pub(super) fn support(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    match node.op_type.as_str() {
        "Conv" => conv(graph, node),
        "Gemm" => gemm(graph, node),
        "MatMul" => mat_mul(graph, node),
        "Sigmoid" => Ok(Support::Arithmetic { fixed: FixedRange::of(&node.op_type) }),
        "Add" | "Mul" | "Concat" | "GlobalAveragePool" | "LeakyRelu" => {
            Ok(Support::Arithmetic { fixed: None })
        }
        "AveragePool" => average_pool(node),
        "MaxPool" => max_pool(node),
        "Resize" => resize(node),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Slice"
        | "Split" | "Gather" | "DepthToSpace" | "ReduceMax" => Ok(Support::Movement),
        "Relu" => Ok(Support::Limits(Limits::RELU)),
        "Clip" => clip(graph, node),
        "Softmax" => Err("a step of 1/256 is too coarse for the tail of Softmax".into()),
        "ConvTranspose" => Err("ONNX Runtime has no integer kernel for ConvTranspose".into()),
        other => Err(format!("ONNX Runtime computes {other} in floating point").into()),
    }
}
