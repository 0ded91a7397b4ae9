//! Products with a `Sigmoid` of their own factor.
use super::super::activation::SwishSite;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Makes a `com.microsoft.QuickGelu` of a product of x and the `Sigmoid` of its multiple.
    ///
    /// x · sigmoid(alpha · x)
    ///
    /// Opt-in: ONNX Runtime alone has the operator.
    ///
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// <float alpha = {1.702}>
    /// {
    ///     steep = Mul(x, alpha)
    ///     gate = Sigmoid(steep)
    ///     y = Mul(x, gate)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = com.microsoft.QuickGelu <alpha = 1.702> (x)
    /// }
    /// ```
    pub struct FuseQuickGelu
    name: "fuse-quick-gelu",
    accuracy: Rounding,
    emits: ["com.microsoft.QuickGelu"],
}

impl Rule for FuseQuickGelu {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = SwishSite::find(graph, root)?;
        let float = graph.ty(site.x).elem_type == Some(ElemType::FLOAT);
        require(float, "the operator is for float only")?;
        let y = graph[root].output(0).or_no_match()?;
        let node = NewNode::new("QuickGelu")
            .domain("com.microsoft")
            .named(graph[root].name.clone())
            .input(site.x)
            .attribute("alpha", site.alpha);
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_doubles() {
        let source = "
            g (double[2,4] x) => (double[2,4] y)
            {
                gate = Sigmoid(x)
                y = Mul(x, gate)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseQuickGelu {}, source), @r"
        fuse-quick-gelu: 0 rewrites
        skipped 1: the operator is for float only
        unchanged
        ");
    }
}
