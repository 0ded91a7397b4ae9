//! `HardSigmoid`.
use super::super::product::Product;
use super::super::region::require_closed;
use super::hard_gate::HardGate;
use super::require_kernel;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `HardSigmoid` of a line that `Clip` cuts off at 0 and 1.
    ///
    /// c · clip(a · x + b, 0, 1 / c) = max(0, min(1, c · a · x + c · b))
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float three = {3}, float zero = {0}, float six = {6}>
    /// {
    ///     line = Add(x, three)
    ///     cut = Clip(line, zero, six)
    ///     y = Div(cut, six)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)
    /// }
    /// ```
    pub struct FuseHardSigmoid
    name: "fuse-hard-sigmoid",
    accuracy: Rounding,
    emits: ["HardSigmoid"],
}

impl Rule for FuseHardSigmoid {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Clip"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let product = Product::of(graph, y);
        let &[cut] = &product.factors[..] else { return Err(Skip::NoMatch) };
        let clip = graph.producer(cut).filter(|&id| graph[id].is("Clip")).or_no_match()?;
        let gate = HardGate::of(graph, clip, product.constant).or_no_match()?;
        // A Clip alone is a cheaper operator, and the activation of a convolution.
        if graph[clip].input(0) == Some(gate.x) {
            return Err(Skip::NoMatch);
        }
        let (alpha, beta) = (gate.alpha as f32, gate.beta as f32);
        require(alpha.is_normal() && beta.is_finite(), "the line leaves the range of float")?;
        require_kernel(graph, gate.x)?;
        require_closed(graph, root, &[gate.x])?;

        let node = NewNode::new("HardSigmoid").named(graph[root].name.clone()).input(gate.x);
        let node = patch.node(node.attribute("alpha", alpha).attribute("beta", beta));
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
    fn keeps_other_bounds() {
        let source = "
            g (float[2,4] x) => (float[2,4] y, float[2,4] z)
            <float three = {3}, float zero = {0}, float six = {6}, float minus = {-1}>
            {
                line = Add(x, three)
                cut = Clip(line, zero, three)
                y = Div(cut, six)
                line1 = Add(x, six)
                z = Clip(line1, minus)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSigmoid {}, source), @r"
        fuse-hard-sigmoid: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn takes_the_slope_from_a_product() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            <float slope = {0.25}, float half = {0.5}, float zero = {0}, float one = {1}>
            {
                steep = Mul(x, slope)
                line = Add(half, steep)
                y = Clip(line, zero, one)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSigmoid {}, source), @r"
        fuse-hard-sigmoid: 1 rewrites
        g (float[2,4] x) => (float[2,4] y)
        {
            y = HardSigmoid <alpha = 0.25, beta = 0.5> (x)
        }
        ");
    }

    #[test]
    fn keeps_a_bare_clip() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            <float zero = {0}, float one = {1}>
            {
                y = Clip(x, zero, one)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSigmoid {}, source), @r"
        fuse-hard-sigmoid: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = "
            g (double[2,4] x) => (double[2,4] y)
            <double three = {3}, double zero = {0}, double six = {6}>
            {
                line = Add(x, three)
                cut = Clip(line, zero, six)
                y = Div(cut, six)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSigmoid {}, source), @r"
        fuse-hard-sigmoid: 0 rewrites
        skipped 1: ONNX Runtime has no such operator of doubles
        unchanged
        ");
    }

    #[test]
    fn keeps_a_line_too_flat_for_float() {
        let source = "
            g (float[2,4] x) => (float[2,4] y)
            <float slope = {1e-30}, float tiny = {1e-20}, float half = {0.5}, float zero = {0},
             float one = {1}>
            {
                flat = Mul(x, slope)
                flatter = Mul(flat, tiny)
                line = Add(half, flatter)
                y = Clip(line, zero, one)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSigmoid {}, source), @r"
        fuse-hard-sigmoid: 0 rewrites
        skipped 1: the line leaves the range of float
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = "
            g (float[2,4] x) => (float[2,4] y, float[2,4] cut)
            <float three = {3}, float zero = {0}, float six = {6}>
            {
                line = Add(x, three)
                cut = Clip(line, zero, six)
                y = Div(cut, six)
            }
        ";
        assert_snapshot!(rewrite(&FuseHardSigmoid {}, source), @r"
        fuse-hard-sigmoid: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
