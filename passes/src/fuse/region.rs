//! The nodes between an operator's inputs and its output.
use crate::{Skip, require};
use lapidary_ir::{Graph, NodeId, ValueId};

/// Requires that the nodes between `inputs` and the output of `root` hand values to each other
/// alone: otherwise they would stay, beside the operator that replaces them.
///
/// # Errors
/// When a value on the way is read elsewhere or is a graph output.
pub(super) fn require_closed(graph: &Graph, root: NodeId, inputs: &[ValueId]) -> Result<(), Skip> {
    let mut nodes = vec![root];
    let mut values = Vec::new();
    let mut next = 0;
    while let Some(&id) = nodes.get(next) {
        next += 1;
        for &value in graph[id].inputs().iter().flatten() {
            let Some(producer) = graph.producer(value).filter(|_| !inputs.contains(&value)) else {
                continue;
            };
            values.push(value);
            if !nodes.contains(&producer) {
                nodes.push(producer);
            }
        }
    }
    let is_inner = |&value: &ValueId| {
        !graph.value(value).is_output()
            && graph.consumers(value).all(|reader| nodes.contains(&reader))
    };
    require(values.iter().all(is_inner), "an intermediate value is read elsewhere")
}
