//! `MatMul` followed by a constant sum.
use super::weights;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Constant, Graph, NewNode, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Makes a `Gemm` of a product of matrices and the constant row that is added to it.
    ///
    /// x · w + b, with b broadcast over the rows.
    ///
    /// ```onnx
    /// g (float[2,3] x) => (float[2,4] y)
    /// <float[3,4] w, float[4] b>
    /// {
    ///     product = MatMul(x, w)
    ///     y = Add(product, b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3] x) => (float[2,4] y)
    /// <float[3,4] w, float[4] b>
    /// {
    ///     y = Gemm(x, w, b)
    /// }
    /// ```
    pub struct FuseMatMulAdd
    name: "fuse-mat-mul-add",
    accuracy: Rounding,
    emits: ["Gemm"],
}

pattern! {
    struct Site {
        product = MatMul(x: ValueId, w: Constant);
        y = Add(product, b: Constant);
    }
}

impl Rule for FuseMatMulAdd {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Add"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = Site::find(graph, root)?;
        let weight = &site.w.tensor;
        let matrices = graph.ty(site.x).rank() == Some(2) && weight.rank() == 2;
        require(matrices, "MatMul is not known to multiply matrices")?;
        require(weight.elem_type().is_float(), "elements are not floating-point")?;
        require(graph.opset() >= 7, "Gemm broadcasts its bias from opset 7 on")?;
        let columns = usize::try_from(weight.dims()[1]).unwrap_or(0);
        weights::per_channel(&site.b.tensor, 2, 1, columns)
            .or_skip("constant is not one value per column")?;

        let y = graph[root].output(0).or_no_match()?;
        let gemm = NewNode::like(graph, site.product).op_type("Gemm").with_input(2, site.b.id);
        let gemm = patch.node(gemm);
        patch.replace(y, gemm);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_product_of_more_than_two_dimensions() {
        let source = "
            g (float[2,2,3] x) => (float[2,2,4] y)
            <float[3,4] w, float[4] b>
            {
                product = MatMul(x, w)
                y = Add(product, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseMatMulAdd {}, source), @r"
        fuse-mat-mul-add: 0 rewrites
        skipped 1: MatMul is not known to multiply matrices
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_that_changes_the_shape() {
        let source = "
            g (float[1,3] x) => (float[2,4] y)
            <float[3,4] w, float[2,4] b>
            {
                product = MatMul(x, w)
                y = Add(product, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseMatMulAdd {}, source), @r"
        fuse-mat-mul-add: 0 rewrites
        skipped 1: constant is not one value per column
        unchanged
        ");
    }

    #[test]
    fn keeps_integers() {
        let source = "
            g (int32[2,3] x) => (int32[2,4] y)
            <int32[3,4] w, int32[4] b>
            {
                product = MatMul(x, w)
                y = Add(product, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseMatMulAdd {}, source), @r"
        fuse-mat-mul-add: 0 rewrites
        skipped 1: elements are not floating-point
        unchanged
        ");
    }

    #[test]
    fn keeps_what_an_old_gemm_can_not_broadcast() {
        let source = r#"
            <ir_version: 3, opset_import: ["" : 6]>
            g (float[2,3] x) => (float[2,4] y)
            <float[3,4] w, float[2,4] b>
            {
                product = MatMul(x, w)
                y = Add(product, b)
            }
        "#;
        assert_snapshot!(rewrite(&FuseMatMulAdd {}, source), @r"
        fuse-mat-mul-add: 0 rewrites
        skipped 1: Gemm broadcasts its bias from opset 7 on
        unchanged
        ");
    }
}
