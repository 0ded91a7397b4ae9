//! Which nodes can be computed in integers, and why others can't.
use super::DynamicOptions;
use crate::quantize::existing::{computes_on_integers, is_dequantized};
use lapidary_ir::{ElemType, Graph, NodeId, Tensor, ValueId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A weight of fewer numbers saves less than the nodes around it cost.
const LEAST_NUMBERS: usize = 512;

/// Narrower rows of a table save little beside the scale each has.
const LEAST_WIDTH: usize = 8;

/// Why a node stays in float.
pub(super) type Reason = &'static str;

/// A node that can be computed in integers.
pub(super) struct Site {
    pub(super) id: NodeId,
    pub(super) kind: Kind,
}

/// What a node computes.
pub(super) enum Kind {
    /// A product with a matrix on the right.
    Product(Product),
    /// A convolution; weights `[channels, ...]`.
    Conv { weights: Weights },
    /// Rows of a table `[rows, width]`: `Gather` with indices, or `Slice`.
    Gather { weights: Weights },
    /// `LSTM` with input weights `[directions, 4 · hidden, input]` and recurrent ones.
    Lstm { input: Weights, recurrent: Weights },
}

/// x·W, and maybe a bias behind it.
pub(super) struct Product {
    pub(super) weights: Weights,
    /// Whether a row of the weights is an output channel, as `transB` says, and not a column.
    pub(super) channels_first: bool,
    /// What the product is multiplied by.
    pub(super) alpha: f32,
    /// What is added behind, and what it is multiplied by before.
    pub(super) bias: Option<(ValueId, f32)>,
}

/// Constant weights.
pub(super) struct Weights {
    pub(super) value: ValueId,
    pub(super) tensor: Arc<Tensor>,
}

/// The nodes of a graph that are asked for, in topological order, each with its site or the reason why not.
pub(super) fn find(graph: &Graph, options: &DynamicOptions) -> Vec<(NodeId, Result<Site, Reason>)> {
    let asked = |id: &NodeId| {
        let node = &graph[*id];
        let is_lookup = node.is("Gather") || node.is("Slice");
        let op_type = if is_lookup { "Gather" } else { node.op_type.as_str() };
        let included = node.is_standard() && options.includes(op_type);
        computes_on_integers(node) || included && (!is_lookup || reads_numbers(graph, *id))
    };
    let nodes: Vec<NodeId> = graph.topological_order().into_iter().filter(asked).collect();
    let mut found: Vec<_> = nodes.into_iter().map(|id| (id, site(graph, id, options))).collect();
    keep_read_tables(graph, &mut found);
    found
}

/// A table that another node reads in float would be stored twice.
fn keep_read_tables(graph: &Graph, found: &mut [(NodeId, Result<Site, Reason>)]) {
    let changed: BTreeSet<NodeId> =
        found.iter().filter(|(_, site)| site.is_ok()).map(|(id, _)| *id).collect();
    for (_, site) in found {
        let Ok(Site { kind: Kind::Gather { weights }, .. }) = site else { continue };
        let mut readers = graph.consumers(weights.value);
        if graph.value(weights.value).is_output() || readers.any(|id| !changed.contains(&id)) {
            *site = Err("its table is also read by a node that stays in float");
        }
    }
}

/// Whether a `Gather` or `Slice` looks up in a constant of floats, and not in a shape or in what is computed.
fn reads_numbers(graph: &Graph, id: NodeId) -> bool {
    graph.constant_input(id, 0).is_some_and(|tensor| tensor.elem_type() == ElemType::FLOAT)
}

fn site(graph: &Graph, id: NodeId, options: &DynamicOptions) -> Result<Site, Reason> {
    let node = &graph[id];
    if computes_on_integers(node) {
        return Err("it is quantized already");
    }
    if options.exclude.iter().any(|name| name == node.label(graph)) {
        return Err("excluded");
    }
    let kind = match node.op_type.as_str() {
        "MatMul" => mat_mul(graph, id)?,
        "Gemm" => gemm(graph, id)?,
        "Conv" => conv(graph, id)?,
        "Gather" => gather(graph, id)?,
        "Slice" => slice(graph, id)?,
        "LSTM" => lstm(graph, id, options)?,
        "GRU" => return Err("no runtime has a GRU with quantized weights"),
        _ => return Err("there is no integer form of it"),
    };
    Ok(Site { id, kind })
}

fn mat_mul(graph: &Graph, id: NodeId) -> Result<Kind, Reason> {
    if graph.constant_input(id, 0).is_some() && graph.constant_input(id, 1).is_none() {
        return Err("its weights are the left operand");
    }
    let weights = weights(graph, id, 1, 2)?;
    Ok(Kind::Product(Product { weights, channels_first: false, alpha: 1.0, bias: None }))
}

fn gemm(graph: &Graph, id: NodeId) -> Result<Kind, Reason> {
    let node = &graph[id];
    if node.int("transA").unwrap_or(0) != 0 {
        return Err("its left operand is transposed");
    }
    let weights = weights(graph, id, 1, 2)?;
    let beta = node.float("beta").unwrap_or(1.0);
    let bias = node.input(2).filter(|_| beta != 0.0).map(|bias| (bias, beta));
    if bias.is_some_and(|(bias, beta)| beta != 1.0 && graph.constant(bias).is_none()) {
        return Err("its beta scales a bias that is computed");
    }
    let channels_first = node.int("transB").unwrap_or(0) != 0;
    let alpha = node.float("alpha").unwrap_or(1.0);
    Ok(Kind::Product(Product { weights, channels_first, alpha, bias }))
}

fn conv(graph: &Graph, id: NodeId) -> Result<Kind, Reason> {
    let weights = any_rank(graph, id, 1)?;
    if weights.tensor.rank() < 3 {
        return Err("its weights have no kernel");
    }
    Ok(Kind::Conv { weights: large(weights)? })
}

fn gather(graph: &Graph, id: NodeId) -> Result<Kind, Reason> {
    if graph[id].int("axis").unwrap_or(0) != 0 {
        return Err("it does not look up rows");
    }
    table(graph, id)
}

/// Rows of a table cut out, as of positions up to the length of a text.
fn slice(graph: &Graph, id: NodeId) -> Result<Kind, Reason> {
    let axes = match graph[id].input(3) {
        // As many axes as there are starts, from the first on.
        None => graph.constant_input(id, 1).map(|starts| (0..starts.len() as i64).collect()),
        Some(axes) => graph.constant(axes).and_then(|axes| axes.to_i64()),
    };
    // Of two axes the first is also the last but one.
    if !axes.is_some_and(|axes: Vec<i64>| matches!(axes[..], [0 | -2])) {
        return Err("it does not look up rows");
    }
    table(graph, id)
}

fn table(graph: &Graph, id: NodeId) -> Result<Kind, Reason> {
    let weights = weights(graph, id, 0, 2)?;
    if (weights.tensor.dims()[1] as usize) < LEAST_WIDTH {
        return Err("the rows of its table are too short to gain from it");
    }
    Ok(Kind::Gather { weights })
}

fn lstm(graph: &Graph, id: NodeId, options: &DynamicOptions) -> Result<Kind, Reason> {
    if !options.onnxruntime {
        return Err("only ONNX Runtime has an LSTM with quantized weights");
    }
    let node = &graph[id];
    if node.int("layout").unwrap_or(0) != 0 {
        return Err("the batch comes first in it");
    }
    let (input, recurrent) = (weights(graph, id, 1, 3)?, weights(graph, id, 2, 3)?);
    Ok(Kind::Lstm { input, recurrent })
}

/// Constant weights of that rank, large enough to be worth it.
fn weights(graph: &Graph, id: NodeId, slot: usize, rank: usize) -> Result<Weights, Reason> {
    let weights = any_rank(graph, id, slot)?;
    if weights.tensor.rank() != rank {
        return Err("its weights are no matrix");
    }
    large(weights)
}

fn any_rank(graph: &Graph, id: NodeId, slot: usize) -> Result<Weights, Reason> {
    let constant = |value: ValueId| Some(Weights { value, tensor: graph.constant(value)?.clone() });
    let read = graph[id].input(slot);
    let Some(weights) = read.and_then(constant) else {
        return Err(match read.is_some_and(|read| is_dequantized(graph, read)) {
            true => "its weights are quantized already",
            false => "its weights are no constant",
        });
    };
    if weights.tensor.elem_type() != ElemType::FLOAT {
        return Err("its weights are not of type float");
    }
    Ok(weights)
}

fn large(weights: Weights) -> Result<Weights, Reason> {
    if weights.tensor.len() < LEAST_NUMBERS {
        return Err("its weights are too few to gain from it");
    }
    Ok(weights)
}
