//! `Transpose` before `MatMul`.
use super::transpose_gemm::transposed;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `Gemm`, which can transpose, of a product of matrices one of which is transposed
    /// before.
    ///
    /// ```onnx
    /// g (float[2,3] x, float[4,3] z) => (float[2,4] y)
    /// {
    ///     t = Transpose(z)
    ///     y = MatMul(x, t)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3] x, float[4,3] z) => (float[2,4] y)
    /// {
    ///     y = Gemm <transB = 1> (x, z)
    /// }
    /// ```
    pub struct FuseTransposeMatMul
    name: "fuse-transpose-mat-mul",
    accuracy: Rounding,
    emits: ["Gemm"],
}

impl Rule for FuseTransposeMatMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (a, b) = node.input(0).zip(node.input(1)).or_no_match()?;
        let (before_a, before_b) = (transposed(graph, a), transposed(graph, b));
        if before_a.or(before_b).is_none() {
            return Err(Skip::NoMatch);
        }
        let is_matrix = |value| graph.ty(value).rank() == Some(2);
        require(is_matrix(a) && is_matrix(b), "MatMul is not known to multiply matrices")?;
        let elem_type = graph.value(a).elem_type();
        require(elem_type.is_some_and(ElemType::is_float), "elements are not floating-point")?;
        require(graph.opset() >= 11, "Gemm needs a bias before opset 11")?;

        let mut gemm = NewNode::like(graph, root).op_type("Gemm");
        for (slot, attribute, before) in [(0, "transA", before_a), (1, "transB", before_b)] {
            if let Some(x) = before {
                gemm = gemm.with_input(slot, x).attribute(attribute, 1_i64);
            }
        }
        let gemm = patch.node(gemm);
        patch.replace(node.output(0).or_no_match()?, gemm);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn transposes_both() {
        let source = "
            g (float[3,2] x, float[4,3] z) => (float[2,4] y)
            {
                t = Transpose(x)
                u = Transpose(z)
                y = MatMul(t, u)
            }
        ";
        assert_snapshot!(rewrite(&FuseTransposeMatMul {}, source), @r"
        fuse-transpose-mat-mul: 1 rewrites
        g (float[3,2] x, float[4,3] z) => (float[2,4] y)
        {
            y = Gemm <transA = 1, transB = 1> (x, z)
        }
        ");
    }

    #[test]
    fn keeps_stacks_of_matrices() {
        let source = "
            g (float[3,2] x, float[5,3,4] z) => (float[5,2,4] y)
            {
                t = Transpose(x)
                y = MatMul(t, z)
            }
        ";
        assert_snapshot!(rewrite(&FuseTransposeMatMul {}, source), @r"
        fuse-transpose-mat-mul: 0 rewrites
        skipped 1: MatMul is not known to multiply matrices
        unchanged
        ");
    }

    #[test]
    fn keeps_integers() {
        let source = "
            g (int32[3,2] x, int32[3,4] z) => (int32[2,4] y)
            {
                t = Transpose(x)
                y = MatMul(t, z)
            }
        ";
        assert_snapshot!(rewrite(&FuseTransposeMatMul {}, source), @r"
        fuse-transpose-mat-mul: 0 rewrites
        skipped 1: elements are not floating-point
        unchanged
        ");
    }

    #[test]
    fn keeps_what_an_old_gemm_can_not_do() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 9]>
            g (float[3,2] x, float[3,4] z) => (float[2,4] y)
            {
                t = Transpose(x)
                y = MatMul(t, z)
            }
        "#;
        assert_snapshot!(rewrite(&FuseTransposeMatMul {}, source), @r"
        fuse-transpose-mat-mul: 0 rewrites
        skipped 1: Gemm needs a bias before opset 11
        unchanged
        ");
    }
}
