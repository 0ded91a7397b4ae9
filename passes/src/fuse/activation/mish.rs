//! `Mish`.
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Makes a `Mish` of a product of x and the hyperbolic tangent of its `Softplus`.
    ///
    /// x · tanh(log(1 + eˣ))
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     plus = Softplus(x)
    ///     gate = Tanh(plus)
    ///     y = Mul(x, gate)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = Mish(x)
    /// }
    /// ```
    pub struct FuseMish
    name: "fuse-mish",
    accuracy: Rounding,
    emits: ["Mish"],
}

pattern! {
    struct Site {
        plus = Softplus(x: ValueId);
        gate = Tanh(plus);
        y = Mul(x, gate);
    }
}

impl Rule for FuseMish {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = Site::find(graph, root)?;
        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::new("Mish").named(graph[root].name.clone()).input(site.x);
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
    fn keeps_the_gate_of_another_value() {
        let source = "
            g (float[2,4] x, float[2,4] z) => (float[2,4] y)
            {
                plus = Softplus(z)
                gate = Tanh(plus)
                y = Mul(x, gate)
            }
        ";
        assert_snapshot!(rewrite(&FuseMish {}, source), @r"
        fuse-mish: 0 rewrites (no match)
        unchanged
        ");
    }
}
