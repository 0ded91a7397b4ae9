//! Slices that together are the whole.
use crate::slices::{Part, part};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Makes one `Split` of the `Slice`s that cut a value into pieces along one axis.
    ///
    /// ```onnx
    /// g (float[N,6] x) => (float[N,2] y, float[N,4] z)
    /// <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] six = {6}>
    /// {
    ///     y = Slice(x, zero, two, one)
    ///     z = Slice(x, two, six, one)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,6] x) => (float[N,2] y, float[N,4] z)
    /// <int64[2] y_sizes = {2, 4}>
    /// {
    ///     y, z = Split<axis = 1>(x, y_sizes)
    /// }
    /// ```
    pub struct FuseSlices
    name: "fuse-slices",
    accuracy: Exact,
    emits: ["Split"],
}

/// Readers of the whole that are looked at.
const MAX_READERS: usize = 256;

impl Rule for FuseSlices {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Slice"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let first = part(graph, y).or_no_match()?;
        if first.start != 0 || first.end == first.dim || first.end == 0 {
            return Err(Skip::NoMatch);
        }
        require(graph.opset() >= 2, "Split needs the number of parts as an input in opset 1")?;
        let pieces = pieces(graph, first, y).or_skip("the slices do not add up to the whole")?;
        let sizes: Vec<i64> = pieces.iter().map(|(_, part)| part.end - part.start).collect();
        let mut split = NewNode::new("Split").named(graph[root].name.clone()).input(first.of);
        split = split.attribute("axis", first.axis as i64).outputs(pieces.len());
        split = split.output_name(graph.value(y).name());
        if graph.opset() < 13 {
            split = split.attribute("split", sizes);
        } else {
            let hint = format!("{}_sizes", graph.value(y).name());
            split = split.input(patch.initializer(hint, Tensor::vector(&sizes)));
        }
        let split = patch.node(split);
        for (slot, (piece, _)) in pieces.into_iter().enumerate() {
            let output = patch.output(split, slot);
            patch.replace(piece, output);
        }
        Ok(())
    }
}

/// The slices of the same value and axis that follow `first`, each on the one before it, to the
/// end of the axis.
fn pieces(graph: &Graph, first: Part, value: ValueId) -> Option<Vec<(ValueId, Part)>> {
    let mut others: Vec<(ValueId, Part)> = graph
        .consumers(first.of)
        .take(MAX_READERS)
        .filter(|&reader| graph[reader].is("Slice"))
        .filter_map(|reader| graph[reader].output(0))
        .filter_map(|output| Some((output, part(graph, output)?)))
        .filter(|(_, part)| part.of == first.of && part.axis == first.axis)
        .collect();
    others.sort_by_key(|(_, part)| part.start);
    let mut pieces = vec![(value, first)];
    for (output, part) in others {
        let end = pieces.last()?.1.end;
        if part.start == end && part.end > part.start {
            pieces.push((output, part));
        }
    }
    (pieces.last()?.1.end == first.dim).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_slices_with_a_gap() {
        assert_snapshot!(rewrite(&FuseSlices {}, "
            g (float[6] x) => (float[2] y, float[3] z, float[2] w)
            <int64[1] zero = {0}, int64[1] two = {2}, int64[1] three = {3}, int64[1] six = {6}, int64[1] four = {4}>
            {
                y = Slice(x, zero, two)
                z = Slice(x, three, six)
                w = Slice(x, two, four)
            }
        "), @r"
        fuse-slices: 0 rewrites
        skipped 1: the slices do not add up to the whole
        unchanged
        ");
    }

    #[test]
    fn gives_the_sizes_as_an_attribute_in_opset_12() {
        assert_snapshot!(rewrite(&FuseSlices {}, r#"
            <ir_version: 7, opset_import: ["" : 12]>
            g (float[6] x) => (float[2] y, float[4] z)
            <int64[1] zero = {0}, int64[1] two = {2}, int64[1] end = {2147483647}>
            {
                z = Slice(x, two, end)
                y = Slice(x, zero, two)
            }
        "#), @r"
        fuse-slices: 1 rewrites
        g (float[6] x) => (float[2] y, float[4] z)
        {
            y, z = Split <axis = 0, split = [2, 4]> (x)
        }
        ");
    }

    #[test]
    fn keeps_slices_of_opset_1() {
        assert_snapshot!(rewrite_unexecuted(&FuseSlices {}, r#"
            <ir_version: 3, opset_import: ["" : 1]>
            g (float[6] x) => (float[2] y, float[4] z)
            {
                y = Slice<starts = [0], ends = [2]>(x)
                z = Slice<starts = [2], ends = [6]>(x)
            }
        "#), @r"
        fuse-slices: 0 rewrites
        skipped 1: Split needs the number of parts as an input in opset 1
        unchanged
        ");
    }
}
