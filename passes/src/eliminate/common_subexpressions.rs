//! Nodes that compute the same.
use crate::{Context, Pass, PassError, PassInfo};
use lapidary_ir::{Attribute, AttributeValue, Graph, Model, Node, NodeId, Patch, ValueId, schema};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

crate::pass! {
    /// Keeps one of several nodes with the same operator, attributes and inputs.
    ///
    /// Never touched are random operators, operators outside ONNX's own domain and nodes with
    /// subgraphs.
    ///
    /// ```onnx
    /// g (float[1,3] x, float[1,3] z) => (float[1,3] y)
    /// {
    ///     a = Add(x, z)
    ///     b = Add(z, x)
    ///     y = Mul(a, b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3] x, float[1,3] z) => (float[1,3] y)
    /// {
    ///     a = Add(x, z)
    ///     y = Mul(a, a)
    /// }
    /// ```
    pub struct EliminateCommonSubexpressions
    name: "eliminate-common-subexpressions",
    accuracy: Exact,
    emits: [],
}

impl Pass for EliminateCommonSubexpressions {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        context.record(&Self::INFO);
        model.edit_graphs(|graph| eliminate(graph, context))?;
        Ok(())
    }
}

fn eliminate(graph: &mut Graph, context: &mut Context) -> Result<bool, PassError> {
    let info = &EliminateCommonSubexpressions::INFO;
    let mut kept: FxHashMap<u64, Vec<NodeId>> = FxHashMap::default();
    let mut changed = false;
    // Inputs come before their readers, so one sweep finds chains of equal nodes.
    for id in graph.topological_order() {
        // What nobody reads is deleted together with what it was merged with.
        if graph.get_node(id).is_none() || !is_function(graph, id) {
            continue;
        }
        let candidates = kept.entry(digest(&graph[id])).or_default();
        candidates.retain(|&candidate| graph.get_node(candidate).is_some());
        let same = |&&candidate: &&NodeId| is_same(&graph[candidate], &graph[id]);
        let Some(&first) = candidates.iter().find(same) else {
            candidates.push(id);
            continue;
        };
        let Some(patch) = merge(graph, first, id) else {
            context.record(info).skip("the graph output has to keep its name");
            continue;
        };
        context.apply(info, graph, patch)?;
        context.record(info).rewrites += 1;
        changed = true;
    }
    Ok(changed)
}

/// Whether the outputs depend on inputs and attributes alone, as far as can be compared.
fn is_function(graph: &Graph, id: NodeId) -> bool {
    let node = &graph[id];
    let comparable = |attribute: &Attribute| {
        !matches!(attribute.value, AttributeValue::Graph(_) | AttributeValue::Other(_))
    };
    node.is_standard()
        && !schema::is_random(&node.op_type)
        && node.op_type != "Dropout"
        && schema::operator(&node.op_type).is_some()
        && node.attributes().iter().all(comparable)
}

/// The inputs in an order that does not matter for commutative operators.
fn inputs(node: &Node) -> Vec<Option<ValueId>> {
    let mut inputs = node.inputs().to_vec();
    if schema::is_commutative(&node.op_type) {
        inputs.sort_unstable();
    }
    inputs
}

fn digest(node: &Node) -> u64 {
    let mut hasher = FxHasher::default();
    node.op_type.hash(&mut hasher);
    inputs(node).hash(&mut hasher);
    // A sum, for the order of attributes does not matter.
    let attributes = node.attributes().iter().map(attribute_digest);
    attributes.fold(0_u64, u64::wrapping_add).hash(&mut hasher);
    hasher.finish()
}

fn attribute_digest(attribute: &Attribute) -> u64 {
    let mut hasher = FxHasher::default();
    attribute.name.hash(&mut hasher);
    match &attribute.value {
        AttributeValue::Float(value) => value.to_bits().hash(&mut hasher),
        AttributeValue::Int(value) => value.hash(&mut hasher),
        AttributeValue::String(value) => value.hash(&mut hasher),
        AttributeValue::Tensor(value) => value.digest().hash(&mut hasher),
        AttributeValue::Floats(values) => {
            values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
        }
        AttributeValue::Ints(values) => values.hash(&mut hasher),
        AttributeValue::Strings(values) => values.hash(&mut hasher),
        AttributeValue::Graph(_) | AttributeValue::Other(_) => {}
    }
    hasher.finish()
}

fn is_same(a: &Node, b: &Node) -> bool {
    let in_b = |attribute: &Attribute| {
        b.attribute(&attribute.name).is_some_and(|other| is_same_value(&attribute.value, other))
    };
    a.op_type == b.op_type
        && inputs(a) == inputs(b)
        && a.outputs().len() == b.outputs().len()
        && a.attributes().len() == b.attributes().len()
        && a.attributes().iter().all(in_b)
}

fn is_same_value(a: &AttributeValue, b: &AttributeValue) -> bool {
    use AttributeValue::{Float, Floats, Int, Ints, String, Strings, Tensor};
    match (a, b) {
        (Float(a), Float(b)) => a.to_bits() == b.to_bits(),
        (Int(a), Int(b)) => a == b,
        (String(a), String(b)) => a == b,
        (Tensor(a), Tensor(b)) => a.same_content(b),
        (Floats(a), Floats(b)) => a.iter().map(|a| a.to_bits()).eq(b.iter().map(|b| b.to_bits())),
        (Ints(a), Ints(b)) => a == b,
        (Strings(a), Strings(b)) => a == b,
        _ => false,
    }
}

/// Lets the readers of `second` read `first`; none when a graph output forbids it.
fn merge(graph: &Graph, first: NodeId, second: NodeId) -> Option<Patch> {
    let mut patch = Patch::default();
    for (new, old) in graph[first].outputs().iter().zip(graph[second].outputs()) {
        let Some(old) = *old else { continue };
        let new = (*new)?;
        if !graph.can_replace(old, new) {
            return None;
        }
        patch.replace(old, new);
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::EliminateCommonSubexpressions;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn merges_what_nobody_reads() {
        assert_snapshot!(rewrite(&EliminateCommonSubexpressions {}, "
            g (float[1,3] x) => (float[1,3] y)
            {
                a = Abs(x)
                b = Neg(a)
                c = Neg(a)
                d = Abs(x)
                y = Relu(x)
            }
        "), @r"
        eliminate-common-subexpressions: 1 rewrites
        g (float[1,3] x) => (float[1,3] y)
        {
            d = Abs(x)
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn merges_chains_of_equal_nodes() {
        assert_snapshot!(rewrite(&EliminateCommonSubexpressions {}, "
            g (float[1,3] x) => (float[1,3] y)
            {
                a = LeakyRelu<alpha = 0.5>(x)
                b = LeakyRelu<alpha = 0.5>(x)
                c = Abs(a)
                d = Abs(b)
                y = Add(c, d)
            }
        "), @r"
        eliminate-common-subexpressions: 2 rewrites
        g (float[1,3] x) => (float[1,3] y)
        {
            a = LeakyRelu <alpha = 0.5> (x)
            c = Abs(a)
            y = Add(c, c)
        }
        ");
    }

    #[test]
    fn keeps_nodes_with_other_attributes_or_inputs_in_another_order() {
        assert_snapshot!(rewrite(&EliminateCommonSubexpressions {}, "
            g (float[1,3] x, float[1,3] z) => (float[1,3] y)
            {
                a = LeakyRelu<alpha = 0.5>(x)
                b = LeakyRelu<alpha = 0.25>(x)
                c = Sub(a, b)
                d = Sub(b, a)
                y = Mul(c, d)
            }
        "), @r"
        eliminate-common-subexpressions: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_random_nodes() {
        assert_snapshot!(rewrite_unexecuted(&EliminateCommonSubexpressions {}, "
            g (float[1,3] x) => (float[1,3] y)
            {
                a = RandomNormalLike(x)
                b = RandomNormalLike(x)
                y = Sub(a, b)
            }
        "), @r"
        eliminate-common-subexpressions: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_two_graph_outputs() {
        assert_snapshot!(rewrite(&EliminateCommonSubexpressions {}, "
            g (float[1,3] x) => (float[1,3] y, float[1,3] z)
            {
                y = Relu(x)
                z = Relu(x)
            }
        "), @r"
        eliminate-common-subexpressions: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }
}
