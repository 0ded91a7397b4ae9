//! Lookups of the first rows of a table.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};

crate::pass! {
    /// Makes a `Slice` of a `Gather` of the rows 0, 1, … up to a computed number.
    ///
    /// Where the indices have leading axes, the table gets them. Rows that a table does not have
    /// are an error of `Gather`; a `Slice` ends with the table.
    ///
    /// ```onnx
    /// g (float[N] x, float[9,4] table) => (float[N,4] y)
    /// <int64 zero = {0}, int64 one = {1}>
    /// {
    ///     count = Shape(x)
    ///     number = Squeeze(count)
    ///     rows = Range(zero, number, one)
    ///     y = Gather<axis = 0>(table, rows)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N] x, float[9,4] table) => (float[N,4] y)
    /// <int64[1] y_starts = {0}, int64[1] y_axes = {0}>
    /// {
    ///     count = Shape(x)
    ///     y = Slice(table, y_starts, count, y_axes)
    /// }
    /// ```
    pub struct FuseRangeGather
    name: "fuse-range-gather",
    accuracy: Exact,
    emits: ["Slice", "Shape"],
}

/// Readers of the number of rows that are looked at.
const MAX_READERS: usize = 16;

impl Rule for FuseRangeGather {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Gather"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (table, indices) = (node.input(0).or_no_match()?, node.input(1).or_no_match()?);
        let (range, lead) = counting(graph, indices).or_no_match()?;
        require(node.int("axis").unwrap_or(0) == 0, "the rows are not on the first axis")?;
        let is = |slot, number| {
            graph.constant_input(range, slot).is_some_and(|tensor| tensor.as_i64() == Some(number))
        };
        require(is(0, 0) && is(2, 1), "the range does not count from 0")?;
        let end = vector(graph, range, patch).or_skip("the number of rows is no vector")?;
        let y = node.output(0).or_no_match()?;
        let name = graph.value(y).name();
        let table: Operand = if lead == 0 {
            table.into()
        } else {
            let alone = graph.only_use(table).and(graph.constant(table));
            let rows = alone.or_skip("the table is no constant of its own")?;
            let dims = [vec![1; lead], rows.dims().to_vec()].concat();
            let rows = rows.reshaped(dims).ok().or_no_match()?;
            patch.initializer(graph.value(table).name(), rows)
        };
        let starts = patch.initializer(format!("{name}_starts"), Tensor::vector(&[0i64]));
        let axes = patch.initializer(format!("{name}_axes"), Tensor::vector(&[lead as i64]));
        let slice = NewNode::new("Slice").named(node.name.clone());
        let slice = patch.node(slice.input(table).input(starts).input(end).input(axes));
        patch.replace(y, slice);
        Ok(())
    }
}

/// The `Range` that only `indices` is made of, and the number of axes of one element before it.
fn counting(graph: &Graph, indices: ValueId) -> Option<(NodeId, usize)> {
    let producer = graph.producer(indices)?;
    graph.only_use(indices)?;
    if graph[producer].is("Range") {
        return Some((producer, 0));
    }
    if !graph[producer].is("Unsqueeze") && !graph[producer].is("Reshape") {
        return None;
    }
    let (_, lead) = graph.value(indices).shape()?.split_last()?;
    let counted = graph[producer].input(0).filter(|&value| graph.only_use(value).is_some())?;
    let range = graph.producer(counted).filter(|&id| graph[id].is("Range"))?;
    lead.iter().all(|dim| *dim == 1).then_some((range, lead.len()))
}

/// The limit of a `Range` of `int64` as a vector of one element.
fn vector(graph: &Graph, range: NodeId, patch: &mut Patch) -> Option<Operand> {
    let limit = graph[range].input(1)?;
    // All bounds of a slice have one type.
    graph.ty(limit).elem_type.filter(|&elem_type| elem_type == ElemType::INT64)?;
    let mut readers = graph.consumers(limit).take(MAX_READERS);
    if let Some(unsqueeze) = readers.find(|&reader| graph[reader].is("Unsqueeze")) {
        let value = graph[unsqueeze].output(0)?;
        return (graph.ty(value).rank() == Some(1)).then_some(value.into());
    }
    let producer = graph.producer(limit)?;
    let node = &graph[producer];
    let source = node.input(0)?;
    if node.is("Squeeze") {
        let shape = graph.value(source).shape()?;
        return (shape.len() == 1 && shape[0] == 1).then_some(source.into());
    }
    let shape = graph.producer(source).filter(|&id| graph[id].is("Shape") && node.is("Gather"))?;
    let plain = graph[shape].attributes().is_empty() && graph.opset() >= 15;
    let index = graph.constant_input(producer, 1).filter(|tensor| tensor.rank() == 0)?.as_i64()?;
    if !plain || index < 0 || graph.only_use(limit).is_none() {
        return None;
    }
    let part = NewNode::new("Shape").input(graph[shape].input(0)?);
    Some(patch.node(part.attribute("start", index).attribute("end", index + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn gives_the_table_the_axes_of_the_indices() {
        assert_snapshot!(rewrite(&FuseRangeGather {}, "
            g (float[2,3] x) => (float[1,3,2] y)
            <float[4,2] table = {1, 2, 3, 4, 5, 6, 7, 8}, int64 zero = {0}, int64 one = {1}, int64[1] axis = {0}>
            {
                shape = Shape(x)
                number = Gather(shape, one)
                rows = Range(zero, number, one)
                indices = Unsqueeze(rows, axis)
                y = Gather(table, indices)
            }
        "), @r"
        fuse-range-gather: 1 rewrites
        g (float[2,3] x) => (float[1,3,2] y)
        <float[1,4,2] table_1 = {1, 2, 3, 4, 5, 6, 7, 8}, int64[1] y_starts = {0}, int64[1] y_axes = {1}>
        {
            y_shape = Shape <start = 1, end = 2> (x)
            y = Slice(table_1, y_starts, y_shape, y_axes)
        }
        ");
    }

    #[test]
    fn keeps_other_ranges() {
        assert_snapshot!(rewrite_unexecuted(&FuseRangeGather {}, "
            g (float[N] x, float[9,9] table, int64 n) => (float[P,9] y, float[9,Q] z, float[R,9] w, float[1,S,9] v)
            <int64 zero = {0}, int64 one = {1}, int64[1] axis = {0}>
            {
                count = Shape(x)
                number = Squeeze(count)
                rows = Range(one, number, one)
                y = Gather(table, rows)
                columns = Range(zero, number, one)
                z = Gather<axis = 1>(table, columns)
                given = Range(zero, n, one)
                w = Gather(table, given)
                few = Range(zero, number, one)
                wide = Unsqueeze(few, axis)
                v = Gather(table, wide)
            }
        "), @r"
        fuse-range-gather: 0 rewrites
        skipped 1: the number of rows is no vector
        skipped 1: the range does not count from 0
        skipped 1: the rows are not on the first axis
        skipped 1: the table is no constant of its own
        unchanged
        ");
    }
}
