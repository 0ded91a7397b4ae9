//! Computed shapes of reshapes.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NodeId, Patch, Tensor};

crate::pass! {
    /// Writes down the computed shape of a `Reshape` as a constant, when at most one dimension is
    /// open.
    ///
    /// A dimension that the input has at the same place becomes 0, which copies it; the open one
    /// becomes −1, which the number of elements determines. A −1 that was there already becomes the
    /// number it stands for, where that is known.
    ///
    /// ```onnx
    /// g (float[N,3,4] x) => (float[N,12] y)
    /// <int64[1] rest = {12}>
    /// {
    ///     batch = Shape<start = 0, end = 1>(x)
    ///     wanted = Concat<axis = 0>(batch, rest)
    ///     y = Reshape(x, wanted)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,3,4] x) => (float[N,12] y)
    /// <int64[2] wanted_1 = {0, 12}>
    /// {
    ///     y = Reshape(x, wanted_1)
    /// }
    /// ```
    pub struct FoldReshapeShape
    name: "fold-reshape-shape",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldReshapeShape {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Reshape"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (x, wanted) = (node.input(0).or_no_match()?, node.input(1).or_no_match()?);
        if graph.value(wanted).initializer().is_some() || graph.value(wanted).is_input() {
            return Err(Skip::NoMatch);
        }
        let elements =
            graph.value(wanted).elements().or_skip("the length of the shape is unknown")?;
        let before = graph.value(x).shape().unwrap_or_default();
        // Without a zero among its entries, a shape means the same whatever `allowzero` says.
        let has_zero = elements.iter().any(|dim| *dim == 0);
        let copies_zero = node.int("allowzero").unwrap_or(0) == 0 || !has_zero;
        let y = node.output(0).or_no_match()?;
        let after = graph.value(y).shape().filter(|after| after.len() == elements.len());
        let left_over = |axis: usize| Some(&after?[axis]).filter(|dim| **dim != 0);
        let entry = |(axis, dim): (usize, &Dim)| match dim.value() {
            Some(-1) => left_over(axis).and_then(Dim::value).unwrap_or(-1),
            Some(value) => value,
            None if copies_zero && before.get(axis) == Some(dim) => 0,
            None => -1,
        };
        let shape: Vec<i64> = elements.iter().enumerate().map(entry).collect();
        let open = shape.iter().filter(|&&entry| entry == -1).count();
        require(open <= 1, "more than one dimension of the shape is open")?;
        let ambiguous = open > 0 && !copies_zero && shape.contains(&0);
        require(!ambiguous, "the shape has an open and an empty dimension")?;
        let shape = patch.initializer(graph.value(wanted).name(), Tensor::vector(&shape));
        patch.set_input(root, 1, Some(shape));
        if copies_zero {
            patch.remove_attribute(root, "allowzero");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::FoldReshapeShape;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn leaves_one_dimension_open() {
        assert_snapshot!(rewrite(&FoldReshapeShape {}, "
            g (float[N,M,4] x) => (float[N,P] y)
            <int64[1] four = {4}>
            {
                batch = Shape<start = 0, end = 1>(x)
                rows = Shape<start = 1, end = 2>(x)
                length = Mul(rows, four)
                wanted = Concat<axis = 0>(batch, length)
                y = Reshape(x, wanted)
            }
        "), @r"
        fold-reshape-shape: 1 rewrites
        g (float[N,M,4] x) => (float[N,P] y)
        <int64[2] wanted_1 = {0, -1}>
        {
            y = Reshape(x, wanted_1)
        }
        ");
    }

    #[test]
    fn writes_down_what_is_left_over() {
        assert_snapshot!(rewrite(&FoldReshapeShape {}, "
            g (float[N,8] x) => (float[2,N,4] y)
            <int64[1] two = {2}, int64[1] rest = {-1}>
            {
                n = Shape<start = 0, end = 1>(x)
                wanted = Concat<axis = 0>(two, n, rest)
                y = Reshape(x, wanted)
            }
        "), @r"
        fold-reshape-shape: 1 rewrites
        g (float[N,8] x) => (float[2,N,4] y)
        <int64[3] wanted_1 = {2, -1, 4}>
        {
            y = Reshape(x, wanted_1)
        }
        ");
    }

    #[test]
    fn copies_dimensions_where_allowzero_makes_no_difference() {
        assert_snapshot!(rewrite(&FoldReshapeShape {}, "
            g (float[N,M,8] x) => (float[N,M,2,4] y)
            <int64[2] rest = {2, 4}>
            {
                rows = Shape<start = 0, end = 2>(x)
                wanted = Concat<axis = 0>(rows, rest)
                y = Reshape<allowzero = 1>(x, wanted)
            }
        "), @r"
        fold-reshape-shape: 1 rewrites
        g (float[N,M,8] x) => (float[N,M,2,4] y)
        <int64[4] wanted_1 = {0, 0, 2, 4}>
        {
            y = Reshape(x, wanted_1)
        }
        ");
    }

    #[test]
    fn keeps_a_shape_with_two_open_dimensions() {
        assert_snapshot!(rewrite(&FoldReshapeShape {}, "
            g (float[N,M] x) => (float[P,Q] y)
            {
                batch = Shape<start = 0, end = 1>(x)
                rows = Shape<start = 1, end = 2>(x)
                wanted = Concat<axis = 0>(rows, batch)
                y = Reshape(x, wanted)
            }
        "), @r"
        fold-reshape-shape: 0 rewrites
        skipped 1: more than one dimension of the shape is open
        unchanged
        ");
    }

    #[test]
    fn keeps_a_shape_of_unknown_length_or_with_an_empty_dimension() {
        assert_snapshot!(rewrite_unexecuted(&FoldReshapeShape {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[0,M] x) => (float[P,Q] y, float[0,M] z)
            <int64[1] zero = {0}>
            {
                mystery = custom.Mystery(x)
                y = Reshape(x, mystery)
                rows = Shape<start = 1, end = 2>(x)
                wanted = Concat<axis = 0>(zero, rows)
                z = Reshape<allowzero = 1>(x, wanted)
            }
        "#), @r"
        fold-reshape-shape: 0 rewrites
        skipped 1: the length of the shape is unknown
        skipped 1: the shape has an open and an empty dimension
        unchanged
        ");
    }
}
