//! Nodes by name, operator or pattern.
use lapidary_ir::{Graph, NodeId};
use regex::Regex;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Some nodes of a graph.
#[derive(Clone, Debug)]
pub enum NodeSelector {
    /// The node of a name; one without goes by that of its first output.
    Name(String),
    /// The nodes of an operator, written `op:Conv`.
    Operator(String),
    /// The nodes whose names contain a match of a regular expression, written `re:^/head/`.
    Pattern(Regex),
}

impl NodeSelector {
    /// What selects the node of a name in a list separated by commas: the name, or a pattern for one with a comma
    /// or with the prefix of another form.
    #[must_use]
    pub fn written(name: &str) -> String {
        let plain = !name.contains(',') && !name.starts_with("op:") && !name.starts_with("re:");
        if plain {
            return name.to_owned();
        }
        format!("re:^{}$", regex::escape(name).replace(',', r"\x2C"))
    }

    /// Whether a node is meant.
    #[must_use]
    pub fn selects(&self, graph: &Graph, id: NodeId) -> bool {
        let node = &graph[id];
        match self {
            Self::Name(name) => node.label(graph) == name,
            Self::Operator(op_type) => node.op_type == *op_type,
            Self::Pattern(pattern) => pattern.is_match(node.label(graph)),
        }
    }
}

/// The nodes that are selected, and with `first_last` the products nearest to the inputs and to the outputs. `order` is
/// topological.
pub(crate) fn excluded(
    selectors: &[NodeSelector],
    first_last: bool,
    graph: &Graph,
    order: &[NodeId],
) -> BTreeSet<NodeId> {
    let named = |id: &&NodeId| selectors.iter().any(|selector| selector.selects(graph, **id));
    let mut excluded: BTreeSet<NodeId> = order.iter().filter(named).copied().collect();
    if first_last {
        let product = |id: &&NodeId| {
            matches!(&*graph[**id].op_type, "Conv" | "ConvTranspose" | "Gemm" | "MatMul")
        };
        excluded.extend(order.iter().find(product));
        excluded.extend(order.iter().rfind(product));
    }
    excluded
}

/// A pattern is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{pattern}` is no regular expression: {problem}")]
pub struct InvalidPattern {
    pattern: String,
    problem: String,
}

impl FromStr for NodeSelector {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(op_type) = text.strip_prefix("op:") {
            return Ok(Self::Operator(op_type.to_owned()));
        }
        let Some(pattern) = text.strip_prefix("re:") else {
            return Ok(Self::Name(text.to_owned()));
        };
        let found = Regex::new(pattern);
        found.map(Self::Pattern).map_err(|error| InvalidPattern {
            pattern: pattern.to_owned(),
            problem: error.to_string(),
        })
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Operator(op_type) => write!(f, "op:{op_type}"),
            Self::Pattern(pattern) => write!(f, "re:{pattern}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn selected(text: &str) -> Vec<String> {
        let source = "g (float[1] x) => (float[1] z) { [head_1] y = Relu(x) z = Tanh(y) }";
        let model = parse(source);
        let selector: NodeSelector = text.parse().expect("it is valid");
        let nodes = model.graph.nodes().filter(|&(id, _)| selector.selects(&model.graph, id));
        nodes.map(|(_, node)| node.op_type.clone()).collect()
    }

    #[test]
    fn nodes_go_by_name_operator_or_pattern() {
        assert_eq!(selected("head_1"), ["Relu"]);
        assert_eq!(selected("z"), ["Tanh"]);
        assert_eq!(selected("op:Tanh"), ["Tanh"]);
        assert_eq!(selected("re:^head_\\d"), ["Relu"]);
        assert!(selected("head").is_empty());
        assert!("re:(".parse::<NodeSelector>().is_err());
    }

    #[test]
    fn a_name_is_written_such_that_it_selects_its_node() {
        assert_eq!(NodeSelector::written("/conv1/Conv"), "/conv1/Conv");
        for name in ["a,b", "op:Conv", "re:(", "re:a.c"] {
            let written = NodeSelector::written(name);
            assert!(!written.contains(','), "{written}");
            let selector: NodeSelector = written.parse().expect("it is valid");
            let NodeSelector::Pattern(pattern) = &selector else { panic!("{written}") };
            assert!(pattern.is_match(name) && !pattern.is_match(&format!("{name}2")));
        }
    }
}
