//! Variadic operators with one input.
use super::pass_through;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes `Concat`, `Sum`, `Mean`, `Max` and `Min` of a single input.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     b = Concat<axis = 1>(a)
    ///     y = Abs(b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     y = Abs(a)
    /// }
    /// ```
    pub struct EliminateSingleInput
    name: "eliminate-single-input",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateSingleInput {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Concat", "Sum", "Mean", "Max", "Min"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        if graph[root].inputs().len() != 1 {
            return Err(Skip::NoMatch);
        }
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateSingleInput;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn keeps_a_sum_of_two() {
        assert_snapshot!(rewrite(&EliminateSingleInput {}, "
            g (float[1,3] x) => (float[1,3] y)
            {
                y = Sum(x, x)
            }
        "), @r"
        eliminate-single-input: 0 rewrites (no match)
        unchanged
        ");
    }
}
