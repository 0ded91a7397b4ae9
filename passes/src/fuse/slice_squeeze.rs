//! One element of an axis, cut out and squeezed.
use super::squeezed_axis;
use crate::slices::cuts;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, Tensor};

crate::pass! {
    /// Makes one `Gather` of a `Slice` of one element and the `Squeeze` of its axis.
    ///
    /// ```onnx
    /// g (float[3,N,4] x) => (float[N,4] y)
    /// <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}>
    /// {
    ///     part = Slice(x, one, two, zero)
    ///     y = Squeeze(part, zero)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3,N,4] x) => (float[N,4] y)
    /// <int64 y_index = {1}>
    /// {
    ///     y = Gather<axis = 0>(x, y_index)
    /// }
    /// ```
    pub struct FuseSliceSqueeze
    name: "fuse-slice-squeeze",
    accuracy: Exact,
    emits: ["Gather"],
}

impl Rule for FuseSliceSqueeze {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Squeeze"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let part = graph[root].input(0).or_no_match()?;
        let slice = graph.producer(part).or_no_match()?;
        if !graph[slice].is("Slice") {
            return Err(Skip::NoMatch);
        }
        require(graph.only_use(part).is_some(), "the slice is read by something else")?;
        let axis = squeezed_axis(graph, root).or_skip("more than one axis is squeezed")?;
        let cuts = cuts(graph, slice).or_skip("the bounds of the slice are not constant")?;
        let [cut] = cuts.as_slice() else { return Err(Skip::NoMatch) };
        let x = graph[slice].input(0).or_no_match()?;
        let dim = graph.value(x).shape().and_then(|shape| shape.get(cut.axis)?.value());
        let index = cut.single(dim).filter(|_| cut.axis == axis);
        let index = index.or_skip("the slice is not one element of the squeezed axis")?;
        let y = graph[root].output(0).or_no_match()?;
        let index =
            patch.initializer(format!("{}_index", graph.value(y).name()), Tensor::scalar(index));
        let gather = NewNode::new("Gather").named(graph[root].name.clone()).input(x).input(index);
        let gather = patch.node(gather.attribute("axis", axis as i64));
        patch.replace(y, gather);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn takes_the_last_element_of_an_open_axis() {
        assert_snapshot!(rewrite(&FuseSliceSqueeze {}, "
            g (float[2,N] x) => (float[2] y)
            <int64[1] one = {1}, int64[1] last = {-1}, int64[1] end = {9223372036854775807}>
            {
                part = Slice(x, last, end, one)
                y = Squeeze(part, one)
            }
        "), @r"
        fuse-slice-squeeze: 1 rewrites
        g (float[2,N] x) => (float[2] y)
        <int64 y_index = {-1}>
        {
            y = Gather <axis = 1> (x, y_index)
        }
        ");
    }

    #[test]
    fn keeps_what_is_not_one_element() {
        assert_snapshot!(rewrite_unexecuted(&FuseSliceSqueeze {}, "
            g (float[2,1,4] x, int64[1] i) => (float[2,2] y, float[2,4] w, float[2,1,4] r, float[4] v, float[2,4] u)
            <int64[1] zero = {0}, int64[1] one = {1}, int64[2] both = {0, 1}, int64[1] two = {2}>
            {
                a = Slice(x, zero, two, two)
                y = Squeeze(a, one)
                b = Slice(x, zero, one, one)
                w = Squeeze(b, one)
                r = Abs(b)
                c = Slice(x, zero, one, zero)
                v = Squeeze(c, both)
                d = Slice(x, zero, i, one)
                u = Squeeze(d, one)
            }
        "), @r"
        fuse-slice-squeeze: 0 rewrites
        skipped 1: more than one axis is squeezed
        skipped 1: the bounds of the slice are not constant
        skipped 1: the slice is not one element of the squeezed axis
        skipped 1: the slice is read by something else
        unchanged
        ");
    }
}
