//! Shuffled channels.
use crate::slices::row_bytes;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Makes one `Gather` of a `Reshape` that splits an axis, the `Transpose` of its two parts and
    /// the `Reshape` that merges them.
    ///
    /// With p groups of q entries, entry i·p + k of the result is entry k·q + i.
    ///
    /// ```onnx
    /// g (float[N,6,4,4] x) => (float[N,6,4,4] y)
    /// <int64[5] groups = {0, 2, 3, 4, 4}, int64[4] whole = {0, 6, 4, 4}>
    /// {
    ///     a = Reshape(x, groups)
    ///     b = Transpose<perm = [0, 2, 1, 3, 4]>(a)
    ///     y = Reshape(b, whole)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,6,4,4] x) => (float[N,6,4,4] y)
    /// <int64[6] y_indices = {0, 3, 1, 4, 2, 5}>
    /// {
    ///     y = Gather<axis = 1>(x, y_indices)
    /// }
    /// ```
    pub struct FuseShuffle
    name: "fuse-shuffle",
    accuracy: Exact,
    emits: ["Gather"],
}

/// Bytes of a row below which copying row by row takes longer than a transposition.
const MIN_ROW: i64 = 32;

/// Rows that a list of indices may name.
const MAX_ROWS: i64 = 4096;

impl Rule for FuseShuffle {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Reshape"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let moved = graph[root].input(0).or_no_match()?;
        let transpose = graph.producer(moved).filter(|&id| graph[id].is("Transpose"));
        let transpose = transpose.or_no_match()?;
        let groups = graph[transpose].input(0).or_no_match()?;
        let split = graph.producer(groups).filter(|&id| graph[id].is("Reshape")).or_no_match()?;
        let x = graph[split].input(0).or_no_match()?;
        let shape = |value: ValueId| graph.value(value).shape();
        let shapes = shape(x).zip(shape(groups)).zip(shape(y));
        let ((before, groups_shape), after) = shapes.or_skip("a shape is unknown")?;
        let perm = graph[transpose].ints("perm").or_no_match()?;
        let (axis, indices) = shuffle(before, groups_shape, perm, after)
            .or_skip("the parts of one axis are not all that changes places")?;
        let alone = graph.only_use(moved).and(graph.only_use(groups)).is_some();
        require(alone, "a value in between is read by something else")?;
        require(row_bytes(graph, x, axis) >= Some(MIN_ROW), "the rows are short")?;
        let hint = format!("{}_indices", graph.value(y).name());
        let indices = patch.initializer(hint, Tensor::vector(&indices));
        let gather = NewNode::new("Gather").named(graph[root].name.clone()).input(x);
        let gather = patch.node(gather.input(indices).attribute("axis", axis as i64));
        patch.replace(y, gather);
        Ok(())
    }
}

/// The axis whose parts change places, and the entry each entry of the result is.
fn shuffle(
    before: &[Dim],
    groups: &[Dim],
    perm: &[i64],
    after: &[Dim],
) -> Option<(usize, Vec<i64>)> {
    if groups.len() != before.len() + 1 || before != after || perm.len() != groups.len() {
        return None;
    }
    let axis = (0..perm.len()).find(|&axis| perm[axis] != axis as i64)?;
    let swaps = |at: usize| match at {
        at if at == axis => axis as i64 + 1,
        at if at == axis + 1 => axis as i64,
        at => at as i64,
    };
    let swapped = perm.iter().enumerate().all(|(at, &to)| to == swaps(at));
    let others = groups[..axis] == before[..axis] && groups[axis + 2..] == before[axis + 1..];
    let (p, q) = (groups.get(axis)?.value()?, groups.get(axis + 1)?.value()?);
    let rows = p.checked_mul(q).filter(|&rows| rows <= MAX_ROWS && before[axis] == rows)?;
    let entry = |row: i64| (row % p) * q + row / p;
    (swapped && others).then(|| (axis, (0..rows).map(entry).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_other_transpositions() {
        assert_snapshot!(rewrite(&FuseShuffle {}, "
            g (float[6,8,4] x, float[6,2] z) => (float[6,8,4] y, float[8,3,2,4] u, float[6,8,4] w, float[6,2] v)
            <int64[4] groups = {3, 2, 8, 4}, int64[4] other = {6, 2, 4, 4}, int64[3] whole = {6, 8, 4}, int64[3] small = {3, 2, 2}, int64[2] flat = {6, 2}>
            {
                a = Reshape(x, groups)
                b = Transpose<perm = [2, 0, 1, 3]>(a)
                u = Relu(b)
                y = Reshape(b, whole)
                c = Reshape(x, other)
                d = Transpose<perm = [0, 2, 1, 3]>(c)
                e = Relu(d)
                w0 = Reshape(d, whole)
                e0 = Reshape(e, whole)
                w = Add(w0, e0)
                f = Reshape(z, small)
                h = Transpose<perm = [1, 0, 2]>(f)
                v = Reshape(h, flat)
            }
        "), @r"
        fuse-shuffle: 0 rewrites
        skipped 1: a value in between is read by something else
        skipped 1: the parts of one axis are not all that changes places
        skipped 1: the rows are short
        unchanged
        ");
    }
}
