//! Optional outputs that nothing reads.
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch, schema};

crate::pass! {
    /// Omits optional outputs that nobody reads.
    ///
    /// A runtime that is not asked for the indices of a `MaxPool` or the mask of a `Dropout` does
    /// not compute them.
    ///
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,3,4,4] y)
    /// {
    ///     y, indices = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,3,4,4] y)
    /// {
    ///     y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
    /// }
    /// ```
    pub struct EliminateUnusedOutputs
    name: "eliminate-unused-outputs",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateUnusedOutputs {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &[]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        if !node.is_standard() || node.outputs().len() < 2 {
            return Err(Skip::NoMatch);
        }
        let version = schema::version(&node.op_type, graph.opset()).or_no_match()?;
        let (required, most) = version.outputs;
        if most == schema::MANY {
            return Err(Skip::NoMatch);
        }
        let unused =
            |slot: &usize| node.output(*slot).is_some_and(|id| graph.value(id).is_unused());
        let slots: Vec<usize> = (required.max(1)..node.outputs().len()).filter(unused).collect();
        if slots.is_empty() {
            return Err(Skip::NoMatch);
        }
        for slot in slots {
            patch.drop_output(root, slot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateUnusedOutputs;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_required_outputs() {
        assert_snapshot!(rewrite(&EliminateUnusedOutputs {}, "
            g (float[4] x) => (float[2] y)
            <int64[1] k = {2}>
            {
                y, indices = TopK(x, k)
            }
        "), @r"
        eliminate-unused-outputs: 0 rewrites (no match)
        unchanged
        ");
    }
}
