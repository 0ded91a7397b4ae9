//! Choices by negated conditions.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Swaps the branches of a `Where` in place of negating its condition.
    ///
    /// ```onnx
    /// g (bool[N] c, float[N] a, float[N] b) => (float[N] y)
    /// {
    ///     d = Not(c)
    ///     y = Where(d, a, b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (bool[N] c, float[N] a, float[N] b) => (float[N] y)
    /// {
    ///     y = Where(c, b, a)
    /// }
    /// ```
    pub struct FuseNotWhere
    name: "fuse-not-where",
    accuracy: Exact,
    emits: [],
}

impl Rule for FuseNotWhere {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Where"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let condition = graph[root].input(0).or_no_match()?;
        let not = graph.producer(condition).filter(|&id| graph[id].is("Not")).or_no_match()?;
        let alone = !graph.value(condition).is_output()
            && graph.consumers(condition).all(|reader| graph[reader].is("Where"));
        require(alone, "the negated condition is needed anyway")?;
        let (yes, no) = (graph[root].input(1).or_no_match()?, graph[root].input(2).or_no_match()?);
        let from = graph[not].input(0).or_no_match()?;
        patch.set_input(root, 0, Some(from.into()));
        patch.set_input(root, 1, Some(no.into()));
        patch.set_input(root, 2, Some(yes.into()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_negation_that_is_read_elsewhere() {
        assert_snapshot!(rewrite(&FuseNotWhere {}, "
            g (bool[3] c, float[3] a, float[3] b) => (float[3] y, bool[3] d)
            {
                d = Not(c)
                y = Where(d, a, b)
            }
        "), @r"
        fuse-not-where: 0 rewrites
        skipped 1: the negated condition is needed anyway
        unchanged
        ");
    }
}
