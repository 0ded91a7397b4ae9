//! Parts taken out of a sequence by position.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Turns a `SplitToSequence` whose parts are taken out by constant positions into a `Split`.
    ///
    /// ```onnx
    /// g (float[1,6] x) => (float[1,2] y)
    /// <int64 size = {2}, int64 zero = {0}, int64 two = {2}>
    /// {
    ///     parts = SplitToSequence<axis = 1>(x, size)
    ///     a = SequenceAt(parts, zero)
    ///     b = SequenceAt(parts, two)
    ///     y = Add(a, b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,6] x) => (float[1,2] y)
    /// <int64[3] parts_sizes = {2, 2, 2}>
    /// {
    ///     a, parts_2, b = Split<axis = 1>(x, parts_sizes)
    ///     y = Add(a, b)
    /// }
    /// ```
    pub struct FoldSequenceAt
    name: "fold-sequence-at",
    accuracy: Exact,
    emits: ["Split"],
}

/// Parts of a `Split`, at most: the unread ones are made, too.
const MAX_PARTS: usize = 64;

impl Rule for FoldSequenceAt {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["SplitToSequence"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let sequence = node.output(0).or_no_match()?;
        require(graph.opset() >= 13, "Split takes its sizes as an attribute before opset 13")?;
        let sizes = part_sizes(graph, root).or_skip("the sizes of the parts are unknown")?;
        require(sizes.len() <= MAX_PARTS, "the sequence is long")?;
        let parts = parts(graph, sequence, sizes.len());
        let parts = parts.or_skip("not every part is taken out by a constant position")?;
        if parts.is_empty() {
            return Err(Skip::NoMatch);
        }
        let mut positions: Vec<usize> = parts.iter().map(|&(_, position)| position).collect();
        positions.sort_unstable();
        positions.dedup();
        require(positions.len() == parts.len(), "a part is taken out twice")?;

        let hint = format!("{}_sizes", graph.value(sequence).name());
        let count = sizes.len();
        let sizes = patch.initializer(hint, Tensor::vector(&sizes));
        let split = NewNode::like(graph, root).op_type("Split").without_attribute("keepdims");
        let split = split.with_input(1, sizes).outputs(count);
        let split = patch.node(split.output_name(graph.value(sequence).name()));
        for (value, position) in parts {
            patch.replace(value, patch.output(split, position));
        }
        Ok(())
    }
}

/// How much of the axis each part has.
fn part_sizes(graph: &Graph, root: NodeId) -> Option<Vec<i64>> {
    let node = &graph[root];
    // Without sizes, parts have the size 1, and with `keepdims` 0 not even the axis.
    let split = graph.constant_input(root, 1)?;
    let sizes = split.to_i64()?;
    if split.rank() == 1 {
        return Some(sizes);
    }
    let size = *sizes.first().filter(|&&size| size > 0)?;
    let shape = graph.value(node.input(0)?).shape()?;
    let axis = node.int("axis").unwrap_or(0);
    let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
    let length = shape.get(usize::try_from(axis).ok()?)?.value()?;
    let count = usize::try_from((length + size - 1) / size).ok()?;
    if count > MAX_PARTS {
        return None;
    }
    let start = |index: usize| index as i64 * size;
    Some((0..count).map(|index| size.min(length - start(index))).collect())
}

/// What is taken out of the sequence: values and positions.
fn parts(graph: &Graph, sequence: ValueId, count: usize) -> Option<Vec<(ValueId, usize)>> {
    if graph.value(sequence).is_output() {
        return None;
    }
    let part = |reader: NodeId| {
        if !graph[reader].is("SequenceAt") {
            return None;
        }
        let position = graph.constant_input(reader, 1)?.as_i64()?;
        let position = if position < 0 { position + count as i64 } else { position };
        let position = usize::try_from(position).ok().filter(|&position| position < count)?;
        Some((graph[reader].output(0)?, position))
    };
    graph.consumers(sequence).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::FoldSequenceAt;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_sequence_with_a_part_taken_out_twice() {
        assert_snapshot!(rewrite_unexecuted(&FoldSequenceAt {}, "
            g (float[1,6] x) => (float[1,2] y)
            <int64 size = {2}, int64 zero = {0}>
            {
                parts = SplitToSequence<axis = 1>(x, size)
                a = SequenceAt(parts, zero)
                b = SequenceAt(parts, zero)
                y = Add(a, b)
            }
        "), @r"
        fold-sequence-at: 0 rewrites
        skipped 1: a part is taken out twice
        unchanged
        ");
    }

    #[test]
    fn keeps_sequences_of_unknown_or_many_parts() {
        assert_snapshot!(rewrite_unexecuted(&FoldSequenceAt {}, "
            g (float[N,6] x) => (float[M,6] y, float[0,6] z)
            <int64 size = {2}, int64 zero = {0}, int64[65] sizes>
            {
                parts = SplitToSequence(x, size)
                y = SequenceAt(parts, zero)
                many = SplitToSequence(x, sizes)
                z = SequenceAt(many, zero)
            }
        "), @r"
        fold-sequence-at: 0 rewrites
        skipped 1: the sequence is long
        skipped 1: the sizes of the parts are unknown
        unchanged
        ");
    }

    #[test]
    fn keeps_a_sequence_read_at_a_computed_position() {
        assert_snapshot!(rewrite_unexecuted(&FoldSequenceAt {}, "
            g (float[4,6] x, int64 i) => (float[2,6] y)
            <int64 size = {2}>
            {
                parts = SplitToSequence(x, size)
                y = SequenceAt(parts, i)
            }
        "), @r"
        fold-sequence-at: 0 rewrites
        skipped 1: not every part is taken out by a constant position
        unchanged
        ");
    }

    #[test]
    fn keeps_sequences_of_opset_12() {
        assert_snapshot!(rewrite_unexecuted(&FoldSequenceAt {}, r#"
            <ir_version: 7, opset_import: ["" : 12]>
            g (float[4,6] x) => (float[2,6] y)
            <int64 size = {2}, int64 zero = {0}>
            {
                parts = SplitToSequence(x, size)
                y = SequenceAt(parts, zero)
            }
        "#), @r"
        fold-sequence-at: 0 rewrites
        skipped 1: Split takes its sizes as an attribute before opset 13
        unchanged
        ");
    }
}
