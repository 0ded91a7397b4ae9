//! Elements of an axis, split and squeezed.
use super::squeezed_axis;
use crate::slices::part;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Makes one `Gather` each of the parts of a `Split` into single elements whose axis is
    /// squeezed.
    ///
    /// ```onnx
    /// g (float[2,N,4] x) => (float[N,4] y)
    /// <int64[2] sizes = {1, 1}, int64[1] axis = {0}>
    /// {
    ///     a, b = Split(x, sizes)
    ///     left = Squeeze(a, axis)
    ///     right = Squeeze(b, axis)
    ///     y = Sub(left, right)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,N,4] x) => (float[N,4] y)
    /// <int64 left_index = {0}, int64 right_index = {1}>
    /// {
    ///     left = Gather<axis = 0>(x, left_index)
    ///     right = Gather<axis = 0>(x, right_index)
    ///     y = Sub(left, right)
    /// }
    /// ```
    pub struct FuseSplitSqueeze
    name: "fuse-split-squeeze",
    accuracy: Exact,
    emits: ["Gather"],
}

impl Rule for FuseSplitSqueeze {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Split"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let x = graph[root].input(0).or_no_match()?;
        let squeeze = |part: &Option<ValueId>| {
            let reader = graph.only_use((*part)?)?.node;
            graph[reader].is("Squeeze").then_some((reader, (*part)?))
        };
        let squeezes: Vec<(NodeId, ValueId)> =
            graph[root].outputs().iter().map(squeeze).collect::<Option<_>>().or_no_match()?;
        for (reader, value) in squeezes {
            let part = part(graph, value).or_skip("the sizes of the parts are unknown")?;
            require(part.end - part.start == 1, "a part has more than one element")?;
            let same = squeezed_axis(graph, reader) == Some(part.axis);
            require(same, "another axis is squeezed")?;
            let y = graph[reader].output(0).or_no_match()?;
            let hint = format!("{}_index", graph.value(y).name());
            let index = patch.initializer(hint, Tensor::scalar(part.start));
            let gather = NewNode::new("Gather").named(graph[reader].name.clone());
            let gather = gather.input(x).input(index).attribute("axis", part.axis as i64);
            let gather = patch.node(gather);
            patch.replace(y, gather);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_parts_that_are_read_whole() {
        assert_snapshot!(rewrite(&FuseSplitSqueeze {}, "
            g (float[2,4] x) => (float[4] y, float[1,4] b)
            <int64[2] sizes = {1, 1}, int64[1] axis = {0}>
            {
                a, b = Split(x, sizes)
                y = Squeeze(a, axis)
            }
        "), @r"
        fuse-split-squeeze: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_parts_of_other_sizes_and_axes() {
        assert_snapshot!(rewrite(&FuseSplitSqueeze {}, "
            g (float[2,1] x, float[1,2] z) => (float[2] y, float[1] b, float[1] c)
            <int64[1] two = {2}, int64[1] one = {1}, int64[1] zero = {0}, int64[2] sizes = {1, 1}>
            {
                a = Split(x, two)
                y = Squeeze(a, one)
                d, e = Split<axis = 1>(z, sizes)
                c = Squeeze(d, zero)
                b = Squeeze(e, zero)
            }
        "), @r"
        fuse-split-squeeze: 0 rewrites
        skipped 1: a part has more than one element
        skipped 1: another axis is squeezed
        unchanged
        ");
    }
}
