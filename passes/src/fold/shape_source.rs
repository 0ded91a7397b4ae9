//! Dimensions that an input of the graph has too.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Asks an input of the graph for its dimensions, not a value computed from it.
    ///
    /// The same question then has the same node, and what is computed from the answer is computed
    /// once.
    ///
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y, int64[1] n)
    /// {
    ///     y = Relu(x)
    ///     n = Shape<start = 0, end = 1>(y)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[N,4] x) => (float[N,4] y, int64[1] n)
    /// {
    ///     y = Relu(x)
    ///     n = Shape<start = 0, end = 1>(x)
    /// }
    /// ```
    pub struct FoldShapeSource
    name: "fold-shape-source",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldShapeSource {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Gather", "Shape"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let shape = if graph[root].is("Shape") {
            root
        } else {
            let shape = graph.producer(graph[root].input(0).or_no_match()?);
            shape.filter(|&id| graph[id].is("Shape")).or_no_match()?
        };
        let source = graph[shape].input(0).or_no_match()?;
        let elements = graph.value(y).elements().unwrap_or_default();
        let open = elements.iter().any(|dim| dim.value().is_none());
        if graph.value(source).is_input() || !open {
            return Err(Skip::NoMatch);
        }
        let found = graph.required_inputs().find_map(|id| Some((id, place(graph, id, elements)?)));
        let (input, start) = found.or_skip("no input of the graph has the dimensions")?;
        if shape == root {
            let end = start + elements.len();
            let whole = start == 0 && graph.ty(input).rank() == Some(end);
            require(whole || graph.opset() >= 15, "Shape has no start before opset 15")?;
            patch.set_input(root, 0, Some(input.into()));
            for (name, at) in [("start", start), ("end", end)] {
                if whole {
                    patch.remove_attribute(root, name);
                } else {
                    patch.set_attribute(root, name, at as i64);
                }
            }
            return Ok(());
        }
        let single = graph.ty(y).rank() == Some(0)
            && graph.only_use(graph[root].input(0).or_no_match()?).is_some();
        require(single, "the shape or another dimension of it is needed anyway")?;
        let index = patch
            .initializer(format!("{}_axis", graph.value(y).name()), Tensor::scalar(start as i64));
        let asked = patch.node(NewNode::new("Shape").input(input));
        let gather = NewNode::like(graph, root).with_input(0, asked).with_input(1, index);
        let gather = patch.node(gather.attribute("axis", 0));
        patch.replace(y, gather);
        Ok(())
    }
}

/// Where `elements` stand in the shape of a value.
fn place(graph: &Graph, value: ValueId, elements: &[Dim]) -> Option<usize> {
    graph.value(value).shape()?.windows(elements.len()).position(|dims| dims == elements)
}

#[cfg(test)]
mod tests {
    use super::FoldShapeSource;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn asks_for_a_single_dimension() {
        assert_snapshot!(rewrite(&FoldShapeSource {}, "
            g (float[4,N] x) => (float[N,4] y, int64 n)
            <int64 zero = {0}>
            {
                y = Transpose(x)
                shape = Shape(y)
                n = Gather(shape, zero)
            }
        "), @r"
        fold-shape-source: 1 rewrites
        g (float[4,N] x) => (float[N,4] y, int64 n)
        <int64 n_axis = {1}>
        {
            y = Transpose(x)
            n_shape = Shape(x)
            n = Gather <axis = 0> (n_shape, n_axis)
        }
        ");
    }

    #[test]
    fn keeps_what_an_input_does_not_tell() {
        assert_snapshot!(rewrite(&FoldShapeSource {}, "
            g (float[4,N] x) => (float[N,4] y, int64 n, int64[1] m, int64[1] k)
            <int64 zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] rest = {-1}>
            {
                y = Transpose(x)
                shape = Shape(y)
                n = Gather(shape, zero)
                m = Gather(shape, one)
                flat = Reshape(x, rest)
                k = Shape(flat)
            }
        "), @r"
        fold-shape-source: 0 rewrites
        skipped 2: no input of the graph has the dimensions
        skipped 1: the shape or another dimension of it is needed anyway
        unchanged
        ");
    }

    #[test]
    fn keeps_a_part_of_the_input_in_opset_14() {
        assert_snapshot!(rewrite_unexecuted(&FoldShapeSource {}, r#"
            <ir_version: 7, opset_import: ["" : 14]>
            g (float[4,N] x) => (int64[1] n)
            <int64[1] zero = {0}>
            {
                flat = ReduceSum<keepdims = 0>(x, zero)
                n = Shape(flat)
            }
        "#), @r"
        fold-shape-source: 0 rewrites
        skipped 1: Shape has no start before opset 15
        unchanged
        ");
    }
}
