//! `Split` into one part.
use super::pass_through;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Split` into one part.
    ///
    /// ```onnx
    /// g (float[1,4] x) => (float[1,4] y)
    /// <int64[1] parts = {4}>
    /// {
    ///     a = Relu(x)
    ///     b = Split<axis = 1>(a, parts)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,4] x) => (float[1,4] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateSingleSplit
    name: "eliminate-single-split",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateSingleSplit {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Split"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        if graph[root].outputs().len() != 1 {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateSingleSplit;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_split_into_two() {
        assert_snapshot!(rewrite(&EliminateSingleSplit {}, "
            g (float[1,4] x) => (float[1,2] y, float[1,2] z)
            <int64[2] parts = {2, 2}>
            {
                y, z = Split<axis = 1>(x, parts)
            }
        "), @r"
        eliminate-single-split: 0 rewrites (no match)
        unchanged
        ");
    }
}
