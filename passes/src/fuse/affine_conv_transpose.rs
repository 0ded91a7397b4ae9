//! Constants per channel before `ConvTranspose`.
use super::preceding;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds constants that are multiplied per channel into the `ConvTranspose` that reads them.
    ///
    /// From `Mul`, `Div`, `Neg` and an inference-mode `BatchNormalization` that adds nothing. Per input
    /// channel: w' = w · s. A constant that is added reaches the border through fewer weights than the
    /// middle, so that no bias can stand for it.
    ///
    /// ```onnx
    /// g (float[1,2,4,4] x) => (float[1,1,4,4] y)
    /// <float[2,1,1] k = {2, 3}, float[2,1,1,1] w = {1, 2}>
    /// {
    ///     a = Mul(x, k)
    ///     y = ConvTranspose(a, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,2,4,4] x) => (float[1,1,4,4] y)
    /// <float[2,1,1,1] w = {2, 6}>
    /// {
    ///     y = ConvTranspose(x, w)
    /// }
    /// ```
    pub struct FuseAffineConvTranspose
    name: "fuse-affine-conv-transpose",
    accuracy: Rounding,
    emits: ["ConvTranspose"],
}

impl Rule for FuseAffineConvTranspose {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["ConvTranspose"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        preceding::fold(graph, root, "ConvTranspose", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn finds_the_input_channels_of_each_group() {
        let source = "
            g (float[1,4,5,5] x) => (float[1,6,7,7] y)
            <float[4,1,1] k = {1, 2, 3, 4}, float[4,3,3,3] w, float[6] b>
            {
                a = Div(x, k)
                y = ConvTranspose<group = 2>(a, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConvTranspose {}, source), @r"
        fuse-affine-conv-transpose: 1 rewrites
        g (float[1,4,5,5] x) => (float[1,6,7,7] y)
        <float[4,3,3,3] w, float[6] b = {0.96875, -0.09375, 0.109375, 0.375, 0.828125, -0.375}>
        {
            y = ConvTranspose <group = 2> (x, w, b)
        }
        ");
    }

    #[test]
    fn keeps_a_sum() {
        let source = "
            g (float[1,4,5,5] x) => (float[1,3,7,7] y)
            <float[4,1,1] k, float[4,3,3,3] w>
            {
                a = Add(x, k)
                y = ConvTranspose(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConvTranspose {}, source), @r"
        fuse-affine-conv-transpose: 0 rewrites
        skipped 1: ConvTranspose spreads the shift unevenly
        unchanged
        ");
    }
}
