//! Expansions that repeat nothing.
use super::{elements, pass_through};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NodeId, Patch};

crate::pass! {
    /// Removes an `Expand` that repeats nothing, or a `Tile` once along every axis.
    ///
    /// `Expand` broadcasts in both directions: a 1 in the wanted shape leaves a dimension as it
    /// is.
    ///
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y)
    /// <int64[2] shape = {1, 4}>
    /// {
    ///     a = Relu(x)
    ///     b = Expand(a, shape)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopExpand
    name: "eliminate-nop-expand",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopExpand {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Expand", "Tile"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let x = graph[root].input(0).or_no_match()?;
        let wanted = elements(graph, root, 1).or_skip("the wanted shape is unknown")?;
        let nothing = if graph[root].is("Tile") {
            wanted.iter().all(|repeats| *repeats == 1)
        } else {
            let shape = graph.value(x).shape().or_skip("the rank of the input is unknown")?;
            require(wanted.len() <= shape.len(), "the rank changes")?;
            let dims = shape.iter().rev().zip(wanted.iter().rev());
            dims.into_iter().all(|(dim, wanted): (&Dim, &Dim)| *wanted == 1 || wanted == dim)
        };
        if !nothing {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateNopExpand;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_an_expand_to_the_symbolic_shape_of_the_input() {
        assert_snapshot!(rewrite(&EliminateNopExpand {}, "
            g (float[N,4] x) => (float[N,4] y)
            {
                shape = Shape(x)
                a = Relu(x)
                y = Expand(a, shape)
            }
        "), @r"
        eliminate-nop-expand: 1 rewrites
        g (float[N,4] x) => (float[N,4] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn removes_a_tile_of_ones() {
        assert_snapshot!(rewrite(&EliminateNopExpand {}, "
            g (float[N,4] x) => (float[N,4] y)
            <int64[2] repeats = {1, 1}>
            {
                a = Relu(x)
                y = Tile(a, repeats)
            }
        "), @r"
        eliminate-nop-expand: 1 rewrites
        g (float[N,4] x) => (float[N,4] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn keeps_an_expand_that_repeats_or_adds_an_axis() {
        assert_snapshot!(rewrite(&EliminateNopExpand {}, "
            g (float[1,4] x) => (float[2,4] y, float[1,1,4] z)
            <int64[2] two = {2, 4}, int64[3] one = {1, 1, 4}>
            {
                y = Expand(x, two)
                z = Expand(x, one)
            }
        "), @r"
        eliminate-nop-expand: 0 rewrites
        skipped 1: the rank changes
        unchanged
        ");
    }

    #[test]
    fn keeps_an_expand_of_unknown_shape() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopExpand {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[1,4] x, int64[2] shape) => (float[N,4] y, float[N,4] z)
            <int64[2] dims = {1, 4}>
            {
                y = Expand(x, shape)
                a = custom.Mystery(x)
                z = Expand(a, dims)
            }
        "#), @r"
        eliminate-nop-expand: 0 rewrites
        skipped 1: the rank of the input is unknown
        skipped 1: the wanted shape is unknown
        unchanged
        ");
    }
}
