//! Reductions that keep the reduced dimensions with size 1.
use lapidary_ir::{Graph, ValueId};

/// A reduction over constant axes.
#[derive(Debug, PartialEq)]
pub(super) struct Reduction {
    pub(super) x: ValueId,
    /// As the node gives them.
    pub(super) axes: Vec<i64>,
}

impl Reduction {
    /// The reduction that makes `value`, if it is operator `op_type` and keeps dimensions.
    pub(super) fn of(graph: &Graph, value: ValueId, op_type: &str) -> Option<Self> {
        let id = graph.producer(value).filter(|&id| graph[id].is(op_type))?;
        let node = &graph[id];
        if node.int("keepdims").unwrap_or(1) != 1 {
            return None;
        }
        let axes = match node.input(1) {
            Some(axes) => graph.constant(axes)?.to_i64()?,
            None => node.ints("axes")?.to_vec(),
        };
        if axes.is_empty() { None } else { Some(Self { x: node.input(0)?, axes }) }
    }

    /// The only axis.
    pub(super) fn axis(&self) -> Option<i64> {
        if let [axis] = self.axes[..] { Some(axis) } else { None }
    }

    /// How many trailing dimensions are reduced, if it is these and no others. Without a known
    /// rank only the last axis is recognised.
    pub(super) fn trailing(&self, graph: &Graph) -> Option<usize> {
        let Some(rank) = graph.ty(self.x).rank() else {
            return (self.axes == [-1]).then_some(1);
        };
        let rank = i64::try_from(rank).ok()?;
        let position = |&axis: &i64| if axis < 0 { axis + rank } else { axis };
        let mut axes: Vec<i64> = self.axes.iter().map(position).collect();
        axes.sort_unstable();
        let count = i64::try_from(axes.len()).ok()?;
        axes.into_iter().eq(rank - count..rank).then_some(self.axes.len())
    }
}
