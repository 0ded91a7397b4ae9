//! `ConvTranspose` followed by `BatchNormalization`.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds an inference-mode `BatchNormalization` into the `ConvTranspose` that feeds it.
    ///
    /// With s = scale / sqrt(var + epsilon), per output channel:
    /// w' = w · s and b' = (b − mean) · s + shift.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[1,2,1,1] w = {1, 2}, float[2] scale = {4, 6}, float[2] shift = {0.5, 1},
    ///  float[2] mean = {1, 2}, float[2] var = {4, 9}>
    /// {
    ///     c = ConvTranspose(x, w)
    ///     y = BatchNormalization<epsilon = 0.0>(c, scale, shift, mean, var)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[1,2,1,1] w = {2, 4}, float[2] y_bias = {-1.5, -3.0}>
    /// {
    ///     y = ConvTranspose(x, w, y_bias)
    /// }
    /// ```
    pub struct FuseConvTransposeBatchNormalization
    name: "fuse-conv-transpose-batch-normalization",
    accuracy: Rounding,
    emits: ["ConvTranspose"],
}

impl Rule for FuseConvTransposeBatchNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["BatchNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear::fold_reader(graph, root, "ConvTranspose", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn finds_the_output_channels_of_each_group() {
        let source = "
            g (float[1,6,5,5] x) => (float[1,4,7,7] y)
            <float[6,2,3,3] w, float[4] b, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = ConvTranspose<group = 2>(x, w, b)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvTransposeBatchNormalization {}, source), @r"
        fuse-conv-transpose-batch-normalization: 1 rewrites
        g (float[1,6,5,5] x) => (float[1,4,7,7] y)
        <float[6,2,3,3] w, float[4] b = {-1.9355413, -0.9112529, -0.078245014, 0.5268556}>
        {
            y = ConvTranspose <group = 2> (x, w, b)
        }
        ");
    }

    #[test]
    fn keeps_an_output_that_is_read_twice() {
        let source = "
            g (float[1,3,5,5] x) => (float[1,4,7,7] y, float[1,4,7,7] c)
            <float[3,4,3,3] w, float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}>
            {
                c = ConvTranspose(x, w)
                y = BatchNormalization(c, scale, shift, mean, var)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvTransposeBatchNormalization {}, source), @r"
        fuse-conv-transpose-batch-normalization: 0 rewrites (no match)
        unchanged
        ");
    }
}
