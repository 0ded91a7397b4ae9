//! Concatenations of what was cut out of one value.
use crate::slices::{Part, part, position, row_bytes};
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};

crate::pass! {
    /// Replaces a `Concat` of parts of one value by what it puts together.
    ///
    /// Parts in their old order that are the whole are the value itself. Parts in another order,
    /// as in a roll, are picked by one `Gather`, where rows are long enough to be copied at once.
    ///
    /// ```onnx
    /// g (float[N,5,16] x) => (float[N,5,16] y)
    /// <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] five = {5}>
    /// {
    ///     head = Slice(x, zero, two, one)
    ///     tail = Slice(x, two, five, one)
    ///     y = Concat<axis = 1>(tail, head)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,5,16] x) => (float[N,5,16] y)
    /// <int64[5] y_indices = {2, 3, 4, 0, 1}>
    /// {
    ///     y = Gather<axis = 1>(x, y_indices)
    /// }
    /// ```
    pub struct FuseSlicesConcat
    name: "fuse-slices-concat",
    accuracy: Exact,
    emits: ["Gather"],
}

/// Bytes of a row below which copying row by row takes longer than slicing.
const MIN_ROW: i64 = 64;

/// Rows that a list of indices may name.
const MAX_ROWS: i64 = 4096;

impl Rule for FuseSlicesConcat {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Concat"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let rank = graph.ty(y).rank().or_no_match()?;
        let axis = graph[root].int("axis").or_no_match()?;
        let axis = position(axis, rank).or_no_match()?;
        let inputs: Vec<ValueId> = graph[root].inputs().iter().flatten().copied().collect();
        let part = |&value: &ValueId| part(graph, value).filter(|part| part.axis == axis);
        let parts: Vec<Option<Part>> = inputs.iter().map(part).collect();
        if parts.iter().flatten().count() < 2 {
            return Err(Skip::NoMatch);
        }
        if let Some((range, of)) = whole(&parts) {
            return without_parts(graph, root, range, of, patch);
        }
        let parts: Vec<Part> = parts.into_iter().collect::<Option<_>>().or_no_match()?;
        let of = parts[0].of;
        let one_value = parts.iter().all(|part| part.of == of);
        require(one_value, "the parts are of more than one value")?;
        let go = inputs.iter().all(|&input| graph.only_use(input).is_some());
        require(go, "a part is read by something else")?;
        require(row_bytes(graph, of, axis) >= Some(MIN_ROW), "the rows are short")?;
        let rows: i64 = parts.iter().map(|part| part.end - part.start).sum();
        require(rows <= MAX_ROWS, "the rows are too many to be named")?;
        let indices: Vec<i64> = parts.iter().flat_map(|part| part.start..part.end).collect();
        let hint = format!("{}_indices", graph.value(y).name());
        let indices = patch.initializer(hint, Tensor::vector(&indices));
        let gather = NewNode::new("Gather").named(graph[root].name.clone()).input(of);
        let gather = patch.node(gather.input(indices).attribute("axis", axis as i64));
        patch.replace(y, gather);
        Ok(())
    }
}

/// A range of operands that together are a whole value, and that value.
fn whole(parts: &[Option<Part>]) -> Option<(std::ops::Range<usize>, ValueId)> {
    let starts = parts.iter().enumerate().filter_map(|(at, part)| Some((at, (*part)?)));
    for (first, start) in starts.filter(|(_, part)| part.start == 0) {
        let mut end = start.end;
        for (at, next) in parts.iter().enumerate().skip(first + 1) {
            let Some(next) = next.filter(|next| next.of == start.of && next.start == end) else {
                break;
            };
            end = next.end;
            if end == next.dim {
                return Some((first..at + 1, start.of));
            }
        }
    }
    None
}

/// Reads `of` in place of the operands in `range`.
fn without_parts(
    graph: &Graph,
    root: NodeId,
    range: std::ops::Range<usize>,
    of: ValueId,
    patch: &mut Patch,
) -> Result<(), Skip> {
    let y = graph[root].output(0).or_no_match()?;
    let inputs = graph[root].inputs();
    if range.len() == inputs.len() {
        require(graph.can_replace(y, of), "the graph output has to keep its name")?;
        patch.replace(y, of);
        return Ok(());
    }
    let kept = |range: &[Option<ValueId>]| -> Vec<Operand> {
        range.iter().flatten().map(|&value| value.into()).collect()
    };
    let mut operands = kept(&inputs[..range.start]);
    operands.push(of.into());
    operands.extend(kept(&inputs[range.end..]));
    let concat = NewNode::like(graph, root).truncate_inputs(0);
    let concat = patch.node(operands.into_iter().fold(concat, NewNode::input));
    patch.replace(y, concat);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn undoes_a_split() {
        assert_snapshot!(rewrite(&FuseSlicesConcat {}, "
            g (float[6] x, float[2] z) => (float[8] y, float[6] w)
            <int64[3] sizes = {1, 2, 3}>
            {
                r = Relu(x)
                a, b, c = Split(r, sizes)
                y = Concat<axis = -1>(z, a, b, c)
                w = Concat<axis = 0>(a, b, c)
            }
        "), @r"
        fuse-slices-concat: 2 rewrites
        g (float[6] x, float[2] z) => (float[8] y, float[6] w)
        {
            w = Relu(x)
            y = Concat <axis = -1> (z, w)
        }
        ");
    }

    #[test]
    fn keeps_what_is_no_roll_of_one_value() {
        assert_snapshot!(rewrite(&FuseSlicesConcat {}, "
            g (float[6] x, float[6] z, float[3,20] r) => (float[6] y, float[6] w, float[6] v, float[6] u, float[3,20] t, float[1,20] a)
            <int64[2] halves = {3, 3}, int64[2] sizes = {1, 2}>
            {
                x1, x2 = Split(x, halves)
                z1, z2 = Split(z, halves)
                y = Concat<axis = 0>(x1, z2)
                w = Concat<axis = 0>(x2, x1)
                v = Concat<axis = 0>(z1, z2)
                z3, z4 = Split(z, halves)
                u = Concat<axis = 0>(z4, z3)
                a, b = Split(r, sizes)
                t = Concat<axis = 0>(b, a)
            }
        "), @r"
        fuse-slices-concat: 0 rewrites
        skipped 2: a part is read by something else
        skipped 1: the graph output has to keep its name
        skipped 1: the parts are of more than one value
        skipped 1: the rows are short
        unchanged
        ");
    }

    #[test]
    fn keeps_a_roll_of_very_many_rows() {
        assert_snapshot!(rewrite(&FuseSlicesConcat {}, "
            g (float[5000,16] x) => (float[5000,16] y)
            <int64[2] sizes = {2000, 3000}>
            {
                a, b = Split(x, sizes)
                y = Concat<axis = 0>(b, a)
            }
        "), @r"
        fuse-slices-concat: 0 rewrites
        skipped 1: the rows are too many to be named
        unchanged
        ");
    }
}
