//! `Gemm` followed by a constant sum or difference.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Add` or `Sub` applies per channel into the `Gemm` before it.
    ///
    /// Per output channel: b' = beta · b + k or b' = beta · b − k; for k − c the
    /// weights change their sign too.
    ///
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w, float[2] b = {1, 2}, float[2] k = {10, 20}>
    /// {
    ///     c = Gemm(x, w, b)
    ///     y = Add(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w, float[2] b = {11, 22}>
    /// {
    ///     y = Gemm(x, w, b)
    /// }
    /// ```
    pub struct FuseGemmAdd
    name: "fuse-gemm-add",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseGemmAdd {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Add", "Sub"]
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
    fn multiplies_the_bias_by_beta_first() {
        let source = "
            g (float[2,3] x) => (float[2,4] y)
            <float[3,4] w, float b, float[1,4] k>
            {
                c = Gemm<beta = 0.5>(x, w, b)
                y = Add(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmAdd {}, source), @r"
        fuse-gemm-add: 1 rewrites
        g (float[2,3] x) => (float[2,4] y)
        <float[3,4] w, float[4] b = {1.140625, 1.0625, 1.375, 0.765625}>
        {
            y = Gemm(x, w, b)
        }
        ");
    }

    #[test]
    fn subtracts_from_a_constant() {
        let source = "
            g (float[2,3] x) => (float[2,2] y)
            <float[3,2] w, float[2] b = {1, 2}, float[2] k = {10, 20}>
            {
                c = Gemm(x, w, b)
                y = Sub(k, c)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmAdd {}, source), @r"
        fuse-gemm-add: 1 rewrites
        g (float[2,3] x) => (float[2,2] y)
        <float[3,2] w = {-0.984375, 0.640625, -0.125, 0.453125, -0.171875, 0.34375}, float[2] b = {9, 18}>
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
                y = Sub(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmAdd {}, source), @r"
        fuse-gemm-add: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }
}
