//! Where integers are possible: what ONNX Runtime on x86 does with an operator that reads from
//! `DequantizeLinear` and writes to `QuantizeLinear`.
use super::format::IntegerFormat;
use super::range::{FixedRange, Limits, Parameters};
use lapidary_ir::{ElemType, Graph, Node, NodeId, Tensor, ValueId};
use std::borrow::Cow;

/// What an operator can do with integers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Support {
    /// It multiplies by constant weights, which become `int8`.
    Product(Product),
    /// It computes with integers of different scales.
    Arithmetic {
        /// What its results are quantized with, if that does not depend on what is observed.
        fixed: Option<Parameters>,
    },
    /// It moves or selects numbers, so that its outputs have the parameters of its input.
    Movement,
    /// It limits numbers: nothing is left to do when what it reads is quantized to these limits.
    Limits(Limits),
    /// It computes in floating point, for this reason.
    Float(Cow<'static, str>),
}

/// A multiplication by constant weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    /// The weights, read at slot 1.
    pub(super) weights: ValueId,
    /// The axis of the output channels in the weights.
    pub(super) axis: usize,
    /// The bias, read at slot 2.
    pub(super) bias: Option<ValueId>,
    /// Whether the integer kernel can also write floating-point numbers.
    pub(super) float_output: bool,
}

type Reason = Cow<'static, str>;

/// What the operator of `id` can do with integers.
///
/// | integers | operators |
/// | --- | --- |
/// | with constant weights, `int8` per output channel | Conv, Gemm, MatMul |
/// | scales may differ | Add, Mul, Concat, AveragePool, GlobalAveragePool, LeakyRelu, Sigmoid |
/// | outputs share scale and zero point with the input | MaxPool, Reshape, Transpose, … |
/// | disappear into the quantization behind them | Relu, Clip |
pub(super) fn support(graph: &Graph, id: NodeId) -> Support {
    let node = &graph[id];
    if !node.is_standard() {
        return Support::Float(
            format!("operators of domain `{}` are not quantized", node.domain).into(),
        );
    }
    let found = match node.op_type.as_str() {
        "Conv" => conv(graph, node),
        "Gemm" => gemm(graph, node),
        "MatMul" => mat_mul(graph, node),
        "Sigmoid" => Ok(Support::Arithmetic {
            fixed: Some(FixedRange::Unit.parameters(IntegerFormat::UINT8)),
        }),
        "Add" | "Mul" | "Concat" | "GlobalAveragePool" | "LeakyRelu" => {
            Ok(Support::Arithmetic { fixed: None })
        }
        "AveragePool" => average_pool(node),
        "MaxPool" => max_pool(node),
        "Resize" => resize(node),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" | "Expand" | "Slice"
        | "Split" | "Gather" | "DepthToSpace" | "ReduceMax" => Ok(Support::Movement),
        "Relu" => Ok(Support::Limits(Limits { low: 0.0, high: f32::INFINITY })),
        "Clip" => clip(graph, node),
        "Softmax" => Err("a step of 1/256 is too coarse for the tail of Softmax".into()),
        "ConvTranspose" => Err("ONNX Runtime has no integer kernel for ConvTranspose".into()),
        other => Err(format!("ONNX Runtime computes {other} in floating point").into()),
    };
    found.unwrap_or_else(Support::Float)
}

fn conv(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    let (weights, tensor) = constant_weights(graph, node)?;
    let bias = constant_bias(graph, node, tensor.dims()[0])?;
    Ok(Support::Product(Product { weights, axis: 0, bias, float_output: false }))
}

/// Y = α · A · B + β · C, of which the integer kernel knows α = β = 1 and A as it is.
fn gemm(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    let (weights, tensor) = constant_weights(graph, node)?;
    if node.float("alpha").unwrap_or(1.0) != 1.0 || node.float("beta").unwrap_or(1.0) != 1.0 {
        return Err("alpha or beta is not 1".into());
    }
    if node.int("transA").unwrap_or(0) != 0 {
        return Err("the left operand is transposed".into());
    }
    let axis = if node.int("transB").unwrap_or(0) == 0 { 1 } else { 0 };
    let channels = tensor.dims().get(axis).copied().unwrap_or(0);
    let bias = constant_bias(graph, node, channels)?;
    Ok(Support::Product(Product { weights, axis, bias, float_output: true }))
}

fn mat_mul(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    let (weights, tensor) = constant_weights(graph, node)?;
    if tensor.rank() != 2 {
        return Err("the weights are not a matrix".into());
    }
    Ok(Support::Product(Product { weights, axis: 1, bias: None, float_output: true }))
}

fn constant_weights<'a>(graph: &'a Graph, node: &Node) -> Result<(ValueId, &'a Tensor), Reason> {
    let weights = node.input(1).and_then(|id| Some((id, &**graph.constant(id)?)));
    let (id, tensor) = weights.ok_or("the right operand is not constant")?;
    if node.input(0).is_some_and(|id| graph.constant(id).is_some()) {
        return Err("the left operand is constant".into());
    }
    if tensor.elem_type() != ElemType::FLOAT {
        return Err(format!("the weights are {}", tensor.elem_type()).into());
    }
    if tensor.rank() < 2 || tensor.is_empty() {
        return Err("the weights have no channels".into());
    }
    Ok((id, tensor))
}

fn constant_bias(graph: &Graph, node: &Node, channels: i64) -> Result<Option<ValueId>, Reason> {
    let Some(id) = node.input(2) else { return Ok(None) };
    let tensor = graph.constant(id).ok_or("the bias is not constant")?;
    if tensor.elem_type() != ElemType::FLOAT || tensor.dims() != [channels] {
        return Err("the bias is not one number per channel".into());
    }
    match tensor.to_vec::<f32>() {
        Some(numbers) if numbers.iter().all(|number| number.is_finite()) => Ok(Some(id)),
        _ => Err("the bias is not finite".into()),
    }
}

fn average_pool(node: &Node) -> Result<Support, Reason> {
    if node.ints("dilations").is_some_and(|dilations| dilations.iter().any(|&step| step != 1)) {
        return Err("the pool is dilated".into());
    }
    Ok(Support::Arithmetic { fixed: None })
}

fn max_pool(node: &Node) -> Result<Support, Reason> {
    if node.output(1).is_some() {
        return Err("the indices of the largest numbers are wanted".into());
    }
    Ok(Support::Movement)
}

fn resize(node: &Node) -> Result<Support, Reason> {
    if node.string("mode").unwrap_or("nearest") != "nearest" {
        return Err("ONNX Runtime interpolates in floating point".into());
    }
    Ok(Support::Movement)
}

fn clip(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    let limit = |slot: usize, open: f32| match node.input(slot) {
        None => Some(open),
        Some(id) => graph.constant(id)?.as_f32(),
    };
    let (low, high) = (limit(1, f32::NEG_INFINITY), limit(2, f32::INFINITY));
    let (Some(low), Some(high)) = (low, high) else {
        return Err("the limits are not constant".into());
    };
    if !(low <= 0.0 && high > 0.0) {
        return Err("0 is not between the limits".into());
    }
    Ok(Support::Limits(Limits { low, high }))
}

/// The inputs of a node that are activations: what has to come from a `DequantizeLinear`.
pub(super) fn activations<'a>(
    node: &'a Node,
    support: &Support,
) -> impl Iterator<Item = ValueId> + use<'a> {
    let count = match support {
        Support::Arithmetic { .. } => node.inputs().len(),
        Support::Product(_) | Support::Movement | Support::Limits(_) => 1,
        Support::Float(_) => 0,
    };
    node.inputs().iter().take(count).flatten().copied()
}
