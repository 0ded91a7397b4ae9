//! Division by the root of the mean of squares.
use super::super::{power, scalar};
use super::reduction::Reduction;
use lapidary_ir::{Graph, NodeId, ValueId};

/// y = x / √(mean(x²) + epsilon)
pub(super) struct QuadraticMean {
    pub(super) x: ValueId,
    /// How many trailing dimensions the mean is over.
    pub(super) trailing: usize,
    pub(super) epsilon: f64,
}

impl QuadraticMean {
    /// The operators a site can be rooted at.
    pub(super) const ROOTS: &[&str] = &["Div", "Mul"];

    /// The site whose last node is `root`.
    pub(super) fn find(graph: &Graph, root: NodeId) -> Option<Self> {
        let node = &graph[root];
        let (a, b) = (node.input(0)?, node.input(1)?);
        if node.is("Div") {
            return Self::of(graph, a, root_of(graph, b)?);
        }
        let inverse = |x, factor| Self::of(graph, x, inverse_root_of(graph, factor)?);
        inverse(a, b).or_else(|| inverse(b, a))
    }

    /// The site with the sum mean(x²) + epsilon.
    fn of(graph: &Graph, x: ValueId, sum: ValueId) -> Option<Self> {
        let (mean, epsilon) = scalar::either(graph, made_by(graph, sum, "Add")?)?;
        let mean = Reduction::of(graph, mean, "ReduceMean")?;
        let trailing = mean.trailing(graph)?;
        (power::squared(graph, mean.x)? == x).then_some(Self { x, trailing, epsilon })
    }
}

fn made_by(graph: &Graph, value: ValueId, op_type: &str) -> Option<NodeId> {
    graph.producer(value).filter(|&id| graph[id].is(op_type))
}

/// a, when the value is √a.
fn root_of(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let root = || graph[made_by(graph, value, "Sqrt")?].input(0);
    root().or_else(|| power::base(graph, value, 0.5))
}

/// a, when the value is 1 / √a.
fn inverse_root_of(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let reciprocal = || root_of(graph, graph[made_by(graph, value, "Reciprocal")?].input(0)?);
    let quotient = || {
        let (root, one) = scalar::left(graph, made_by(graph, value, "Div")?)?;
        root_of(graph, root).filter(|_| one == 1.0)
    };
    reciprocal().or_else(quotient).or_else(|| power::base(graph, value, -0.5))
}
