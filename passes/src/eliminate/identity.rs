//! `Identity`.
use super::pass_through;
use crate::{PassInfo, Rule, Skip};
use lapidary_ir::{Graph, NodeId, Patch};

crate::pass! {
    /// Removes `Identity`.
    ///
    /// One stays that makes an input, an initializer or another output a graph output: the
    /// output has to keep its name.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Relu(x)
    ///     y = Identity(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Relu(x)
    /// }
    /// ```
    pub struct EliminateIdentity
    name: "eliminate-identity",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateIdentity {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Identity"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        pass_through(graph, root, patch)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateIdentity;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn removes_one_on_an_initializer() {
        assert_snapshot!(rewrite(&EliminateIdentity {}, "
            g (float[3] x) => (float[3] y)
            <float[3] w = {1, 2, 3}>
            {
                v = Identity(w)
                y = Add(x, v)
            }
        "), @r"
        eliminate-identity: 1 rewrites
        g (float[3] x) => (float[3] y)
        <float[3] w = {1, 2, 3}>
        {
            y = Add(x, w)
        }
        ");
    }

    #[test]
    fn keeps_one_between_an_input_and_an_output() {
        assert_snapshot!(rewrite(&EliminateIdentity {}, "
            g (float[3] x) => (float[3] y)
            {
                y = Identity(x)
            }
        "), @r"
        eliminate-identity: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }

    #[test]
    fn keeps_one_between_two_outputs() {
        assert_snapshot!(rewrite(&EliminateIdentity {}, "
            g (float[3] x) => (float[3] y, float[3] z)
            {
                y = Relu(x)
                z = Identity(y)
            }
        "), @r"
        eliminate-identity: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }

    #[test]
    fn removes_one_whose_output_a_subgraph_captures() {
        assert_snapshot!(rewrite(&EliminateIdentity {}, "
            g (float[3] x, bool c) => (float[3] y)
            {
                r = Relu(x)
                a = Identity(r)
                y = If (c) <
                    then_branch = t () => (float[3] u) { u = Neg(a) },
                    else_branch = e () => (float[3] v) { v = Abs(a) }
                >
            }
        "), @r"
        eliminate-identity: 1 rewrites
        g (float[3] x, bool c) => (float[3] y)
        {
            r = Relu(x)
            y = If(c) <
                then_branch = t () => (float[3] u)
                {
                    u = Neg(r)
                },
                else_branch = e () => (float[3] v)
                {
                    v = Abs(r)
                }
            >
        }
        ");
    }
}
