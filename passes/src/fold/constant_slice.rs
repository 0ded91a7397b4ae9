//! Operators on slices of constants.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, Node, NodeId, Patch, Tensor, ValueId, schema};

crate::pass! {
    /// Applies an element-wise operator to a constant before it is sliced, not after.
    ///
    /// The operator then depends on constants alone, and folds. Masks come out of a table that
    /// way: cut to the length of the input, converted and compared.
    ///
    /// ```onnx
    /// g (float[3] x) => (bool[3] y)
    /// <int64[4] table = {0, 1, 0, 1}, int64 none = {0}, int64[1] zero = {0}>
    /// {
    ///     n = Shape(x)
    ///     part = Slice(table, zero, n)
    ///     y = Equal(part, none)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3] x) => (bool[3] y)
    /// <int64[4] table = {0, 1, 0, 1}, int64 none = {0}, int64[1] zero = {0}>
    /// {
    ///     n = Shape(x)
    ///     all = Equal(table, none)
    ///     y = Slice(all, zero, n)
    /// }
    /// ```
    pub struct FoldConstantSlice
    name: "fold-constant-slice",
    accuracy: Exact,
    emits: [],
}

/// Elements of a table that is computed as a whole.
const MAX_ELEMENTS: usize = 1 << 22;

impl Rule for FoldConstantSlice {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Cast", "Equal", "Not", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Sub", "Mul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let found = (0..node.inputs().len()).find_map(|slot| Some((slot, cut(graph, node, slot)?)));
        let (slot, Cut { slices, table, tensor }) = found.or_no_match()?;
        let part = node.input(slot).or_no_match()?;
        let unary = schema::is_elementwise_unary(&node.op_type);
        let other = |other: &ValueId| {
            let single = graph.constant(*other).filter(|tensor| tensor.len() == 1);
            *other == part || single.is_some_and(|single| single.rank() <= tensor.rank())
        };
        let inputs: Vec<ValueId> = node.inputs().iter().flatten().copied().collect();
        let alone = inputs.iter().filter(|&&input| input == part).count() == 1;
        let single = unary || (alone && inputs.iter().all(other));
        require(single, "the other operand is no single number")?;
        let mut read = slices.iter().filter_map(|&slice| graph[slice].output(0)).chain([table]);
        let own = read.all(|value| graph.only_use(value).is_some());
        require(own, "the constant or its slice is read by something else")?;
        require(tensor.len() <= MAX_ELEMENTS, "the constant is large")?;
        let y = node.output(0).or_no_match()?;
        let whole = NewNode::like(graph, root).with_input(slot, table);
        let whole = patch.node(whole.output_name("all"));
        let again = |whole, &slice| patch.node(NewNode::like(graph, slice).with_input(0, whole));
        let part = slices.iter().rev().fold(whole, again);
        patch.replace(y, part);
        Ok(())
    }
}

/// A part of a constant.
struct Cut<'a> {
    /// The nodes that cut, the last one first.
    slices: Vec<NodeId>,
    table: ValueId,
    tensor: &'a Tensor,
}

/// What is cut out of a constant for an input of a node.
fn cut<'a>(graph: &'a Graph, node: &Node, slot: usize) -> Option<Cut<'a>> {
    let mut table = node.input(slot)?;
    let mut slices = Vec::new();
    while let Some(slice) = graph.producer(table).filter(|&id| graph[id].is("Slice")) {
        slices.push(slice);
        table = graph[slice].input(0)?;
    }
    let tensor = graph.constant(table).filter(|_| !slices.is_empty())?;
    Some(Cut { slices, table, tensor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn keeps_other_operands_and_shared_constants() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstantSlice {}, "
            g (int64[1] n, int64[N] x) => (bool[N] y, int32[N] z, int32[N] w, bool[N] v)
            <int64[4] table = {0, 1, 0, 1}, int64[4] other = {0, 1, 0, 1}, int64[1] zero = {0}, int64[5000000] huge>
            {
                a = Slice(other, zero, n)
                y = Equal(a, x)
                b = Slice(table, zero, n)
                z = Cast<to = 6>(b)
                c = Slice(table, zero, n)
                w = Cast<to = 6>(c)
                d = Slice(huge, zero, n)
                v = Equal(d, zero)
            }
        "), @r"
        fold-constant-slice: 0 rewrites
        skipped 1: the constant is large
        skipped 2: the constant or its slice is read by something else
        skipped 1: the other operand is no single number
        unchanged
        ");
    }

    #[test]
    fn converts_before_slicing() {
        assert_snapshot!(rewrite(&FoldConstantSlice {}, "
            g (float[2] x) => (int32[2] y)
            <int64[4] table = {0, 1, 0, 1}, int64[1] zero = {0}>
            {
                n = Shape(x)
                a = Slice(table, zero, n)
                y = Cast<to = 6>(a)
            }
        "), @r"
        fold-constant-slice: 1 rewrites
        g (float[2] x) => (int32[2] y)
        <int64[4] table = {0, 1, 0, 1}, int64[1] zero = {0}>
        {
            n = Shape(x)
            all = Cast <to = 6> (table)
            y = Slice(all, zero, n)
        }
        ");
    }

    #[test]
    fn goes_through_all_slices() {
        assert_snapshot!(rewrite(&FoldConstantSlice {}, "
            g (float[2] x) => (bool[2,2] y)
            <float[3,3] mask = {1, 0, 0, 1, 1, 0, 1, 1, 1}, float none = {0}, int64[1] zero = {0}, int64[1] one = {1}>
            {
                n = Shape(x)
                rows = Slice(mask, zero, n, zero)
                part = Slice(rows, zero, n, one)
                y = Equal(part, none)
            }
        "), @r"
        fold-constant-slice: 1 rewrites
        g (float[2] x) => (bool[2,2] y)
        <float[3,3] mask, float none = {0}, int64[1] zero = {0}, int64[1] one = {1}>
        {
            n = Shape(x)
            all = Equal(mask, none)
            y_slice = Slice(all, zero, n, zero)
            y = Slice(y_slice, zero, n, one)
        }
        ");
    }
}
