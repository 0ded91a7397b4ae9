//! `MatMul` followed by `BatchNormalization`.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds an inference-mode `BatchNormalization` into the `MatMul` that feeds it, as a `Gemm`.
    ///
    /// With s = scale / sqrt(var + epsilon), per column:
    /// w' = w · s and b' = shift − mean · s.
    ///
    /// ```onnx
    /// g (float[3,2] x) => (float[3,2] y)
    /// <float[2,2] w = {1, 2, 3, 4}, float[2] scale = {4, 6}, float[2] shift = {0.5, 1},
    ///  float[2] mean = {1, 2}, float[2] var = {4, 9}>
    /// {
    ///     c = MatMul(x, w)
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
    pub struct FuseMatMulBatchNormalization
    name: "fuse-mat-mul-batch-normalization",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseMatMulBatchNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["BatchNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear::fold_reader(graph, root, "MatMul", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_product_of_more_than_two_dimensions() {
        let source = "
            g (float[2,4,3] x) => (float[2,4,5] y)
            <float[3,5] w, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                product = MatMul(x, w)
                y = BatchNormalization(product, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseMatMulBatchNormalization {}, source), @r"
        fuse-mat-mul-batch-normalization: 0 rewrites
        skipped 1: BatchNormalization normalizes another axis
        unchanged
        ");
    }
}
