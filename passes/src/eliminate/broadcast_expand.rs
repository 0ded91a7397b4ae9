//! Expansions that broadcasting does anyway.
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Dim, Graph, NodeId, Operand, Patch, Tensor, ValueId, schema};

crate::pass! {
    /// Removes an `Expand` in front of an operator that broadcasts to the same shape without it.
    ///
    /// Operators that work element by element may stand in between. A row of an embedding that is
    /// looked up for every element alike is expanded in the same way: the row itself takes its
    /// place.
    ///
    /// ```onnx
    /// g (float[N,4] x, float[N,1] z) => (float[N,4] y)
    /// {
    ///     shape = Shape(x)
    ///     wide = Expand(z, shape)
    ///     y = Div(x, wide)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,4] x, float[N,1] z) => (float[N,4] y)
    /// {
    ///     y = Div(x, z)
    /// }
    /// ```
    pub struct EliminateBroadcastExpand
    name: "eliminate-broadcast-expand",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateBroadcastExpand {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &[
            "Add",
            "And",
            "Div",
            "Equal",
            "Expand",
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "Max",
            "Min",
            "Mod",
            "Mul",
            "Or",
            "Pow",
            "Sub",
            "Where",
            "Xor",
        ]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let expands = |&value: &ValueId| {
            let node = graph.producer(value).map(|producer| &graph[producer]);
            node.is_some_and(|node| {
                ["Expand", "ConstantOfShape", "Gather"].iter().any(|op_type| node.is(op_type))
            })
        };
        if graph[root].is("Expand") {
            return without_expand(graph, root, patch);
        }
        let inputs: Vec<ValueId> = graph[root].inputs().iter().flatten().copied().collect();
        if !schema::is_broadcasting(&graph[root].op_type) || graph.opset() < 8 {
            return Err(Skip::NoMatch);
        }
        for (slot, &wide) in inputs.iter().enumerate().filter(|(_, value)| expands(value)) {
            let Some(narrow) = narrow(graph, wide) else { continue };
            let shape =
                graph.value(wide).shape().or_skip("the rank of the expansion is unknown")?;
            let others: Vec<&[Dim]> = (0..inputs.len())
                .filter(|&other| other != slot)
                .map(|other| graph.value(inputs[other]).shape())
                .collect::<Option<_>>()
                .or_skip("the rank of another operand is unknown")?;
            if !is_given(shape, &narrow.shape(graph), &others) {
                continue;
            }
            let operand: Operand = match narrow {
                Narrow::Value(value) => value.into(),
                Narrow::Constant(tensor) => patch.initializer(graph.value(wide).name(), tensor),
            };
            patch.set_input(root, slot, Some(operand));
            return Ok(());
        }
        Err(Skip::NoMatch)
    }
}

/// Operators between an expansion and those that broadcast anyway.
const MAX_BETWEEN: usize = 32;

/// Reads the operand of an `Expand` in place of its result, when all that depends on the shape of
/// the result broadcasts.
fn without_expand(graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
    let (x, wide) = (graph[root].input(0).or_no_match()?, graph[root].output(0).or_no_match()?);
    let narrow = graph.value(x).shape().or_no_match()?;
    let shape = graph.value(wide).shape().or_no_match()?;
    let values = between(graph, wide, narrow.len()).or_no_match()?;
    let outputs = values.iter().any(|&value| graph.value(value).is_output());
    let readers =
        values.iter().flat_map(|&value| graph.consumers(value).map(move |id| (value, id)));
    let given = |(value, reader): (ValueId, NodeId)| {
        let node = &graph[reader];
        if node.output(0).is_some_and(|output| values.contains(&output)) {
            return true;
        }
        let others: Option<Vec<&[Dim]>> = (node.inputs().iter().flatten())
            .filter(|input| !values.contains(input))
            .map(|&input| graph.value(input).shape())
            .collect();
        let same = graph.value(value).shape().is_some_and(|found| found == shape);
        let broadcasts = schema::is_broadcasting(&node.op_type) && node.is_standard();
        same && broadcasts && others.is_some_and(|others| is_given(shape, narrow, &others))
    };
    if outputs || graph.opset() < 8 || !readers.into_iter().all(given) {
        return Err(Skip::NoMatch);
    }
    patch.replace(wide, x);
    Ok(())
}

/// `wide` and what is made of it and single numbers element by element.
fn between(graph: &Graph, wide: ValueId, rank: usize) -> Option<Vec<ValueId>> {
    let mut values = vec![wide];
    let single = |value: ValueId| {
        let shape = graph.value(value).shape();
        shape.is_some_and(|shape| shape.len() <= rank && shape.iter().all(|dim| *dim == 1))
    };
    let mut at = 0;
    while let Some(&value) = values.get(at) {
        at += 1;
        if graph.value(value).uses().len() > MAX_BETWEEN || values.len() > MAX_BETWEEN {
            return None;
        }
        for reader in graph.consumers(value) {
            let node = &graph[reader];
            let inputs: Vec<ValueId> = node.inputs().iter().flatten().copied().collect();
            let elementwise = node.is_standard()
                && if schema::is_elementwise_unary(&node.op_type) {
                    inputs.iter().skip(1).all(|input| !values.contains(input))
                } else {
                    let fits = |&input: &ValueId| values.contains(&input) || single(input);
                    schema::is_broadcasting(&node.op_type) && inputs.iter().all(fits)
                };
            let made = node.output(0).filter(|made| elementwise && !values.contains(made));
            if let Some(made) = made {
                values.push(made);
                // Another operand of a reader of an earlier value is now known.
                at = 0;
            }
        }
    }
    Some(values)
}

/// What was expanded.
enum Narrow {
    Value(ValueId),
    Constant(Tensor),
}

impl Narrow {
    fn shape(&self, graph: &Graph) -> Vec<Dim> {
        match self {
            Self::Value(value) => graph.value(*value).shape().unwrap_or_default().to_vec(),
            Self::Constant(tensor) => tensor.dims().iter().map(|&dim| dim.into()).collect(),
        }
    }
}

fn narrow(graph: &Graph, wide: ValueId) -> Option<Narrow> {
    let producer = graph.producer(wide)?;
    let node = &graph[producer];
    if node.is("Expand") {
        return node.input(0).map(Narrow::Value);
    }
    if node.is("ConstantOfShape") {
        let value = node.attribute("value").map(|_| node.tensor("value"));
        let tensor =
            value.map_or_else(|| Some(Tensor::vector(&[0.0f32])), |t| Some((**t?).clone()));
        return tensor.filter(|tensor| tensor.len() == 1).map(Narrow::Constant);
    }
    let first_axis = node.is("Gather") && node.int("axis").unwrap_or(0) == 0;
    let table = first_axis.then(|| graph.constant_input(producer, 0)).flatten()?;
    let rows = *table.dims().first()?;
    let index = repeated(graph, node.input(1)?)?;
    let index = if index < 0 { index.checked_add(rows)? } else { index };
    let row = table.gather_axis(0, &[usize::try_from(index).ok()?])?;
    // A scalar index takes the first axis away; one of higher rank has an axis for the row.
    let row_rank = graph.ty(node.input(1)?).rank()?;
    if row_rank == 0 { None } else { Some(Narrow::Constant(row)) }
}

/// The number every element of a value is, if it is one number expanded.
fn repeated(graph: &Graph, value: ValueId) -> Option<i64> {
    let producer = graph.producer(value)?;
    let node = &graph[producer];
    if node.is("Expand") {
        return graph.constant_input(producer, 0).filter(|tensor| tensor.len() == 1)?.as_i64();
    }
    if node.is("ConstantOfShape") {
        return node.tensor("value").filter(|tensor| tensor.len() == 1)?.as_i64();
    }
    None
}

/// Whether operands of shapes `others` and one of shape `narrow` broadcast to the same shape as
/// with one of shape `wide`.
fn is_given(wide: &[Dim], narrow: &[Dim], others: &[&[Dim]]) -> bool {
    let from_right = |shape: &[Dim], axis: usize| {
        shape.len().checked_sub(axis + 1).map(|index| shape[index].clone())
    };
    (0..wide.len()).all(|axis| {
        let dim = from_right(wide, axis);
        let has = |shape: &[Dim]| from_right(shape, axis) == dim;
        has(narrow) || others.iter().any(|&other| has(other))
    }) && narrow.len() <= wide.len()
}

#[cfg(test)]
mod tests {
    use super::EliminateBroadcastExpand;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn takes_the_row_that_is_looked_up_for_all() {
        assert_snapshot!(rewrite(&EliminateBroadcastExpand {}, "
            g (float[N,M,2] x) => (float[N,M,2] y)
            <float[2,2] table = {1, 2, 3, 4}, int64[1] one = {1}>
            {
                rows = Shape<start = 0, end = 2>(x)
                indices = Expand(one, rows)
                kinds = Gather(table, indices)
                y = Add(x, kinds)
            }
        "), @r"
        eliminate-broadcast-expand: 1 rewrites
        g (float[N,M,2] x) => (float[N,M,2] y)
        <float[1,2] kinds_1 = {3, 4}>
        {
            y = Add(x, kinds_1)
        }
        ");
    }

    #[test]
    fn looks_through_operators_that_work_element_by_element() {
        assert_snapshot!(rewrite(&EliminateBroadcastExpand {}, "
            g (float[2,4,3,3] x, bool[2,1,1,3] mask) => (float[2,4,3,3] y)
            <int64[4] shape = {2, 1, 3, 3}, float one = {1}, float low = {-100}>
            {
                wide = Expand(mask, shape)
                a = Cast<to = 1>(wide)
                b = Sub(one, a)
                c = Cast<to = 9>(b)
                d = Where(c, low, b)
                y = Add(x, d)
            }
        "), @r"
        eliminate-broadcast-expand: 1 rewrites
        g (float[2,4,3,3] x, bool[2,1,1,3] mask) => (float[2,4,3,3] y)
        <float one = {1}, float low = {-100}>
        {
            a = Cast <to = 1> (mask)
            b = Sub(one, a)
            c = Cast <to = 9> (b)
            d = Where(c, low, b)
            y = Add(x, d)
        }
        ");
    }

    #[test]
    fn keeps_an_expand_whose_shape_something_else_needs() {
        assert_snapshot!(rewrite(&EliminateBroadcastExpand {}, "
            g (float[2,3] x, float[2,1] z) => (float[2,3] y, float[2] s)
            <int64[2] shape = {2, 3}, int64[1] one = {1}>
            {
                wide = Expand(z, shape)
                a = Relu(wide)
                s = ReduceSum<keepdims = 0>(a, one)
                y = Add(x, a)
            }
        "), @r"
        eliminate-broadcast-expand: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_an_expand_that_gives_the_shape() {
        assert_snapshot!(rewrite(&EliminateBroadcastExpand {}, "
            g (float[1,4] x, float[1,1] z) => (float[3,4] y)
            <int64[2] shape = {3, 4}>
            {
                wide = Expand(z, shape)
                y = Div(x, wide)
            }
        "), @r"
        eliminate-broadcast-expand: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_an_expand_among_unknown_shapes() {
        assert_snapshot!(rewrite_unexecuted(&EliminateBroadcastExpand {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[1,4] x) => (float y, float z)
            <int64[2] shape = {3, 4}>
            {
                mystery = custom.Mystery(x)
                wide = Expand(x, shape)
                y = Add(mystery, wide)
                number = custom.Shape(x)
                unknown = Expand(x, number)
                z = Add(x, unknown)
            }
        "#), @r"
        eliminate-broadcast-expand: 0 rewrites
        skipped 1: the rank of another operand is unknown
        skipped 1: the rank of the expansion is unknown
        unchanged
        ");
    }
}
