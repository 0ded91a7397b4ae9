//! Links, names, cycles, interface and initializers: invariants 1 to 6.
use super::{Report, node_text, value_text};
use crate::apply::uses_of;
use crate::{Graph, NodeId, Port, Use, ValueId};
use petgraph::algo::kosaraju_scc;
use rustc_hash::FxHashSet;

/// A message names at most this many nodes of a cycle.
const MAX_NAMED: usize = 10;

/// Invariants 1, 2 and 5. Returns whether every link can be followed.
pub(super) fn links(graph: &Graph, report: &mut Report) -> bool {
    let before = report.violations.len();
    for (id, _) in graph.nodes() {
        reads(graph, id, report);
        outputs(graph, id, report);
    }
    let sources = sources_elsewhere(graph);
    for (id, _) in graph.values() {
        producer(graph, id, &sources, report);
        uses(graph, id, report);
    }
    interface(graph, report);
    report.violations.len() == before
}

fn reads(graph: &Graph, id: NodeId, report: &mut Report) {
    for (value, used) in uses_of(id, &graph[id]) {
        let Some(read) = graph.get_value(value) else {
            let port = port_text(used.port);
            report.add(1, || format!("{}: {port} is gone", node_text(graph, id)));
            continue;
        };
        if !read.uses.contains(&used) {
            let (node, port) = (node_text(graph, id), port_text(used.port));
            report.add(2, || format!("{node}: {port} `{}` does not list this use", read.name));
        }
    }
}

fn outputs(graph: &Graph, id: NodeId, report: &mut Report) {
    for (slot, output) in graph[id].outputs.iter().enumerate() {
        let Some(output) = *output else { continue };
        let producer = graph.get_value(output).map(|value| value.producer);
        if producer != Some(Some((id, slot as u32))) {
            let (node, value) = (node_text(graph, id), value_text(graph, output));
            let found = match producer {
                None => "is gone".to_owned(),
                Some(None) => "has no producer".to_owned(),
                Some(Some((other, slot))) => {
                    format!("is output {slot} of {}", node_text(graph, other))
                }
            };
            report.add(1, || format!("{node}: output {slot} {value} {found}, expected this one"));
        }
    }
}

/// Values that come from outside the arena: captures, and sparse initializers, which stay as the
/// file has them.
fn sources_elsewhere(graph: &Graph) -> FxHashSet<ValueId> {
    let sparse = graph.rest.sparse_initializer.iter();
    let names = sparse.filter_map(|sparse| sparse.values.as_ref()?.name.as_deref());
    graph.captures().chain(names.filter_map(|name| graph.find(name))).collect()
}

fn producer(graph: &Graph, id: ValueId, elsewhere: &FxHashSet<ValueId>, report: &mut Report) {
    let value = graph.value(id);
    let Some((node, slot)) = value.producer else {
        let made = value.is_input || value.initializer.is_some() || elsewhere.contains(&id);
        if !made && !value.is_unused() {
            report.add(1, || format!("value `{}` is used, but nothing makes it", value.name));
        }
        return;
    };
    let made = graph.get_node(node).and_then(|node| node.output(slot as usize));
    if made != Some(id) {
        let node = node_text(graph, node);
        report.add(1, || {
            format!(
                "value `{}` says it is output {slot} of {node}, which does not make it",
                value.name
            )
        });
    }
}

fn uses(graph: &Graph, id: ValueId, report: &mut Report) {
    let value = graph.value(id);
    for Use { node, port } in value.uses() {
        let read = graph.get_node(node).and_then(|node| match port {
            Port::Input(slot) => node.input(slot as usize),
            Port::Capture(slot) => node.captured.get(slot as usize).copied(),
        });
        if read != Some(id) {
            let (node, port) = (node_text(graph, node), port_text(port));
            report.add(2, || {
                format!(
                    "value `{}` lists a use as {port} of {node}, where it is not read",
                    value.name
                )
            });
        }
    }
}

fn port_text(port: Port) -> String {
    match port {
        Port::Input(slot) => format!("input {slot}"),
        Port::Capture(slot) => format!("captured value {slot}"),
    }
}

/// Invariant 5: the lists of inputs and outputs, and the flags of their values.
fn interface(graph: &Graph, report: &mut Report) {
    let listed_inputs: FxHashSet<ValueId> = graph.inputs.iter().copied().collect();
    let listed_outputs: FxHashSet<ValueId> = graph.outputs.iter().copied().collect();
    if listed_inputs.len() < graph.inputs.len() {
        report.add(5, || "a value is listed as graph input twice".to_owned());
    }
    for (what, list) in [("graph input", &graph.inputs), ("graph output", &graph.outputs)] {
        for (index, &id) in list.iter().enumerate() {
            if graph.get_value(id).is_none() {
                report.add(5, || format!("{what} {index} is gone"));
            }
        }
    }
    for (id, value) in graph.values() {
        let flags = [
            ("graph input", value.is_input, listed_inputs.contains(&id)),
            ("graph output", value.is_output, listed_outputs.contains(&id)),
        ];
        for (what, flag, listed) in flags {
            if flag && !listed {
                report.add(5, || {
                    format!("value `{}` is marked as {what}, but not listed", value.name)
                });
            }
            if listed && !flag {
                report.add(5, || {
                    format!("value `{}` is listed as {what}, but not marked", value.name)
                });
            }
        }
        if value.is_input && value.producer.is_some() {
            report.add(5, || format!("graph input `{}` is the output of a node too", value.name));
        }
    }
}

/// Invariant 3.
pub(super) fn names(graph: &Graph, report: &mut Report) {
    for (id, value) in graph.values() {
        let name = &value.name;
        if name.is_empty() {
            report.add(3, || format!("value {} has an empty name", id.0));
        }
        match graph.find(name) {
            Some(found) if found == id => {}
            Some(found) if graph.get_value(found).is_some_and(|other| other.name == *name) => {
                report.add(3, || format!("two values have the name `{name}`"));
            }
            _ => report.add(3, || format!("the table of names does not lead to value `{name}`")),
        }
    }
    let leads_back =
        |name: &str, id: ValueId| graph.get_value(id).is_some_and(|value| &*value.name == name);
    let entries = graph.names.iter().filter(|(name, id)| !leads_back(name, **id));
    let mut stale: Vec<&str> = entries.map(|(name, _)| &**name).collect();
    stale.sort_unstable();
    for name in stale {
        report.add(3, || format!("the table of names has `{name}`, which no value is called"));
    }
}

/// Invariant 4: names the nodes of one cycle.
///
/// petgraph's other algorithm, Tarjan's, recurses once per node of a path, and paths are as long
/// as the file makes them.
pub(super) fn cycle(graph: &Graph, report: &mut Report) {
    let reads_itself = |id: NodeId| graph.successors(id).any(|reader| reader == id);
    let mut components = kosaraju_scc(graph);
    components.retain(|nodes| nodes.len() > 1 || nodes.iter().any(|&id| reads_itself(id)));
    let Some(component) = components.iter().min_by_key(|nodes| (nodes.len(), nodes.iter().min()))
    else {
        return;
    };
    let component: FxHashSet<NodeId> = component.iter().copied().collect();
    let Some(&start) = component.iter().min() else { return };
    let mut steps = rustc_hash::FxHashMap::default();
    let mut path = Vec::new();
    let mut at = start;
    let first = loop {
        if let Some(&first) = steps.get(&at) {
            break first;
        }
        steps.insert(at, path.len());
        path.push(at);
        // Every node of the component has a reader in it.
        let Some(next) = graph.successors(at).find(|next| component.contains(next)) else { return };
        at = next;
    };
    let cycle: &[NodeId] = &path[first..];
    let named: Vec<String> = cycle.iter().take(MAX_NAMED).map(|&id| node_text(graph, id)).collect();
    let more = match cycle.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        count => format!(" -> {count} more"),
    };
    let back = node_text(graph, cycle[0]);
    report.add(4, || {
        format!("nodes read each other in a cycle: {}{more} -> {back}", named.join(" -> "))
    });
}

/// Invariant 6.
pub(super) fn initializers(graph: &Graph, report: &mut Report) {
    let mut listed = FxHashSet::default();
    for &id in &graph.initializers {
        if !listed.insert(id) && graph.get_value(id).is_some() {
            let value = value_text(graph, id);
            report.add(6, || format!("initializer {value} is listed twice"));
        }
    }
    for (id, value) in graph.values() {
        let Some(tensor) = &value.initializer else { continue };
        if !listed.contains(&id) {
            report.add(6, || format!("initializer `{}` is not listed", value.name));
        }
        if value.producer.is_some() {
            report.add(6, || format!("initializer `{}` is the output of a node too", value.name));
        }
        if value.elem_type() != Some(tensor.elem_type()) {
            let (found, expected) = (value.elem_type(), tensor.elem_type());
            let found = found.map_or("unknown".to_owned(), |found| found.to_string());
            report.add(6, || {
                format!(
                    "initializer `{}` has type {found}, expected {expected} as its data",
                    value.name
                )
            });
        }
        if value.ty.dims().as_deref() != Some(tensor.dims()) {
            let (found, expected) = (&value.ty.shape, tensor.dims());
            let found = found.as_ref().map_or("unknown".to_owned(), |found| format!("{found:?}"));
            report.add(6, || {
                format!(
                    "initializer `{}` has shape {found}, expected {expected:?} as its data",
                    value.name
                )
            });
        }
    }
}
