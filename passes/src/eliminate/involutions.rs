//! Operators that undo themselves.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes pairs of `Neg`, `Not` or `BitwiseNot`, which undo each other.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     b = Neg(a)
    ///     y = Neg(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// ```
    pub struct EliminateInvolutions
    name: "eliminate-involutions",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateInvolutions {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Neg", "Not", "BitwiseNot"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let (second, y) = (&graph[root], graph[root].output(0).or_no_match()?);
        let inner = graph.producer(second.input(0).or_no_match()?).or_no_match()?;
        if !graph[inner].is(&second.op_type) {
            return Err(Skip::NoMatch);
        }
        let x = graph[inner].input(0).or_no_match()?;
        require(graph.can_replace(y, x), "the graph output has to keep its name")?;
        patch.replace(y, x);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateInvolutions;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_pair_between_an_input_and_an_output() {
        assert_snapshot!(rewrite(&EliminateInvolutions {}, "
            g (bool[3] x) => (bool[3] y)
            {
                a = Not(x)
                y = Not(a)
            }
        "), @r"
        eliminate-involutions: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }
}
