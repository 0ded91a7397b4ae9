//! Slices of everything.
use super::{elements, pass_through};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NodeId, Patch};

crate::pass! {
    /// Removes a `Slice` that takes every axis whole.
    ///
    /// ```onnx
    /// g (float[N,8] x) => (float[N,8] y)
    /// <int64[2] starts = {0, -8}, int64[2] ends = {9223372036854775807, 8}>
    /// {
    ///     a = Relu(x)
    ///     b = Slice(a, starts, ends)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,8] x) => (float[N,8] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateNopSlice
    name: "eliminate-nop-slice",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateNopSlice {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Slice"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let bounds = |slot, name| bounds(graph, root, slot, name);
        let starts = bounds(1, "starts").or_skip("the starts are unknown")?;
        let ends = bounds(2, "ends").or_skip("the ends are unknown")?;
        let axes = match graph[root].input(3) {
            None if graph[root].ints("axes").is_none() => (0..starts.len() as i64).collect(),
            _ => super::integers(graph, root, 3, "axes").or_skip("the axes are no constant")?,
        };
        let steps = match graph[root].input(4) {
            None => vec![1; starts.len()],
            Some(_) => {
                super::integers(graph, root, 4, "steps").or_skip("the steps are no constant")?
            }
        };
        let lengths = [ends.len(), axes.len(), steps.len()];
        require(lengths == [starts.len(); 3], "the bounds and axes differ in number")?;
        let x = graph[root].input(0).or_no_match()?;
        for (((start, end), axis), step) in starts.iter().zip(&ends).zip(axes).zip(steps) {
            let dim = axis_dim(graph.value(x).shape(), axis);
            if step != 1 || !starts_at_0(start, &dim) || !reaches_end(end, &dim) {
                return Err(Skip::NoMatch);
            }
        }
        pass_through(graph, root, patch)
    }
}

fn bounds(graph: &Graph, root: NodeId, slot: usize, attribute: &str) -> Option<Vec<Dim>> {
    match graph[root].input(slot) {
        Some(_) => elements(graph, root, slot).map(<[Dim]>::to_vec),
        None => Some(graph[root].ints(attribute)?.iter().map(|&bound| bound.into()).collect()),
    }
}

fn axis_dim(shape: Option<&[Dim]>, axis: i64) -> Dim {
    let dim = |shape: &[Dim]| {
        let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
        shape.get(usize::try_from(axis).ok()?).cloned()
    };
    shape.and_then(dim).unwrap_or(Dim::UNKNOWN)
}

fn starts_at_0(start: &Dim, dim: &Dim) -> bool {
    let below = |start: i64| dim.value().is_some_and(|dim| start <= -dim);
    *start == 0 || start.value().is_some_and(below)
}

fn reaches_end(end: &Dim, dim: &Dim) -> bool {
    // The specification names the largest number as the way to say "to the end".
    let beyond = |end: i64| match dim.value() {
        Some(dim) => end >= dim,
        None => end == i64::MAX || end == i64::from(i32::MAX),
    };
    end == dim || end.value().is_some_and(beyond)
}

#[cfg(test)]
mod tests {
    use super::EliminateNopSlice;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_a_slice_to_the_symbolic_end() {
        assert_snapshot!(rewrite(&EliminateNopSlice {}, "
            g (float[N,4] x) => (float[N,4] y)
            <int64[1] zero = {0}>
            {
                n = Shape<start = 0, end = 1>(x)
                a = Relu(x)
                y = Slice(a, zero, n, zero)
            }
        "), @r"
        eliminate-nop-slice: 1 rewrites
        g (float[N,4] x) => (float[N,4] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn keeps_slices_that_leave_something_out() {
        assert_snapshot!(rewrite(&EliminateNopSlice {}, "
            g (float[8] x) => (float[7] y, float[7] z, float[4] s)
            <int64[1] zero = {0}, int64[1] one = {1}, int64[1] seven = {7}, int64[1] eight = {8}, int64[1] two = {2}>
            {
                y = Slice(x, one, eight)
                z = Slice(x, zero, seven)
                s = Slice(x, zero, eight, zero, two)
            }
        "), @r"
        eliminate-nop-slice: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_slices_with_unknown_bounds() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopSlice {}, "
            g (float[8] x, int64[1] i) => (float[P] a, float[Q] b, float[R] c, float[S] d)
            <int64[1] zero = {0}, int64[1] eight = {8}>
            {
                a = Slice(x, i, eight)
                b = Slice(x, zero, i)
                c = Slice(x, zero, eight, i)
                d = Slice(x, zero, eight, zero, i)
            }
        "), @r"
        eliminate-nop-slice: 0 rewrites
        skipped 1: the axes are no constant
        skipped 1: the ends are unknown
        skipped 1: the starts are unknown
        skipped 1: the steps are no constant
        unchanged
        ");
    }

    #[test]
    fn keeps_a_slice_with_too_few_axes() {
        assert_snapshot!(rewrite_unexecuted(&EliminateNopSlice {}, "
            g (float[8,8] x) => (float[8,8] y)
            <int64[2] starts = {0, 0}, int64[2] ends = {8, 8}, int64[1] axes = {0}>
            {
                y = Slice(x, starts, ends, axes)
            }
        "), @r"
        eliminate-nop-slice: 0 rewrites
        skipped 1: the bounds and axes differ in number
        unchanged
        ");
    }
}
