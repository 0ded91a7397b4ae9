//! Sums with one number per element of the last dimension.
use super::super::activation::GeluSite;
use super::super::region::require_closed;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{ElemType, Graph, NodeId, ValueId};

/// The operands of the sum that makes `value`: a tensor of the sum's shape and a bias of rank 1.
pub(super) fn biased(graph: &Graph, value: ValueId) -> Option<(ValueId, ValueId)> {
    let node = &graph[graph.producer(value).filter(|&id| graph[id].is("Add"))?];
    let shape = graph.ty(value).shape.as_deref()?;
    let admits = |x: ValueId, bias: ValueId| {
        let bias = graph.ty(bias).shape.as_deref();
        let fits = bias.is_some_and(|bias| bias.len() == 1 && bias.last() == shape.last());
        fits && shape.len() > 1 && graph.ty(x).shape.as_deref() == Some(shape)
    };
    let (a, b) = (node.input(0)?, node.input(1)?);
    if admits(a, b) {
        Some((a, b))
    } else if admits(b, a) {
        Some((b, a))
    } else {
        None
    }
}

/// A `Gelu`, as a node or as arithmetic, with the sum before it.
pub(super) struct BiasedGelu {
    pub(super) x: ValueId,
    pub(super) bias: Option<ValueId>,
}

impl BiasedGelu {
    /// The operators a site can be rooted at.
    pub(super) const ROOTS: &[&str] = &["Gelu", "Mul", "Div"];

    /// The site whose last node is `root`, approximated by tanh or not.
    pub(super) fn find(graph: &Graph, root: NodeId, tanh: bool) -> Result<Self, Skip> {
        let node = &graph[root];
        let site = if node.is("Gelu") {
            let approximate = node.string("approximate") == Some("tanh");
            GeluSite { x: node.input(0).or_no_match()?, tanh: approximate }
        } else {
            GeluSite::find(graph, root)?
        };
        if site.tanh != tanh {
            return Err(Skip::NoMatch);
        }
        let float = graph.ty(site.x).elem_type == Some(ElemType::FLOAT);
        require(float, "the operator is for float only")?;
        let sum = biased(graph, site.x)
            .filter(|&(x, bias)| require_closed(graph, root, &[x, bias]).is_ok());
        let (x, bias) = sum.map_or((site.x, None), |(x, bias)| (x, Some(bias)));
        if bias.is_none() && node.is("Gelu") {
            return Err(Skip::NoMatch);
        }
        Ok(Self { x, bias })
    }
}
