//! What single operators can do, whoever executes them.
use super::super::range::Limits;
use super::{Product, Reason, Support};
use lapidary_ir::{ElemType, Graph, Node, Tensor, ValueId};

pub(super) fn conv(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    let (weights, tensor) = constant_weights(graph, node)?;
    let bias = constant_bias(graph, node, tensor.dims()[0])?;
    Ok(Support::Product(Product { weights, axis: 0, bias, float_output: false }))
}

/// Groups divide the output channels, which then are no axis of the weights.
pub(super) fn conv_transpose(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    let (weights, tensor) = constant_weights(graph, node)?;
    if node.int("group").unwrap_or(1) != 1 {
        return Err("the transposed convolution has groups".into());
    }
    let bias = constant_bias(graph, node, tensor.dims()[1])?;
    Ok(Support::Product(Product { weights, axis: 1, bias, float_output: false }))
}

/// Y = α · A · B + β · C, of which the integer kernel knows α = β = 1 and A as it is.
pub(super) fn gemm(graph: &Graph, node: &Node) -> Result<Support, Reason> {
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

pub(super) fn mat_mul(graph: &Graph, node: &Node) -> Result<Support, Reason> {
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

pub(super) fn average_pool(node: &Node) -> Result<Support, Reason> {
    if node.ints("dilations").is_some_and(|dilations| dilations.iter().any(|&step| step != 1)) {
        return Err("the pool is dilated".into());
    }
    Ok(Support::Arithmetic { fixed: None })
}

pub(super) fn max_pool(node: &Node) -> Result<Support, Reason> {
    if node.output(1).is_some() {
        return Err("the indices of the largest numbers are wanted".into());
    }
    Ok(Support::Movement)
}

pub(super) fn resize(node: &Node) -> Result<Support, Reason> {
    if node.string("mode").unwrap_or("nearest") != "nearest" {
        return Err("ONNX Runtime interpolates in floating point".into());
    }
    Ok(Support::Movement)
}

pub(super) fn clip(graph: &Graph, node: &Node) -> Result<Support, Reason> {
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
