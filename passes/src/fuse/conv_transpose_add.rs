//! `ConvTranspose` followed by a constant sum or difference.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Add` or `Sub` applies per channel into the `ConvTranspose` before it.
    ///
    /// Per output channel: b' = b + k or b' = b − k; for k − c the weights change their sign too.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[1,2,1,1] w, float[2] b = {1, 2}, float[2,1,1] k = {10, 20}>
    /// {
    ///     c = ConvTranspose(x, w, b)
    ///     y = Add(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[1,2,1,1] w, float[2] b = {11, 22}>
    /// {
    ///     y = ConvTranspose(x, w, b)
    /// }
    /// ```
    pub struct FuseConvTransposeAdd
    name: "fuse-conv-transpose-add",
    accuracy: Rounding,
    emits: ["ConvTranspose"],
}

impl Rule for FuseConvTransposeAdd {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Add", "Sub"]
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
    fn makes_a_bias_where_there_is_none() {
        let source = "
            g (float[1,4,5,5] x) => (float[1,4,7,7] y)
            <float[4,2,3,3] w, float[4,1,1] k>
            {
                c = ConvTranspose<group = 2>(x, w)
                y = Sub(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvTransposeAdd {}, source), @r"
        fuse-conv-transpose-add: 1 rewrites
        g (float[1,4,5,5] x) => (float[1,4,7,7] y)
        <float[4,2,3,3] w, float[4] y_bias = {-0.65625, -0.578125, -0.890625, -0.28125}>
        {
            y = ConvTranspose <group = 2> (x, w, y_bias)
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
                y = Add(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvTransposeAdd {}, source), @r"
        fuse-conv-transpose-add: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }
}
