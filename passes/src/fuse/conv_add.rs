//! `Conv` followed by a constant sum or difference.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Add` or `Sub` applies per channel into the `Conv` before it.
    ///
    /// Per output channel: b' = b + k or b' = b − k; for k − c the weights change their sign too.
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[2,1,1,1] w, float[2] b = {1, 2}, float[2,1,1] k = {10, 20}>
    /// {
    ///     c = Conv(x, w, b)
    ///     y = Add(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,2,4,4] y)
    /// <float[2,1,1,1] w, float[2] b = {11, 22}>
    /// {
    ///     y = Conv(x, w, b)
    /// }
    /// ```
    pub struct FuseConvAdd
    name: "fuse-conv-add",
    accuracy: Rounding,
    emits: ["Conv"],
}

impl Rule for FuseConvAdd {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Add", "Sub"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear::fold_reader(graph, root, "Conv", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn makes_a_bias_where_there_is_none() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,6,6] y)
            <float[4,3,3,3] w, float[1,4,1,1] k>
            {
                c = Conv(x, w)
                y = Add(k, c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvAdd {}, source), @r"
        fuse-conv-add: 1 rewrites
        g (float[1,3,8,8] x) => (float[1,4,6,6] y)
        <float[4,3,3,3] w, float[4] y_bias = {0.65625, 0.578125, 0.890625, 0.28125}>
        {
            y = Conv(x, w, y_bias)
        }
        ");
    }

    #[test]
    fn subtracts_one_number_from_every_channel() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,6,6] y)
            <float[4,3,3,3] w, float[4] b, float[1] k>
            {
                c = Conv(x, w, b)
                y = Sub(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvAdd {}, source), @r"
        fuse-conv-add: 1 rewrites
        g (float[1,3,8,8] x) => (float[1,4,6,6] y)
        <float[4,3,3,3] w, float[4] b = {0.3125, -0.75, -0.546875, -0.28125}>
        {
            y = Conv(x, w, b)
        }
        ");
    }

    #[test]
    fn changes_the_sign_of_weights_that_are_subtracted() {
        // Not executed: the runtime itself takes k − c for c − k.
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,6,6] y)
            <float[4,3,3,3] w, float[4,1,1] k>
            {
                c = Conv(x, w)
                y = Sub(k, c)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseConvAdd {}, source), @r"
        fuse-conv-add: 1 rewrites
        g (float[1,3,8,8] x) => (float[1,4,6,6] y)
        <float[4,3,3,3] w, float[4] y_bias = {0.65625, 0.578125, 0.890625, 0.28125}>
        {
            y = Conv(x, w, y_bias)
        }
        ");
    }

    #[test]
    fn keeps_a_constant_along_the_width() {
        let source = "
            g (float[1,3,6,6] x) => (float[1,4,4,4] y)
            <float[4,3,3,3] w, float[4] k>
            {
                c = Conv(x, w)
                y = Add(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvAdd {}, source), @r"
        fuse-conv-add: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_a_sum_that_broadcasts_the_channel() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,6,6] y)
            <float[1,3,3,3] w, float[4,1,1] k>
            {
                c = Conv(x, w)
                y = Add(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvAdd {}, source), @r"
        fuse-conv-add: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_a_sum_of_two_outputs() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,6,6] y)
            <float[4,3,3,3] w, float[4,3,3,3] v>
            {
                c = Conv(x, w)
                d = Conv(x, v)
                y = Add(c, d)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvAdd {}, source), @r"
        fuse-conv-add: 0 rewrites (no match)
        unchanged
        ");
    }
}
