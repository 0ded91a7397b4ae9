//! Transposes that leave every axis where it is.
use super::pass_through;
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Transpose` that leaves every axis where it is.
    ///
    /// ```onnx
    /// g (float[2,3,4] x) => (float[2,3,4] y)
    /// {
    ///     a = Relu(x)
    ///     b = Transpose<perm = [0, 1, 2]>(a)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] x) => (float[2,3,4] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopTranspose
    name: "eliminate-nop-transpose",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopTranspose {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Transpose"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let in_order = match graph[root].ints("perm") {
            Some(perm) => perm.iter().copied().eq(0..perm.len() as i64),
            // Without `perm` the axes are reversed.
            None => {
                let x = graph[root].input(0).or_no_match()?;
                graph.ty(x).rank().is_some_and(|rank| rank <= 1)
            }
        };
        if !in_order {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateNopTranspose;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_transpose_that_reverses_the_axes() {
        assert_snapshot!(rewrite(&EliminateNopTranspose {}, "
            g (float[2,3] x) => (float[3,2] y)
            {
                y = Transpose(x)
            }
        "), @r"
        eliminate-nop-transpose: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn removes_a_transpose_of_a_vector() {
        assert_snapshot!(rewrite(&EliminateNopTranspose {}, "
            g (float[3] x) => (float[3] y)
            {
                a = Relu(x)
                y = Transpose(a)
            }
        "), @r"
        eliminate-nop-transpose: 1 rewrites
        g (float[3] x) => (float[3] y)
        {
            y = Relu(x)
        }
        ");
    }
}
