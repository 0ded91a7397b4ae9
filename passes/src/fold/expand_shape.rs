//! Computed shapes of expansions.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NodeId, Patch, Tensor};

crate::pass! {
    /// Writes down the computed shape of an `Expand` as a constant, when every dimension is a
    /// number or stays what it is.
    ///
    /// A dimension that the input has already becomes 1, which keeps it.
    ///
    /// ```onnx
    /// g (float[N,1] x) => (float[N,4] y)
    /// <int64[1] four = {4}>
    /// {
    ///     batch = Shape<start = 0, end = 1>(x)
    ///     wanted = Concat<axis = 0>(batch, four)
    ///     y = Expand(x, wanted)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,1] x) => (float[N,4] y)
    /// <int64[2] wanted_1 = {1, 4}>
    /// {
    ///     y = Expand(x, wanted_1)
    /// }
    /// ```
    pub struct FoldExpandShape
    name: "fold-expand-shape",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldExpandShape {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Expand"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (x, wanted) = (node.input(0).or_no_match()?, node.input(1).or_no_match()?);
        if graph.value(wanted).initializer().is_some() || graph.value(wanted).is_input() {
            return Err(Skip::NoMatch);
        }
        let elements =
            graph.value(wanted).elements().or_skip("the length of the shape is unknown")?;
        let before = graph.value(x).shape().or_skip("the rank of the input is unknown")?;
        let lead = elements.len().checked_sub(before.len());
        let kept = |axis: usize| match lead {
            Some(lead) => before.get(axis.checked_sub(lead)?),
            None => before.get(axis + before.len() - elements.len()),
        };
        let entry = |(axis, dim): (usize, &Dim)| match dim.value() {
            Some(value) => Some(value),
            None => (kept(axis) == Some(dim)).then_some(1),
        };
        let shape: Option<Vec<i64>> = elements.iter().enumerate().map(entry).collect();
        let shape = shape.or_skip("a new dimension of the shape is open")?;
        require(shape.iter().all(|&entry| entry >= 0), "the shape has a negative dimension")?;
        let shape = patch.initializer(graph.value(wanted).name(), Tensor::vector(&shape));
        patch.set_input(root, 1, Some(shape));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FoldExpandShape;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_shape_with_a_new_open_dimension() {
        assert_snapshot!(rewrite(&FoldExpandShape {}, "
            g (float[N,4] x, float[1,4] z) => (float[N,4] y)
            <int64[1] four = {4}>
            {
                batch = Shape<start = 0, end = 1>(x)
                wanted = Concat<axis = 0>(batch, four)
                y = Expand(z, wanted)
            }
        "), @r"
        fold-expand-shape: 0 rewrites
        skipped 1: a new dimension of the shape is open
        unchanged
        ");
    }

    #[test]
    fn keeps_the_dimensions_of_an_input_of_higher_rank() {
        assert_snapshot!(rewrite(&FoldExpandShape {}, "
            g (float[2,N,1] x) => (float[2,N,4] y)
            <int64[1] four = {4}>
            {
                rows = Shape<start = 1, end = 2>(x)
                wanted = Concat<axis = 0>(rows, four)
                y = Expand(x, wanted)
            }
        "), @r"
        fold-expand-shape: 1 rewrites
        g (float[2,N,1] x) => (float[2,N,4] y)
        <int64[2] wanted_1 = {1, 4}>
        {
            y = Expand(x, wanted_1)
        }
        ");
    }

    #[test]
    fn keeps_what_is_unknown_or_makes_no_sense() {
        assert_snapshot!(rewrite_unexecuted(&FoldExpandShape {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[N,1] x) => (float y, float z, float w)
            <int64[1] minus = {-1}>
            {
                mystery = custom.Mystery(x)
                y = Expand(x, mystery)
                batch = Shape<start = 0, end = 1>(x)
                wanted = Concat<axis = 0>(batch, minus)
                z = Expand(mystery, wanted)
                w = Expand(x, wanted)
            }
        "#), @r"
        fold-expand-shape: 0 rewrites
        skipped 1: the length of the shape is unknown
        skipped 1: the rank of the input is unknown
        skipped 1: the shape has a negative dimension
        unchanged
        ");
    }
}
