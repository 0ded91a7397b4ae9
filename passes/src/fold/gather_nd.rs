//! Lookups with one index each.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `Gather` of a `GatherND` whose constant indices are for the first axis alone.
    ///
    /// ```onnx
    /// g (float[5,N] x) => (float[2,N] y)
    /// <int64[2,1] rows = {3, 0}>
    /// {
    ///     y = GatherND(x, rows)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[5,N] x) => (float[2,N] y)
    /// <int64[2] rows_1 = {3, 0}>
    /// {
    ///     y = Gather<axis = 0>(x, rows_1)
    /// }
    /// ```
    pub struct FoldGatherNd
    name: "fold-gather-nd",
    accuracy: Exact,
    emits: ["Gather"],
}

impl Rule for FoldGatherNd {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["GatherND"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let x = graph[root].input(0).or_no_match()?;
        let indices = graph[root].input(1).or_no_match()?;
        let tensor = graph.constant(indices).or_skip("the indices are not constant")?;
        let batches = graph[root].int("batch_dims").unwrap_or(0) != 0;
        require(!batches, "the indices are for each batch")?;
        let (depth, dims) = tensor.dims().split_last().or_no_match()?;
        require(*depth == 1, "the indices are for more than one axis")?;
        let rows = tensor.reshaped(dims.to_vec()).ok().or_no_match()?;
        let rows = patch.initializer(graph.value(indices).name(), rows);
        let gather = NewNode::new("Gather").named(graph[root].name.clone()).input(x);
        let gather = patch.node(gather.input(rows).attribute("axis", 0));
        patch.replace(graph[root].output(0).or_no_match()?, gather);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_other_indices() {
        assert_snapshot!(rewrite_unexecuted(&FoldGatherNd {}, "
            g (float[2,3] x, int64[1,1] i) => (float[1,3] y, float[2] z, float[1] w)
            <int64[2,1] rows = {1, 0}, int64[1,2] both = {1, 2}>
            {
                y = GatherND(x, i)
                z = GatherND<batch_dims = 1>(x, rows)
                w = GatherND(x, both)
            }
        "), @r"
        fold-gather-nd: 0 rewrites
        skipped 1: the indices are for each batch
        skipped 1: the indices are for more than one axis
        skipped 1: the indices are not constant
        unchanged
        ");
    }
}
