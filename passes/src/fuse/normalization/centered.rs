//! Centering and division by the standard deviation.
use super::super::region::require_closed;
use super::quadratic_mean::QuadraticMean;
use super::reduction::Reduction;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, NodeId, ValueId};

/// With d = x − mean(x): y = d / √(mean(d²) + epsilon)
pub(super) struct Centered {
    pub(super) x: ValueId,
    /// How many trailing dimensions the means are over.
    pub(super) trailing: usize,
    pub(super) epsilon: f32,
}

impl Centered {
    /// The operators a site can be rooted at.
    pub(super) const ROOTS: &[&str] = QuadraticMean::ROOTS;

    /// The site whose last node is `root`.
    pub(super) fn find(graph: &Graph, root: NodeId) -> Result<Self, Skip> {
        let site = QuadraticMean::find(graph, root).or_no_match()?;
        let difference = graph.producer(site.x).filter(|&id| graph[id].is("Sub")).or_no_match()?;
        let (x, mean) = (graph[difference].input(0), graph[difference].input(1));
        let (x, mean) = (x.or_no_match()?, mean.or_no_match()?);
        let mean = Reduction::of(graph, mean, "ReduceMean").or_no_match()?;
        if mean.x != x {
            return Err(Skip::NoMatch);
        }
        let same = mean.trailing(graph) == Some(site.trailing);
        require(same, "mean and variance are over different axes")?;
        let epsilon = site.epsilon as f32;
        require(epsilon >= 0.0 && epsilon.is_finite(), "epsilon is no small number")?;
        require_closed(graph, root, &[x])?;
        Ok(Self { x, trailing: site.trailing, epsilon })
    }
}
