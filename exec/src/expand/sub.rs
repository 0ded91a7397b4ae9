//! `Sub` of a convolution from a constant.
use super::part;
use lapidary_ir::{Graph, NodeId, Patch};

/// Whether a convolution is subtracted from a constant: the runtime's optimizer subtracts the
/// constant from the convolution.
pub(super) fn applies(graph: &Graph, id: NodeId) -> bool {
    let of_conv = |slot| {
        let producer = graph[id].input(slot).and_then(|value| graph.producer(value));
        producer.is_some_and(|producer| graph[producer].op_type.starts_with("Conv"))
    };
    graph.constant_input(id, 0).is_some() && of_conv(1)
}

/// k − c = −c + k
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let mut patch = Patch::default();
    let negative = patch.node(part(graph, id, "Neg", "negative").input(node.input(1)?));
    let sum = part(graph, id, "Add", "sum").input(negative).input(node.input(0)?);
    let sum = patch.node(sum);
    patch.replace(node.output(0)?, sum);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    #[test]
    fn the_constant_is_what_is_subtracted_from() {
        let interface = "
            g (float[1,2,5,5] x) => (float[1,3,5,5] y) <float[3,2,1,1] w, float k = {1}, float minus = {-1}>
        ";
        let plain = "c = Conv(x, w) n = Mul(c, minus) y = Add(n, k)";
        assert_same(interface, "c = Conv(x, w) y = Sub(k, c)", plain);
    }
}
