//! Powers with constant exponents.
use super::scalar;
use lapidary_ir::{Graph, ValueId};

/// a, when the value is a to that exponent.
pub(super) fn base(graph: &Graph, value: ValueId, exponent: f64) -> Option<ValueId> {
    let id = graph.producer(value).filter(|&id| graph[id].is("Pow"))?;
    let (base, found) = scalar::right(graph, id)?;
    (found == exponent).then_some(base)
}

/// a, when the value is a², as a power or as a product.
pub(super) fn squared(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let node = &graph[graph.producer(value)?];
    if node.is("Mul") {
        return node.input(0).filter(|_| node.input(0) == node.input(1));
    }
    base(graph, value, 2.0)
}
