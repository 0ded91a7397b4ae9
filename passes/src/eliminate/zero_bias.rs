//! Biases of zeros.
use super::nop_arithmetic::is_all;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Omits an optional bias that is zero.
    ///
    /// Of `Conv`, `ConvTranspose`, `Gemm` and `LayerNormalization`. The sum of −0 and +0 is +0, so
    /// the sign of a zero may change.
    ///
    /// ```onnx
    /// g (float[1,3,8] x) => (float[1,4,6] y)
    /// <float[4,3,3] w, float[4] zeros = {0, 0, 0, 0}>
    /// {
    ///     y = Conv(x, w, zeros)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3,8] x) => (float[1,4,6] y)
    /// <float[4,3,3] w>
    /// {
    ///     y = Conv(x, w)
    /// }
    /// ```
    pub struct EliminateZeroBias
    name: "eliminate-zero-bias",
    accuracy: Rounding,
    emits: [],
}

impl Rule for EliminateZeroBias {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Conv", "ConvTranspose", "Gemm", "LayerNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let bias = graph.constant_input(root, 2).or_no_match()?;
        if !is_all(bias, 0) {
            return Err(Skip::NoMatch);
        }
        let optional = !graph[root].is("Gemm") || graph.opset() >= 11;
        require(optional, "Gemm needs a bias before opset 11")?;
        patch.set_input(root, 2, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn omits_the_bias_of_each_operator() {
        let source = "
            g (float[2,3] x) => (float[2,4] y)
            <float[3] scale, float[3] a = {0, 0, 0}, float[3,4] w, float b = {0}>
            {
                n = LayerNormalization(x, scale, a)
                y = Gemm(n, w, b)
            }
        ";
        assert_snapshot!(rewrite(&EliminateZeroBias {}, source), @r"
        eliminate-zero-bias: 2 rewrites
        g (float[2,3] x) => (float[2,4] y)
        <float[3] scale = {-0.71875, 0.234375, -0.34375}, float[3,4] w>
        {
            n = LayerNormalization(x, scale)
            y = Gemm(n, w)
        }
        ");
    }

    #[test]
    fn keeps_a_bias_that_is_needed() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 9]>
            g (float[2,3] x) => (float[2,4] y)
            <float[3,4] w, float[4] b = {0, 0, 0, 0}>
            {
                y = Gemm(x, w, b)
            }
        "#;
        assert_snapshot!(rewrite(&EliminateZeroBias {}, source), @r"
        eliminate-zero-bias: 0 rewrites
        skipped 1: Gemm needs a bias before opset 11
        unchanged
        ");
    }

    #[test]
    fn keeps_a_bias_of_other_numbers() {
        let source = "
            g (float[2,3] x) => (float[2,2] y)
            <float[3,2] w, float[2] b = {0, 1}>
            {
                y = Gemm(x, w, b)
            }
        ";
        assert_snapshot!(rewrite(&EliminateZeroBias {}, source), @r"
        eliminate-zero-bias: 0 rewrites (no match)
        unchanged
        ");
    }
}
