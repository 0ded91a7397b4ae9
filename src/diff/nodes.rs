//! What nodes have different.
use super::pairs::Pairs;
use super::{Diff, NodeChange, Pair};
use lapidary_ir::{Attribute, Graph, Model, Node, NodeId, Numbering, ValueId, text};
use std::collections::{BTreeMap, BTreeSet};

/// Adds what nodes have different, in the order of the graphs.
pub(super) fn compare(
    diff: &mut Diff,
    a: &Model,
    b: &Model,
    pairs: &Pairs,
    numbering: &mut Numbering,
) {
    for id in a.graph.topological_order() {
        if pairs.after[id.index()].is_none() {
            diff.removed.push(text::print_node(&a.graph, id));
        }
    }
    for id in b.graph.topological_order() {
        let Some(before) = pairs.before[id.index()] else {
            diff.added.push(text::print_node(&b.graph, id));
            continue;
        };
        let changes = changes([a, b], [before, id], pairs, numbering);
        let names = [(a, before), (b, id)].map(|(model, id)| first_output(&model.graph, id));
        if !changes.is_empty() {
            let node = text::print_node(&b.graph, id);
            diff.changed.push(NodeChange { node, changes });
        } else if names[0] != names[1] {
            let [before, after] = names;
            diff.renamed.push(Pair { before, after });
        } else {
            diff.equal += 1;
        }
    }
}

/// The operator with its domain, unless that is ONNX's own.
pub(super) fn operator(node: &Node) -> String {
    if node.is_standard() {
        return node.op_type.clone();
    }
    format!("{}.{}", node.domain, node.op_type)
}

fn first_output(graph: &Graph, id: NodeId) -> Option<String> {
    let output = graph[id].outputs().iter().flatten().next()?;
    Some(graph.value(*output).name().to_owned())
}

fn changes(
    models: [&Model; 2],
    ids: [NodeId; 2],
    pairs: &Pairs,
    numbering: &mut Numbering,
) -> BTreeMap<String, Pair> {
    let graphs = models.map(|model| &model.graph);
    let nodes = [&graphs[0][ids[0]], &graphs[1][ids[1]]];
    let mut changes = BTreeMap::new();
    let mut add = |what: String, pair: Option<Pair>| {
        changes.extend(pair.map(|pair| (what, pair)));
    };
    let operators = nodes.map(|node| Some(operator(node)));
    let [before, after] = operators;
    add("operator".to_owned(), Pair::unequal(before, after));
    let counts = nodes.map(|node| Some(node.outputs().len().to_string()));
    let [before, after] = counts;
    add("outputs".to_owned(), Pair::unequal(before, after));
    for slot in 0..nodes[0].inputs().len().max(nodes[1].inputs().len()) {
        let read = nodes.map(|node| node.input(slot));
        if !same_value(graphs, read, pairs, numbering) {
            let [before, after] = [0, 1].map(|side| describe(graphs[side], read[side]));
            add(format!("input {slot}"), Some(Pair { before, after }));
        }
    }
    for slot in 0..nodes[0].captured().len().max(nodes[1].captured().len()) {
        let read = nodes.map(|node| node.captured().get(slot).copied());
        if !same_value(graphs, read, pairs, numbering) {
            let [before, after] = [0, 1].map(|side| describe(graphs[side], read[side]));
            add(format!("captured {slot}"), Some(Pair { before, after }));
        }
    }
    // Attributes of different operators have nothing to do with each other.
    let comparable = operator(nodes[0]) == operator(nodes[1]);
    let names = nodes.iter().filter(|_| comparable).flat_map(|node| node.attributes());
    let names = names.map(|attribute| attribute.name.as_str());
    for name in names.collect::<BTreeSet<&str>>() {
        let found = nodes.map(|node| node.attributes().iter().find(|a| a.name == name));
        let mut number = |side: usize| {
            let attribute: Option<&Attribute> = found[side];
            attribute.map(|found| numbering.of_attribute(models[side], &found.value))
        };
        if number(0) != number(1) {
            let [before, after] = found.map(|found| found.map(text::print_attribute));
            add(format!("attribute {name}"), Some(Pair { before, after }));
        }
    }
    changes
}

/// Whether both models read the same there: the same output of nodes that belong together, equal
/// constants, or inputs of the same name.
fn same_value(
    graphs: [&Graph; 2],
    read: [Option<ValueId>; 2],
    pairs: &Pairs,
    numbering: &mut Numbering,
) -> bool {
    let [Some(before), Some(after)] = read else { return read == [None, None] };
    let values = [graphs[0].value(before), graphs[1].value(after)];
    match values.map(lapidary_ir::Value::producer) {
        [Some((before, slot)), Some((after, other))] => {
            slot == other && pairs.after[before.index()] == Some(after)
        }
        [None, None] => match values.map(lapidary_ir::Value::constant) {
            [Some(before), Some(after)] => {
                numbering.of_tensor(before) == numbering.of_tensor(after)
            }
            [None, None] => values[0].name() == values[1].name(),
            _ => false,
        },
        _ => false,
    }
}

/// A value by name, with type and dimensions if it is a constant.
fn describe(graph: &Graph, id: Option<ValueId>) -> Option<String> {
    let value = graph.value(id?);
    let Some(tensor) = value.constant() else { return Some(value.name().to_owned()) };
    Some(format!(
        "{} {}{:?}, {} bytes",
        value.name(),
        tensor.elem_type(),
        tensor.dims(),
        tensor.byte_len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(a: &str, b: &str) -> Diff {
        let parse = |text: &str| text::parse(text).unwrap_or_else(|error| panic!("{error}"));
        Diff::new(&parse(a), &parse(b))
    }

    const A: &str = "g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {
        a = Add(x, w)
        b = Elu <alpha = 1.5> (a)
        y = Relu(b)
    }";

    #[test]
    fn a_model_is_equal_to_itself() {
        let found = diff(A, A);
        assert!(found.is_equal());
        assert_eq!(found.equal, 3);
    }

    #[test]
    fn other_names_alone_are_told_as_such() {
        let b = A.replace(" a =", " p =").replace("(a)", "(p)").replace(" b =", " q =");
        let found = diff(A, &b.replace("(b)", "(q)"));
        let pair = |before: &str, after: &str| Pair {
            before: Some(before.to_owned()),
            after: Some(after.to_owned()),
        };
        assert_eq!(found.renamed, [pair("a", "p"), pair("b", "q")]);
        assert!(!found.is_equal() && found.changed.is_empty() && found.added.is_empty());
    }

    #[test]
    fn changed_attributes_constants_and_operators_are_told() {
        let b = A.replace("1.5", "2.5").replace("{1, 2}", "{1, 3}").replace("Relu", "Neg");
        let found = diff(A, &b);
        let what: Vec<_> = found.changed.iter().flat_map(|c| c.changes.keys()).collect();
        assert_eq!(what, ["input 1", "attribute alpha", "operator"]);
        assert_eq!(found.initializers.len(), 1);
        assert_eq!(found.operators.len(), 2);
    }

    #[test]
    fn a_renamed_chain_with_one_change_is_matched_by_place() {
        let b = "g (float[2] x) => (float[2] y) <float[2] v = {1, 2}> {
            p = Add(x, v)
            q = Elu <alpha = 2.5> (p)
            y = Relu(q)
        }";
        let found = diff(A, b);
        assert_eq!((found.added.len(), found.removed.len()), (0, 0));
        assert_eq!(found.changed.len(), 1);
        assert_eq!(found.changed[0].node, "q = Elu <alpha = 2.5> (p)");
        assert_eq!(found.renamed.len(), 1);
    }

    #[test]
    fn added_and_removed_nodes_and_another_interface_are_told() {
        let b = "g (float[3] x, float[3] z) => (float[3] y) { y = Add(x, z) }";
        let found = diff(A, b);
        assert_eq!(found.inputs.len(), 2);
        assert_eq!(found.removed, ["a = Add(x, w)", "b = Elu <alpha = 1.5> (a)"]);
        assert_eq!(found.changed.len(), 1);
    }

    #[test]
    fn a_long_chain_is_compared_without_recursion() {
        let nodes: String = (0..4_000).map(|n| format!("v{} = Neg(v{n})\n", n + 1)).collect();
        let a = format!("g (float[1] v0) => (float[1] v4000) {{ {nodes} }}");
        let b = a.replacen("v1 = Neg", "v1 = Abs", 1);
        let found = diff(&a, &b);
        assert_eq!((found.equal, found.changed.len()), (3_999, 1));
    }
}
