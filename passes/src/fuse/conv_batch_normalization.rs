//! `Conv` followed by `BatchNormalization`.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds an inference-mode `BatchNormalization` into the `Conv` that feeds it.
    ///
    /// With s = scale / sqrt(var + epsilon), per output channel:
    /// w' = w · s and b' = (b − mean) · s + shift.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[2,1,1,1] w = {1, 2}, float[2] scale = {4, 6}, float[2] shift = {0.5, 1},
    ///  float[2] mean = {1, 2}, float[2] var = {4, 9}>
    /// {
    ///     c = Conv(x, w)
    ///     y = BatchNormalization<epsilon = 0.0>(c, scale, shift, mean, var)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[2,1,1,1] w = {2, 4}, float[2] y_bias = {-1.5, -3.0}>
    /// {
    ///     y = Conv(x, w, y_bias)
    /// }
    /// ```
    pub struct FuseConvBatchNormalization
    name: "fuse-conv-batch-normalization",
    accuracy: Rounding,
    emits: ["Conv"],
}

impl Rule for FuseConvBatchNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["BatchNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear::fold_reader(graph, root, "Conv", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn folds_into_the_bias_of_a_grouped_conv() {
        let source = "
            g (float[1,4,8,8] x) => (float[1,4,6,6] y)
            <float[4,2,3,3] w, float[4] b, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Conv<group = 2>(x, w, b)
                y = BatchNormalization<epsilon = 0.01>(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 1 rewrites
        g (float[1,4,8,8] x) => (float[1,4,6,6] y)
        <float[4,2,3,3] w, float[4] b = {-1.9299735, -0.9111628, -0.07827076, 0.52695847}>
        {
            y = Conv <group = 2> (x, w, b)
        }
        ");
    }

    #[test]
    fn copies_a_small_weight_that_another_conv_reads() {
        let source = "
            g (float[1,3,8,8] x, float[1,3,8,8] z) => (float[1,4,6,6] y, float[1,4,6,6] other)
            <float[4,3,3,3] w, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Conv(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
                other = Conv(z, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 1 rewrites
        g (float[1,3,8,8] x, float[1,3,8,8] z) => (float[1,4,6,6] y, float[1,4,6,6] other)
        <float[4,3,3,3] w, float[4,3,3,3] w_1,
            float[4] y_bias = {-1.2392557, -0.89571595, -0.056538034, 0.45068377}>
        {
            y = Conv(x, w_1, y_bias)
            other = Conv(z, w)
        }
        ");
    }

    #[test]
    fn keeps_a_conv_whose_output_is_read_twice() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,6,6] y, float[1,4,6,6] c)
            <float[4,3,3,3] w, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Conv(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_weights_that_are_computed() {
        let source = "
            g (float[1,3,8,8] x, float[4,3,3,3] w) => (float[1,4,6,6] y)
            <float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Conv(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn folds_what_opset_9_calls_a_normalization() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 9]>
            g (float[1,3,8] x) => (float[1,4,6] y)
            <float[4,3,3] w, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = Conv(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        "#;
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 1 rewrites
        g (float[1,3,8] x) => (float[1,4,6] y)
        <float[4,3,3] w, float[4] y_bias = {-1.2392557, -0.89571595, -0.056538034, 0.45068377}>
        {
            y = Conv(x, w, y_bias)
        }
        ");
    }

    #[test]
    fn keeps_a_normalization_of_what_hardly_varies() {
        let source = "
            g (float[1,1,4] x) => (float[1,2,4] y)
            <float[2,1,1] w, float[2] scale = {1, 1}, float[2] shift = {0, 0}, float[2] mean = {1000, 1}, float[2] var = {1, 1}>
            {
                c = Conv(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 0 rewrites
        skipped 1: the normalization cancels a far larger mean
        unchanged
        ");
    }

    #[test]
    fn keeps_a_mean_that_the_bias_makes() {
        let source = "
            g (float[1,1,4] x) => (float[1,2,4] y)
            <float[2,1,1] w, float[2] b = {1000, 1}, float[2] scale = {1, 1}, float[2] shift = {0, 0}, float[2] mean = {1000, 1}, float[2] var = {1, 1}>
            {
                c = Conv(x, w, b)
                y = BatchNormalization<epsilon = 0.0>(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvBatchNormalization {}, source), @r"
        fuse-conv-batch-normalization: 0 rewrites
        skipped 1: the normalization cancels a far larger mean
        unchanged
        ");
    }
}
