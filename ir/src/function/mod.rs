//! Functions of a model: who calls them, their bodies as graphs, and inlining.
mod body;
mod calls;
mod inline;
mod instance;
#[cfg(test)]
mod tests;

pub use body::FunctionError;
pub(crate) use body::decode as decode_body;
pub use inline::InlineError;

use lapidary_proto::onnx;

/// What a node says to call a function: domain, name and overload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key<'a>(&'a str, &'a str, &'a str);

impl<'a> Key<'a> {
    fn new(domain: &'a str, name: &'a str, overload: &'a str) -> Self {
        Self(if domain == "ai.onnx" { "" } else { domain }, name, overload)
    }

    /// What a node calls, be it a function or an operator.
    fn called(node: &'a onnx::NodeProto) -> Self {
        let text = |text: &'a Option<String>| text.as_deref().unwrap_or("");
        Self::new(text(&node.domain), text(&node.op_type), text(&node.overload))
    }

    fn of(function: &'a onnx::FunctionProto) -> Self {
        let text = |text: &'a Option<String>| text.as_deref().unwrap_or("");
        Self::new(text(&function.domain), text(&function.name), text(&function.overload))
    }
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(domain, name, overload) = self;
        let dot = if domain.is_empty() { "" } else { "." };
        let colon = if overload.is_empty() { "" } else { ":" };
        write!(f, "{domain}{dot}{name}{colon}{overload}")
    }
}

/// Every node of `nodes` and of the subgraphs below.
fn nodes_below(nodes: &[onnx::NodeProto]) -> impl Iterator<Item = &onnx::NodeProto> {
    let mut waiting: Vec<&onnx::NodeProto> = nodes.iter().collect();
    std::iter::from_fn(move || {
        let node = waiting.pop()?;
        let graphs = node.attribute.iter().flat_map(subgraphs);
        waiting.extend(graphs.flat_map(|graph| &graph.node));
        Some(node)
    })
}

/// The subgraphs in an attribute.
fn subgraphs(attribute: &onnx::AttributeProto) -> impl Iterator<Item = &onnx::GraphProto> {
    attribute.g.as_deref().into_iter().chain(&attribute.graphs)
}
