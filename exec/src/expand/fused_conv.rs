//! `com.microsoft.FusedConv` as `Conv`, `Add` and an activation.
use lapidary_ir::{Graph, NewNode, NodeId, Patch, Tensor};

/// y = activation(Conv(x, w, b) + z)
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let mut patch = Patch::default();
    let conv = NewNode::like(graph, id)
        .domain("")
        .op_type("Conv")
        .without_attribute("activation")
        .without_attribute("activation_params")
        .truncate_inputs(if node.input(2).is_some() { 3 } else { 2 });
    let mut value = patch.node(conv);
    if let Some(z) = node.input(3) {
        value = patch.node(NewNode::new("Add").input(value).input(z));
    }

    let op_type = node.string("activation").unwrap_or("");
    let parameters = node.floats("activation_params").unwrap_or(&[]);
    let activation = NewNode::new(op_type).input(value);
    let activation = match (op_type, parameters) {
        ("", _) => None,
        ("Relu" | "Sigmoid" | "Tanh", _) => Some(activation),
        ("LeakyRelu", &[alpha]) => Some(activation.attribute("alpha", alpha)),
        ("HardSigmoid", &[alpha, beta]) => {
            Some(activation.attribute("alpha", alpha).attribute("beta", beta))
        }
        ("Clip", &[min, max]) if graph.opset() < 11 => {
            Some(activation.attribute("min", min).attribute("max", max))
        }
        ("Clip", &[min, max]) => {
            let min = patch.initializer("min", Tensor::scalar(min));
            let max = patch.initializer("max", Tensor::scalar(max));
            Some(activation.input(min).input(max))
        }
        _ => return None,
    };
    if let Some(activation) = activation {
        value = patch.node(activation);
    }
    patch.replace(node.output(0)?, value);
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_same;

    const INTERFACE: &str = "
        g (float[1,2,4,4] x) => (float[1,3,2,2] y)
        <float[3,2,3,3] w, float[3] b, float[1,3,2,2] z, float low = {-0.5}, float high = {0.5}>
    ";

    #[test]
    fn runs_a_fused_conv_as_what_it_stands_for() {
        let cases = [
            ("(x, w)", "c = Conv(x, w) y = Identity(c)"),
            (r#"<activation = "Relu"> (x, w, b)"#, "c = Conv(x, w, b) y = Relu(c)"),
            (
                r#"<activation = "LeakyRelu", activation_params = [0.25]> (x, w, , z)"#,
                "c = Conv(x, w) s = Add(c, z) y = LeakyRelu <alpha = 0.25> (s)",
            ),
            (
                r#"<activation = "HardSigmoid", activation_params = [0.25, 0.75]> (x, w)"#,
                "c = Conv(x, w) y = HardSigmoid <alpha = 0.25, beta = 0.75> (c)",
            ),
            (
                r#"<activation = "Clip", activation_params = [-0.5, 0.5]> (x, w)"#,
                "c = Conv(x, w) y = Clip(c, low, high)",
            ),
        ];
        for (fused, plain) in cases {
            assert_same(INTERFACE, &format!("y = com.microsoft.FusedConv {fused}"), plain);
        }
    }
}
