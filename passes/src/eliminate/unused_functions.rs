//! Functions that nothing calls.
use crate::{Context, Pass, PassError, PassInfo};
use lapidary_ir::Model;

crate::pass! {
    /// Removes functions of the model that neither the graph nor another used function calls.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// <domain: "local", opset_import: ["" : 21]>
    /// twice (a) => (b)
    /// {
    ///     b = Add(a, a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// ```
    pub struct EliminateUnusedFunctions
    name: "eliminate-unused-functions",
    accuracy: Exact,
    emits: [],
}

impl Pass for EliminateUnusedFunctions {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        context.record(&Self::INFO).rewrites += model.remove_unused_functions();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateUnusedFunctions;
    use crate::testing::rewrite_unexecuted;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_function_that_a_subgraph_or_a_kept_function_calls() {
        assert_snapshot!(rewrite_unexecuted(&EliminateUnusedFunctions {}, r#"
            <ir_version: 10, opset_import: ["" : 21, "local" : 1]>
            g (float[1,3] x, bool c) => (float[1,3] y)
            {
                y = If (c) <
                    then_branch = t () => (float[1,3] u) { u = local.negative(x) },
                    else_branch = e () => (float[1,3] v) { v = Abs(x) }
                >
            }
            <domain: "local", opset_import: ["" : 21, "local" : 1]>
            negative (a) => (b) { b = local.twice(a) }
            <domain: "local", opset_import: ["" : 21]>
            twice (a) => (b) { b = Add(a, a) }
        "#), @"
        eliminate-unused-functions: 0 rewrites (no match)
        unchanged
        ");
    }
}
