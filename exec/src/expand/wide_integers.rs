//! `QuantizeLinear` and `DequantizeLinear` of integers the runtime has no kernels for, as arithmetic of floating-point numbers
//! that are whole: those of 16 bits are exact in 24.
use super::part;
use lapidary_ir::{ElemType, Graph, NodeId, Patch, Tensor};

/// Whether the zero point, and with it what is quantized, is of 16 bits, with one scale for all.
pub(super) fn applies(graph: &Graph, id: NodeId) -> bool {
    scale(graph, id).is_some() && ends(graph, id).is_some()
}

/// The smallest and the largest integer.
fn ends(graph: &Graph, id: NodeId) -> Option<(f32, f32)> {
    match graph.constant(graph[id].input(2)?)?.elem_type() {
        ElemType::UINT16 => Some((0.0, 65535.0)),
        ElemType::INT16 => Some((-32768.0, 32767.0)),
        _ => None,
    }
}

fn scale(graph: &Graph, id: NodeId) -> Option<f32> {
    graph.constant(graph[id].input(1)?)?.as_f32()
}

/// q = clip(round(x / scale) + zero point) and x = (q − zero point) · scale
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let (x, (low, high)) = (node.input(0)?, ends(graph, id)?);
    let zero_point = graph.constant(node.input(2)?)?.to_i64()?.first().copied()? as f32;
    let mut patch = Patch::default();
    let scale = patch.initializer("scale", Tensor::scalar(scale(graph, id)?));
    let zero_point = patch.initializer("zero_point", Tensor::scalar(zero_point));
    let y = if node.is("QuantizeLinear") {
        let low = patch.initializer("low", Tensor::scalar(low));
        let high = patch.initializer("high", Tensor::scalar(high));
        let steps = patch.node(part(graph, id, "Div", "steps").input(x).input(scale));
        let whole = patch.node(part(graph, id, "Round", "whole").input(steps));
        let moved = patch.node(part(graph, id, "Add", "moved").input(whole).input(zero_point));
        let clip = part(graph, id, "Clip", "clipped").input(moved).input(low).input(high);
        patch.node(clip)
    } else {
        let float = i64::from(ElemType::FLOAT.0);
        let numbers = patch.node(part(graph, id, "Cast", "float").input(x).attribute("to", float));
        let moved = patch.node(part(graph, id, "Sub", "moved").input(numbers).input(zero_point));
        patch.node(part(graph, id, "Mul", "scaled").input(moved).input(scale))
    };
    patch.replace(node.output(0)?, y);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    #[test]
    fn sixteen_bits_are_whole_floats() {
        let interface = r#"
            <ir_version: 10, opset_import: ["" : 21]>
            g (float[2,4] x) => (float[2,4] y)
            <float s = {0.25}, float fine = {0.0001}, uint16 z = {3}, int16 n = {-2}, float low = {-0.75},
             float high = {16383}, float four = {4}>
        "#;
        let unsigned = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)";
        let plain = "d = Mul(x, four) r = Round(d) m = Mul(r, s) y = Clip(m, low, high)";
        assert_same(interface, unsigned, plain);
        let signed = "q = QuantizeLinear(x, s, n) y = DequantizeLinear(q, s, n)";
        assert_same(interface, signed, "d = Mul(x, four) r = Round(d) y = Mul(r, s)");
    }
}
