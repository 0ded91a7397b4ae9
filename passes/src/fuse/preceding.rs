//! What multiplies and adds per channel before a linear operator.
use super::affine::{self, Affine, Channels};
use super::linear::Linear;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, ValueId};

/// How far up a constant factor looks for the expression it completes.
const MAX_FACTORS: usize = 4;

/// Lets the linear operator `root`, an `op_type`, read what is made from its input per channel
/// before it is made.
pub(super) fn fold(
    graph: &Graph,
    root: NodeId,
    op_type: &str,
    patch: &mut Patch,
) -> Result<(), Skip> {
    let linear = Linear::of(graph, root, op_type)?;
    let read = graph[root].input(0).or_no_match()?;
    let inputs = linear.inputs();
    let flat = Flattening::of(graph, read, inputs.count);
    let (value, channels, repeats) = match &flat {
        Some(flat) => (flat.value, flat.channels, inputs.count / flat.channels.count),
        None => (read, inputs, 1),
    };
    graph.only_use(value).or_no_match()?;
    let node = graph.producer(value).or_no_match()?;
    let x = affine::data(graph, node)?;
    let affine = Affine::of(graph, node, channels)?.repeated(repeats);
    require(affine::keeps_shape(graph, node, x, channels), "the constant may enlarge the shape")?;
    require(!completes_an_expression(graph, x), "the constant completes a longer expression")?;
    let Some(flat) = flat else { return linear.fold_input(x, &affine, patch) };
    patch.set_input(flat.node, 0, Some(x.into()));
    linear.fold_input(read, &affine, patch)
}

/// A node that lays the positions of each channel behind each other.
struct Flattening {
    node: NodeId,
    /// What it reads.
    value: ValueId,
    channels: Channels,
}

impl Flattening {
    /// The node that makes the rows `read` of `width` elements from a value `[N, C, …]`, if it
    /// leaves N as it is and is read by one node alone.
    fn of(graph: &Graph, read: ValueId, width: usize) -> Option<Self> {
        let node = graph.producer(read)?;
        graph.only_use(read)?;
        let reshapes = ["Flatten", "Reshape", "Squeeze"].iter().any(|op| graph[node].is(op));
        let value = graph[node].input(0).filter(|_| reshapes)?;
        let (before, after) = (graph.value(value).shape()?, graph.value(read).shape()?);
        let ([batch, positions @ ..], [rows, columns]) = (before, after) else { return None };
        let extents: Option<Vec<i64>> = positions.iter().map(|dim| dim.value()).collect();
        let extents = extents.filter(|extents| extents.len() > 1 && batch == rows)?;
        let flat = extents.iter().product::<i64>() == width as i64 && *columns == width as i64;
        let count = usize::try_from(extents[0]).ok().filter(|&count| flat && count > 0)?;
        let channels = Channels { rank: before.len(), axis: 1, count };
        Some(Self { node, value, channels })
    }
}

/// Whether constants that follow `x` belong to an expression runtimes know as a whole: ½ · (x · …)
/// ends a Gelu, and (… / σ) · γ + β a normalization.
fn completes_an_expression(graph: &Graph, mut x: ValueId) -> bool {
    for _ in 0..MAX_FACTORS {
        let Some(node) = graph.producer(x) else { return false };
        match affine::data(graph, node) {
            Ok(data) => x = data,
            Err(_) => return graph[node].is("Mul") || graph[node].is("Div"),
        }
    }
    true
}
