//! `Gelu` approximated by tanh and the bias before it.
use super::biased::BiasedGelu;
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `com.microsoft.FastGelu` of a `Gelu` by tanh and the bias before it.
    ///
    /// With a = x + bias: a · ½ · (1 + tanh(√(2/π) · (a + 0.044715 · a³))). The bias may be missing where
    /// the Gelu is arithmetic.
    ///
    /// Opt-in: ONNX Runtime alone has the operator.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float[4] bias>
    /// {
    ///     sum = Add(x, bias)
    ///     y = Gelu <approximate = "tanh"> (sum)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float[4] bias>
    /// {
    ///     y = com.microsoft.FastGelu(x, bias)
    /// }
    /// ```
    pub struct FuseFastGelu
    name: "fuse-fast-gelu",
    accuracy: Rounding,
    emits: ["com.microsoft.FastGelu"],
}

impl Rule for FuseFastGelu {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        BiasedGelu::ROOTS
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = BiasedGelu::find(graph, root, true)?;
        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::new("FastGelu")
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

    #[test]
    fn finds_arithmetic_without_a_bias() {
        let source = r#"
            <ir_version: 8, opset_import: ["" : 17]>
            g (float[2,4] x) => (float[2,4] y)
            <float three = {3}, float k = {0.044715}, float c = {0.797884561}, float one = {1}, float half = {0.5}>
            {
                p = Pow(x, three)
                q = Mul(p, k)
                s = Add(x, q)
                a = Mul(s, c)
                t = Tanh(a)
                g = Add(t, one)
                h = Mul(x, half)
                y = Mul(h, g)
            }
        "#;
        assert_snapshot!(rewrite(&FuseFastGelu {}, source), @r"
        fuse-fast-gelu: 1 rewrites
        g (float[2,4] x) => (float[2,4] y)
        {
            y = com.microsoft.FastGelu(x)
        }
        ");
    }

    #[test]
    fn keeps_a_gelu_of_its_own_kind_and_one_without_a_bias() {
        let source = r#"
            g (float[2,4] x) => (float[2,4] y, float[2,4] z)
            <float[4] b>
            {
                a = Add(x, b)
                y = Gelu(a)
                z = Gelu <approximate = "tanh"> (x)
            }
        "#;
        assert_snapshot!(rewrite(&FuseFastGelu {}, source), @r"
        fuse-fast-gelu: 0 rewrites (no match)
        unchanged
        ");
    }
}
