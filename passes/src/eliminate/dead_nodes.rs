//! Nodes and initializers that nothing reads.
use crate::{Context, Pass, PassError, PassInfo};
use lapidary_ir::{Graph, Model, Patch};

crate::pass! {
    /// Removes nodes whose outputs nobody reads, and initializers nobody reads.
    ///
    /// Graph inputs stay, with their initializers: they are the interface of the model. A value
    /// that a subgraph reads is read.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float[1,3] w = {1, 2, 3}, float[2] unused = {1, 2}>
    /// {
    ///     y = Relu(x)
    ///     a = Add(x, w)
    ///     b = Abs(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// ```
    pub struct EliminateDeadNodes
    name: "eliminate-dead-nodes",
    accuracy: Exact,
    emits: [],
}

impl Pass for EliminateDeadNodes {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        context.record(&Self::INFO);
        // What only dead subgraphs read is dead once they are gone: outer graphs come first.
        model.edit_graphs(|graph| eliminate(graph, context))?;
        Ok(())
    }
}

fn eliminate(graph: &mut Graph, context: &mut Context) -> Result<bool, PassError> {
    let mut patch = Patch::default();
    for (id, node) in graph.nodes() {
        // What only dead nodes read dies with them when the patch is applied.
        if node.outputs().iter().flatten().all(|&output| graph.value(output).is_unused()) {
            patch.remove(id);
        }
    }
    let unused = |&id: &_| graph.value(id).is_unused() && !graph.value(id).is_input();
    let initializers: Vec<_> = graph.initializers().map(|(id, _)| id).filter(unused).collect();
    for &id in &initializers {
        patch.remove_initializer(id);
    }
    if patch.is_empty() {
        return Ok(false);
    }
    let applied = context.apply(&EliminateDeadNodes::INFO, graph, patch)?;
    context.record(&EliminateDeadNodes::INFO).rewrites += applied.removed + initializers.len();
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::EliminateDeadNodes;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_an_unused_graph_input_with_its_initializer() {
        assert_snapshot!(rewrite(&EliminateDeadNodes {}, "
            g (float[3] x, float[3] w = {1, 2, 3}) => (float[3] y)
            {
                y = Relu(x)
            }
        "), @r"
        eliminate-dead-nodes: 0 rewrites (no match)
        unchanged
        ");
    }
}
