//! Integers that shape inference knows.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Dim, ElemType, Graph, NodeId, Patch, Tensor, ValueId};

crate::pass! {
    /// Turns shapes and numbers computed from shapes into initializers, where shape inference
    /// knows them all.
    ///
    /// That needs no run of anything: the shape of a value is known although the value is not.
    ///
    /// ```onnx
    /// g (float[2,3,4] x) => (float[6,4] y)
    /// <int64[1] last = {4}>
    /// {
    ///     shape = Shape<start = 0, end = 2>(x)
    ///     rows = ReduceProd(shape)
    ///     wanted = Concat<axis = 0>(rows, last)
    ///     y = Reshape(x, wanted)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] x) => (float[6,4] y)
    /// <int64[2] wanted = {6, 4}>
    /// {
    ///     y = Reshape(x, wanted)
    /// }
    /// ```
    pub struct FoldKnownElements
    name: "fold-known-elements",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldKnownElements {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &[]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let known = |&id: &ValueId| is_known(graph, id) && is_needed(graph, id);
        let outputs: Vec<ValueId> = graph[root].outputs().iter().flatten().copied().collect();
        let outputs: Vec<ValueId> = outputs.into_iter().filter(known).collect();
        if outputs.is_empty() {
            return Err(Skip::NoMatch);
        }
        for id in outputs {
            require(!graph.value(id).is_output(), "a graph output can't be an initializer")?;
            let tensor = data(graph, id).or_no_match()?;
            let initializer = patch.initializer(graph.value(id).name(), tensor);
            patch.replace(id, initializer);
        }
        Ok(())
    }
}

fn is_known(graph: &Graph, id: ValueId) -> bool {
    let number = |dim: &Dim| dim.value().is_some();
    graph.value(id).elements().is_some_and(|elements| elements.iter().all(number))
}

/// Whether something reads the value that will not be an initializer itself.
fn is_needed(graph: &Graph, id: ValueId) -> bool {
    let computes = |&reader: &NodeId| {
        let mut outputs = graph[reader].outputs().iter().flatten();
        outputs.any(|&output| !is_known(graph, output) || graph.value(output).is_output())
    };
    graph.value(id).is_output() || graph.consumers(id).any(|reader| computes(&reader))
}

fn data(graph: &Graph, id: ValueId) -> Option<Tensor> {
    let ty = graph.ty(id);
    let elements: Vec<i64> = ty.elements.as_ref()?.iter().map(Dim::value).collect::<Option<_>>()?;
    let tensor = match ty.elem_type? {
        ElemType::INT64 => Tensor::vector(&elements),
        ElemType::INT32 => {
            let elements = elements.into_iter().map(i32::try_from);
            Tensor::vector(&elements.collect::<Result<Vec<_>, _>>().ok()?)
        }
        ElemType::BOOL => {
            Tensor::vector(&elements.into_iter().map(|element| element != 0).collect::<Vec<_>>())
        }
        _ => return None,
    };
    tensor.reshaped(ty.dims()?).ok()
}

#[cfg(test)]
mod tests {
    use super::FoldKnownElements;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn folds_what_does_not_depend_on_a_symbolic_dimension() {
        assert_snapshot!(rewrite(&FoldKnownElements {}, "
            g (float[N,3,4] x) => (float[N,12] y)
            <int64 index = {0}, int64[1] axis = {0}>
            {
                shape = Shape(x)
                batch = Gather(shape, index)
                rest = Shape<start = 1>(x)
                length = ReduceProd(rest)
                one = Unsqueeze(batch, axis)
                wanted = Concat<axis = 0>(one, length)
                y = Reshape(x, wanted)
            }
        "), @r"
        fold-known-elements: 1 rewrites
        g (float[N,3,4] x) => (float[N,12] y)
        <int64 index = {0}, int64[1] axis = {0}, int64[1] length = {12}>
        {
            shape = Shape(x)
            batch = Gather(shape, index)
            one = Unsqueeze(batch, axis)
            wanted = Concat <axis = 0> (one, length)
            y = Reshape(x, wanted)
        }
        ");
    }

    #[test]
    fn keeps_one_that_is_a_graph_output() {
        assert_snapshot!(rewrite(&FoldKnownElements {}, "
            g (float[2,3] x) => (int64[2] y)
            {
                y = Shape(x)
            }
        "), @r"
        fold-known-elements: 0 rewrites
        skipped 1: a graph output can't be an initializer
        unchanged
        ");
    }
}
