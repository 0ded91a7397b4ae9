//! `HardSwish`.
use super::super::product::Product;
use super::super::region::require_closed;
use super::super::scalar;
use super::hard_gate::HardGate;
use super::require_kernel;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `HardSwish` of a product of x and its `HardSigmoid`.
    ///
    /// x · max(0, min(1, x / 6 + ½)), the gate also as a `Clip` and a quotient.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float three = {3}, float zero = {0}, float six = {6}>
    /// {
    ///     line = Add(x, three)
    ///     cut = Clip(line, zero, six)
    ///     gated = Mul(x, cut)
    ///     y = Div(gated, six)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = HardSwish(x)
    /// }
    /// ```
    pub struct FuseHardSwish
    name: "fuse-hard-swish",
    accuracy: Rounding,
    emits: ["HardSwish"],
}

impl Rule for FuseHardSwish {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let product = Product::of(graph, y);
        let gate = |&x: &ValueId| {
            let gate = graph.producer(product.other(x)?)?;
            HardGate::of(graph, gate, product.constant).filter(|gate| gate.x == x)
        };
        let gate = product.factors.iter().find_map(gate).or_no_match()?;
        let near = |found, expected| scalar::is_near(found, expected, graph.ty(gate.x).elem_type);
        let line = near(gate.alpha, 1.0 / 6.0) && near(gate.beta, 0.5);
        require(line, "the gate is not that of HardSwish")?;
        require_kernel(graph, gate.x)?;
        require_closed(graph, root, &[gate.x])?;

        let node = NewNode::new("HardSwish").named(graph[root].name.clone()).input(gate.x);
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
    fn finds_a_hard_sigmoid() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            {
                gate = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)
                y = Mul(gate, x)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSwish {}, source), @r"
        fuse-hard-swish: 1 rewrites
        g (float[2,4] x) => (float[2,4] y)
        {
            y = HardSwish(x)
        }
        ");
    }

    #[test]
    fn keeps_another_gate() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            {
                gate = HardSigmoid(x)
                y = Mul(x, gate)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSwish {}, source), @r"
        fuse-hard-swish: 0 rewrites
        skipped 1: the gate is not that of HardSwish
        unchanged
        ");
    }

    #[test]
    fn keeps_the_gate_of_another_value() {
        let source = "
            g (float[2,4] x, float[2,4] z) => (float[2,4] y)
            {
                gate = HardSigmoid <alpha = 0.16666667, beta = 0.5> (z)
                y = Mul(x, gate)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSwish {}, source), @r"
        fuse-hard-swish: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = "
            g (float[2,4] x) => (float[2,4] y, float[2,4] gate)
            {
                gate = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)
                y = Mul(x, gate)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSwish {}, source), @r"
        fuse-hard-swish: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = "
            g (double[2,4] x) => (double[2,4] y)
            {
                gate = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)
                y = Mul(gate, x)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSwish {}, source), @r"
        fuse-hard-swish: 0 rewrites
        skipped 1: ONNX Runtime has no such operator of doubles
        unchanged
        ");
    }
}
