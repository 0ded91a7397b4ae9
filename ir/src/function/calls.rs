//! Which functions are called.
use super::{Key, nodes_below, subgraphs};
use crate::{AttributeValue, Graph, Model};
use lapidary_proto::onnx;
use rustc_hash::{FxHashMap, FxHashSet};

impl Model {
    /// Removes the functions that nothing calls: neither the graph, nor training, nor a function
    /// that is called itself. Returns how many.
    pub fn remove_unused_functions(&mut self) -> usize {
        if self.rest.functions.is_empty() {
            return 0;
        }
        let mut called = Vec::new();
        calls_of_graph(&self.graph, &mut called);
        for training in &self.rest.training_info {
            let graphs = training.initialization.iter().chain(&training.algorithm);
            called.extend(graphs.flat_map(|graph| nodes_below(&graph.node)).map(Key::called));
        }
        let used = reachable(&self.rest.functions, called);
        let mut kept = used.into_iter();
        let before = self.rest.functions.len();
        self.rest.functions.retain(|_| kept.next().unwrap_or(true));
        before - self.rest.functions.len()
    }
}

/// What the nodes of a graph and of its subgraphs call.
fn calls_of_graph<'a>(graph: &'a Graph, called: &mut Vec<Key<'a>>) {
    for (_, node) in graph.nodes() {
        let overload = node.rest.as_ref().and_then(|rest| rest.overload.as_deref());
        called.push(Key::new(&node.domain, &node.op_type, overload.unwrap_or("")));
        for attribute in node.attributes() {
            match &attribute.value {
                AttributeValue::Graph(graph) => calls_of_graph(graph, called),
                AttributeValue::Other(proto) => called.extend(calls_of_attribute(proto)),
                _ => {}
            }
        }
    }
}

fn calls_of_attribute(attribute: &onnx::AttributeProto) -> impl Iterator<Item = Key<'_>> {
    subgraphs(attribute).flat_map(|graph| nodes_below(&graph.node)).map(Key::called)
}

/// What the body of a function and its default subgraphs call.
pub(super) fn calls_of_function(function: &onnx::FunctionProto) -> impl Iterator<Item = Key<'_>> {
    let defaults = function.attribute_proto.iter().flat_map(calls_of_attribute);
    nodes_below(&function.node).map(Key::called).chain(defaults)
}

/// Which functions are called, directly or by others.
pub(super) fn reachable<'a>(
    functions: &'a [onnx::FunctionProto],
    mut called: Vec<Key<'a>>,
) -> Vec<bool> {
    let mut by_key: FxHashMap<Key<'a>, Vec<usize>> = FxHashMap::default();
    for (index, function) in functions.iter().enumerate() {
        by_key.entry(Key::of(function)).or_default().push(index);
    }
    let mut used = vec![false; functions.len()];
    let mut seen = FxHashSet::default();
    while let Some(key) = called.pop() {
        if !seen.insert(key) {
            continue;
        }
        for &index in by_key.get(&key).into_iter().flatten() {
            used[index] = true;
            called.extend(calls_of_function(&functions[index]));
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use crate::text;

    #[test]
    fn a_function_only_unused_functions_call_is_unused() {
        let source = r#"<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
            g (float[2] x, bool c) => (float[2] y)
            {
                y = If (c) <
                    then_branch = t () => (float[2] u) { u = local.outer(x) },
                    else_branch = e () => (float[2] v) { v = Abs(x) }
                >
            }
            <domain: "local", opset_import: ["" : 21, "local" : 1]>
            outer (a) => (b) { b = local.inner(a) }
            <domain: "local", opset_import: ["" : 21]>
            inner (a) => (b) { b = Relu(a) }
            <domain: "local", opset_import: ["" : 21, "local" : 1]>
            idle (a) => (b) { b = local.helper(a) }
            <domain: "local", opset_import: ["" : 21]>
            helper (a) => (b) { b = Neg(a) }"#;
        let mut model = text::parse(source).expect("the text is valid");
        assert_eq!(model.remove_unused_functions(), 2);
        let names: Vec<&str> = model.functions().map(|(_, name)| name).collect();
        assert_eq!(names, ["outer", "inner"]);
        assert_eq!(model.remove_unused_functions(), 0);
    }
}
