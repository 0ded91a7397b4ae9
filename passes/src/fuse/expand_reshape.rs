//! Repetitions along an axis.
use crate::slices::row_bytes;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Makes one `Gather` of a new axis, its expansion and a `Reshape` that merges it into a
    /// neighbour.
    ///
    /// Exporters write that for repeated heads of keys and values. With n repetitions of m
    /// entries, entry i of the result is entry i / n or, repeated as a whole, i mod m.
    ///
    /// ```onnx
    /// g (float[N,2,5,16] x) => (float[N,4,5,16] y)
    /// <int64[1] axis = {2}, int64[5] wide = {1, 1, 2, 1, 1}, int64[4] merged = {0, 4, 5, 16}>
    /// {
    ///     a = Unsqueeze(x, axis)
    ///     b = Expand(a, wide)
    ///     y = Reshape(b, merged)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,2,5,16] x) => (float[N,4,5,16] y)
    /// <int64[4] y_indices = {0, 0, 1, 1}>
    /// {
    ///     y = Gather<axis = 1>(x, y_indices)
    /// }
    /// ```
    pub struct FuseExpandReshape
    name: "fuse-expand-reshape",
    accuracy: Exact,
    emits: ["Gather"],
}

/// Bytes of a row below which copying row by row takes longer than expanding.
const MIN_ROW: i64 = 32;

/// Rows that a list of indices may name.
const MAX_ROWS: i64 = 4096;

impl Rule for FuseExpandReshape {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Reshape"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let wide = graph[root].input(0).or_no_match()?;
        let expand = graph.producer(wide).filter(|&id| graph[id].is("Expand")).or_no_match()?;
        let narrow = graph[expand].input(0).or_no_match()?;
        let unsqueeze = graph.producer(narrow).or_no_match()?;
        if !graph[unsqueeze].is("Unsqueeze") && !graph[unsqueeze].is("Reshape") {
            return Err(Skip::NoMatch);
        }
        let alone = graph.only_use(wide).and(graph.only_use(narrow)).is_some();
        require(alone, "a value in between is read by something else")?;
        let x = graph[unsqueeze].input(0).or_no_match()?;
        let shape = |value: ValueId| graph.value(value).shape();
        let shapes = shape(x).zip(shape(narrow)).zip(shape(wide).zip(shape(y)));
        let ((before, narrow), (wide, after)) = shapes.or_skip("a shape is unknown")?;
        let repeat = repeat(before, narrow, wide, after);
        let (axis, indices) = repeat.or_skip("no axis is repeated as a whole")?;
        require(row_bytes(graph, x, axis) >= Some(MIN_ROW), "the rows are short")?;
        let hint = format!("{}_indices", graph.value(y).name());
        let indices = patch.initializer(hint, Tensor::vector(&indices));
        let gather = NewNode::new("Gather").named(graph[root].name.clone()).input(x);
        let gather = patch.node(gather.input(indices).attribute("axis", axis as i64));
        patch.replace(y, gather);
        Ok(())
    }
}

/// The axis of `before` that is repeated, and the entry each entry of the result is.
fn repeat(
    before: &[Dim],
    narrow: &[Dim],
    wide: &[Dim],
    after: &[Dim],
) -> Option<(usize, Vec<i64>)> {
    if narrow.len() != before.len() + 1 || wide.len() != narrow.len() || after.len() != before.len()
    {
        return None;
    }
    let mut grown = (0..wide.len()).filter(|&axis| narrow[axis] != wide[axis]);
    let (new, None) = (grown.next()?, grown.next()) else { return None };
    let times = wide[new].value().filter(|_| narrow[new] == 1)?;
    let is_new = narrow[..new] == before[..new] && narrow[new + 1..] == before[new..];
    if !is_new {
        return None;
    }
    let merged = |axis: usize| {
        let rows =
            before.get(axis)?.value()?.checked_mul(times).filter(|&rows| rows <= MAX_ROWS)?;
        let others = before[..axis] == after[..axis] && before[axis + 1..] == after[axis + 1..];
        (others && after[axis] == rows).then_some(rows)
    };
    if let Some((axis, rows)) = new.checked_sub(1).and_then(|axis| Some((axis, merged(axis)?))) {
        return Some((axis, (0..rows).map(|row| row / times).collect()));
    }
    let (rows, entries) = (merged(new)?, before[new].value()?);
    Some((new, (0..rows).map(|row| row % entries).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn repeats_all_entries_one_after_the_other() {
        assert_snapshot!(rewrite(&FuseExpandReshape {}, "
            g (float[3,2,8] x) => (float[3,6,8] y)
            <int64[1] axis = {1}, int64[4] wide = {1, 3, 1, 1}, int64[3] merged = {3, 6, 8}>
            {
                a = Unsqueeze(x, axis)
                b = Expand(a, wide)
                y = Reshape(b, merged)
            }
        "), @r"
        fuse-expand-reshape: 1 rewrites
        g (float[3,2,8] x) => (float[3,6,8] y)
        <int64[6] y_indices = {0, 1, 0, 1, 0, 1}>
        {
            y = Gather <axis = 1> (x, y_indices)
        }
        ");
    }

    #[test]
    fn keeps_what_is_no_repetition() {
        assert_snapshot!(rewrite_unexecuted(&FuseExpandReshape {}, "
            g (float[2,8] x, int64[3] s) => (float[2,3,8] b, float[4,12] z, float[4,8] y, float[6,1] w, float[P,8] v)
            <int64[1] one = {1}, int64[3] wide = {1, 3, 1}, int64[2] six = {6, 8}, int64[2] other = {4, 12}, int64[2] thin = {6, 1}>
            {
                a = Unsqueeze(x, one)
                b = Expand(a, wide)
                y = Reshape(b, six)
                c = Unsqueeze(x, one)
                d = Expand(c, wide)
                z = Reshape(d, other)
                k = ReduceSum(x, one)
                e = Unsqueeze(k, one)
                f = Expand(e, wide)
                w = Reshape(f, thin)
                h = Unsqueeze(x, one)
                i = Expand(h, s)
                v = Reshape(i, six)
            }
        "), @r"
        fuse-expand-reshape: 0 rewrites
        skipped 1: a value in between is read by something else
        skipped 2: no axis is repeated as a whole
        skipped 1: the rows are short
        unchanged
        ");
    }
}
