//! `RMSNormalization` and the residual sum before it.
use super::skip_sum::SkipSum;
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `com.microsoft.SkipSimplifiedLayerNormalization` of a sum and its `RMSNormalization`.
    ///
    /// The sum may have a third summand, one number per normalized element. Where something else reads the
    /// sum, the operator returns it too.
    ///
    /// Opt-in: ONNX Runtime alone has the operator.
    ///
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 23]>
    /// g (float[2,3,4] x, float[2,3,4] skip) => (float[2,3,4] y)
    /// <float[4] gamma>
    /// {
    ///     sum = Add(x, skip)
    ///     y = RMSNormalization(sum, gamma)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 23, "com.microsoft" : 1]>
    /// g (float[2,3,4] x, float[2,3,4] skip) => (float[2,3,4] y)
    /// <float[4] gamma>
    /// {
    ///     y = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 1.0e-5> (x, skip, gamma)
    /// }
    /// ```
    pub struct FuseSkipRmsNormalization
    name: "fuse-skip-rms-normalization",
    accuracy: Rounding,
    emits: ["com.microsoft.SkipSimplifiedLayerNormalization"],
}

impl Rule for FuseSkipRmsNormalization {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["RMSNormalization"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = SkipSum::before(graph, root)?;
        let gamma = graph[root].input(1).or_no_match()?;
        let epsilon = graph[root].float("epsilon").unwrap_or(1e-5);
        let node = site.node(graph, "SkipSimplifiedLayerNormalization");
        let node = node.attribute("epsilon", epsilon).input(gamma);
        let add = |node: NewNode, bias| node.with_input(3, bias);
        site.replace(graph, site.bias.into_iter().fold(node, add), patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_sum_that_broadcasts() {
        let source = r#"
            <ir_version: 11, opset_import: ["" : 23]>
            g (float[2,3,4] x, float[3,4] skip) => (float[2,3,4] y)
            <float[4] gamma>
            {
                sum = Add(x, skip)
                y = RMSNormalization(sum, gamma)
            }
        "#;
        assert_snapshot!(rewrite_unexecuted(&FuseSkipRmsNormalization {}, source), @r"
        fuse-skip-rms-normalization: 0 rewrites
        skipped 1: the summands are not known to have the same shape
        unchanged
        ");
    }
}
