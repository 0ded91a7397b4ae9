//! `Gemm` before `Gemm`.
use super::linear_pair;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Makes one `Gemm` of two, if its weight is not larger than theirs together.
    ///
    /// (x · w + b) · v + c = x · (w · v) + (b · v + c)
    ///
    /// ```onnx
    /// g (float[3,2] x) => (float[3,1] y)
    /// <float[2,2] w = {1, 2, 3, 4}, float[2] b = {1, 2}, float[2,1] v = {10, 1}, float[1] c = {3}>
    /// {
    ///     a = Gemm(x, w, b)
    ///     y = Gemm(a, v, c)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,2] x) => (float[3,1] y)
    /// <float[2,1] w = {12, 34}, float[1] b = {15}>
    /// {
    ///     y = Gemm(x, w, b)
    /// }
    /// ```
    pub struct FuseConsecutiveGemm
    name: "fuse-consecutive-gemm",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseConsecutiveGemm {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Gemm"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear_pair::fold(graph, root, "Gemm", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn multiplies_factors_and_transposes() {
        let source = "
            g (float[2,3] x) => (float[3,2] y)
            <float[4,2] w, float[4] b, float[4,2] v, float[2] c>
            {
                a = Gemm<transA = 1, transB = 1, alpha = 0.5, beta = 2.0>(x, w, b)
                y = Gemm<alpha = 3.0, beta = 0.5>(a, v, c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveGemm {}, source), @r"
        fuse-consecutive-gemm: 1 rewrites
        g (float[2,3] x) => (float[3,2] y)
        <float[2,2] w = {-0.93310547, -0.5280762, -2.5913086, 3.0285645},
            float[2] b = {-2.7646484, -2.510254}>
        {
            y = Gemm <transA = 1, transB = 1, alpha = 0.5> (x, w, b)
        }
        ");
    }

    #[test]
    fn transposes_the_second_weight() {
        let source = "
            g (float[3,2] x) => (float[3,2] y)
            <float[2,4] w, float[2,4] v, float[2] c>
            {
                a = Gemm(x, w)
                y = Gemm<transB = 1>(a, v, c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveGemm {}, source), @r"
        fuse-consecutive-gemm: 1 rewrites
        g (float[3,2] x) => (float[3,2] y)
        <float[2,2] w = {0.12963867, 1.3112793, 0.64404297, 0.56884766},
            float[2] y_bias = {0.21875, 0.390625}>
        {
            y = Gemm(x, w, y_bias)
        }
        ");
    }

    #[test]
    fn keeps_a_transposition_between() {
        let source = "
            g (float[4,2] x) => (float[4,3] y)
            <float[2,4] w, float[4,3] v>
            {
                a = Gemm(x, w)
                y = Gemm<transA = 1>(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveGemm {}, source), @r"
        fuse-consecutive-gemm: 0 rewrites
        skipped 1: Gemm transposes its input
        unchanged
        ");
    }

    #[test]
    fn keeps_what_takes_long() {
        let source = "
            g (float[1,650] x) => (float[1,650] y)
            <float[650,650] w, float[650,650] v>
            {
                a = Gemm(x, w)
                y = Gemm(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveGemm {}, source), @r"
        fuse-consecutive-gemm: 0 rewrites
        skipped 1: the product takes too long to compute
        unchanged
        ");
    }
}
