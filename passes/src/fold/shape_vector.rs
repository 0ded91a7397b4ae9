//! Vectors of dimensions, computed the short way.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, ElemType, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};
use rustc_hash::FxHashSet;

crate::pass! {
    /// Computes a vector of dimensions by the fewest of `Shape` and `Concat`.
    ///
    /// Exporters take every dimension out of a shape, and put the shape together again. Where
    /// shape inference knows which dimensions they are, `Shape` reads as many at once as stand
    /// side by side.
    ///
    /// ```onnx
    /// g (float[1,4] x, float[N,M,4] z) => (float[N,M,4] y)
    /// <int64 zero = {0}, int64 one = {1}, int64[1] axis = {0}, int64[1] four = {4}>
    /// {
    ///     shape = Shape(z)
    ///     n = Gather(shape, zero)
    ///     m = Gather(shape, one)
    ///     rows = Unsqueeze(n, axis)
    ///     columns = Unsqueeze(m, axis)
    ///     wanted = Concat<axis = 0>(rows, columns, four)
    ///     y = Expand(x, wanted)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,4] x, float[N,M,4] z) => (float[N,M,4] y)
    /// {
    ///     wanted = Shape(z)
    ///     y = Expand(x, wanted)
    /// }
    /// ```
    pub struct FoldShapeVector
    name: "fold-shape-vector",
    accuracy: Exact,
    emits: ["Shape", "Concat"],
}

/// Nodes looked at above a vector.
const MAX_CONE: usize = 64;

/// Inputs of the graph whose shapes are compared.
const MAX_INPUTS: usize = 16;

impl Rule for FoldShapeVector {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Cast", "Concat", "Expand", "Gather", "Reshape", "Slice", "Unsqueeze", "Where"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let vector = graph[root].output(0).or_no_match()?;
        let ty = graph.ty(vector);
        let elements = ty.elements.as_deref().or_no_match()?;
        let open = elements.iter().any(|dim| dim.value().is_none());
        if !open || ty.rank() != Some(1) || ty.elem_type != Some(ElemType::INT64) {
            return Err(Skip::NoMatch);
        }
        let sources = sources(graph, root);
        let runs = runs(graph, elements, &sources);
        let runs = runs.or_skip("a dimension is of no value the vector is computed from")?;
        let whole = |run: &Run| match run {
            Run::Numbers(_) => true,
            Run::Dims { of, start, end } => *start == 0 && graph.ty(*of).rank() == Some(*end),
        };
        let fits = graph.opset() >= 15 || runs.iter().all(whole);
        require(fits, "Shape has no start before opset 15")?;
        let shapes = runs.iter().filter(|run| matches!(run, Run::Dims { .. })).count();
        let cost = shapes + usize::from(runs.len() > 1);
        if cost >= owned(graph, root) {
            return Err(Skip::NoMatch);
        }
        let name = graph.value(vector).name();
        let parts: Vec<Operand> = runs
            .iter()
            .map(|run| match run {
                Run::Numbers(numbers) => patch.initializer(name, Tensor::vector(numbers)),
                Run::Dims { of, start, end } => {
                    let mut shape = NewNode::new("Shape").input(*of);
                    if !whole(run) {
                        shape = shape.attribute("start", *start as i64);
                        shape = shape.attribute("end", *end as i64);
                    }
                    patch.node(shape)
                }
            })
            .collect();
        let made = match parts.as_slice() {
            [only] => *only,
            _ => {
                let concat = NewNode::new("Concat").attribute("axis", 0);
                patch.node(parts.into_iter().fold(concat, NewNode::input))
            }
        };
        patch.replace(vector, made);
        Ok(())
    }
}

/// Elements next to each other that are made by one node or are constants.
enum Run {
    Numbers(Vec<i64>),
    Dims { of: ValueId, start: usize, end: usize },
}

/// Values whose shapes can be asked for where `root` is: inputs of the graph, what `root` asks
/// already, and what that is computed from.
fn sources(graph: &Graph, root: NodeId) -> Vec<ValueId> {
    let mut sources: Vec<ValueId> = graph.required_inputs().take(MAX_INPUTS).collect();
    let mut asked = Vec::new();
    let mut seen = FxHashSet::default();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        let node = &graph[id];
        if node.is("Shape") {
            asked.extend(node.input(0));
            continue;
        }
        for producer in node.inputs().iter().flatten().filter_map(|&x| graph.producer(x)) {
            if seen.len() < MAX_CONE && seen.insert(producer) {
                waiting.push(producer);
            }
        }
    }
    let mut at = 0;
    while at < asked.len() && asked.len() < MAX_CONE {
        let above = graph.producer(asked[at]).map_or(&[][..], |producer| graph[producer].inputs());
        for &value in above.iter().flatten() {
            if graph.constant(value).is_none() && !asked.contains(&value) {
                asked.push(value);
            }
        }
        at += 1;
    }
    sources.extend(asked);
    sources
}

/// The elements as runs, from the left, each as long as possible.
fn runs(graph: &Graph, elements: &[Dim], sources: &[ValueId]) -> Option<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    let mut at = 0;
    while let Some(dim) = elements.get(at) {
        if let Some(number) = dim.value() {
            match runs.last_mut() {
                Some(Run::Numbers(numbers)) => numbers.push(number),
                _ => runs.push(Run::Numbers(vec![number])),
            }
            at += 1;
            continue;
        }
        let mut best: Option<(ValueId, usize, usize)> = None;
        for &of in sources {
            let shape = graph.ty(of).shape.as_deref().unwrap_or_default();
            for start in 0..shape.len() {
                let pairs = shape[start..].iter().zip(&elements[at..]);
                let length = pairs.take_while(|(a, b)| a == b).count();
                if length > best.map_or(0, |(.., length)| length) {
                    best = Some((of, start, length));
                }
            }
        }
        let (of, start, length) = best?;
        runs.push(Run::Dims { of, start, end: start + length });
        at += length;
    }
    Some(runs)
}

/// The number of nodes that go with `root`: itself and what only it needs.
fn owned(graph: &Graph, root: NodeId) -> usize {
    let mut owned = vec![root];
    let mut at = 0;
    while at < owned.len() && owned.len() < MAX_CONE {
        for producer in
            graph[owned[at]].inputs().iter().flatten().filter_map(|&x| graph.producer(x))
        {
            let mut outputs = graph[producer].outputs().iter().flatten();
            let goes = outputs.all(|&output| {
                !graph.value(output).is_output()
                    && graph.value(output).uses().len() <= MAX_CONE
                    && graph.consumers(output).all(|reader| owned.contains(&reader))
            });
            if goes && !owned.contains(&producer) {
                owned.push(producer);
                // What an earlier member reads may be read by this one too.
                at = 0;
                break;
            }
        }
        at += 1;
    }
    owned.len()
}

#[cfg(test)]
mod tests {
    use super::FoldShapeVector;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn reads_one_dimension_with_one_node() {
        assert_snapshot!(rewrite(&FoldShapeVector {}, "
            g (float[N,4] x, float[1,3] z) => (float[N,3] y)
            <int64 index = {0}, int64[1] axis = {0}, int64[1] three = {3}>
            {
                shape = Shape(x)
                batch = Gather(shape, index)
                rows = Unsqueeze(batch, axis)
                wanted = Concat<axis = 0>(rows, three)
                y = Expand(z, wanted)
            }
        "), @r"
        fold-shape-vector: 1 rewrites
        g (float[N,4] x, float[1,3] z) => (float[N,3] y)
        <int64[1] three = {3}>
        {
            rows = Shape <start = 0, end = 1> (x)
            wanted = Concat <axis = 0> (rows, three)
            y = Expand(z, wanted)
        }
        ");
    }

    #[test]
    fn keeps_a_dimension_that_is_computed() {
        assert_snapshot!(rewrite(&FoldShapeVector {}, "
            g (float[N,4] x, float[1] z) => (float[P] y)
            <int64[1] two = {2}, int64[1] three = {3}>
            {
                batch = Shape<start = 0, end = 1>(x)
                twice = Mul(batch, two)
                wanted = Concat<axis = 0>(twice, three)
                y = Expand(z, wanted)
            }
        "), @r"
        fold-shape-vector: 0 rewrites
        skipped 1: a dimension is of no value the vector is computed from
        unchanged
        ");
    }

    #[test]
    fn keeps_parts_of_shapes_in_opset_14() {
        assert_snapshot!(rewrite_unexecuted(&FoldShapeVector {}, r#"
            <ir_version: 7, opset_import: ["" : 14]>
            g (float[N,4] x, float[1,3] z) => (float[N,3] y)
            <int64 index = {0}, int64[1] axis = {0}, int64[1] three = {3}>
            {
                shape = Shape(x)
                batch = Gather(shape, index)
                rows = Unsqueeze(batch, axis)
                wanted = Concat<axis = 0>(rows, three)
                y = Expand(z, wanted)
            }
        "#), @r"
        fold-shape-vector: 0 rewrites
        skipped 2: Shape has no start before opset 15
        unchanged
        ");
    }
}
