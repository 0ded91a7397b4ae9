//! `LayerNormalization`.
use super::affine_tail::AffineTail;
use super::centered::Centered;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `LayerNormalization` of the arithmetic that computes one.
    ///
    /// With d = x − mean(x) over the last dimensions:
    /// y = d / √(mean(d²) + epsilon) · scale + bias.
    ///
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 17]>
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float two = {2}, float epsilon = {0.5}, float[4] scale, float[4] bias>
    /// {
    ///     mean = ReduceMean <axes = [-1]> (x)
    ///     difference = Sub(x, mean)
    ///     square = Pow(difference, two)
    ///     variance = ReduceMean <axes = [-1]> (square)
    ///     sum = Add(variance, epsilon)
    ///     deviation = Sqrt(sum)
    ///     normalized = Div(difference, deviation)
    ///     scaled = Mul(normalized, scale)
    ///     y = Add(scaled, bias)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 17]>
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float[4] scale, float[4] bias>
    /// {
    ///     y = LayerNormalization <axis = -1, epsilon = 0.5> (x, scale, bias)
    /// }
    /// ```
    pub struct FuseLayerNormalization
    name: "fuse-layer-normalization",
    accuracy: Rounding,
    emits: ["LayerNormalization"],
}

impl Rule for FuseLayerNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        Centered::ROOTS
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let Centered { x, trailing, epsilon } = Centered::find(graph, root)?;
        let mut tail = AffineTail::of(graph, root, x, trailing)?;
        tail.take_scale(graph);
        tail.take_bias(graph);

        let scale = tail.scale(graph, patch)?;
        let node = NewNode::new("LayerNormalization")
            .named(graph[root].name.clone())
            .input(tail.x)
            .input(scale)
            .attribute("axis", -(trailing as i64))
            .attribute("epsilon", epsilon);
        let bias = tail.bias(graph, patch)?;
        let node = patch.node(bias.into_iter().fold(node, NewNode::input));
        patch.replace(tail.y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    /// The report for a model with an input of type `x`.
    fn report(x: &str, nodes: &str) -> String {
        rewrite(
            &FuseLayerNormalization {},
            &format!(
                "{HEADER} g ({x} x) => (float[2,3,4] y)
                 <float e = {{0.25}}, float one = {{1}}, float half = {{0.5}}, float minus = {{-0.5}},
                  float two = {{2}}, float[1,1,4] s, float[3,1] rows, float[4] b>
                 {{ {nodes} }}"
            ),
        )
    }

    const HEADER: &str = r#"<ir_version: 8, opset_import: ["" : 17]>"#;
    const START: &str = "m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Mul(d, d)
        v = ReduceMean<axes = [-1]>(q) a = Add(e, v)";

    #[test]
    fn finds_the_inverse_deviation_in_many_forms() {
        for end in [
            "r = Sqrt(a) i = Reciprocal(r) y = Mul(d, i)",
            "r = Sqrt(a) i = Div(one, r) y = Mul(i, d)",
            "r = Pow(a, half) y = Div(d, r)",
            "i = Pow(a, minus) y = Mul(d, i)",
        ] {
            let report = report("float[2,3,4]", &format!("{START} {end}"));
            assert!(report.contains(": 1 rewrites"), "{end}: {report}");
            let node = "y = LayerNormalization <axis = -1, epsilon = 0.25> (x, y_scale)";
            assert!(report.contains(node), "{end}: {report}");
        }
    }

    #[test]
    fn takes_in_what_varies_along_the_normalized_dimension_alone() {
        let nodes = format!(
            "{START} r = Sqrt(a) n = Div(d, r) s1 = Mul(s, n) b1 = Add(s1, b) y = Mul(b1, rows)"
        );
        assert_snapshot!(report("float[2,3,4]", &nodes), @r"
        fuse-layer-normalization: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float one = {1}, float half = {0.5}, float minus = {-0.5}, float two = {2},
            float[3,1] rows = {0.171875, 0.15625, 0.625}, float[4] b = {0.96875, -0.09375, 0.109375, 0.375},
            float[4] s_1 = {-0.640625, 0.40625, 0, 0.671875}>
        {
            b1 = LayerNormalization <axis = -1, epsilon = 0.25> (x, s_1, b)
            y = Mul(b1, rows)
        }
        ");
    }

    #[test]
    fn normalizes_several_dimensions_given_as_an_input() {
        let source = "
            g (float[2,3,4] x) => (float[2,3,4] y)
            <int64[2] axes = {2, 1}, float e = {0.25}, float[3,4] s>
            {
                m = ReduceMean(x, axes)
                d = Sub(x, m)
                q = Mul(d, d)
                v = ReduceMean(q, axes)
                a = Add(v, e)
                r = Sqrt(a)
                n = Div(d, r)
                y = Mul(n, s)
            }
        ";
        assert_snapshot!(rewrite(&FuseLayerNormalization {}, source), @r"
        fuse-layer-normalization: 1 rewrites
        g (float[2,3,4] x) => (float[2,3,4] y)
        <float[3,4] s>
        {
            y = LayerNormalization <axis = -2, epsilon = 0.25> (x, s)
        }
        ");
    }

    #[test]
    fn computes_in_float_inside_of_float16() {
        let source = r#"
            <ir_version: 8, opset_import: ["" : 17]>
            g (float16[2,4] h) => (float16[2,4] y)
            <float e = {0.25}, float16[4] s>
            {
                x = Cast<to = 1>(h)
                m = ReduceMean<axes = [-1]>(x)
                d = Sub(x, m)
                q = Mul(d, d)
                v = ReduceMean<axes = [-1]>(q)
                a = Add(v, e)
                r = Sqrt(a)
                n = Div(d, r)
                c = Cast<to = 10>(n)
                y = Mul(c, s)
            }
        "#;
        assert_snapshot!(rewrite_unexecuted(&FuseLayerNormalization {}, source), @r"
        fuse-layer-normalization: 1 rewrites
        g (float16[2,4] h) => (float16[2,4] y)
        <float16[4] s = {-0.640625, 0.40625, 0.0, 0.671875}>
        {
            y = LayerNormalization <axis = -1, epsilon = 0.25> (h, s)
        }
        ");
    }

    #[test]
    fn keeps_different_axes() {
        let nodes = "m = ReduceMean<axes = [1]>(x) d = Sub(x, m) q = Mul(d, d)
            v = ReduceMean<axes = [-1]>(q) a = Add(e, v) r = Sqrt(a) y = Div(d, r)";
        assert_snapshot!(report("float[2,3,4]", nodes), @r"
        fuse-layer-normalization: 0 rewrites
        skipped 1: mean and variance are over different axes
        unchanged
        ");
    }

    #[test]
    fn keeps_a_negative_epsilon() {
        let nodes = format!("{} r = Sqrt(a) y = Div(d, r)", START.replace("Add(e", "Add(minus"));
        let report = rewrite_unexecuted(
            &FuseLayerNormalization {},
            &format!(
                "{HEADER} g (float[2,3,4] x) => (float[2,3,4] y) <float minus = {{-0.5}}> {{ {nodes} }}"
            ),
        );
        assert_snapshot!(report, @r"
        fuse-layer-normalization: 0 rewrites
        skipped 1: epsilon is no small number
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let nodes = format!("{START} r = Sqrt(a) n = Div(d, r) y = Mul(n, m)");
        assert_snapshot!(report("float[2,3,4]", &nodes), @r"
        fuse-layer-normalization: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }

    #[test]
    fn keeps_unknown_dimensions_without_a_scale() {
        let nodes = format!("{START} r = Sqrt(a) y = Div(d, r)");
        let unknown = |x: &str, constants: &str| {
            let source = format!(
                "{HEADER} g ({x} x) => ({x} y) <float e = {{0.25}}{constants}> {{ {nodes} }}"
            );
            rewrite_unexecuted(&FuseLayerNormalization {}, &source)
        };
        assert_snapshot!(unknown("float[2,N]", ""), @r"
        fuse-layer-normalization: 0 rewrites
        skipped 1: the normalized dimensions are not known
        unchanged
        ");
        assert_snapshot!(unknown("float[]", ""), @r"
        fuse-layer-normalization: 0 rewrites
        skipped 1: the shape is not known
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = r#"
            <ir_version: 8, opset_import: ["" : 17]>
            g (double[2,4] x) => (double[2,4] y)
            <double e = {0.25}>
            {
                m = ReduceMean<axes = [-1]>(x)
                d = Sub(x, m)
                q = Mul(d, d)
                v = ReduceMean<axes = [-1]>(q)
                a = Add(v, e)
                r = Sqrt(a)
                y = Div(d, r)
            }
        "#;
        assert_snapshot!(rewrite(&FuseLayerNormalization {}, source), @r"
        fuse-layer-normalization: 0 rewrites
        skipped 1: the operator computes in float
        unchanged
        ");
    }
}
