//! `Slice` to the end, when the end is computed.
use lapidary_ir::{Graph, NodeId, Patch, Tensor};

/// Ends from here on stand for the end of the axis.
const BEYOND: i64 = i32::MAX as i64;

/// Whether the ends are computed from constants and lie beyond every axis: the runtime then adds
/// to them and gives nothing at all.
pub(super) fn applies(graph: &Graph, id: NodeId) -> bool {
    ends(graph, id).is_some_and(|ends| ends.iter().any(|&end| end >= BEYOND))
}

/// The same with the ends as an initializer.
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let mut patch = Patch::default();
    let ends = patch.initializer("ends", Tensor::vector(&ends(graph, id)?));
    patch.set_input(id, 2, Some(ends));
    Some(patch)
}

/// The ends, if they are computed and known nevertheless.
fn ends(graph: &Graph, id: NodeId) -> Option<Vec<i64>> {
    let ends = graph.value(graph[id].input(2)?);
    ends.producer()?;
    ends.elements()?.iter().map(lapidary_ir::Dim::value).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    #[test]
    fn a_computed_end_beyond_the_axis_is_its_end() {
        let interface = "
            g (float[1,4] x) => (float[1,4] y)
            <int64[1] zero = {0}, int64[1] one = {1}, int64[1] axis = {0}, int64 end = {9223372036854775807},
             int64[1] shape = {-1}, int64[1] far = {9223372036854775807}>
        ";
        let computed = "e = Reshape(end, shape) y = Slice(x, zero, e, axis, one)";
        assert_same(interface, computed, "y = Slice(x, zero, far, axis, one)");
    }
}
