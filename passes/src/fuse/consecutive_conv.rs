//! `Conv` before a pointwise `Conv`.
use super::linear_pair;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Makes one `Conv` of a `Conv` and the pointwise `Conv` behind it, if its weight is not larger than
    /// theirs together.
    ///
    /// Per output channel o: w'(o) = Σ v(o, m) · w(m), and b'(o) = c(o) + Σ v(o, m) · b(m).
    ///
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,1,3,3] y)
    /// <float[2,1,2,2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2] b = {1, 2}, float[1,2,1,1] v = {10, 1}>
    /// {
    ///     a = Conv(x, w, b)
    ///     y = Conv(a, v)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,1,4,4] x) => (float[1,1,3,3] y)
    /// <float[1,1,2,2] w = {15, 26, 37, 48}, float[1] b = {12}>
    /// {
    ///     y = Conv(x, w, b)
    /// }
    /// ```
    pub struct FuseConsecutiveConv
    name: "fuse-consecutive-conv",
    accuracy: Rounding,
    emits: ["Conv"],
}

impl Rule for FuseConsecutiveConv {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Conv"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear_pair::fold(graph, root, "Conv", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn merges_a_kernel_with_padding() {
        let source = "
            g (float[1,2,6,6] x) => (float[1,3,3,3] y)
            <float[8,2,3,3] w, float[3,8,1,1] v, float[3] c>
            {
                a = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, w)
                y = Conv(a, v, c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveConv {}, source), @r"
        fuse-consecutive-conv: 1 rewrites
        g (float[1,2,6,6] x) => (float[1,3,3,3] y)
        <float[3,2,3,3] w, float[3] y_bias = {0.21875, 0.390625, 0.15625}>
        {
            y = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, y_bias)
        }
        ");
    }

    #[test]
    fn keeps_a_second_kernel() {
        let source = "
            g (float[1,2,6,6] x) => (float[1,3,4,4] y)
            <float[8,2,1,1] w, float[3,8,3,3] v>
            {
                a = Conv(x, w)
                y = Conv(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveConv {}, source), @r"
        fuse-consecutive-conv: 0 rewrites
        skipped 1: the second Conv is not pointwise
        unchanged
        ");
    }

    #[test]
    fn keeps_groups() {
        let source = "
            g (float[1,2,6,6] x) => (float[1,2,6,6] y)
            <float[2,1,1,1] w, float[2,2,1,1] v>
            {
                a = Conv<group = 2>(x, w)
                y = Conv(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveConv {}, source), @r"
        fuse-consecutive-conv: 0 rewrites
        skipped 1: weights are more than one matrix
        unchanged
        ");
    }

    #[test]
    fn keeps_a_bottleneck() {
        let source = "
            g (float[1,8,6,6] x) => (float[1,8,6,6] y)
            <float[2,8,1,1] w, float[8,2,1,1] v>
            {
                a = Conv(x, w)
                y = Conv(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveConv {}, source), @r"
        fuse-consecutive-conv: 0 rewrites
        skipped 1: the product is larger than its factors
        unchanged
        ");
    }

    #[test]
    fn keeps_weights_that_are_shared() {
        let source = "
            g (float[1,2,6,6] x) => (float[1,2,6,6] y)
            <float[2,2,1,1] w>
            {
                a = Conv(x, w)
                y = Conv(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveConv {}, source), @r"
        fuse-consecutive-conv: 0 rewrites
        skipped 1: weights are shared
        unchanged
        ");
    }

    #[test]
    fn keeps_what_another_node_reads() {
        let source = "
            g (float[1,2,6,6] x) => (float[1,2,6,6] y, float[1,2,6,6] a)
            <float[2,2,1,1] w, float[2,2,1,1] v>
            {
                a = Conv(x, w)
                y = Conv(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveConv {}, source), @r"
        fuse-consecutive-conv: 0 rewrites (no match)
        unchanged
        ");
    }
}
