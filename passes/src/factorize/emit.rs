//! Writes the nodes of factors into a patch.
use super::bias::{Bias, Place};
use super::factors::Factors;
use super::site::{Form, Site, Split, activation_slot};
use lapidary_ir::{AttributeValue, Graph, NewNode, Node, NodeId, Operand, Patch};
use ndarray::Array1;

/// What becomes of a site.
pub(super) struct Replacement<'a> {
    pub(super) site: &'a Site,
    pub(super) factors: Factors,
    /// The bias that makes up for the mean of what is lost, and that mean.
    pub(super) bias: Option<(Bias, Array1<f64>)>,
}

/// Attributes of a convolution that say where its kernel goes, one number per axis and `pads` two.
const PER_AXIS: [&str; 4] = ["kernel_shape", "strides", "dilations", "pads"];

/// Replaces the nodes of a site by one node per factor; the weights are shared.
pub(super) fn emit(graph: &Graph, patch: &mut Patch, replacement: &Replacement<'_>) {
    let Replacement { site, factors, bias } = replacement;
    let name = graph.value(site.weight).name();
    let weights: Vec<Operand> = factors
        .tensors
        .iter()
        .enumerate()
        .map(|(index, tensor)| {
            patch.initializer(format!("{name}_factor{}", index + 1), tensor.clone())
        })
        .collect();
    let mut node_bias = None;
    if let Some((bias, shift)) = bias {
        let (name, tensor) = bias.shifted(shift);
        let operand = patch.initializer(name, tensor);
        match bias.place {
            Place::Node => node_bias = Some(operand),
            Place::Add(add, slot) => patch.set_input(add, slot, Some(operand)),
        }
    }
    for &id in &site.nodes {
        let (Some(x), Some(y)) = (graph[id].input(activation_slot(site.form)), graph[id].output(0))
        else {
            continue;
        };
        let mut value = Operand::Value(x);
        for (index, &weights) in weights.iter().enumerate() {
            let last = index + 1 == factors.tensors.len();
            let mut node = part(graph, site, id, index, last);
            node = match site.form {
                Form::Left => node.input(weights).input(value),
                _ => node.input(value).input(weights),
            };
            if !last {
                let output = format!("{}_factor{}", graph.value(y).name(), index + 1);
                value = patch.node(node.output_name(output));
                continue;
            }
            let kept = graph[id].input(2).map(Operand::Value);
            if let Some(bias) = node_bias.or(kept) {
                node = node.input(bias);
            }
            value = patch.node(node);
        }
        patch.replace(y, value);
    }
}

/// The node of one factor, without inputs.
fn part(graph: &Graph, site: &Site, id: NodeId, index: usize, last: bool) -> NewNode {
    let node = &graph[id];
    let like = || NewNode::like(graph, id).truncate_inputs(0);
    let fresh = |op_type: &str| {
        let new = NewNode::new(op_type);
        match node.name.is_empty() {
            true => new,
            false => new.named(format!("{}_factor{}", node.name, index + 1)),
        }
    };
    if site.form != Form::Conv {
        return match (last, node.int("transA").unwrap_or(0) != 0 && node.is("Gemm")) {
            (true, true) => like().without_attribute("transA"),
            (true, false) => like(),
            (false, true) => fresh("Gemm").attribute("transA", 1),
            (false, false) => fresh("MatMul"),
        };
    }
    let new = if last { clear(like()) } else { fresh("Conv") };
    match (site.split, index) {
        (Split::Spatial, axis) => spatial(new, node, site.kernel(), axis),
        // The kernel of a Tucker split stands between pointwise ones, that of a matrix before one.
        (Split::Matrix, 0) | (Split::Tucker, 1) => whole(new, node, site.kernel()),
        _ => new.attribute("kernel_shape", vec![1i64; site.kernel().len()]),
    }
}

/// A convolution without what is per axis.
fn clear(node: NewNode) -> NewNode {
    let node = PER_AXIS.iter().fold(node, |node, name| node.without_attribute(name));
    node.without_attribute("auto_pad")
}

/// The kernel of the original.
fn whole(mut new: NewNode, node: &Node, kernel: &[usize]) -> NewNode {
    let kernel: Vec<i64> = kernel.iter().map(|&size| size as i64).collect();
    new = new.attribute("kernel_shape", kernel);
    for attribute in node.attributes() {
        let name = attribute.name.as_str();
        if name != "kernel_shape" && (PER_AXIS.contains(&name) || name == "auto_pad") {
            new = new.attribute(name, attribute.value.clone());
        }
    }
    new
}

/// The kernel along one of two axes; on the other one nothing happens.
fn spatial(mut new: NewNode, node: &Node, kernel: &[usize], axis: usize) -> NewNode {
    let on_axis = |numbers: &[i64], neutral: i64| -> Vec<i64> {
        let keep =
            |(index, &number): (usize, &i64)| if index % 2 == axis { number } else { neutral };
        numbers.iter().enumerate().map(keep).collect()
    };
    let sizes: Vec<i64> = kernel.iter().map(|&size| size as i64).collect();
    new = new.attribute("kernel_shape", on_axis(&sizes, 1));
    for (name, neutral) in [("strides", 1), ("dilations", 1), ("pads", 0)] {
        if let Some(numbers) = node.ints(name) {
            new = new.attribute(name, on_axis(numbers, neutral));
        }
    }
    match node.attribute("auto_pad") {
        Some(value @ AttributeValue::String(_)) => new.attribute("auto_pad", value.clone()),
        _ => new,
    }
}
