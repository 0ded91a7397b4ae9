//! `If` with a constant condition.
use super::{splice, stand_in};
use crate::{OrSkip, PassInfo, Rule, Skip};
use lapidary_ir::{AttributeValue, Graph, NodeId, Patch};

crate::pass! {
    /// Replaces an `If` whose condition is constant by the branch it takes.
    ///
    /// The nodes of the branch move to where the `If` stood; the other branch goes.
    ///
    /// ```onnx
    /// g (float[3] x) => (float[3] y)
    /// <bool c = {1}>
    /// {
    ///     a = If(c) <
    ///         then_branch = t () => (float[3] u) { u = Neg(x) },
    ///         else_branch = e () => (float[3] v) { v = Abs(x) }
    ///     >
    ///     y = Relu(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[3] x) => (float[3] y)
    /// {
    ///     a = Neg(x)
    ///     y = Relu(a)
    /// }
    /// ```
    pub struct EliminateConstantIf
    name: "eliminate-constant-if",
    accuracy: Exact,
    emits: ["Identity"],
}

impl Rule for EliminateConstantIf {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["If"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let condition = graph.constant_input(root, 0).and_then(|tensor| tensor.as_bool());
        let branch = if condition.or_no_match()? { "then_branch" } else { "else_branch" };
        let Some(AttributeValue::Graph(branch)) = graph[root].attribute(branch) else {
            return Err(Skip::NoMatch);
        };
        let made = splice(graph, root, branch, patch)?.copy(patch, &[]).or_no_match()?;
        let outputs = graph[root].outputs().iter().zip(made);
        let outputs = outputs.filter_map(|(&output, made)| Some((output?, made)));
        stand_in(graph, patch, outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::EliminateConstantIf;
    use crate::testing::{parse, rewrite};
    use crate::{Rule, Skip};
    use insta::assert_snapshot;
    use lapidary_ir::proto::onnx;
    use lapidary_ir::{Model, Patch};

    #[test]
    fn keeps_the_names_of_graph_outputs() {
        assert_snapshot!(rewrite(&EliminateConstantIf {}, "
            g (float[3] x) => (float[3] y, float[3] z, float[3] p, float[3] q)
            <bool c = {0}>
            {
                y, z, p, q = If(c) <
                    then_branch = t () => (float[3] a, float[3] b, float[3] d, float[3] e) {
                        a = Neg(x) b = Neg(x) d = Neg(x) e = Neg(x)
                    },
                    else_branch = f () => (float[3] r, float[3] r, float[3] w, float[3] s)
                        <float[3] w = {1, 2, 3}> { r = Abs(x) s = Identity(x) }
                >
            }
        "), @r"
        eliminate-constant-if: 1 rewrites
        g (float[3] x) => (float[3] y, float[3] z, float[3] p, float[3] q)
        <float[3] w_1 = {1, 2, 3}>
        {
            y = Abs(x)
            q = Identity(x)
            z = Identity(y)
            p = Identity(w_1)
        }
        ");
    }

    #[test]
    fn moves_nested_subgraphs_with_what_they_capture() {
        assert_snapshot!(rewrite(&EliminateConstantIf {}, "
            g (float[3] x, bool d) => (float[3] y)
            <bool c = {1}>
            {
                y = If(c) <
                    then_branch = t () => (float[3] u) {
                        n = Neg(x)
                        u = If(d) <
                            then_branch = tt () => (float[3] k) { k = Add(n, x) },
                            else_branch = te () => (float[3] l) { l = Abs(n) }
                        >
                    },
                    else_branch = e () => (float[3] v) { v = Abs(x) }
                >
            }
        "), @r"
        eliminate-constant-if: 1 rewrites
        g (float[3] x, bool d) => (float[3] y)
        {
            n_1 = Neg(x)
            y = If(d) <
                then_branch = tt () => (float[3] k)
                {
                    k = Add(n_1, x)
                },
                else_branch = te () => (float[3] l)
                {
                    l = Abs(n_1)
                }
            >
        }
        ");
    }

    #[test]
    fn keeps_one_with_sparse_initializers() {
        let model = parse(
            "
            g (float[3] x) => (float[3] y)
            <bool c = {1}>
            {
                y = If(c) <
                    then_branch = t () => (float[3] u) { u = Neg(x) },
                    else_branch = e () => (float[3] v) { v = Abs(x) }
                >
            }
        ",
        );
        let mut proto = model.encode();
        let attribute = &mut proto.graph.as_mut().expect("a graph").node[0].attribute[0];
        let sparse = onnx::SparseTensorProto {
            values: Some(onnx::TensorProto {
                name: Some("s".to_owned()),
                ..onnx::TensorProto::default()
            }),
            ..onnx::SparseTensorProto::default()
        };
        attribute.g.as_mut().expect("a branch").sparse_initializer.push(sparse);
        let model = Model::decode(proto, &|_| Err("there is no other file".into()));
        let graph = model.expect("the model is well formed").graph;
        let (root, _) = graph.nodes().next().expect("there is a node");
        let answer = EliminateConstantIf {}.rewrite(&graph, root, &mut Patch::default());
        assert_eq!(answer, Err(Skip::Because("the subgraph has sparse initializers".into())));
    }

    #[test]
    fn a_dead_one_is_left_to_the_elimination_of_dead_nodes() {
        assert_snapshot!(rewrite(&EliminateConstantIf {}, "
            g (float[3] x) => (float[3] y)
            <bool c = {1}>
            {
                a = If(c) <
                    then_branch = t () => (float[3] u) { u = Neg(x) },
                    else_branch = e () => (float[3] v) { v = Abs(x) }
                >
                y = Relu(x)
            }
        "), @r"
        eliminate-constant-if: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_one_whose_condition_the_caller_may_override() {
        assert_snapshot!(rewrite(&EliminateConstantIf {}, "
            g (float[3] x, bool c = {1}) => (float[3] y)
            {
                y = If(c) <
                    then_branch = t () => (float[3] u) { u = Neg(x) },
                    else_branch = e () => (float[3] v) { v = Abs(x) }
                >
            }
        "), @r"
        eliminate-constant-if: 0 rewrites (no match)
        unchanged
        ");
    }
}
