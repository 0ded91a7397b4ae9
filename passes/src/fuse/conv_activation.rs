//! `Conv` and its activation as ONNX Runtime's own operator.
use super::unit::{Unit, units};
use crate::{Context, OrSkip, Pass, PassError, PassInfo, Skip};
use lapidary_ir::{ElemType, Graph, Model, NewNode, Node, Patch};
use std::borrow::Cow;

crate::pass! {
    /// Makes one `com.microsoft.FusedConv` of a `Conv` and its activation.
    ///
    /// Opt-in: ONNX Runtime alone has the operator, and makes it by itself when it loads a model. This
    /// is for models that are loaded with its optimizer turned off.
    ///
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,4,6,6] y)
    /// <float[4,3,3,3] w>
    /// {
    ///     c = Conv(x, w)
    ///     y = Relu(c)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,4,6,6] y)
    /// <float[4,3,3,3] w>
    /// {
    ///     y = com.microsoft.FusedConv <activation = "Relu"> (x, w)
    /// }
    /// ```
    pub struct FuseConvActivation
    name: "fuse-conv-activation",
    accuracy: Rounding,
    emits: ["com.microsoft.FusedConv"],
}

impl Pass for FuseConvActivation {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        context.record(&Self::INFO);
        for unit in units(&model.graph) {
            let mut patch = Patch::default();
            match fuse(&model.graph, &unit, &mut patch) {
                Err(skip) => context.record(&Self::INFO).answer(skip),
                Ok(()) => {
                    model.import_opset("com.microsoft", 1);
                    let done = model.graph.apply(patch);
                    let done =
                        done.map_err(|source| PassError::Patch { pass: Self::INFO.name, source })?;
                    model.graph.infer_from(&done.touched);
                    context.record(&Self::INFO).rewrites += 1;
                }
            }
        }
        Ok(())
    }
}

fn fuse(graph: &Graph, unit: &Unit, patch: &mut Patch) -> Result<(), Skip> {
    let activation = &graph[unit.activation.or_no_match()?];
    let parameters = parameters(activation, unit).ok_or_else(|| {
        Skip::Because(Cow::Owned(format!("FusedConv does not know {}", activation.op_type)))
    })?;
    let x = graph[unit.conv].input(0).or_no_match()?;
    let float = graph.ty(x).elem_type.filter(|&elem_type| elem_type == ElemType::FLOAT);
    float.or_skip("FusedConv computes in float only")?;

    let mut fused = NewNode::like(graph, unit.conv)
        .domain("com.microsoft")
        .op_type("FusedConv")
        .attribute("activation", activation.op_type.as_str());
    if !parameters.is_empty() {
        fused = fused.attribute("activation_params", parameters);
    }
    let fused = patch.node(fused);
    patch.replace(unit.output, fused);
    Ok(())
}

/// `activation_params` as ONNX Runtime's own optimizer writes them.
fn parameters(activation: &Node, unit: &Unit) -> Option<Vec<f32>> {
    let float = |name, default| activation.float(name).unwrap_or(default);
    Some(match activation.op_type.as_str() {
        "Relu" | "Sigmoid" | "Tanh" => Vec::new(),
        "LeakyRelu" => vec![float("alpha", 0.01)],
        "HardSigmoid" => vec![float("alpha", 0.2), float("beta", 0.5)],
        "Clip" => vec![unit.range.0.unwrap_or(f32::MIN), unit.range.1.unwrap_or(f32::MAX)],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn passes_the_parameters_of_activations_on() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,8,8] y)
            <float[3,3,1,1] w, float[3] b, float low = {-0.5}>
            {
                a = Conv(x, w, b)
                b1 = Clip(a, low)
                c = Conv<group = 1>(b1, w)
                d = LeakyRelu<alpha = 0.25>(c)
                e = Conv(d, w)
                y = HardSigmoid(e)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvActivation {}, source), @r#"
        fuse-conv-activation: 3 rewrites
        g (float[1,3,8,8] x) => (float[1,3,8,8] y)
        <float[3,3,1,1] w, float[3] b = {0.96875, -0.09375, 0.109375}>
        {
            b1 = com.microsoft.FusedConv <activation = "Clip", activation_params = [-0.5, 3.4028235e38]> (x, w, b)
            d = com.microsoft.FusedConv <group = 1, activation = "LeakyRelu", activation_params = [0.25]> (b1, w)
            y = com.microsoft.FusedConv <activation = "HardSigmoid", activation_params = [0.2, 0.5]> (d, w)
        }
        "#);
    }

    #[test]
    fn keeps_an_activation_the_runtime_does_not_know() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,3,8,8] y)
            <float[3,3,1,1] w>
            {
                c = Conv(x, w)
                y = HardSwish(c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvActivation {}, source), @r"
        fuse-conv-activation: 0 rewrites
        skipped 1: FusedConv does not know HardSwish
        unchanged
        ");
    }

    #[test]
    fn keeps_other_types() {
        let source = "
            g (double[1,3,8,8] x) => (double[1,3,8,8] y)
            <double[3,3,1,1] w>
            {
                c = Conv(x, w)
                y = Relu(c)
            }
        ";
        assert_snapshot!(rewrite(&FuseConvActivation {}, source), @r"
        fuse-conv-activation: 0 rewrites
        skipped 1: FusedConv computes in float only
        unchanged
        ");
    }
}
