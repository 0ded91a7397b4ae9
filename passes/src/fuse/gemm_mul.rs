//! `Gemm` followed by a constant product or quotient.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Mul` or `Div` applies per channel into the `Gemm` before it.
    ///
    /// Per output channel: w' = w · k and b' = beta · b · k, with 1 / k for `Div` and −1 for `Neg`.
    ///
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w = {1, 2, 3, 4}, float[2] b = {1, 2}, float[2] k = {2, 2}>
    /// {
    ///     c = Gemm(x, w, b)
    ///     y = Mul(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w = {2, 4, 6, 8}, float[2] b = {2, 4}>
    /// {
    ///     y = Gemm(x, w, b)
    /// }
    /// ```
    pub struct FuseGemmMul
    name: "fuse-gemm-mul",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseGemmMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear::fold_reader(graph, root, "Gemm", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn scales_transposed_weights() {
        let source = "
            g (float[2,3] x) => (float[2,4] y)
            <float[4,3] w, float[4] k = {1, 2, 3, 4}>
            {
                c = Gemm<transB = 1>(x, w)
                y = Div(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmMul {}, source), @r"
        fuse-gemm-mul: 1 rewrites
        g (float[2,3] x) => (float[2,4] y)
        <float[4,3] w>
        {
            y = Gemm <transB = 1> (x, w)
        }
        ");
    }

    #[test]
    fn changes_the_sign() {
        let source = "
            g (float[2,3] x) => (float[2,2] y)
            <float[3,2] w, float[2] b = {1, 2}>
            {
                c = Gemm(x, w, b)
                y = Neg(c)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmMul {}, source), @r"
        fuse-gemm-mul: 1 rewrites
        g (float[2,3] x) => (float[2,2] y)
        <float[3,2] w = {-0.984375, 0.640625, -0.125, 0.453125, -0.171875, 0.34375}, float[2] b = {-1, -2}>
        {
            y = Gemm(x, w, b)
        }
        ");
    }

    #[test]
    fn keeps_a_constant_for_each_row() {
        let source = "
            g (float[2,3] x) => (float[2,4] y)
            <float[3,4] w, float[2,1] k>
            {
                c = Gemm(x, w)
                y = Mul(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmMul {}, source), @r"
        fuse-gemm-mul: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }
}
