//! `Gemm` between two `Reshape`s.
use super::weights;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Constant, Graph, NewNode, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Makes a `MatMul` and an `Add` of a `Gemm` whose rows are flattened before and restored after.
    ///
    /// `MatMul` multiplies the last dimension by itself, whatever dimensions are before it.
    ///
    /// ```onnx
    /// g (float[2,3,4] x) => (float[2,3,5] y)
    /// <float[4,5] w, float[5] b, int64[2] rows = {-1, 4}, int64[3] shape = {2, 3, 5}>
    /// {
    ///     flat = Reshape(x, rows)
    ///     product = Gemm(flat, w, b)
    ///     y = Reshape(product, shape)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] x) => (float[2,3,5] y)
    /// <float[4,5] w, float[5] b>
    /// {
    ///     y_matmul = MatMul(x, w)
    ///     y = Add(y_matmul, b)
    /// }
    /// ```
    pub struct FuseReshapeGemmReshape
    name: "fuse-reshape-gemm-reshape",
    accuracy: Rounding,
    emits: ["MatMul", "Add"],
}

pattern! {
    struct Site {
        flat = Reshape(x: ValueId, rows: ValueId);
        gemm = Gemm(flat, w: Constant, b: Option<Constant>);
        y = Reshape(gemm, shape: ValueId);
    }
}

impl Rule for FuseReshapeGemmReshape {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Reshape"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = Site::find(graph, root)?;
        let gemm = &graph[site.gemm];
        let plain = |name| gemm.float(name).is_none_or(|factor| factor == 1.0);
        require(plain("alpha") && plain("beta"), "Gemm scales its product or its bias")?;
        let transposes = |name| gemm.int(name).unwrap_or(0) != 0;
        require(!transposes("transA") && !transposes("transB"), "Gemm transposes")?;
        require(graph.opset() >= 7, "Add broadcasts in another way before opset 7")?;
        let &[width, columns] = site.w.tensor.dims() else { return Err(Skip::NoMatch) };
        if let Some(bias) = &site.b {
            weights::per_channel(&bias.tensor, 2, 1, usize::try_from(columns).unwrap_or(0))
                .or_skip("bias is not one value per column")?;
        }

        let y = graph[root].output(0).or_no_match()?;
        let (before, after) = (graph.value(site.x).shape(), graph.value(y).shape());
        let (before, after) = before.zip(after).or_skip("shapes are not known")?;
        let rows = |shape: &'_ [_]| shape.len().saturating_sub(1);
        let restored = before.len() >= 2
            && before.len() == after.len()
            && before[..rows(before)] == after[..rows(after)]
            && before[rows(before)] == width
            && after[rows(after)] == columns;
        require(restored, "rows are not known to be restored")?;

        let name = graph.value(y).name();
        let product = NewNode::like(graph, site.gemm).op_type("MatMul").truncate_inputs(2);
        let product = ["alpha", "beta", "transA", "transB"]
            .iter()
            .fold(product, |node, name| node.without_attribute(name))
            .with_input(0, site.x);
        let result = match site.b {
            None => patch.node(product),
            Some(bias) => {
                let product = patch.node(product.output_name(format!("{name}_matmul")));
                patch.node(NewNode::new("Add").input(product).input(bias.id))
            }
        };
        patch.replace(y, result);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn needs_no_sum_without_a_bias() {
        let source = "
            g (float[N,3,4] x) => (float[N,3,5] y)
            <float[4,5] w, int64[2] rows = {-1, 4}, int64[3] shape = {-1, 3, 5}>
            {
                flat = Reshape(x, rows)
                product = Gemm(flat, w)
                y = Reshape(product, shape)
            }
        ";
        assert_snapshot!(rewrite(&FuseReshapeGemmReshape {}, source), @r"
        fuse-reshape-gemm-reshape: 1 rewrites
        g (float[N,3,4] x) => (float[N,3,5] y)
        <float[4,5] w>
        {
            y = MatMul(x, w)
        }
        ");
    }

    #[test]
    fn keeps_other_rows() {
        let source = "
            g (float[2,3,4] x) => (float[3,2,5] y)
            <float[4,5] w, int64[2] rows = {-1, 4}, int64[3] shape = {3, 2, 5}>
            {
                flat = Reshape(x, rows)
                product = Gemm(flat, w)
                y = Reshape(product, shape)
            }
        ";
        assert_snapshot!(rewrite(&FuseReshapeGemmReshape {}, source), @r"
        fuse-reshape-gemm-reshape: 0 rewrites
        skipped 1: rows are not known to be restored
        unchanged
        ");
    }

    #[test]
    fn keeps_a_bias_for_each_row() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,5] y)
            <float[4,5] w, float[6,5] b, int64[2] rows = {-1, 4}, int64[3] shape = {2, 3, 5}>
            {
                flat = Reshape(x, rows)
                product = Gemm(flat, w, b)
                y = Reshape(product, shape)
            }
        ";
        assert_snapshot!(rewrite(&FuseReshapeGemmReshape {}, source), @r"
        fuse-reshape-gemm-reshape: 0 rewrites
        skipped 1: bias is not one value per column
        unchanged
        ");
    }

    #[test]
    fn keeps_a_scaled_product() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,5] y)
            <float[4,5] w, int64[2] rows = {-1, 4}, int64[3] shape = {2, 3, 5}>
            {
                flat = Reshape(x, rows)
                product = Gemm<alpha = 2.0>(flat, w)
                y = Reshape(product, shape)
            }
        ";
        assert_snapshot!(rewrite(&FuseReshapeGemmReshape {}, source), @r"
        fuse-reshape-gemm-reshape: 0 rewrites
        skipped 1: Gemm scales its product or its bias
        unchanged
        ");
    }

    #[test]
    fn keeps_a_transposed_product() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,5] y)
            <float[5,4] w, int64[2] rows = {-1, 4}, int64[3] shape = {2, 3, 5}>
            {
                flat = Reshape(x, rows)
                product = Gemm<transB = 1>(flat, w)
                y = Reshape(product, shape)
            }
        ";
        assert_snapshot!(rewrite(&FuseReshapeGemmReshape {}, source), @r"
        fuse-reshape-gemm-reshape: 0 rewrites
        skipped 1: Gemm transposes
        unchanged
        ");
    }

    #[test]
    fn keeps_shapes_that_are_not_known() {
        let source = "
            g (float[] x) => (float[2,3,5] y)
            <float[4,5] w, int64[2] rows = {-1, 4}, int64[3] shape = {2, 3, 5}>
            {
                flat = Reshape(x, rows)
                product = Gemm(flat, w)
                y = Reshape(product, shape)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseReshapeGemmReshape {}, source), @r"
        fuse-reshape-gemm-reshape: 0 rewrites
        skipped 1: shapes are not known
        unchanged
        ");
    }
}
