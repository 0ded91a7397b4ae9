//! `Constant` nodes.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{AttributeValue, Graph, Node, NodeId, Patch, Tensor};
use std::sync::Arc;

crate::pass! {
    /// Turns `Constant` nodes into initializers of the same name.
    ///
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// {
    ///     two = Constant<value_float = 2.0>()
    ///     y = Mul(x, two)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x) => (float[1,3] y)
    /// <float two = {2}>
    /// {
    ///     y = Mul(x, two)
    /// }
    /// ```
    pub struct FoldConstantNodes
    name: "fold-constant-nodes",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldConstantNodes {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Constant"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        require(!graph.value(y).is_output(), "a graph output can't be an initializer")?;
        let tensor = data(&graph[root]).or_skip("the value is sparse or of an unknown kind")?;
        let initializer = patch.initializer(graph.value(y).name(), tensor);
        patch.replace(y, initializer);
        Ok(())
    }
}

fn data(node: &Node) -> Option<Arc<Tensor>> {
    let [attribute] = node.attributes() else { return None };
    let tensor = match (attribute.name.as_str(), &attribute.value) {
        ("value", AttributeValue::Tensor(tensor)) => return Some(tensor.clone()),
        ("value_float", AttributeValue::Float(value)) => Tensor::scalar(*value),
        ("value_floats", AttributeValue::Floats(values)) => Tensor::vector(values),
        ("value_int", AttributeValue::Int(value)) => Tensor::scalar(*value),
        ("value_ints", AttributeValue::Ints(values)) => Tensor::vector(values),
        ("value_string", AttributeValue::String(value)) => {
            Tensor::from_strings(Vec::new(), vec![value.clone()]).ok()?
        }
        ("value_strings", AttributeValue::Strings(values)) => {
            Tensor::from_strings(vec![values.len() as i64], values.clone()).ok()?
        }
        _ => return None,
    };
    Some(Arc::new(tensor))
}

#[cfg(test)]
mod tests {
    use super::FoldConstantNodes;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn folds_every_kind_of_value() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstantNodes {}, r#"
            g () => (float[2] a, int64 b, int64[2] c, string d, string[1] e)
            {
                floats = Constant<value_floats = [1.0, 2.0]>()
                int = Constant<value_int = 3>()
                ints = Constant<value_ints = [4, 5]>()
                text = Constant<value_string = "a">()
                texts = Constant<value_strings = ["b"]>()
                a = Relu(floats)
                b = Abs(int)
                c = Abs(ints)
                d = Identity(text)
                e = Identity(texts)
            }
        "#), @r#"
        fold-constant-nodes: 5 rewrites
        g () => (float[2] a, int64 b, int64[2] c, string d, string[1] e)
        <float[2] floats = {1, 2}, int64 int = {3}, int64[2] ints = {4, 5}, string text = {"a"},
            string[1] texts = {"b"}>
        {
            a = Relu(floats)
            b = Abs(int)
            c = Abs(ints)
            d = Identity(text)
            e = Identity(texts)
        }
        "#);
    }

    #[test]
    fn keeps_one_that_is_a_graph_output() {
        assert_snapshot!(rewrite(&FoldConstantNodes {}, "
            g () => (float y)
            {
                y = Constant<value_float = 2.0>()
            }
        "), @r"
        fold-constant-nodes: 0 rewrites
        skipped 1: a graph output can't be an initializer
        unchanged
        ");
    }

    #[test]
    fn keeps_one_without_a_value() {
        assert_snapshot!(rewrite_unexecuted(&FoldConstantNodes {}, "
            g (float[2] x) => (float[2] y)
            {
                c = Constant()
                y = Add(x, c)
            }
        "), @r"
        fold-constant-nodes: 0 rewrites
        skipped 1: the value is sparse or of an unknown kind
        unchanged
        ");
    }
}
