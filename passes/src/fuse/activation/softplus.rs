//! `Softplus`.
use super::super::region::require_closed;
use super::super::scalar;
use super::require_kernel;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `Softplus` of the logarithm of 1 + eˣ.
    ///
    /// Where eˣ is too large for its type the result becomes x, which it is, instead of ∞.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float one = {1}>
    /// {
    ///     power = Exp(x)
    ///     sum = Add(power, one)
    ///     y = Log(sum)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = Softplus(x)
    /// }
    /// ```
    pub struct FuseSoftplus
    name: "fuse-softplus",
    accuracy: Rounding,
    emits: ["Softplus"],
}

impl Rule for FuseSoftplus {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Log"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let made_by = |value, op_type| {
            graph.producer(value).filter(|&id| graph[id].is(op_type)).or_no_match()
        };
        let sum = made_by(graph[root].input(0).or_no_match()?, "Add")?;
        let (power, one) = scalar::either(graph, sum).or_no_match()?;
        let x = graph[made_by(power, "Exp")?].input(0).or_no_match()?;
        require(one == 1.0, "the summand is not 1")?;
        require_kernel(graph, x)?;
        require_closed(graph, root, &[x])?;

        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::new("Softplus").named(graph[root].name.clone()).input(x);
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_another_sum() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            <float two = {2}>
            {
                power = Exp(x)
                sum = Add(two, power)
                y = Log(sum)
            }
        ";
        assert_snapshot!(rewrite(&FuseSoftplus {}, source), @r"
        fuse-softplus: 0 rewrites
        skipped 1: the summand is not 1
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = "
            g (float[2,4] x) => (float[2,4] y, float[2,4] power)
            <float one = {1}>
            {
                power = Exp(x)
                sum = Add(one, power)
                y = Log(sum)
            }
        ";
        assert_snapshot!(rewrite(&FuseSoftplus {}, source), @r"
        fuse-softplus: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
