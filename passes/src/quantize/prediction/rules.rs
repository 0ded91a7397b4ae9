//! Rules of the targets that hold for a whole graph.
use super::super::pairs::{dequantizer, quantizer};
use super::super::target::Target;
use super::BrokenRule;
use lapidary_ir::{ElemType, Graph, NodeId};

/// What breaks the rules of a target, in topological order.
pub(super) fn broken(graph: &Graph, target: Target) -> Vec<BrokenRule> {
    let rules: &[fn(&Graph, NodeId) -> Option<String>] = match target {
        Target::TensorRt => &[zero_points_are_zero, biases_are_float, sums_end_convolutions],
        Target::Qnn => &[scales_are_scalars, units_are_complete],
        Target::OpenVino | Target::Generic => &[scales_are_scalars],
        Target::OnnxRuntimeX86 | Target::OnnxRuntimeArm => &[scales_are_scalars],
    };
    let mut broken = Vec::new();
    for id in graph.topological_order() {
        for problem in rules.iter().filter_map(|rule| rule(graph, id)) {
            broken.push(BrokenRule { node: graph[id].label(graph).to_owned(), problem });
        }
    }
    broken
}

fn is_conversion(graph: &Graph, id: NodeId) -> bool {
    matches!(&*graph[id].op_type, "QuantizeLinear" | "DequantizeLinear")
}

/// TensorRT multiplies without zero points.
fn zero_points_are_zero(graph: &Graph, id: NodeId) -> Option<String> {
    let zero_point = is_conversion(graph, id).then(|| graph[id].input(2)).flatten()?;
    let numbers = graph.constant(zero_point)?.to_i64()?;
    let other = numbers.into_iter().find(|&number| number != 0)?;
    Some(format!("its zero point is {other}, not 0"))
}

/// Parsers of TensorRT refuse `int32` that is dequantized.
fn biases_are_float(graph: &Graph, id: NodeId) -> Option<String> {
    let read = graph[id].op_type == "DequantizeLinear" && !graph[id].inputs().is_empty();
    let elem_type = read.then(|| graph.ty(graph[id].input(0)?).elem_type).flatten()?;
    (elem_type == ElemType::INT32).then(|| "it dequantizes int32: biases stay float".to_owned())
}

/// A convolution whose result is added to a shortcut writes it in full precision.
fn sums_end_convolutions(graph: &Graph, id: NodeId) -> Option<String> {
    if !graph[id].is("Add") {
        return None;
    }
    let computed = |input| {
        let read = graph[dequantizer(graph, input)?.id].input(0)?;
        let quantized = graph[graph.producer(read)?].input(0)?;
        Some(graph[graph.producer(quantized)?].is("Conv"))
    };
    let mut inputs = graph[id].inputs().iter().flatten();
    let all = inputs.all(|&input| computed(input) == Some(true));
    all.then(|| {
        "both operands are convolutions that are quantized before they are added".to_owned()
    })
}

/// Scales of activations of rank 1 keep some operators from becoming integer kernels.
fn scales_are_scalars(graph: &Graph, id: NodeId) -> Option<String> {
    let node = &graph[id];
    let activation = graph.constant(node.input(0)?).is_none();
    let quantizes = node.op_type == "QuantizeLinear" && activation;
    let scale = quantizes.then(|| node.input(1)).flatten()?;
    let rank = graph.ty(scale).rank()?;
    (rank != 0).then(|| format!("its scale is of rank {rank}, not a scalar"))
}

/// An operator whose operands or results are not all integers leaves the accelerator.
fn units_are_complete(graph: &Graph, id: NodeId) -> Option<String> {
    if is_conversion(graph, id) {
        return None;
    }
    let node = &graph[id];
    let reads = |input| dequantizer(graph, input).is_some();
    let activations = || node.inputs().iter().flatten().filter(|&&i| graph.constant(i).is_none());
    if !activations().any(|&input| reads(input)) {
        return None;
    }
    let float = |input: &&lapidary_ir::ValueId| {
        graph.ty(**input).elem_type.is_none_or(|ty| ty == ElemType::FLOAT) && !reads(**input)
    };
    if let Some(&input) = activations().find(float) {
        return Some(format!("it also reads `{}`, which is float", graph.value(input).name()));
    }
    let limits = |output| {
        graph
            .only_use(output)
            .is_some_and(|used| graph[used.node].is("Relu") || graph[used.node].is("Clip"))
    };
    let mut outputs = node.outputs().iter().flatten().filter(|&&output| !limits(output));
    outputs.find_map(|&output| quantizer(graph, output).err())
}
