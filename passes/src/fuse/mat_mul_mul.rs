//! `MatMul` followed by a constant product or quotient.
use super::linear;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Folds a constant that `Mul` or `Div` applies per column into the `MatMul` before it.
    ///
    /// Per column: w' = w · k, with 1 / k for `Div` and −1 for `Neg`.
    ///
    /// ```onnx
    /// g (float[2,3,2] x) => (float[2,3,2] y)
    /// <float[2,2] w = {1, 2, 3, 4}, float[2] k = {2, 2}>
    /// {
    ///     c = MatMul(x, w)
    ///     y = Mul(c, k)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,2] x) => (float[2,3,2] y)
    /// <float[2,2] w = {2, 4, 6, 8}>
    /// {
    ///     y = MatMul(x, w)
    /// }
    /// ```
    pub struct FuseMatMulMul
    name: "fuse-mat-mul-mul",
    accuracy: Rounding,
    emits: ["MatMul"],
}

impl Rule for FuseMatMulMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear::fold_reader(graph, root, "MatMul", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn divides_a_product_of_unknown_rank() {
        let source = "
            g (float[] x) => (float[] y)
            <float[3,4] w, float[4] k = {1, 2, 3, 4}>
            {
                c = MatMul(x, w)
                y = Div(c, k)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseMatMulMul {}, source), @r"
        fuse-mat-mul-mul: 1 rewrites
        g (float[] x) => (float[] y)
        <float[3,4] w>
        {
            y = MatMul(x, w)
        }
        ");
    }

    #[test]
    fn keeps_a_constant_that_may_add_a_dimension() {
        let source = "
            g (float[] x) => (float[] y)
            <float[3,4] w, float[1,4] k>
            {
                c = MatMul(x, w)
                y = Mul(c, k)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseMatMulMul {}, source), @r"
        fuse-mat-mul-mul: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_for_each_row() {
        let source = "
            g (float[2,3,3] x) => (float[2,3,4] y)
            <float[3,4] w, float[3,1] k>
            {
                c = MatMul(x, w)
                y = Mul(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseMatMulMul {}, source), @r"
        fuse-mat-mul-mul: 0 rewrites
        skipped 1: constant is not one value per channel
        unchanged
        ");
    }

    #[test]
    fn keeps_a_product_of_two_inputs() {
        let source = "
            g (float[2,3,3] x, float[3,4] w) => (float[2,3,4] y)
            <float k>
            {
                c = MatMul(x, w)
                y = Mul(c, k)
            }
        ";
        assert_snapshot!(rewrite(&FuseMatMulMul {}, source), @r"
        fuse-mat-mul-mul: 0 rewrites (no match)
        unchanged
        ");
    }
}
