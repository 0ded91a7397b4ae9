//! Two linear operators in a row as one.
use super::linear::Linear;
use super::padding;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

/// Multiplications a product of two weights may take.
const MAX_WORK: usize = 1 << 28;

/// Lets the linear operator that feeds `root` compute what both, each an `op_type`, make of its
/// input.
///
/// (x ∗ w + b) ∗ v + c = x ∗ (w ∗ v) + (b ∗ v + c)
pub(super) fn fold(
    graph: &Graph,
    root: NodeId,
    op_type: &str,
    patch: &mut Patch,
) -> Result<(), Skip> {
    let between = graph[root].input(0).or_no_match()?;
    graph.only_use(between).or_no_match()?;
    let next = Linear::of(graph, root, op_type)?;
    let own = Linear::of(graph, graph.producer(between).or_no_match()?, op_type)?;
    require(own.has_own_weight() && next.has_own_weight(), "weights are shared")?;
    require_pointwise(graph, root, &next)?;

    let (outputs, middle) = (next.outputs().count, next.inputs().count);
    let inputs = own.weight_len().checked_div(middle).or_no_match()?;
    let (size, both) = (inputs * outputs, own.weight_len() + next.weight_len());
    require(size <= both, "the product is larger than its factors")?;
    require(size.saturating_mul(middle) <= MAX_WORK, "the product takes too long to compute")?;
    let (w, v) = (own.by_output()?, next.by_output()?);
    if own.outputs().count != middle || v.len() != outputs * middle {
        return Err(Skip::NoMatch);
    }

    let alpha = f64::from(graph[root].float("alpha").unwrap_or(1.0));
    let mut product = vec![0.0; size];
    for (row, factors) in product.chunks_exact_mut(inputs.max(1)).zip(v.chunks_exact(middle)) {
        for (factor, w) in factors.iter().zip(w.chunks_exact(inputs.max(1))) {
            row.iter_mut().zip(w).for_each(|(sum, w)| *sum += alpha * factor * w);
        }
    }
    let bias = if own.has_bias() || next.has_bias() {
        let before = own.bias_per_channel()?;
        let dot = |factors: &[f64]| -> f64 {
            factors.iter().zip(&before).map(|(factor, bias)| alpha * factor * bias).sum()
        };
        let added = v.chunks_exact(middle).map(dot);
        Some(added.zip(next.bias_per_channel()?).map(|(sum, bias)| sum + bias).collect())
    } else {
        None
    };
    let y = graph[root].output(0).or_no_match()?;
    let weight = own.weight_by_output(outputs, &product)?;
    own.replace(y, NewNode::like(graph, own.node()), Some(weight), bias, patch)
}

/// Requires that each element of the output of the second operator, `root`, is a sum over the
/// channels of one position.
fn require_pointwise(graph: &Graph, root: NodeId, next: &Linear<'_>) -> Result<(), Skip> {
    let node = &graph[root];
    require(node.int("transA").unwrap_or(0) == 0, "Gemm transposes its input")?;
    if node.is("Conv") {
        let kernel = &next.weight_dims()[2..];
        let steps = node.ints("strides").is_none_or(|strides| strides.iter().all(|&s| s == 1));
        let pads = padding::pads(node, kernel.len())?;
        let pointwise = steps && kernel.iter().all(|&k| k == 1) && pads.iter().all(|&p| p == 0);
        require(pointwise, "the second Conv is not pointwise")?;
    }
    Ok(())
}
