//! Which operators become integer kernels.
use super::super::format::IntegerType;
use super::super::range::{Limits, Parameters, Range};
use super::pairs::{Conversion, dequantizer, quantizer};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};

/// What stands in the way.
type Obstacle = String;

/// Whether ONNX Runtime (and QNN) turns a node and the conversions around it into an integer kernel.
pub(super) fn becomes_integer(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    let node = &graph[id];
    if !node.is_standard() {
        return match node.op_type.starts_with("QLinear") || node.op_type == "QGemm" {
            true => Ok(()),
            false => Err(format!("operators of domain `{}` are not known", node.domain)),
        };
    }
    match node.op_type.as_str() {
        "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => Ok(()),
        op_type if op_type.starts_with("QLinear") => Ok(()),
        "Conv" => {
            operands(graph, id, 2)?;
            bias(graph, id)?;
            written(graph, id)
        }
        "Gemm" => {
            let one = |name| node.float(name).unwrap_or(1.0) == 1.0;
            if !one("alpha") || !one("beta") || node.int("transA").unwrap_or(0) != 0 {
                return Err("its product is scaled or its left operand transposed".into());
            }
            operands(graph, id, 2)?;
            bias(graph, id)
        }
        "MatMul" => operands(graph, id, 2).map(drop),
        "Add" | "Mul" | "Concat" | "AveragePool" | "GlobalAveragePool" | "LeakyRelu"
        | "Sigmoid" | "Softmax" | "Where" => {
            operands(graph, id, node.inputs().len())?;
            written(graph, id)
        }
        "MaxPool" | "Reshape" | "Transpose" | "Flatten" | "Squeeze" | "Unsqueeze" | "Slice"
        | "Gather" | "Expand" | "DepthToSpace" | "ReduceMax" | "Split" | "Resize" => {
            let read = operands(graph, id, 1)?;
            moved(graph, id, read)
        }
        "Relu" | "Clip" => limited(graph, id),
        op_type => Err(format!("there is no integer kernel for {op_type}")),
    }
}

/// Whether a runtime that looks for conversions before operators (TensorRT, OpenVINO) computes a node with integers.
pub(super) fn reads_integers(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    match graph[id].op_type.as_str() {
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => operands(graph, id, 2).map(drop),
        "Add" => {
            let mut inputs = graph[id].inputs().iter().flatten();
            let any = inputs.any(|&input| dequantizer(graph, input).is_some());
            if any { Ok(()) } else { Err("neither operand is quantized".into()) }
        }
        "Concat" => operands(graph, id, graph[id].inputs().len()).map(drop),
        "AveragePool" | "GlobalAveragePool" | "MaxPool" => operands(graph, id, 1).map(drop),
        op_type => Err(format!("{op_type} is placed by the runtime")),
    }
}

/// The first of the operands, all of which have to be dequantized.
fn operands(graph: &Graph, id: NodeId, count: usize) -> Result<Conversion, Obstacle> {
    let mut first = None;
    for input in graph[id].inputs().iter().take(count).flatten() {
        let name = graph.value(*input).name();
        let found =
            dequantizer(graph, *input).ok_or_else(|| format!("`{name}` is not quantized"))?;
        match found.elem_type {
            Some(ElemType::UINT8 | ElemType::INT8) => {}
            Some(other) => return Err(format!("`{name}` is {other}, kernels are of 8 bits")),
            None => return Err(format!("the integers of `{name}` are not known")),
        }
        first = first.or(Some(found));
    }
    first.ok_or_else(|| "it reads nothing".into())
}

fn bias(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    let Some(bias) = graph[id].input(2) else { return Ok(()) };
    let integers = dequantizer(graph, bias).is_some_and(|c| c.elem_type == Some(ElemType::INT32));
    if integers || graph.constant(bias).is_some() {
        return Ok(());
    }
    Err(format!("the bias `{}` is neither constant nor int32", graph.value(bias).name()))
}

/// Whether what a node computes is quantized, right behind it or behind what limits it.
fn written(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    let output = graph[id].output(0).ok_or("it computes nothing")?;
    let reader = graph.only_use(output).map(|used| used.node);
    match reader.filter(|&reader| graph[reader].is("Relu") || graph[reader].is("Clip")) {
        Some(limiter) => {
            let limited = graph[limiter].output(0).ok_or("it computes nothing")?;
            implies(graph, limiter, quantizer(graph, limited)?)
        }
        None => quantizer(graph, output).map(drop),
    }
}

/// Whether a node that limits numbers disappears into what computes them.
fn limited(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    let head = graph[id].input(0).and_then(|input| graph.producer(input));
    let head = head.ok_or("nothing computes what it limits")?;
    match graph[head].op_type.as_str() {
        "Conv" | "Gemm" | "MatMul" | "Add" | "Mul" => becomes_integer(graph, head),
        other => Err(format!("it does not become part of {other}")),
    }
}

/// Whether the quantization behind a `Relu` or `Clip` lets pass what they do: one whose smallest integer stands for their lower
/// limit, and whose largest for no more than the upper.
fn implies(graph: &Graph, limiter: NodeId, quantizer: Conversion) -> Result<(), Obstacle> {
    let name = || graph[limiter].label(graph).to_owned();
    let unknown = || format!("the scale behind `{}` is not known", name());
    let (scale, zero_point) = quantizer.parameters(graph).ok_or_else(unknown)?;
    let elem_type = match quantizer.elem_type {
        Some(ElemType::INT8) => IntegerType::Int8,
        _ => IntegerType::Uint8,
    };
    let found = Parameters { scale, zero_point: zero_point as i32, elem_type };
    let bound = |slot: usize, open: f32| match graph[limiter].input(slot) {
        Some(bound) => graph.constant(bound).and_then(|bound| bound.as_f32()),
        None => Some(open),
    };
    let (low, high) = match graph[limiter].is("Relu") {
        true => (Some(0.0), Some(f32::INFINITY)),
        false => (bound(1, f32::NEG_INFINITY), bound(2, f32::INFINITY)),
    };
    let (Some(low), Some(high)) = (low, high) else {
        return Err(format!("the limits of `{}` are not constant", name()));
    };
    if found.implies(Limits { low, high }) {
        return Ok(());
    }
    let Range { min, max } = found.represented();
    Err(format!(
        "`{}` limits to {low} … {high}, the quantization behind it represents {min} … {max}",
        name()
    ))
}

/// Whether what a node moves is quantized as it was read.
fn moved(graph: &Graph, id: NodeId, read: Conversion) -> Result<(), Obstacle> {
    let outputs: Vec<ValueId> = graph[id].outputs().iter().flatten().copied().collect();
    for output in outputs {
        let written = quantizer(graph, output)?;
        let same = read.parameters(graph) == written.parameters(graph);
        if !same || !read.is_per_tensor(graph) || read.elem_type != written.elem_type {
            let name = graph.value(output).name();
            return Err(format!("`{name}` is quantized otherwise than what it is moved from"));
        }
    }
    Ok(())
}
