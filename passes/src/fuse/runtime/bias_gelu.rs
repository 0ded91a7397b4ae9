//! `Gelu` and the bias before it.
use super::biased::BiasedGelu;
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `com.microsoft.BiasGelu` of a `Gelu` and the bias before it.
    ///
    /// (x + bias) · ½ · (1 + erf((x + bias) / √2)). Without a bias, arithmetic that computes a Gelu becomes
    /// a `com.microsoft.Gelu`.
    ///
    /// Opt-in: ONNX Runtime alone has the operators.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float[4] bias>
    /// {
    ///     sum = Add(x, bias)
    ///     y = Gelu(sum)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float[4] bias>
    /// {
    ///     y = com.microsoft.BiasGelu(x, bias)
    /// }
    /// ```
    pub struct FuseBiasGelu
    name: "fuse-bias-gelu",
    accuracy: Rounding,
    emits: ["com.microsoft.BiasGelu", "com.microsoft.Gelu"],
}

impl Rule for FuseBiasGelu {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        BiasedGelu::ROOTS
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = BiasedGelu::find(graph, root, false)?;
        let y = graph[root].output(0).or_no_match()?;
        let op_type = if site.bias.is_some() { "BiasGelu" } else { "Gelu" };
        let node = NewNode::new(op_type)
            .domain("com.microsoft")
            .named(graph[root].name.clone())
            .input(site.x);
        let node = patch.node(site.bias.into_iter().fold(node, NewNode::input));
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    fn source(before: &str, outputs: &str) -> String {
        format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[2,3,4] x) => ({outputs})
             <float[4] b, float[3,1] rows, float root = {{1.41421354}}, float one = {{1}}, float half = {{0.5}}> {{
                {before} s = Div(a, root) e = Erf(s) g = Add(e, one) h = Mul(a, g) y = Mul(h, half)
             }}"
        )
    }

    #[test]
    fn finds_the_arithmetic() {
        let source = source("a = Add(b, x)", "float[2,3,4] y");
        assert_snapshot!(rewrite(&FuseBiasGelu {}, &source), @r"
        fuse-bias-gelu: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float[4] b = {0.96875, -0.09375, 0.109375, 0.375}, float[3,1] rows = {0.171875, 0.15625, 0.625}>
        {
            y = com.microsoft.BiasGelu(x, b)
        }
        ");
    }

    #[test]
    fn leaves_a_sum_that_is_no_bias_or_is_read_elsewhere() {
        let rows = source("a = Add(rows, x)", "float[2,3,4] y");
        assert_snapshot!(rewrite(&FuseBiasGelu {}, &rows), @r"
        fuse-bias-gelu: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float[4] b = {0.96875, -0.09375, 0.109375, 0.375}, float[3,1] rows = {0.171875, 0.15625, 0.625}>
        {
            a = Add(rows, x)
            y = com.microsoft.Gelu(a)
        }
        ");
        let output = source("a = Add(x, b)", "float[2,3,4] y, float[2,3,4] a");
        assert_snapshot!(rewrite(&FuseBiasGelu {}, &output), @r"
        fuse-bias-gelu: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y, float[2,3,4] a)
        <float[4] b = {0.96875, -0.09375, 0.109375, 0.375}, float[3,1] rows = {0.171875, 0.15625, 0.625}>
        {
            a = Add(x, b)
            y = com.microsoft.Gelu(a)
        }
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = "
            g (double[2,4] x) => (double[2,4] y)
            <double[4] b>
            {
                a = Add(x, b)
                y = Gelu(a)
            }
        ";
        assert_snapshot!(crate::testing::rewrite_unexecuted(&FuseBiasGelu {}, source), @r"
        fuse-bias-gelu: 0 rewrites
        skipped 1: the operator is for float only
        unchanged
        ");
    }
}
