//! Lines cut off at 0 and 1.
use super::super::bounds::Bounds;
use super::super::product::Product;
use super::super::scalar;
use lapidary_ir::{Graph, NodeId, ValueId};

/// y = max(0, min(1, alpha · x + beta))
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct HardGate {
    pub(super) x: ValueId,
    pub(super) alpha: f64,
    pub(super) beta: f64,
}

impl HardGate {
    /// The gate that `constant` times the output of `id` is.
    ///
    /// c · clip(a · x + b, 0, 1 / c) = clip(c · a · x + c · b, 0, 1)
    pub(super) fn of(graph: &Graph, id: NodeId, constant: f64) -> Option<Self> {
        let node = &graph[id];
        if node.is("HardSigmoid") {
            let float = |name, default| f64::from(node.float(name).unwrap_or(default));
            let (alpha, beta) = (float("alpha", 0.2), float("beta", 0.5));
            return (constant == 1.0).then_some(Self { x: node.input(0)?, alpha, beta });
        }
        if !node.is("Clip") {
            return None;
        }
        let bounds = Bounds::of(graph, id)?;
        let line = node.input(0)?;
        let elem_type = graph.ty(line).elem_type;
        let from_0_to_1 = bounds.low == Some(0.0)
            && bounds.high.is_some_and(|high| scalar::is_near(high * constant, 1.0, elem_type));
        let sum = graph.producer(line).filter(|&id| graph[id].is("Add"));
        let (factor, shift) = match sum.and_then(|id| scalar::either(graph, id)) {
            Some((factor, shift)) if graph.only_use(line).is_some() => (factor, shift),
            _ => (line, 0.0),
        };
        let product = Product::of(graph, factor);
        let &[x] = &product.factors[..] else { return None };
        let gate = Self { x, alpha: constant * product.constant, beta: constant * shift };
        (from_0_to_1 && constant > 0.0).then_some(gate)
    }
}
