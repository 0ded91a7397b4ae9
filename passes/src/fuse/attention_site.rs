//! Attention as products of matrices around a `Softmax`.
use super::product::Product;
use super::scalar;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId, ValueType};

/// y = softmax(scale · q · kᵀ + mask) · v, with q, k and v of `[batch, heads, length, size]`.
pub(super) struct AttentionSite {
    pub(super) q: ValueId,
    /// With the last two dimensions swapped.
    pub(super) k: ValueId,
    pub(super) v: ValueId,
    pub(super) scale: f32,
    pub(super) mask: Option<Mask>,
}

/// What is added to the scores.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mask {
    /// Numbers.
    Summand(ValueId),
    /// Nothing, or −∞ where the condition holds.
    Hidden(ValueId),
}

/// Below this number a score is lost in the sum and the exponential is 0.
const HIDDEN: f64 = -1e30;

impl AttentionSite {
    /// The site whose last product is `root`.
    pub(super) fn find(graph: &Graph, root: NodeId) -> Result<Self, Skip> {
        let node = &graph[root];
        let (weights, v) = (node.input(0).or_no_match()?, node.input(1).or_no_match()?);
        let softmax = graph.producer(weights).filter(|&id| graph[id].is("Softmax"));
        let softmax = &graph[softmax.or_no_match()?];
        let scores = softmax.input(0).or_no_match()?;
        let (mask, product, scale) = masked(graph, scores).or_no_match()?;
        let (q, k) =
            (graph[product].input(0).or_no_match()?, graph[product].input(1).or_no_match()?);
        let (q, k) = (Product::of(graph, q), Product::of(graph, k));
        let scale = (scale * q.constant * k.constant) as f32;
        let (&[q], &[k]) = (&q.factors[..], &k.factors[..]) else { return Err(Skip::NoMatch) };

        let axis = softmax.int("axis").unwrap_or(if graph.opset() >= 13 { -1 } else { 1 });
        require(axis == -1 || axis == 3, "the softmax is not along the last axis")?;
        let heads = [q, k, v].into_iter().all(|value| graph.ty(value).rank() == Some(4));
        require(heads, "operands are not known to have 4 dimensions")?;
        require(scale.is_normal(), "the factor leaves the range of float")?;
        Ok(Self { q, k, v, scale, mask })
    }
}

/// The mask, the product of matrices it is added to, and the factor of that product.
fn masked(graph: &Graph, scores: ValueId) -> Option<(Option<Mask>, NodeId, f64)> {
    let scaled = |value| {
        let product = Product::of(graph, value);
        let &[factor] = &product.factors[..] else { return None };
        let id = graph.producer(factor).filter(|&id| graph[id].is("MatMul"))?;
        Some((id, product.constant))
    };
    let with = |mask, (id, scale)| (mask, id, scale);
    if let Some(found) = scaled(scores) {
        return Some(with(None, found));
    }
    let id = graph.producer(scores)?;
    let node = &graph[id];
    let (a, b) = (node.input(0)?, node.input(1)?);
    if node.is("Add") {
        let left = scaled(a).map(|found| with(Some(Mask::Summand(b)), found));
        return left.or_else(|| Some(with(Some(Mask::Summand(a)), scaled(b)?)));
    }
    let hidden = scalar::number(graph.constant(b)?).is_some_and(|number| number <= HIDDEN);
    if node.is("Where") && hidden {
        return Some(with(Some(Mask::Hidden(a)), scaled(node.input(2)?)?));
    }
    None
}

/// Heads that a `Reshape` makes of `[batch, length, heads · size]` and a `Transpose` puts first.
pub(super) struct Heads {
    pub(super) x: ValueId,
    pub(super) heads: i64,
    pub(super) size: i64,
    /// The operand that gives the shape.
    pub(super) shape: ValueId,
}

impl Heads {
    /// The heads that `value` are, as `[batch, heads, length, size]`.
    pub(super) fn of(graph: &Graph, value: ValueId) -> Option<Self> {
        Self::under(graph, transposed(graph, value, &[0, 2, 1, 3])?)
    }

    /// The heads that `value` are, as `[batch, heads, size, length]`.
    pub(super) fn swapped(graph: &Graph, value: ValueId) -> Option<Self> {
        if let Some(reshaped) = transposed(graph, value, &[0, 2, 3, 1]) {
            return Self::under(graph, reshaped);
        }
        Self::of(graph, transposed(graph, value, &[0, 1, 3, 2])?)
    }

    fn under(graph: &Graph, reshaped: ValueId) -> Option<Self> {
        let node = &graph[graph.producer(reshaped).filter(|&id| graph[id].is("Reshape"))?];
        let (x, shape) = (node.input(0)?, node.input(1)?);
        let from = graph.ty(x).shape.as_deref()?;
        let to = graph.ty(reshaped).shape.as_deref()?;
        let &[batch, length, hidden] = &[from.first()?, from.get(1)?, from.get(2)?];
        let (heads, size) = (to.get(2)?.value()?, to.get(3)?.value()?);
        let splits = from.len() == 3
            && to.len() == 4
            && (&to[0], &to[1]) == (batch, length)
            && hidden.value() == heads.checked_mul(size);
        splits.then_some(Self { x, heads, size, shape })
    }
}

/// The input of the `Transpose` by `perm` that makes `value`.
pub(super) fn transposed(graph: &Graph, value: ValueId, perm: &[i64]) -> Option<ValueId> {
    let node = &graph[graph.producer(value).filter(|&id| graph[id].is("Transpose"))?];
    node.input(0).filter(|_| node.ints("perm") == Some(perm))
}

impl Mask {
    /// What the mask is made of.
    pub(super) fn source(self) -> ValueId {
        match self {
            Self::Summand(value) | Self::Hidden(value) => value,
        }
    }

    /// The mask as numbers to add, of 4 dimensions.
    ///
    /// # Errors
    /// When it is not one number for each of the scores, batches and heads possibly broadcast.
    pub(super) fn summand(
        self,
        graph: &Graph,
        scores: &ValueType,
        patch: &mut Patch,
    ) -> Result<Operand, Skip> {
        let source = self.source();
        let why = "the mask is not one number per score";
        let (mask, scores) = (graph.ty(source).shape.as_deref(), scores.shape.as_deref());
        let (mask, scores) = (mask.or_skip(why)?, scores.or_skip(why)?);
        let rank = mask.len();
        require((2..=4).contains(&rank) && scores.len() == 4, why)?;
        require(mask[rank - 2..] == scores[2..], why)?;
        let broadcasts = |(mask, score): (&Dim, &Dim)| mask == score || mask.value() == Some(1);
        let leading = mask[..rank - 2].iter().rev().zip(scores[..2].iter().rev());
        require(leading.into_iter().all(broadcasts), why)?;

        let name = graph.value(source).name();
        let mut operand = Operand::from(source);
        if matches!(self, Self::Hidden(_)) {
            let lost = patch.initializer("hidden", Tensor::scalar(f32::NEG_INFINITY));
            let kept = patch.initializer("visible", Tensor::scalar(0f32));
            let choice = NewNode::new("Where").input(operand).input(lost).input(kept);
            operand = patch.node(choice.output_name(format!("{name}_mask")));
        }
        if rank < 4 {
            require(graph.opset() >= 13, "the axes of Unsqueeze are attributes before opset 13")?;
            let axes: Vec<i64> = (0..4 - rank as i64).collect();
            let axes = patch.initializer("axes", Tensor::vector(&axes));
            let raised = NewNode::new("Unsqueeze").input(operand).input(axes);
            operand = patch.node(raised.output_name(format!("{name}_mask")));
        }
        Ok(operand)
    }
}
