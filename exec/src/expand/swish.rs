//! `Swish` as `Sigmoid` and products.
use super::part;
use lapidary_ir::{ElemType, Graph, NodeId, Patch, Tensor};

/// y = x · sigmoid(alpha · x)
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let x = node.input(0)?;
    let alpha = node.float("alpha")?;
    if graph.ty(x).elem_type != Some(ElemType::FLOAT) {
        return None;
    }
    let mut patch = Patch::default();
    let alpha = patch.initializer("alpha", Tensor::scalar(alpha));
    let steep = patch.node(part(graph, id, "Mul", "steep").input(x).input(alpha));
    let gate = patch.node(part(graph, id, "Sigmoid", "gate").input(steep));
    let y = patch.node(part(graph, id, "Mul", "gated").input(x).input(gate));
    patch.replace(node.output(0)?, y);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    #[test]
    fn multiplies_inside_the_gate() {
        let interface = r#"
            <ir_version: 11, opset_import: ["" : 24]>
            g (float[2,4] x) => (float[2,4] y) <float alpha = {1.702}>
        "#;
        let plain = "s = Mul(x, alpha) g = Sigmoid(s) y = Mul(x, g)";
        assert_same(interface, "y = Swish <alpha = 1.702> (x)", plain);
    }
}
