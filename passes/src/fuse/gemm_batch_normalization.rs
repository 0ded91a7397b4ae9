//! `Gemm` followed by `BatchNormalization`.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds an inference-mode `BatchNormalization` into the `Gemm` that feeds it.
    ///
    /// With s = scale / sqrt(var + epsilon), per output channel:
    /// w' = w · s and b' = (beta · b − mean) · s + shift.
    ///
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w = {1, 2, 3, 4}, float[2] scale = {4, 6}, float[2] shift = {0.5, 1},
    ///  float[2] mean = {1, 2}, float[2] var = {4, 9}>
    /// {
    ///     c = Gemm(x, w)
    ///     y = BatchNormalization<epsilon = 0.0>(c, scale, shift, mean, var)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w = {2, 4, 6, 8}, float[2] y_bias = {-1.5, -3.0}>
    /// {
    ///     y = Gemm(x, w, y_bias)
    /// }
    /// ```
    pub struct FuseGemmBatchNormalization
    name: "fuse-gemm-batch-normalization",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseGemmBatchNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["BatchNormalization"]
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
    fn folds_beta_and_keeps_alpha() {
        let source = "
            g (float[2,3] x) => (float[2,4] y)
            <float[4,3] w, float[1,4] b, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(x, w, b)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmBatchNormalization {}, source), @r"
        fuse-gemm-batch-normalization: 1 rewrites
        g (float[2,3] x) => (float[2,4] y)
        <float[4,3] w, float[4] b = {-2.6318269, -0.9267899, -0.09995199, 0.60302734}>
        {
            y = Gemm <alpha = 0.5, transB = 1> (x, w, b)
        }
        ");
    }

    #[test]
    fn keeps_an_output_that_is_read_twice() {
        let source = "
            g (float[2,3] x) => (float[2,4] y, float[2,4] c)
            <float[3,4] w, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Gemm(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseGemmBatchNormalization {}, source), @r"
        fuse-gemm-batch-normalization: 0 rewrites (no match)
        unchanged
        ");
    }
}
