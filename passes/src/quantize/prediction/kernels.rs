//! Which operators become integer kernels.
use super::super::pairs::{Conversion, dequantizer, quantizer, written};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId, schema};

/// What stands in the way.
type Obstacle = String;

/// Whether ONNX Runtime (and QNN) turns a node and the conversions around it into an integer kernel.
pub(super) fn becomes_integer(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    let node = &graph[id];
    if schema::integer_operator(node).is_some() {
        return Ok(());
    }
    if !node.is_standard() {
        return Err(format!("operators of domain `{}` are not known", node.domain));
    }
    match node.op_type.as_str() {
        "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => Ok(()),
        "Conv" => {
            operands(graph, id, 2)?;
            bias(graph, id)?;
            written(graph, id).map(drop)
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
        "Concat" if reads_8_bits(graph, id) => Ok(()),
        "Add" | "Mul" | "Concat" | "AveragePool" | "GlobalAveragePool" | "LeakyRelu"
        | "Sigmoid" | "Softmax" | "Where" => {
            operands(graph, id, node.inputs().len())?;
            written(graph, id).map(drop)
        }
        "MaxPool" | "Reshape" | "Transpose" | "Flatten" | "Squeeze" | "Unsqueeze" | "Slice"
        | "Gather" | "Expand" | "DepthToSpace" | "ReduceMax" | "Split" | "Resize" => {
            if reads_8_bits(graph, id) {
                return Ok(());
            }
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

/// Whether what a node moves are integers already.
fn reads_8_bits(graph: &Graph, id: NodeId) -> bool {
    let elem_type = graph[id].input(0).and_then(|input| graph.ty(input).elem_type);
    matches!(elem_type, Some(ElemType::UINT8 | ElemType::INT8))
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

/// Whether a node that limits numbers disappears into what computes them.
fn limited(graph: &Graph, id: NodeId) -> Result<(), Obstacle> {
    let head = graph[id].input(0).and_then(|input| graph.producer(input));
    let head = head.ok_or("nothing computes what it limits")?;
    match graph[head].op_type.as_str() {
        "Conv" | "Gemm" | "MatMul" | "Add" | "Mul" => becomes_integer(graph, head),
        other => Err(format!("it does not become part of {other}")),
    }
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
