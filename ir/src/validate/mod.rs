//! The invariants of a graph, executable, numbered as in the [crate documentation](crate).
mod captures;
mod operators;
mod shapes;
mod structure;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::{Graph, MAX_DEPTH, Model, NodeId, OpsetImports, ValueId};
use rustc_hash::FxHashSet;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The number in the crate documentation.
    pub invariant: u8,
    /// What is wrong, where.
    pub message: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.message)
    }
}

/// A report has at most this many violations.
const MAX_VIOLATIONS: usize = 100;

impl Model {
    /// Every invariant that does not hold, in the main graph and below; at most 100.
    #[must_use]
    pub fn validate(&self) -> Vec<Violation> {
        let surroundings =
            Surroundings { opsets: self.opsets(), functions: Some(self.functions().collect()) };
        let mut report = Report::default();
        if !self.graph.captures.is_empty() {
            report.add(9, || "the main graph captures values, but nothing encloses it".to_owned());
        }
        let scope =
            Scope { graph: &self.graph, surroundings: &surroundings, outer: None, depth: 0 };
        scope.validate(&mut report);
        report.violations
    }
}

impl Graph {
    /// Every invariant that does not hold, in this graph and below; at most 100.
    ///
    /// What a graph alone does not know is left out: which domains model-local functions cover
    /// (8) and, for a subgraph, what encloses it (9).
    #[must_use]
    pub fn validate(&self) -> Vec<Violation> {
        let surroundings = Surroundings { opsets: &self.opsets, functions: None };
        let mut report = Report::default();
        let scope = Scope { graph: self, surroundings: &surroundings, outer: None, depth: 0 };
        scope.validate(&mut report);
        report.violations
    }
}

/// Violations found so far.
#[derive(Debug, Default)]
struct Report {
    violations: Vec<Violation>,
    /// What messages start with: the way to the subgraph being looked at.
    path: String,
}

impl Report {
    fn add(&mut self, invariant: u8, message: impl FnOnce() -> String) {
        if self.violations.len() < MAX_VIOLATIONS {
            let message = format!("{}{}", self.path, message());
            self.violations.push(Violation { invariant, message });
        }
    }
}

/// What is the same for every graph of a model.
struct Surroundings<'a> {
    opsets: &'a OpsetImports,
    /// Model-local functions, when the model is known.
    functions: Option<FxHashSet<(&'a str, &'a str)>>,
}

/// A graph and where it stands.
struct Scope<'a> {
    graph: &'a Graph,
    surroundings: &'a Surroundings<'a>,
    outer: Option<Outer<'a>>,
    depth: usize,
}

/// The node a subgraph belongs to, in the scope around it.
struct Outer<'a> {
    scope: &'a Scope<'a>,
    owner: NodeId,
    /// Where each node of the enclosing graph stands when the graph is written.
    positions: &'a [usize],
}

impl Scope<'_> {
    fn validate(&self, report: &mut Report) {
        let graph = self.graph;
        let sound = structure::links(graph, report);
        structure::names(graph, report);
        structure::initializers(graph, report);
        captures::check(self, report);
        if !sound {
            // Everything below follows the links.
            return;
        }
        let order = graph.topological_order();
        if order.len() < graph.node_count() {
            structure::cycle(graph, report);
        }
        let mut positions = vec![usize::MAX; graph.node_bound()];
        for (position, id) in order.into_iter().enumerate() {
            positions[id.index()] = position;
        }
        for (id, _) in graph.nodes() {
            operators::check(self, id, report);
            shapes::check(self, id, report);
            self.subgraphs(id, &positions, report);
        }
    }

    fn subgraphs(&self, owner: NodeId, positions: &[usize], report: &mut Report) {
        for attribute in &self.graph[owner].attributes {
            let crate::AttributeValue::Graph(graph) = &attribute.value else { continue };
            let place = format!("{}: in `{}`: ", node_text(self.graph, owner), attribute.name);
            let length = report.path.len();
            report.path.push_str(&place);
            if self.depth == MAX_DEPTH {
                report.add(9, || format!("subgraphs are nested deeper than {MAX_DEPTH}"));
            } else {
                let outer = Some(Outer { scope: self, owner, positions });
                let (surroundings, depth) = (self.surroundings, self.depth + 1);
                Scope { graph, surroundings, outer, depth }.validate(report);
            }
            report.path.truncate(length);
        }
    }
}

/// How messages call a node: ``node `conv1` (Conv)``.
fn node_text(graph: &Graph, id: NodeId) -> String {
    let Some(node) = graph.get_node(id) else { return format!("node {}, which is gone", id.0) };
    let mut outputs = node.outputs.iter().flatten().filter_map(|&output| graph.get_value(output));
    let label = if node.name.is_empty() {
        outputs.next().map_or("", |value| value.name())
    } else {
        &node.name
    };
    format!("node `{label}` ({})", node.op_type)
}

/// How messages call a value: its name in backticks.
fn value_text(graph: &Graph, id: ValueId) -> String {
    graph
        .get_value(id)
        .map_or_else(|| format!("value {}, which is gone", id.0), |v| format!("`{}`", v.name))
}
