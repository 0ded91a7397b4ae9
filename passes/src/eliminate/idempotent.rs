//! Operators applied twice that do nothing the second time.
use super::pass_through;
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes the second of two equal operators that change nothing the second time.
    ///
    /// They are `Relu`, `Abs`, `Ceil`, `Floor`, `Round`, `Sign` and `Clip` with the same bounds.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     y = Relu(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// ```
    pub struct EliminateIdempotent
    name: "eliminate-idempotent",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateIdempotent {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Relu", "Abs", "Ceil", "Floor", "Round", "Sign", "Clip"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let x = graph[root].input(0).or_no_match()?;
        let (second, first) = (&graph[root], &graph[graph.producer(x).or_no_match()?]);
        let same_bounds = second.inputs().get(1..) == first.inputs().get(1..)
            && ["min", "max"].iter().all(|bound| second.float(bound) == first.float(bound));
        if !first.is(&second.op_type) || !same_bounds {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateIdempotent;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_clips_with_other_bounds() {
        assert_snapshot!(rewrite(&EliminateIdempotent {}, "
            g (float[1,3] x) => (float[1,3] y)
            <float zero = {0}, float one = {1}, float six = {6}>
            {
                a = Clip(x, zero, six)
                y = Clip(a, one, six)
            }
        "), @r"
        eliminate-idempotent: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn removes_a_clip_with_the_same_bounds() {
        assert_snapshot!(rewrite(&EliminateIdempotent {}, "
            g (float[1,3] x) => (float[1,3] y)
            <float zero = {0}, float six = {6}>
            {
                a = Clip(x, zero, six)
                y = Clip(a, zero, six)
            }
        "), @r"
        eliminate-idempotent: 1 rewrites
        g (float[1,3] x) => (float[1,3] y)
        <float zero = {0}, float six = {6}>
        {
            y = Clip(x, zero, six)
        }
        ");
    }
}
