//! Constants per channel before `MatMul`.
use super::preceding;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds constants that are multiplied and added per column into the `MatMul` that reads them.
    ///
    /// From `Mul`, `Div`, `Neg` and, before a product of matrices, `Add`, `Sub` and an inference-mode
    /// `BatchNormalization`. With x · s + t before the product: w' = w · s per row of w, and the bias t · w
    /// makes it a `Gemm`.
    ///
    /// ```onnx
    /// g (float[2,2,2] x) => (float[2,2,1] y)
    /// <float[2] k = {2, 3}, float[2,1] w = {1, 2}>
    /// {
    ///     a = Mul(x, k)
    ///     y = MatMul(a, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,2,2] x) => (float[2,2,1] y)
    /// <float[2,1] w = {2, 6}>
    /// {
    ///     y = MatMul(x, w)
    /// }
    /// ```
    pub struct FuseAffineMatMul
    name: "fuse-affine-mat-mul",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseAffineMatMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        preceding::fold(graph, root, "MatMul", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn makes_a_bias_of_a_sum() {
        let source = "
            g (float[4,3] x) => (float[4,2] y)
            <float[3] k, float[3,2] w>
            {
                a = Sub(x, k)
                y = MatMul(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 1 rewrites
        g (float[4,3] x) => (float[4,2] y)
        <float[3,2] w = {0.984375, -0.640625, 0.125, -0.453125, 0.171875, -0.34375},
            float[2] y_bias = {-0.8713379, 0.9885254}>
        {
            y = Gemm(x, w, y_bias)
        }
        ");
    }

    #[test]
    fn scales_each_matrix_of_a_stack() {
        let source = "
            g (float[5,2,3] x) => (float[5,2,2] y)
            <float[1,3] k, float[5,3,2] w>
            {
                a = Mul(x, k)
                y = MatMul(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 1 rewrites
        g (float[5,2,3] x) => (float[5,2,2] y)
        <float[5,3,2] w>
        {
            y = MatMul(x, w)
        }
        ");
    }

    #[test]
    fn keeps_a_sum_before_more_than_two_dimensions() {
        let source = "
            g (float[2,4,3] x) => (float[2,4,2] y)
            <float[3] k, float[3,2] w>
            {
                a = Add(x, k)
                y = MatMul(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 0 rewrites
        skipped 1: MatMul is not known to multiply matrices
        unchanged
        ");
    }

    #[test]
    fn keeps_the_last_factor_of_a_gelu() {
        let source = "
            g (float[4,3] x) => (float[4,2] y)
            <float root = {1.4142135}, float one = {1}, float half = {0.5}, float[3,2] w>
            {
                a = Div(x, root)
                b = Erf(a)
                c = Add(b, one)
                d = Mul(x, c)
                e = Mul(d, half)
                y = MatMul(e, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 0 rewrites
        skipped 1: the constant completes a longer expression
        unchanged
        ");
    }

    #[test]
    fn keeps_the_end_of_a_normalization() {
        let source = "
            g (float[4,3] x, float[4,1] deviation) => (float[4,2] y)
            <float[3] scale, float[3] shift, float[3,2] w>
            {
                a = Div(x, deviation)
                b = Mul(a, scale)
                c = Add(b, shift)
                y = MatMul(c, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 0 rewrites
        skipped 1: the constant completes a longer expression
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_that_repeats_the_input() {
        let source = "
            g (float[4,1] x) => (float[4,2] y)
            <float[3] k, float[3,2] w>
            {
                a = Mul(x, k)
                y = MatMul(a, w)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 0 rewrites
        skipped 1: the constant may enlarge the shape
        unchanged
        ");
    }

    #[test]
    fn keeps_what_another_node_reads() {
        let source = "
            g (float[4,3] x) => (float[4,2] y, float[4,3] z)
            <float[3] k, float[3,2] w>
            {
                a = Mul(x, k)
                y = MatMul(a, w)
                z = Relu(a)
            }
        ";
        assert_snapshot!(rewrite(&FuseAffineMatMul {}, source), @r"
        fuse-affine-mat-mul: 0 rewrites (no match)
        unchanged
        ");
    }
}
