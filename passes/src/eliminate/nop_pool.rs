//! Pooling of single elements.
use super::pass_through;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `MaxPool` or `AveragePool` with windows of one element, one apart.
    ///
    /// ```onnx
    /// g (float[1,2,4,4] x) => (float[1,2,4,4] y)
    /// {
    ///     a = Relu(x)
    ///     b = MaxPool<kernel_shape = [1, 1]>(a)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,2,4,4] x) => (float[1,2,4,4] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopPool
    name: "eliminate-nop-pool",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopPool {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MaxPool", "AveragePool"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let all = |name, wanted: i64| {
            node.ints(name).is_none_or(|found| found.iter().all(|&number| number == wanted))
        };
        let kernel = node.ints("kernel_shape").or_no_match()?;
        let single = kernel.iter().all(|&extent| extent == 1);
        if !single || !all("strides", 1) || !all("pads", 0) {
            return Err(Skip::NoMatch);
        }
        let indices = node.output(1);
        require(indices.is_none_or(|id| graph.value(id).is_unused()), "the indices are read")?;
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateNopPool;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_pool_that_takes_every_second_element() {
        assert_snapshot!(rewrite(&EliminateNopPool {}, "
            g (float[1,2,4,4] x) => (float[1,2,2,2] y)
            {
                y = MaxPool<kernel_shape = [1, 1], strides = [2, 2]>(x)
            }
        "), @r"
        eliminate-nop-pool: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pool_whose_indices_are_read() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopPool {}, "
            g (float[1,2,4,4] x) => (float[1,2,4,4] y, int64[1,2,4,4] indices)
            {
                y, indices = MaxPool<kernel_shape = [1, 1]>(x)
            }
        "), @r"
        eliminate-nop-pool: 0 rewrites
        skipped 1: the indices are read
        unchanged
        ");
    }
}
