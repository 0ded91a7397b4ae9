//! `Transpose` before `Gemm`.
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch, ValueId};

crate::pass! {
    /// Lets a `Gemm` transpose the matrix that a `Transpose` transposes before it.
    ///
    /// ```onnx
    /// g (float[3,2] x, float[4,3] z) => (float[2,4] y)
    /// {
    ///     t = Transpose(x)
    ///     u = Transpose<perm = [1, 0]>(z)
    ///     y = Gemm(t, u)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,2] x, float[4,3] z) => (float[2,4] y)
    /// {
    ///     y = Gemm <transA = 1, transB = 1> (x, z)
    /// }
    /// ```
    pub struct FuseTransposeGemm
    name: "fuse-transpose-gemm",
    accuracy: Rounding,
    emits: [],
}

impl Rule for FuseTransposeGemm {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Gemm"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        for (slot, attribute) in [(0, "transA"), (1, "transB")] {
            let matrix = node.input(slot).or_no_match()?;
            let Some(x) = transposed(graph, matrix) else { continue };
            let before = node.int(attribute).unwrap_or(0) != 0;
            patch.set_input(root, slot, Some(x.into()));
            patch.set_attribute(root, attribute, i64::from(!before));
            return Ok(());
        }
        Err(Skip::NoMatch)
    }
}

/// What `matrix`, of two dimensions, is the transpose of, if one node alone reads it.
pub(super) fn transposed(graph: &Graph, matrix: ValueId) -> Option<ValueId> {
    graph.only_use(matrix)?;
    let node = &graph[graph.producer(matrix)?];
    let swaps = node.ints("perm").is_none_or(|perm| perm == [1, 0]);
    node.input(0).filter(|_| node.is("Transpose") && swaps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn takes_a_second_transposition_back() {
        let source = "
            g (float[2,3] x, float[4,3] z, float[4] b) => (float[2,4] y)
            {
                t = Transpose(x)
                u = Transpose(z)
                y = Gemm<transA = 1, alpha = 0.5>(t, u, b)
            }
        ";
        assert_snapshot!(rewrite(&FuseTransposeGemm {}, source), @r"
        fuse-transpose-gemm: 2 rewrites
        g (float[2,3] x, float[4,3] z, float[4] b) => (float[2,4] y)
        {
            y = Gemm <transA = 0, alpha = 0.5, transB = 1> (x, z, b)
        }
        ");
    }

    #[test]
    fn keeps_a_transposed_bias() {
        let source = "
            g (float[2,3] x, float[3,4] z, float[4,2] b) => (float[2,4] y)
            {
                t = Transpose(b)
                y = Gemm(x, z, t)
            }
        ";
        assert_snapshot!(rewrite(&FuseTransposeGemm {}, source), @r"
        fuse-transpose-gemm: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_matrix_that_another_node_reads() {
        let source = "
            g (float[3,2] x, float[3,4] z) => (float[2,4] y, float[2,3] t)
            {
                t = Transpose(x)
                y = Gemm(t, z)
            }
        ";
        assert_snapshot!(rewrite(&FuseTransposeGemm {}, source), @r"
        fuse-transpose-gemm: 0 rewrites (no match)
        unchanged
        ");
    }
}
