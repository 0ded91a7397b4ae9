//! `LayerNormalization` and the residual sum before it.
use super::skip_sum::SkipSum;
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `com.microsoft.SkipLayerNormalization` of a sum and its `LayerNormalization`.
    ///
    /// The sum may have a third summand, one number per normalized element. Where something else reads the
    /// sum, the operator returns it too.
    ///
    /// Opt-in: ONNX Runtime alone has the operator.
    ///
    /// ```onnx
    /// g (float[2,3,4] x, float[2,3,4] skip) => (float[2,3,4] y, float[2,3,4] z)
    /// <float[4] bias, float[4] gamma, float[4] beta>
    /// {
    ///     biased = Add(x, bias)
    ///     sum = Add(biased, skip)
    ///     y = LayerNormalization(sum, gamma, beta)
    ///     z = Relu(sum)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] x, float[2,3,4] skip) => (float[2,3,4] y, float[2,3,4] z)
    /// <float[4] bias, float[4] gamma, float[4] beta>
    /// {
    ///     y, , , sum = com.microsoft.SkipLayerNormalization <epsilon = 1.0e-5> (x, skip, gamma, beta, bias)
    ///     z = Relu(sum)
    /// }
    /// ```
    pub struct FuseSkipLayerNormalization
    name: "fuse-skip-layer-normalization",
    accuracy: Rounding,
    emits: ["com.microsoft.SkipLayerNormalization"],
}

impl Rule for FuseSkipLayerNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["LayerNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = SkipSum::before(graph, root)?;
        let layer = &graph[root];
        let gamma = layer.input(1).or_no_match()?;
        let epsilon = layer.float("epsilon").unwrap_or(1e-5);
        let node = site.node(graph, "SkipLayerNormalization").attribute("epsilon", epsilon);
        let optional = [(3, layer.input(2)), (4, site.bias)];
        let optional = optional.into_iter().filter_map(|(slot, value)| Some((slot, value?)));
        let add = |node: NewNode, (slot, value)| node.with_input(slot, value);
        site.replace(graph, optional.fold(node.input(gamma), add), patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    fn report(x: &str, skip: &str, node: &str) -> String {
        let source = format!(
            "g ({x} x, {skip} skip) => ({x} y) <float[4] gamma, float[3,4] plane> {{
                sum = Add(x, skip) y = {node}
             }}"
        );
        rewrite_unexecuted(&FuseSkipLayerNormalization {}, &source)
    }

    #[test]
    fn needs_no_beta_and_passes_epsilon_on() {
        let source = "
            g (float[2,4] x, float[2,4] skip) => (float[2,4] y)
            <float[4] gamma>
            {
                sum = Add(x, skip)
                y = LayerNormalization <axis = 1, epsilon = 0.5> (sum, gamma)
            }
        ";
        assert_snapshot!(rewrite(&FuseSkipLayerNormalization {}, source), @r"
        fuse-skip-layer-normalization: 1 rewrites
        g (float[2,4] x, float[2,4] skip) => (float[2,4] y)
        <float[4] gamma = {0.75, -0.046875, 0.609375, 0.75}>
        {
            y = com.microsoft.SkipLayerNormalization <epsilon = 0.5> (x, skip, gamma)
        }
        ");
    }

    #[test]
    fn keeps_a_sum_that_broadcasts() {
        let found = report("float[2,3,4]", "float[3,4]", "LayerNormalization(sum, gamma)");
        assert_snapshot!(found, @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: the summands are not known to have the same shape
        unchanged
        ");
    }

    #[test]
    fn keeps_unknown_shapes_and_other_ranks() {
        let unknown = report("float[]", "float[]", "LayerNormalization(sum, gamma)");
        assert_snapshot!(unknown, @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: the shape of the sum is not known
        unchanged
        ");
        let four = report("float[1,2,3,4]", "float[1,2,3,4]", "LayerNormalization(sum, gamma)");
        assert_snapshot!(four, @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: the sum does not have 2 or 3 dimensions
        unchanged
        ");
    }

    #[test]
    fn keeps_several_axes() {
        let node = "LayerNormalization <axis = 1> (sum, plane)";
        assert_snapshot!(report("float[2,3,4]", "float[2,3,4]", node), @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: the normalization is not along the last axis alone
        unchanged
        ");
    }

    #[test]
    fn keeps_a_scale_of_higher_rank() {
        let node = "LayerNormalization(sum, plane)";
        assert_snapshot!(report("float[2,3,4]", "float[2,3,4]", node), @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: scale or bias are not of rank 1
        unchanged
        ");
    }

    #[test]
    fn keeps_statistics_that_are_read() {
        let source = "
            g (float[2,4] x, float[2,4] skip) => (float[2,4] y, float[2,1] mean)
            <float[4] gamma>
            {
                sum = Add(x, skip)
                y, mean = LayerNormalization(sum, gamma)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseSkipLayerNormalization {}, source), @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: mean or deviation are read
        unchanged
        ");
    }

    #[test]
    fn keeps_float16() {
        let source = "
            g (float16[2,4] x, float16[2,4] skip) => (float16[2,4] y)
            <float16[4] gamma>
            {
                sum = Add(x, skip)
                y = LayerNormalization(sum, gamma)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseSkipLayerNormalization {}, source), @r"
        fuse-skip-layer-normalization: 0 rewrites
        skipped 1: elements are not known to be float
        unchanged
        ");
    }
}
