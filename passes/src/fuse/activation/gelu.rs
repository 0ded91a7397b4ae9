//! `Gelu` of ONNX's own domain.
use super::{GeluSite, require_kernel};
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `Gelu` of the arithmetic that computes one.
    ///
    /// x · ½ · (1 + erf(x / √2)), or with tanh(√(2/π) · (x + 0.044715 · x³)) in place of erf.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float root = {1.41421354}, float one = {1}, float half = {0.5}>
    /// {
    ///     scaled = Div(x, root)
    ///     curve = Erf(scaled)
    ///     gate = Add(curve, one)
    ///     gated = Mul(x, gate)
    ///     y = Mul(gated, half)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = Gelu(x)
    /// }
    /// ```
    pub struct FuseGelu
    name: "fuse-gelu",
    accuracy: Rounding,
    emits: ["Gelu"],
}

impl Rule for FuseGelu {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        GeluSite::ROOTS
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = GeluSite::find(graph, root)?;
        require_kernel(graph, site.x)?;
        let y = graph[root].output(0).or_no_match()?;
        let mut gelu = NewNode::new("Gelu").named(graph[root].name.clone()).input(site.x);
        if site.tanh {
            gelu = gelu.attribute("approximate", "tanh");
        }
        let gelu = patch.node(gelu);
        patch.replace(y, gelu);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    /// The report for a model with these nodes.
    fn report(nodes: &str) -> String {
        rewrite(
            &FuseGelu {},
            &format!(
                "g (float[2,4] x) => (float[2,4] y)
                 <float root = {{1.41421354}}, float inverse = {{0.70710678}}, float one = {{1}},
                  float half = {{0.5}}, float c = {{0.797884561}}, float k = {{0.044715}},
                  float two = {{2}}, float three = {{3}}, float rough = {{1.4}},
                  float[1,1,1] wide = {{0.5}}>
                 {{ {nodes} }}"
            ),
        )
    }

    #[test]
    fn finds_the_factors_in_any_order() {
        for nodes in [
            "s = Mul(inverse, x) e = Erf(s) g = Add(one, e) h = Mul(half, x) y = Mul(h, g)",
            "s = Mul(x, inverse) e = Erf(s) g = Add(e, one) h = Mul(g, half) y = Mul(h, x)",
            "s = Div(x, root) e = Erf(s) f = Mul(e, half) g = Add(f, half) y = Mul(x, g)",
            "s = Div(x, root) e = Erf(s) g = Add(e, one) h = Mul(x, g) y = Div(h, two)",
        ] {
            let report = report(nodes);
            assert!(report.contains("fuse-gelu: 1 rewrites"), "{nodes}: {report}");
            assert!(report.ends_with("{\n    y = Gelu(x)\n}\n"), "{nodes}: {report}");
        }
    }

    #[test]
    fn finds_the_approximation_by_tanh() {
        for argument in [
            "p = Pow(x, three) q = Mul(k, p) s = Add(x, q) a = Mul(c, s)",
            "p = Mul(x, x) p1 = Mul(p, x) q = Mul(p1, k) s = Add(q, x) a = Mul(s, c)",
            "p = Mul(x, x) q = Mul(p, k) s = Add(q, one) r = Mul(x, c) a = Mul(r, s)",
        ] {
            let report = report(&format!(
                "{argument} t = Tanh(a) g = Add(t, one) h = Mul(x, half) y = Mul(h, g)"
            ));
            assert!(report.contains("fuse-gelu: 1 rewrites"), "{argument}: {report}");
            let gelu = "{\n    y = Gelu <approximate = \"tanh\"> (x)\n}\n";
            assert!(report.ends_with(gelu), "{argument}: {report}");
        }
    }

    #[test]
    fn keeps_other_constants() {
        let nodes = "s = Div(x, rough) e = Erf(s) g = Add(one, e) h = Mul(half, x) y = Mul(h, g)";
        assert_snapshot!(report(nodes), @r"
        fuse-gelu: 0 rewrites
        skipped 1: constants are not those of Gelu
        unchanged
        ");
    }

    #[test]
    fn keeps_another_power() {
        let nodes = "p = Pow(x, two) q = Mul(k, p) s = Add(x, q) a = Mul(c, s)
            t = Tanh(a) g = Add(t, one) h = Mul(x, half) y = Mul(h, g)";
        assert_snapshot!(report(nodes), @r"
        fuse-gelu: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_gate_of_something_else() {
        let nodes =
            "s = Div(x, root) e = Erf(s) g = Add(one, e) z = Neg(x) h = Mul(half, z) y = Mul(h, g)";
        assert_snapshot!(report(nodes), @r"
        fuse-gelu: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_constant_that_adds_a_dimension() {
        let source = "
            g (float[2,4] x) => (float[1,2,4] y)
            <float root = {1.41421354}, float one = {1}, float[1,1,1] half = {0.5}>
            {
                s = Div(x, root)
                e = Erf(s)
                g = Add(e, one)
                h = Mul(x, g)
                y = Mul(h, half)
            }
        ";
        assert_snapshot!(rewrite(&FuseGelu {}, source), @r"
        fuse-gelu: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = "
            g (float[2,4] x) => (float[2,4] y, float[2,4] e)
            <float root = {1.41421354}, float one = {1}, float half = {0.5}>
            {
                s = Div(x, root)
                e = Erf(s)
                g = Add(e, one)
                h = Mul(x, g)
                y = Mul(h, half)
            }
        ";
        assert_snapshot!(rewrite(&FuseGelu {}, source), @r"
        fuse-gelu: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }

    #[test]
    fn waits_for_the_operator_set() {
        let source = r#"
            <ir_version: 8, opset_import: ["" : 19]>
            g (float[2,4] x) => (float[2,4] y)
            <float root = {1.41421354}, float one = {1}, float half = {0.5}>
            {
                s = Div(x, root)
                e = Erf(s)
                g = Add(e, one)
                h = Mul(x, g)
                y = Mul(h, half)
            }
        "#;
        assert_snapshot!(rewrite(&FuseGelu {}, source), @r"
        fuse-gelu: 0 rewrites
        skipped 1: Gelu needs opset 20, the model has 19
        unchanged
        ");
    }
}
