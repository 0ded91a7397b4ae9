//! Parts that are reshaped alike.
use crate::slices::part;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Reshapes a value before its last axis is split, not every part of it.
    ///
    /// When each part of c entries becomes h groups of d, with the same d for all parts, the
    /// whole becomes groups of d first; the `Split` then counts groups. Queries, keys and values
    /// of all heads get their axes with one `Reshape` that way.
    ///
    /// ```onnx
    /// g (float[N,M,12] x) => (float[N,M,4,2] y, float[N,M,2,2] z)
    /// <int64[2] sizes = {8, 4}, int64[4] four = {0, 0, 4, 2}, int64[4] two = {0, 0, 2, 2}>
    /// {
    ///     a, b = Split<axis = 2>(x, sizes)
    ///     y = Reshape(a, four)
    ///     z = Reshape(b, two)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,M,12] x) => (float[N,M,4,2] y, float[N,M,2,2] z)
    /// <int64[4] x_groups = {0, 0, 6, 2}, int64[2] y_sizes = {4, 2}>
    /// {
    ///     z_reshape = Reshape(x, x_groups)
    ///     y, z = Split<axis = 2>(z_reshape, y_sizes)
    /// }
    /// ```
    pub struct FuseSplitReshape
    name: "fuse-split-reshape",
    accuracy: Exact,
    emits: [],
}

impl Rule for FuseSplitReshape {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Split"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let x = graph[root].input(0).or_no_match()?;
        let reshaped = |part: &Option<ValueId>| {
            let reader = graph.only_use((*part)?)?.node;
            let y = graph[reader].output(0).filter(|_| graph[reader].is("Reshape"))?;
            Some(((*part)?, y))
        };
        let pairs: Vec<(ValueId, ValueId)> =
            graph[root].outputs().iter().map(reshaped).collect::<Option<_>>().or_no_match()?;
        require(pairs.len() > 1, "there is one part only")?;
        let before = graph.value(x).shape().or_skip("the shape of the whole is unknown")?;
        let axis = before.len().checked_sub(1).or_no_match()?;
        require(graph.opset() >= 5, "Reshape takes no shape input before opset 5")?;
        let mut sizes = Vec::new();
        let mut width = None;
        for &(value, y) in &pairs {
            let part = part(graph, value).or_skip("the sizes of the parts are unknown")?;
            require(part.axis == axis, "another axis than the last one is split")?;
            let after = graph.value(y).shape().or_skip("the shape of a part is unknown")?;
            let groups = after.strip_prefix(&before[..axis]);
            let groups: Option<Vec<i64>> =
                groups.and_then(|groups| groups.iter().map(Dim::value).collect());
            let Some([count, each]) = groups.as_deref() else {
                return Err(Skip::Because("a part is not cut into groups".into()));
            };
            let same =
                *width.get_or_insert(*each) == *each && count * each == part.end - part.start;
            require(same && *each > 0, "the parts have groups of different sizes")?;
            sizes.push(*count);
        }
        let copied = |dim: &Dim| dim.value().unwrap_or(0);
        let empty = before.iter().any(|dim| *dim == 0);
        require(!empty, "the whole is empty")?;
        let mut shape: Vec<i64> = before[..axis].iter().map(copied).collect();
        shape.extend([sizes.iter().sum(), width.or_no_match()?]);
        let first = graph.value(pairs[0].1).name();
        let hint = format!("{}_groups", graph.value(x).name());
        let shape = patch.initializer(hint, Tensor::vector(&shape));
        let reshape = patch.node(NewNode::new("Reshape").input(x).input(shape));
        let mut split = NewNode::like(graph, root).truncate_inputs(0).input(reshape);
        split = split.without_attribute("num_outputs").attribute("axis", axis as i64);
        if graph.opset() < 13 {
            split = split.attribute("split", sizes);
        } else {
            split =
                split.input(patch.initializer(format!("{first}_sizes"), Tensor::vector(&sizes)));
        }
        let split = patch.node(split);
        for (slot, (_, y)) in pairs.into_iter().enumerate() {
            let output = patch.output(split, slot);
            patch.replace(y, output);
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
    fn takes_groups_of_one_size_only() {
        assert_snapshot!(rewrite(&FuseSplitReshape {}, "
            g (float[2,6] x, float[2,8] z, float[4,6] w) => (float[2,2,2] a, float[2,1,2] b, float[2,2,2] c, float[2,1,4] d, float[4,3] e, float[4,3] f, float[2,6] i, float[12] j)
            <int64[2] sizes = {4, 2}, int64[2] halves = {4, 4}, int64[2] rows = {2, 2}, int64[3] pairs = {2, 2, 2}, int64[3] one = {2, 1, 2}, int64[3] four = {2, 1, 4}, int64[2] flat = {4, 3}, int64[2] same = {2, 6}, int64[1] all = {12}>
            {
                p, q = Split<axis = 1>(x, sizes)
                a = Reshape(p, pairs)
                b = Reshape(q, one)
                r, s = Split<axis = 1>(z, halves)
                c = Reshape(r, pairs)
                d = Reshape(s, four)
                t, u = Split<axis = 0>(w, rows)
                e = Reshape(t, flat)
                f = Reshape(u, flat)
                g, h = Split<axis = 0>(w, rows)
                i = Reshape(g, same)
                j = Reshape(h, all)
            }
        "), @r"
        fuse-split-reshape: 1 rewrites
        skipped 2: another axis than the last one is split
        skipped 1: the parts have groups of different sizes
        g (float[2,6] x, float[2,8] z, float[4,6] w) => (float[2,2,2] a, float[2,1,2] b, float[2,2,2] c,
            float[2,1,4] d, float[4,3] e, float[4,3] f, float[2,6] i, float[12] j)
        <int64[2] halves = {4, 4}, int64[2] rows = {2, 2}, int64[3] pairs = {2, 2, 2},
            int64[3] four = {2, 1, 4}, int64[2] flat = {4, 3}, int64[2] same = {2, 6}, int64[1] all = {12},
            int64[3] x_groups = {2, 3, 2}, int64[2] a_sizes = {2, 1}>
        {
            b_reshape = Reshape(x, x_groups)
            a, b = Split <axis = 1> (b_reshape, a_sizes)
            r, s = Split <axis = 1> (z, halves)
            c = Reshape(r, pairs)
            d = Reshape(s, four)
            t, u = Split <axis = 0> (w, rows)
            e = Reshape(t, flat)
            f = Reshape(u, flat)
            g, h = Split <axis = 0> (w, rows)
            i = Reshape(g, same)
            j = Reshape(h, all)
        }
        ");
    }
}
