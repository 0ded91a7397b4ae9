//! Sums in front of a normalization.
use super::biased::biased;
use crate::{OrSkip, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch, ValueId};

/// The output of the operators that is the sum itself.
const SUM: usize = 3;

/// sum = x + skip + bias, in front of a normalization along the last axis.
pub(super) struct SkipSum {
    x: ValueId,
    skip: ValueId,
    pub(super) bias: Option<ValueId>,
    sum: ValueId,
    normalization: NodeId,
}

impl SkipSum {
    /// The sum that `normalization` normalizes.
    pub(super) fn before(graph: &Graph, normalization: NodeId) -> Result<Self, Skip> {
        let node = &graph[normalization];
        let sum = node.input(0).or_no_match()?;
        let add = graph.producer(sum).filter(|&id| graph[id].is("Add")).or_no_match()?;
        let (a, b) = (graph[add].input(0).or_no_match()?, graph[add].input(1).or_no_match()?);
        let shape = |value: ValueId| graph.ty(value).shape.as_deref();
        let full = shape(sum).or_skip("the shape of the sum is not known")?;
        require(
            graph.ty(sum).elem_type == Some(ElemType::FLOAT),
            "elements are not known to be float",
        )?;
        let rank = full.len();
        require(rank == 2 || rank == 3, "the sum does not have 2 or 3 dimensions")?;
        let last =
            matches!(node.int("axis").unwrap_or(-1), axis if axis == -1 || axis == rank as i64 - 1);
        require(last, "the normalization is not along the last axis alone")?;
        let same = shape(a) == Some(full) && shape(b) == Some(full);
        require(same, "the summands are not known to have the same shape")?;
        let alone = node.outputs().iter().skip(1).all(Option::is_none);
        require(alone, "mean or deviation are read")?;
        let parameters = node.inputs().iter().skip(1).flatten();
        let per_element = |&value: &ValueId| shape(value) == Some(&full[rank - 1..]);
        require(parameters.into_iter().all(per_element), "scale or bias are not of rank 1")?;

        let inner = |value: ValueId| {
            graph.only_use(value)?;
            biased(graph, value)
        };
        let (x, skip, bias) = match (inner(a), inner(b)) {
            (Some((a, bias)), _) => (a, b, Some(bias)),
            (None, Some((b, bias))) => (b, a, Some(bias)),
            (None, None) => (a, b, None),
        };
        Ok(Self { x, skip, bias, sum, normalization })
    }

    /// The operator's node, with sum and skip as its first two inputs.
    pub(super) fn node(&self, graph: &Graph, op_type: &str) -> NewNode {
        NewNode::new(op_type)
            .domain("com.microsoft")
            .named(graph[self.normalization].name.clone())
            .input(self.x)
            .input(self.skip)
    }

    /// Puts the node in the place of normalization and sum.
    pub(super) fn replace(
        &self,
        graph: &Graph,
        node: NewNode,
        patch: &mut Patch,
    ) -> Result<(), Skip> {
        let y = graph[self.normalization].output(0).or_no_match()?;
        if graph.only_use(self.sum).is_some() {
            let node = patch.node(node);
            patch.replace(y, node);
        } else {
            let node = patch.node(node.outputs(SUM + 1).without_output(1).without_output(2));
            patch.replace(y, node);
            patch.replace(self.sum, patch.output(node, SUM));
        }
        Ok(())
    }
}
