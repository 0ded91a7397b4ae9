//! `BatchNormalization` before `Conv`.
use super::affine::Affine;
use super::linear::Linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Constant, Graph, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Folds an inference-mode `BatchNormalization` into the `Conv` that reads it.
    ///
    /// With s = scale / sqrt(var + epsilon) and t = shift − mean · s, per input channel:
    /// w' = w · s, and b' = b + Σ w · t over all of w that an output channel uses. Padding adds
    /// zeros behind the normalization, which t would change: with padding, t has to be zero.
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
    pub struct FuseBatchNormalizationConv
    name: "fuse-batch-normalization-conv",
    accuracy: Rounding,
    emits: ["Conv"],
}

pattern! {
    struct Site {
        norm = BatchNormalization(x: ValueId, scale: Constant, shift: Constant, mean: Constant, var: Constant);
        y = Conv(norm, w: Constant, b: Option<Constant>);
    }
}

impl Rule for FuseBatchNormalizationConv {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Conv"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = Site::find(graph, root)?;
        let linear = Linear::of(graph, root, "Conv")?;
        let affine = Affine::of(graph, site.norm, linear.inputs())?;
        linear.fold_input(site.x, &affine, patch)
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
            g (float[1,4,8,8] x) => (float[1,6,6,6] y)
            <float[4] scale, float[4] shift, float[4] mean, float[4] var = {1, 2, 3, 4}, float[6,2,3,3] w, float[6] b>
            {
                n = BatchNormalization(x, scale, shift, mean, var)
                y = Conv<group = 2>(n, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseBatchNormalizationConv {}, source), @r"
        fuse-batch-normalization-conv: 1 rewrites
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
        assert_snapshot!(rewrite(&FuseBatchNormalizationConv {}, source), @r"
        fuse-batch-normalization-conv: 0 rewrites
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
        assert_snapshot!(rewrite(&FuseBatchNormalizationConv {}, source), @r"
        fuse-batch-normalization-conv: 1 rewrites
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
        assert_snapshot!(rewrite(&FuseBatchNormalizationConv {}, source), @r"
        fuse-batch-normalization-conv: 0 rewrites (no match)
        unchanged
        ");
    }
}
