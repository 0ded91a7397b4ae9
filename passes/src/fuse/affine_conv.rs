//! Constants per channel before `Conv`.
use super::preceding;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds constants that are multiplied and added per channel into the `Conv` that reads them.
    ///
    /// From `Mul`, `Div`, `Neg`, `Add`, `Sub` and an inference-mode `BatchNormalization`. With x · s + t
    /// before the convolution, per input channel: w' = w · s, and b' = b + Σ w · t over all of w that an
    /// output channel uses. Padding adds zeros behind t, which t would change: with padding, t has to be
    /// zero.
    ///
    /// ```onnx
    /// g (float[1,2,4,4] x) => (float[1,1,4,4] y)
    /// <float[2] scale = {4, 6}, float[2] shift = {0.5, 1}, float[2] mean = {1, 2}, float[2] var = {4, 9},
    ///  float[1,2,1,1] w = {1, 2}>
    /// {
    ///     n = BatchNormalization<epsilon = 0.0>(x, scale, shift, mean, var)
    ///     y = Conv(n, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,2,4,4] x) => (float[1,1,4,4] y)
    /// <float[1,2,1,1] w = {2, 4}, float[1] y_bias = {-7.5}>
    /// {
    ///     y = Conv(x, w, y_bias)
    /// }
    /// ```
    pub struct FuseAffineConv
    name: "fuse-affine-conv",
    accuracy: Rounding,
    emits: ["Conv"],
}

impl Rule for FuseAffineConv {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Conv"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        preceding::fold(graph, root, "Conv", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn folds_what_prepares_an_image() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,2,6,6] y)
            <float n = {255}, float[1,3,1,1] mean = {0.485, 0.456, 0.406}, float[3,1,1] deviation = {0.229, 0.224, 0.225},
             float[2,3,3,3] w, float[2] b>
            {
                a = Div(x, n)
                c = Sub(a, mean)
                d = Div(c, deviation)
                y = Conv(d, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 3 rewrites
        g (float[1,3,8,8] x) => (float[1,2,6,6] y)
        <float[2,3,3,3] w, float[2] b = {-2.7280111, 1.3677943}>
        {
            y = Conv(x, w, b)
        }
        ");
    }

    #[test]
    fn keeps_a_constant_along_the_width() {
        let source = "
            g (float[1,3,6,6] x) => (float[1,2,4,4] y)
            <float[6] k, float[2,3,3,3] w>
            {
                a = Mul(x, k)
                y = Conv(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_that_repeats_a_channel() {
        let source = "
            g (float[1,1,6,6] x) => (float[1,2,4,4] y)
            <float[3,1,1] k, float[2,3,3,3] w>
            {
                a = Mul(x, k)
                y = Conv(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 0 rewrites
        skipped 1: the constant may enlarge the shape
        unchanged
        ");
    }

    #[test]
    fn keeps_a_scale_that_is_not_finite() {
        let source = "
            g (float[1,1,6,6] x) => (float[1,2,4,4] y)
            <float[1] scale = {1}, float[1] zero = {0}, float[2,1,3,3] w>
            {
                n = BatchNormalization<epsilon = 0.0>(x, scale, zero, zero, zero)
                y = Conv(n, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 0 rewrites
        skipped 1: scale or shift is not finite
        unchanged
        ");
    }

    #[test]
    fn finds_the_input_channels_of_each_group() {
        let source = "
            g (float[1,4,8,8] x) => (float[1,6,6,6] y)
            <float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}, float[6,2,3,3] w, float[6] b>
            {
                n = BatchNormalization(x, scale, shift, mean, var)
                y = Conv<group = 2>(n, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 1 rewrites
        g (float[1,4,8,8] x) => (float[1,6,6,6] y)
        <float[6,2,3,3] w,
            float[6] b = {-1.6915331, 0.9679754, 0.8662874, 0.7622304, 0.6121742, -0.0066221757}>
        {
            y = Conv <group = 2> (x, w, b)
        }
        ");
    }

    #[test]
    fn keeps_a_shift_in_front_of_padding() {
        let source = "
            g (float[1,4,8,8] x) => (float[1,6,8,8] y)
            <float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}, float[6,4,3,3] w>
            {
                n = BatchNormalization(x, scale, shift, mean, var)
                y = Conv<pads = [1, 1, 1, 1]>(n, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 0 rewrites
        skipped 1: padding lies behind the shift
        unchanged
        ");
    }

    #[test]
    fn folds_a_scale_in_front_of_padding() {
        let source = "
            g (float[1,4,8,8] x) => (float[1,6,8,8] y)
            <float[4] scale, float[4] zero = {0, 0, 0, 0}, float[4] var = {1, 2, 3, 4}, float[6,4,3,3] w>
            {
                n = BatchNormalization(x, scale, zero, zero, var)
                y = Conv<pads = [1, 1, 1, 1]>(n, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 1 rewrites
        g (float[1,4,8,8] x) => (float[1,6,8,8] y)
        <float[6,4,3,3] w>
        {
            y = Conv <pads = [1, 1, 1, 1]> (x, w)
        }
        ");
    }

    #[test]
    fn keeps_a_normalization_that_is_read_twice() {
        let source = "
            g (float[1,4,8,8] x) => (float[1,6,6,6] y, float[1,4,8,8] n)
            <float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}, float[6,4,3,3] w>
            {
                n = BatchNormalization(x, scale, shift, mean, var)
                y = Conv(n, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_integers() {
        let source = "
            g (int32[1,1,6,6] x) => (int32[1,2,4,4] y)
            <int32 k, int32[2,1,3,3] w>
            {
                n = Neg(x)
                y = Conv(n, w)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseAffineConv {}, source), @r"
        fuse-affine-conv: 0 rewrites
        skipped 1: weights are not floating-point
        unchanged
        ");
    }
}
