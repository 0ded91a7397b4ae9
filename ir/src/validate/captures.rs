//! What subgraphs read from the graphs around them, and the names they may use: invariant 9.
use super::{Outer, Report, Scope, node_text};
use crate::ValueId;
use rustc_hash::FxHashSet;

pub(super) fn check(scope: &Scope<'_>, report: &mut Report) {
    let Some(outer) = &scope.outer else { return };
    let graph = scope.graph;
    let owner = &outer.scope.graph[outer.owner];
    let mut captured_names = FxHashSet::default();
    let mut captures = FxHashSet::default();
    for &(id, slot) in &graph.captures {
        captures.insert(id);
        let Some(value) = graph.get_value(id) else {
            report.add(9, || "a captured value is gone".to_owned());
            continue;
        };
        if value.producer.is_some() || value.is_input || value.initializer.is_some() {
            report.add(9, || format!("captured value `{}` is also made here", value.name));
        }
        let Some(&read) = owner.captured.get(slot as usize) else {
            let (count, node) = (owner.captured.len(), node_text(outer.scope.graph, outer.owner));
            report.add(9, || {
                format!("`{}` is captured value {slot} of {node}, which has {count}", value.name)
            });
            continue;
        };
        captured_names.extend(outer.scope.written_name(read));
    }
    for (id, value) in graph.values() {
        if captures.contains(&id) {
            continue;
        }
        if captured_names.contains(value.name()) {
            report
                .add(9, || format!("value `{}` hides the captured value of that name", value.name));
        } else if value.producer.is_some() && outer.shows(value.name()) {
            report.add(9, || {
                format!("value `{}` has the name of a value of an enclosing graph", value.name)
            });
        }
    }
}

impl Outer<'_> {
    /// Whether a value of that name comes before the subgraph in some enclosing graph.
    fn shows(&self, name: &str) -> bool {
        let mut around = Some(self);
        while let Some(outer) = around {
            let graph = outer.scope.graph;
            let position = |index: usize| outer.positions.get(index).copied();
            let visible = |id: ValueId| {
                graph.get_value(id).is_some_and(|value| match value.producer {
                    Some((node, _)) => position(node.index()) < position(outer.owner.index()),
                    None => true,
                })
            };
            if graph.find(name).is_some_and(visible) {
                return true;
            }
            around = outer.scope.outer.as_ref();
        }
        false
    }
}

impl Scope<'_> {
    /// The name a value is written under: that of the value it captures, if it does.
    fn written_name(&self, id: ValueId) -> Option<&str> {
        let (mut scope, mut id) = (self, id);
        while let Some(outer) = &scope.outer
            && let Some(&(_, slot)) = scope.graph.captures.iter().find(|(inner, _)| *inner == id)
        {
            id = *outer.scope.graph[outer.owner].captured.get(slot as usize)?;
            scope = outer.scope;
        }
        Some(scope.graph.get_value(id)?.name())
    }
}
