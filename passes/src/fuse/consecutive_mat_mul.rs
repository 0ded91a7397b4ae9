//! `MatMul` before `MatMul`.
use super::linear_pair;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Makes one `MatMul` by a constant matrix of two, if the matrix is not larger than theirs together.
    ///
    /// (x · w) · v = x · (w · v)
    ///
    /// ```onnx
    /// g (float[2,3,2] x) => (float[2,3,1] y)
    /// <float[2,2] w = {1, 2, 3, 4}, float[2,1] v = {10, 1}>
    /// {
    ///     a = MatMul(x, w)
    ///     y = MatMul(a, v)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,2] x) => (float[2,3,1] y)
    /// <float[2,1] w = {12, 34}>
    /// {
    ///     y = MatMul(x, w)
    /// }
    /// ```
    pub struct FuseConsecutiveMatMul
    name: "fuse-consecutive-mat-mul",
    accuracy: Rounding,
    emits: ["MatMul"],
}

impl Rule for FuseConsecutiveMatMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        linear_pair::fold(graph, root, "MatMul", patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_stacks_of_matrices() {
        let source = "
            g (float[2,3,2] x) => (float[2,3,1] y)
            <float[2,2,2] w, float[2,1] v>
            {
                a = MatMul(x, w)
                y = MatMul(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveMatMul {}, source), @r"
        fuse-consecutive-mat-mul: 0 rewrites
        skipped 1: weights are more than one matrix
        unchanged
        ");
    }

    #[test]
    fn keeps_integers() {
        let source = "
            g (int32[3,2] x) => (int32[3,1] y)
            <int32[2,2] w, int32[2,1] v>
            {
                a = MatMul(x, w)
                y = MatMul(a, v)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveMatMul {}, source), @r"
        fuse-consecutive-mat-mul: 0 rewrites
        skipped 1: weights are not floating-point
        unchanged
        ");
    }
}
