//! Slices of slices.
use crate::slices::{Cut, cuts};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch, Tensor};

crate::pass! {
    /// Merges two `Slice`s in a row, of the same axes or of others.
    ///
    /// On one axis, element k of the second is element a + k·p of the first, which is element
    /// b + (a + k·p)·q of the input: the start is b + a·q and the step p·q.
    ///
    /// ```onnx
    /// g (float[N,8,8] x) => (float[N,4,3] y)
    /// <int64[1] one = {1}, int64[1] two = {2}, int64[1] five = {5}, int64[1] eight = {8}>
    /// {
    ///     rows = Slice(x, one, eight, one, two)
    ///     y = Slice(rows, two, five, two)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,8,8] x) => (float[N,4,3] y)
    /// <int64[2] y_starts = {1, 2}, int64[2] y_ends = {8, 5}, int64[2] y_axes = {1, 2}, int64[2] y_steps = {2, 1}>
    /// {
    ///     y = Slice(x, y_starts, y_ends, y_axes, y_steps)
    /// }
    /// ```
    pub struct FuseConsecutiveSlices
    name: "fuse-consecutive-slices",
    accuracy: Exact,
    emits: [],
}

/// Readers of the first slice that are looked at.
const MAX_READERS: usize = 64;

impl Rule for FuseConsecutiveSlices {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Slice"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let middle = graph[root].input(0).or_no_match()?;
        let first = graph.producer(middle).or_no_match()?;
        if !graph[first].is("Slice") {
            return Err(Skip::NoMatch);
        }
        require(graph.opset() >= 10, "Slice takes no inputs before opset 10")?;
        // When every reader is such a slice, the first one goes with the last of them.
        let reads =
            |reader: NodeId| graph[reader].is("Slice") && merged(graph, first, reader).is_some();
        let few =
            !graph.value(middle).is_output() && graph.value(middle).uses().len() <= MAX_READERS;
        let goes = few && graph.consumers(middle).all(reads);
        let cuts = merged(graph, first, root).or_skip("the bounds are not known to merge")?;
        require(goes, "the first slice is read by something else")?;
        let y = graph[root].output(0).or_no_match()?;
        let name = graph.value(y).name();
        let column = |number: fn(&Cut) -> i64| cuts.iter().map(number).collect::<Vec<_>>();
        let columns = [
            ("starts", column(|cut| cut.start)),
            ("ends", column(|cut| cut.end)),
            ("axes", column(|cut| cut.axis as i64)),
            ("steps", column(|cut| cut.step)),
        ];
        let x = graph[first].input(0).or_no_match()?;
        let mut slice = NewNode::new("Slice").named(graph[root].name.clone()).input(x);
        let unit = cuts.iter().all(|cut| cut.step == 1);
        for (what, numbers) in columns.into_iter().take(if unit { 3 } else { 4 }) {
            slice =
                slice.input(patch.initializer(format!("{name}_{what}"), Tensor::vector(&numbers)));
        }
        let slice = patch.node(slice);
        patch.replace(y, slice);
        Ok(())
    }
}

/// The cuts of both slices, those of one axis as one.
fn merged(graph: &Graph, first: NodeId, second: NodeId) -> Option<Vec<Cut>> {
    let shape = |node: NodeId| graph.value(graph[node].input(0)?).shape();
    let (outer, inner) = (shape(first)?, shape(second)?);
    let mut merged = cuts(graph, first)?;
    for next in cuts(graph, second)? {
        match merged.iter_mut().find(|cut| cut.axis == next.axis) {
            None => merged.push(next),
            Some(cut) => {
                let before = forwards(*cut, outer.get(cut.axis)?.value())?;
                let next = forwards(next, inner.get(cut.axis)?.value())?;
                *cut = compose(before, next)?;
            }
        }
    }
    Some(merged)
}

/// The cut without bounds that count from the end.
fn forwards(cut: Cut, dim: Option<i64>) -> Option<Cut> {
    let plain = cut.step > 0 && cut.start >= 0 && cut.end >= 0;
    dim.map_or(plain.then_some(cut), |dim| cut.within(dim))
}

/// What the second of two forward cuts of an axis leaves of the first.
fn compose(first: Cut, second: Cut) -> Option<Cut> {
    let within = |at: i64| first.start.checked_add(at.checked_mul(first.step)?);
    let start = within(second.start)?;
    // A bound beyond the largest number is the end.
    let end = within(second.end).unwrap_or(i64::MAX).min(first.end);
    Some(Cut { axis: first.axis, start, end, step: first.step.checked_mul(second.step)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn composed_cuts_leave_the_same_elements() {
        let apply = |cut: Cut, list: &[i64]| -> Vec<i64> {
            let cut = cut.within(list.len() as i64).expect("the cut goes forwards");
            list[cut.start as usize..cut.end as usize]
                .iter()
                .step_by(cut.step as usize)
                .copied()
                .collect()
        };
        let list: Vec<i64> = (0..7).collect();
        let cut = |start, end, step| Cut { axis: 0, start, end, step };
        let bounds = || (0..4).flat_map(|start| [0, 2, 5, 7, 9, i64::MAX].map(|end| (start, end)));
        for (a, b) in bounds() {
            for (c, d) in bounds() {
                for (p, q) in [(1, 1), (2, 1), (1, 3), (2, 2)] {
                    let (first, second) = (cut(a, b, p), cut(c, d, q));
                    let composed = compose(first, second).expect("the numbers are small");
                    let expected = apply(second, &apply(first, &list));
                    assert_eq!(apply(composed, &list), expected, "{first:?} {second:?}");
                }
            }
        }
    }

    #[test]
    fn merges_all_slices_of_one() {
        assert_snapshot!(rewrite(&FuseConsecutiveSlices {}, "
            g (float[8,8] x) => (float[2,8] y, float[4,1] z)
            <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] last = {-1}, int64[1] end = {9223372036854775807}>
            {
                even = Slice(x, zero, end, zero, two)
                y = Slice(even, one, last, zero)
                z = Slice(even, last, end, one)
            }
        "), @r"
        fuse-consecutive-slices: 2 rewrites
        g (float[8,8] x) => (float[2,8] y, float[4,1] z)
        <int64[1] y_starts = {2}, int64[1] y_ends = {6}, int64[1] y_axes = {0}, int64[1] y_steps = {2},
            int64[2] z_starts = {0, -1}, int64[2] z_ends = {9223372036854775807, 9223372036854775807},
            int64[2] z_axes = {0, 1}, int64[2] z_steps = {2, 1}>
        {
            y = Slice(x, y_starts, y_ends, y_axes, y_steps)
            z = Slice(x, z_starts, z_ends, z_axes, z_steps)
        }
        ");
    }

    #[test]
    fn keeps_slices_that_do_not_merge() {
        assert_snapshot!(rewrite(&FuseConsecutiveSlices {}, "
            g (float[N,8] x) => (float[P,8] y, float[8,8] z, float[Q,8] b)
            <int64[1] zero = {0}, int64[1] two = {2}, int64[1] last = {-2}, int64[1] end = {9223372036854775807}>
            {
                a = Slice(x, last, end, zero)
                y = Slice(a, last, end, zero)
                b = Slice(x, zero, last, zero)
                z = Slice(b, zero, two, zero)
            }
        "), @r"
        fuse-consecutive-slices: 0 rewrites
        skipped 2: the bounds are not known to merge
        unchanged
        ");
    }

    #[test]
    fn keeps_a_slice_that_is_an_output_and_attributes() {
        assert_snapshot!(rewrite(&FuseConsecutiveSlices {}, "
            g (float[9,8] x) => (float[4,8] y, float[5,8] a)
            <int64[1] zero = {0}, int64[1] four = {4}, int64[1] five = {5}>
            {
                a = Slice(x, zero, five, zero)
                y = Slice(a, zero, four, zero)
            }
        "), @r"
        fuse-consecutive-slices: 0 rewrites
        skipped 1: the first slice is read by something else
        unchanged
        ");
        assert_snapshot!(rewrite_unexecuted(&FuseConsecutiveSlices {}, r#"
            <ir_version: 3, opset_import: ["" : 9]>
            g (float[9,8] x) => (float[4,8] y)
            {
                a = Slice<axes = [0], starts = [0], ends = [5]>(x)
                y = Slice<axes = [0], starts = [0], ends = [4]>(a)
            }
        "#), @r"
        fuse-consecutive-slices: 0 rewrites
        skipped 1: Slice takes no inputs before opset 10
        unchanged
        ");
    }
}
