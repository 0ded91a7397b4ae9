//! `ConvTranspose` followed by a constant product or quotient.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Mul` or `Div` applies per channel into the `ConvTranspose` before it.
    ///
    /// Per output channel: w' = w · k and b' = b · k, with 1 / k for `Div` and −1 for `Neg`.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[1,2,1,1] w = {1, 2}, float[2] b = {1, 2}, float[2,1,1] k = {2, 2}>
    /// {
    ///     c = ConvTranspose(x, w, b)
    ///     y = Mul(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[1,2,1,1] w = {2, 4}, float[2] b = {2, 4}>
    /// {
    ///     y = ConvTranspose(x, w, b)
    /// }
    /// ```
    pub struct FuseConvTransposeMul
    name: "fuse-conv-transpose-mul",
    accuracy: Rounding,
    emits: ["ConvTranspose"],
}

impl Rule for FuseConvTransposeMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg"]
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
            g (float[1,4,5,5] x) => (float[1,6,7,7] y)
            <float[4,3,3,3] w, float[6,1,1] k = {1, 2, 3, 4, 5, 6}>
            {
                c = ConvTranspose<group = 2>(x, w)
                y = Div(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvTransposeMul {}, source), @r"
        fuse-conv-transpose-mul: 1 rewrites
        g (float[1,4,5,5] x) => (float[1,6,7,7] y)
        <float[4,3,3,3] w>
        {
            y = ConvTranspose <group = 2> (x, w)
        }
        ");
    }

    #[test]
    fn keeps_a_constant_along_the_width() {
        let source = "
            g (float[1,3,5,5] x) => (float[1,7,7,7] y)
            <float[3,7,3,3] w, float[7] k>
            {
                c = ConvTranspose(x, w)
                y = Mul(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvTransposeMul {}, source), @r"
        fuse-conv-transpose-mul: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }
}
