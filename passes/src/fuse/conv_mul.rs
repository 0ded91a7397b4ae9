//! `Conv` followed by a constant product or quotient.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Mul` or `Div` applies per channel into the `Conv` before it.
    ///
    /// Per output channel: w' = w · k and b' = b · k, with 1 / k for `Div` and −1 for `Neg`.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[2,1,1,1] w = {1, 2}, float[2] b = {1, 2}, float[2,1,1] k = {2, 2}>
    /// {
    ///     c = Conv(x, w, b)
    ///     y = Mul(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[2,1,1,1] w = {2, 4}, float[2] b = {2, 4}>
    /// {
    ///     y = Conv(x, w, b)
    /// }
    /// ```
    pub struct FuseConvMul
    name: "fuse-conv-mul",
    accuracy: Rounding,
    emits: ["Conv"],
}

impl Rule for FuseConvMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg"]
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
    fn divides_by_one_number() {
        let source = "
            g (float[1,3,8] x) => (float[1,4,6] y)
            <float[4,3,3] w, float k = {4}>
            {
                c = Conv(x, w)
                y = Div(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvMul {}, source), @r"
        fuse-conv-mul: 1 rewrites
        g (float[1,3,8] x) => (float[1,4,6] y)
        <float[4,3,3] w>
        {
            y = Conv(x, w)
        }
        ");
    }

    #[test]
    fn keeps_a_quotient_the_other_way_round() {
        let source = "
            g (float[1,3,8] x) => (float[1,4,6] y)
            <float[4,3,3] w, float k>
            {
                c = Conv(x, w)
                y = Div(k, c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvMul {}, source), @r"
        fuse-conv-mul: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_along_the_width() {
        let source = "
            g (float[1,3,8] x) => (float[1,4,6] y)
            <float[4,3,3] w, float[6] k>
            {
                c = Conv(x, w)
                y = Mul(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvMul {}, source), @r"
        fuse-conv-mul: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }
}
