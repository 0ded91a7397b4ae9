//! Constants per channel before `Gemm`.
use super::preceding;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds constants that are multiplied and added per channel into the `Gemm` that reads them.
    ///
    /// From `Mul`, `Div`, `Neg`, `Add`, `Sub` and an inference-mode `BatchNormalization`. With x · s + t
    /// before the product: w' = w · s per row of w, and b' = beta · b + alpha · t · w. Between the two
    /// may be a `Flatten`, a `Reshape` or a `Squeeze` that lays the positions of each channel behind each
    /// other.
    ///
    /// ```onnx
    /// g (float[1,2,2,1] x) => (float[1,1] y)
    /// <float[2,1,1] k = {2, 3}, float[4,1] w = {1, 2, 3, 4}>
    /// {
    ///     a = Mul(x, k)
    ///     f = Flatten(a)
    ///     y = Gemm(f, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,2,2,1] x) => (float[1,1] y)
    /// <float[4,1] w = {2, 4, 9, 12}>
    /// {
    ///     f = Flatten(x)
    ///     y = Gemm(f, w)
    /// }
    /// ```
    pub struct FuseAffineGemm
    name: "fuse-affine-gemm",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseAffineGemm {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Gemm"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        preceding::fold(graph, root, "Gemm", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn folds_a_normalization_behind_alpha_and_beta() {
        let source = "
            g (float[2,3] x) => (float[2,2] y)
            <float[3] scale, float[3] shift, float[3] mean, float[3] var = {1, 2, 3}, float[2,3] w, float[2] b>
            {
                n = BatchNormalization(x, scale, shift, mean, var)
                y = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(n, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineGemm {}, source), @r"
        fuse-affine-gemm: 1 rewrites
        g (float[2,3] x) => (float[2,2] y)
        <float[2,3] w = {-0.707516, -0.10616933, -0.024807977, 0.32568198, 0.028484454, 0.068221934},
            float[2] b = {1.6109293, 0.026010746}>
        {
            y = Gemm <alpha = 0.5, transB = 1> (x, w, b)
        }
        ");
    }

    #[test]
    fn folds_a_normalization_before_the_positions_are_flattened() {
        let source = "
            g (float[N,3,2,2] x) => (float[N,2] y)
            <float[3] scale, float[3] shift, float[3] mean, float[3] var = {1, 2, 3}, float[2,12] w, float[2] b>
            {
                n = BatchNormalization(x, scale, shift, mean, var)
                f = Flatten(n)
                y = Gemm<transB = 1>(f, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineGemm {}, source), @r"
        fuse-affine-gemm: 1 rewrites
        g (float[N,3,2,2] x) => (float[N,2] y)
        <float[2,12] w, float[2] b = {0.7876735, -1.7531544}>
        {
            f = Flatten(x)
            y = Gemm <transB = 1> (f, w, b)
        }
        ");
    }

    #[test]
    fn keeps_rows_that_mix_images() {
        let source = "
            g (float[4,3,2,2] x) => (float[8,2] y)
            <float[3,1,1] k, float[6,2] w, int64[2] shape = {8, 6}>
            {
                a = Mul(x, k)
                f = Reshape(a, shape)
                y = Gemm(f, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineGemm {}, source), @r"
        fuse-affine-gemm: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_product_that_transposes_its_input() {
        let source = "
            g (float[3,2] x) => (float[2,2] y)
            <float k, float[3,2] w>
            {
                a = Mul(x, k)
                y = Gemm<transA = 1>(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineGemm {}, source), @r"
        fuse-affine-gemm: 0 rewrites
        skipped 1: Gemm transposes its input
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_for_each_row() {
        let source = "
            g (float[2,3] x) => (float[2,2] y)
            <float[2,1] k, float[3,2] w>
            {
                a = Mul(x, k)
                y = Gemm(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineGemm {}, source), @r"
        fuse-affine-gemm: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }
}
