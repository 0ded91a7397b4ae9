//! What a runtime will do with a quantized graph, read from the graph itself: which operators become integer kernels, and what
//! about the others stands in the way.
//!
//! This knows nothing of the plan a graph was quantized by. It is the check of what was written, and it reads files of others.
mod kernels;
mod rules;
#[cfg(test)]
mod tests;

use super::plan::NodePlacement;
use super::target::{Side, Target};
use lapidary_ir::Graph;
use std::collections::BTreeMap;
use std::fmt;

/// What a runtime will do with a quantized graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prediction {
    /// Who executes it.
    pub target: Target,
    /// Every node but the conversions, in topological order; what is in subgraphs behind the node that has them.
    pub nodes: Vec<NodePlacement>,
    /// Rules of the target the graph breaks.
    pub broken: Vec<BrokenRule>,
}

/// A rule of a target that a node breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokenRule {
    /// The node.
    pub node: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Prediction {
    /// Of a graph whose types are inferred.
    #[must_use]
    pub fn new(graph: &Graph, target: Target) -> Self {
        let mut nodes = Vec::new();
        place(graph, target.profile().side == Side::Before, &mut nodes);
        Self { target, nodes, broken: rules::broken(graph, target) }
    }

    /// By operator, how many nodes run on integers, and how many there are.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for node in &self.nodes {
            let (integer, all) = counts.entry(&node.op_type).or_default();
            *integer += usize::from(node.integer);
            *all += 1;
        }
        counts
    }
}

/// Where the nodes of a graph and of its subgraphs run.
fn place(graph: &Graph, before: bool, nodes: &mut Vec<NodePlacement>) {
    for id in graph.topological_order() {
        let node = &graph[id];
        if node.op_type.ends_with("QuantizeLinear") || node.op_type.ends_with("DequantizeLinear") {
            continue;
        }
        let found = match before {
            true => kernels::reads_integers(graph, id),
            false => kernels::becomes_integer(graph, id),
        };
        nodes.push(NodePlacement::new(graph, id, found.err().as_deref()));
        node.subgraphs().for_each(|subgraph| place(subgraph, before, nodes));
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (op_type, (integer, all)) in self.counts() {
            writeln!(f, "{integer} of {all} {op_type} on integers")?;
        }
        let products = |node: &&NodePlacement| {
            !node.integer && matches!(&*node.op_type, "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
        };
        for NodePlacement { node, op_type, reason, .. } in self.nodes.iter().filter(products) {
            let reason = reason.as_deref().unwrap_or_default();
            writeln!(f, "  {op_type} `{node}` stays float: {reason}")?;
        }
        for BrokenRule { node, problem } in &self.broken {
            writeln!(f, "`{node}` breaks a rule of {}: {problem}", self.target)?;
        }
        Ok(())
    }
}
