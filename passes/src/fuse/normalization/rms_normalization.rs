//! `RMSNormalization`.
use super::super::region::require_closed;
use super::affine_tail::AffineTail;
use super::quadratic_mean::QuadraticMean;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes an `RMSNormalization` of the arithmetic that computes one.
    ///
    /// With the mean over the last dimensions: y = x / √(mean(x²) + epsilon) · scale.
    ///
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 23]>
    /// g (float[2,4] x) => (float[2,4] y)
    /// <int64[1] axes = {-1}, float two = {2}, float epsilon = {0.5}, float[4] scale>
    /// {
    ///     square = Pow(x, two)
    ///     mean = ReduceMean(square, axes)
    ///     sum = Add(mean, epsilon)
    ///     root = Sqrt(sum)
    ///     inverse = Reciprocal(root)
    ///     normalized = Mul(x, inverse)
    ///     y = Mul(scale, normalized)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 23]>
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float[4] scale>
    /// {
    ///     y = RMSNormalization <axis = -1, epsilon = 0.5> (x, scale)
    /// }
    /// ```
    pub struct FuseRmsNormalization
    name: "fuse-rms-normalization",
    accuracy: Rounding,
    emits: ["RMSNormalization"],
}

impl Rule for FuseRmsNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        QuadraticMean::ROOTS
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = QuadraticMean::find(graph, root).or_no_match()?;
        let epsilon = site.epsilon as f32;
        require(epsilon >= 0.0 && epsilon.is_finite(), "epsilon is no small number")?;
        require_closed(graph, root, &[site.x])?;
        let mut tail = AffineTail::of(graph, root, site.x, site.trailing)?;
        tail.take_scale(graph);

        let scale = tail.scale(graph, patch)?;
        let node = NewNode::new("RMSNormalization")
            .named(graph[root].name.clone())
            .input(tail.x)
            .input(scale)
            .attribute("axis", -(site.trailing as i64))
            .attribute("epsilon", epsilon);
        let node = patch.node(node);
        patch.replace(tail.y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    /// The report for a model with these values beside x and these outputs.
    fn source(outputs: &str, epsilon: f32) -> String {
        format!(
            "<ir_version: 11, opset_import: [\"\" : 23]>
             g (float[2,4] x) => ({outputs}) <int64[1] axes = {{1}}, float e = {{{epsilon}}}> {{
                q = Mul(x, x) m = ReduceMean(q, axes) a = Add(m, e) r = Sqrt(a) y = Div(x, r)
             }}"
        )
    }

    #[test]
    fn scales_by_one_without_a_scale() {
        let source = source("float[2,4] y", 0.5);
        assert_snapshot!(rewrite(&FuseRmsNormalization {}, &source), @r"
        fuse-rms-normalization: 1 rewrites
        g (float[2,4] x) => (float[2,4] y)
        <float[4] y_scale = {1, 1, 1, 1}>
        {
            y = RMSNormalization <axis = -1, epsilon = 0.5> (x, y_scale)
        }
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = source("float[2,4] y, float[2,4] q", 0.5);
        assert_snapshot!(rewrite(&FuseRmsNormalization {}, &source), @r"
        fuse-rms-normalization: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }

    #[test]
    fn keeps_a_negative_epsilon() {
        let source = source("float[2,4] y", -0.5);
        assert_snapshot!(rewrite_unexecuted(&FuseRmsNormalization {}, &source), @r"
        fuse-rms-normalization: 0 rewrites
        skipped 1: epsilon is no small number
        unchanged
        ");
    }
}
