//! Qualcomm's HTP: an operator that does not read and write integers leaves the accelerator.
use super::super::range::{FixedRange, Limits};
use super::operators::{average_pool, clip, conv, conv_transpose, gemm, mat_mul, max_pool, resize};
use super::{Reason, Support};
use lapidary_ir::{Graph, Node};

/// | integers | operators |
/// | --- | --- |
/// | with constant weights | Conv, ConvTranspose, Gemm, MatMul |
/// | range of their own | Sigmoid, Softmax: \[0, 1\]; Tanh, Sin, Cos: \[−1, 1\] |
/// | scales may differ | arithmetic, reductions, activations, average pools |
/// | outputs share scale and zero point with the input | MaxPool, Reshape, Transpose, … |
/// | disappear into the quantization behind them | Relu, Clip |
pub(super) fn support(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    match node.op_type.as_str() {
        "Conv" => conv(graph, node),
        "ConvTranspose" => conv_transpose(graph, node),
        "Gemm" => gemm(graph, node),
        "MatMul" if node.input(1).is_some_and(|right| graph.constant(right).is_none()) => {
            Ok(Support::Arithmetic { fixed: None })
        }
        "MatMul" => mat_mul(graph, node),
        "Sigmoid" | "Softmax" | "Tanh" | "Sin" | "Cos" => {
            Ok(Support::Arithmetic { fixed: FixedRange::of(&node.op_type) })
        }
        "Abs" | "Add" | "Concat" | "Div" | "Elu" | "Gelu" | "GlobalAveragePool" | "HardSigmoid"
        | "HardSwish" | "LeakyRelu" | "Max" | "Min" | "Mul" | "Neg" | "Sqrt" | "Sub" => {
            Ok(Support::Arithmetic { fixed: None })
        }
        "AveragePool" => average_pool(node),
        "MaxPool" => max_pool(node),
        "Resize" => resize(node),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Slice"
        | "Split" | "Gather" | "DepthToSpace" | "SpaceToDepth" | "ReduceMax" | "Tile" => {
            Ok(Support::Movement)
        }
        "Relu" => Ok(Support::Limits(Limits::RELU)),
        "Clip" => clip(graph, node),
        other => Err(format!("QNN gets {other} in floating point").into()),
    }
}
