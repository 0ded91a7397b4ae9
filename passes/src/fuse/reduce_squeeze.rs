//! Reductions whose axes are taken away or put back.
use crate::eliminate::integers;
use crate::slices::position;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Lets a reduction drop or keep its axes itself, in place of a `Squeeze` or `Unsqueeze`.
    ///
    /// ```onnx
    /// g (float[N,5,4] x) => (float[N,5,1] y)
    /// <int64[1] last = {-1}, int64[1] two = {2}>
    /// {
    ///     a = ReduceSum<keepdims = 0>(x, last)
    ///     y = Unsqueeze(a, two)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,5,4] x) => (float[N,5,1] y)
    /// <int64[1] last = {-1}>
    /// {
    ///     y = ReduceSum<keepdims = 1>(x, last)
    /// }
    /// ```
    pub struct FuseReduceSqueeze
    name: "fuse-reduce-squeeze",
    accuracy: Exact,
    emits: [],
}

impl Rule for FuseReduceSqueeze {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Squeeze", "Unsqueeze"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let middle = graph[root].input(0).or_no_match()?;
        let reduce = graph.producer(middle).or_no_match()?;
        let node = &graph[reduce];
        let picks = node.is("ArgMax") || node.is("ArgMin");
        if !node.is_standard() || !(node.op_type.starts_with("Reduce") || picks) {
            return Err(Skip::NoMatch);
        }
        require(graph.only_use(middle).is_some(), "the reduction is read by something else")?;
        let keeps = node.int("keepdims").unwrap_or(1) != 0;
        if keeps != graph[root].is("Squeeze") {
            return Err(Skip::NoMatch);
        }
        let rank = graph.ty(node.input(0).or_no_match()?).rank();
        let rank = rank.or_skip("the number of axes is unknown")?;
        let reduced = if picks {
            Some(vec![node.int("axis").unwrap_or(0)])
        } else {
            integers(graph, reduce, 1, "axes").filter(|axes| !axes.is_empty())
        };
        let reduced = reduced.and_then(|axes| places(&axes, rank));
        let changed = integers(graph, root, 1, "axes").and_then(|axes| places(&axes, rank));
        let same = reduced.is_some() && reduced == changed;
        require(same, "the axes are not known to be the reduced ones")?;
        let y = graph[root].output(0).or_no_match()?;
        let reduce = NewNode::like(graph, reduce).attribute("keepdims", i64::from(!keeps));
        let reduce = patch.node(reduce);
        patch.replace(y, reduce);
        Ok(())
    }
}

/// The axes from the front, in order.
fn places(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let mut places: Vec<usize> =
        axes.iter().map(|&axis| position(axis, rank)).collect::<Option<_>>()?;
    places.sort_unstable();
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn drops_the_axis_of_the_largest_element() {
        assert_snapshot!(rewrite(&FuseReduceSqueeze {}, "
            g (float[2,3] x) => (int64[2] y)
            <int64[1] one = {1}>
            {
                a = ArgMax<axis = -1>(x)
                y = Squeeze(a, one)
            }
        "), @r"
        fuse-reduce-squeeze: 1 rewrites
        g (float[2,3] x) => (int64[2] y)
        {
            y = ArgMax <axis = -1, keepdims = 0> (x)
        }
        ");
    }

    #[test]
    fn keeps_other_axes() {
        assert_snapshot!(rewrite_unexecuted(&FuseReduceSqueeze {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[1,3] x) => (float[3,1] y, float[1,1] a, float[1] z, float w)
            <int64[1] one = {1}, int64[1] zero = {0}>
            {
                a = ReduceSum(x, one)
                z = Squeeze(a, one)
                b = ReduceSum<keepdims = 0>(x, zero)
                y = Unsqueeze(b, one)
                m = custom.Mystery(x)
                c = ReduceSum(m, one)
                w = Squeeze(c, one)
            }
        "#), @r"
        fuse-reduce-squeeze: 0 rewrites
        skipped 1: the axes are not known to be the reduced ones
        skipped 1: the number of axes is unknown
        skipped 1: the reduction is read by something else
        unchanged
        ");
    }
}
