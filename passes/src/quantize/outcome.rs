//! What became of nodes and weights when no calibration was needed.
use lapidary_ir::{Graph, NodeId};

/// What a compression without calibration did, in the order of the graphs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Every node of a kind that was asked for.
    pub nodes: Vec<NodeOutcome>,
    /// Every constant that is stored in another form, each once.
    pub weights: Vec<StoredWeight>,
}

/// What became of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOutcome {
    /// The node's name, or that of its first output.
    pub node: String,
    /// The operator.
    pub op_type: String,
    /// Why it stayed as it was; none if it did not.
    pub reason: Option<String>,
}

/// How a constant is stored now.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWeight {
    /// The initializer it was.
    pub name: String,
    /// The form, such as `int8 per row`.
    pub form: String,
    /// Bytes of the numbers as they were.
    pub bytes_before: u64,
    /// Bytes of everything they are restored from: codes, scales, zero points, codebook.
    pub bytes_after: u64,
    /// The error of the restored numbers: Σ(w − ŵ)² / Σw².
    pub nmse: f64,
}

impl Outcome {
    /// The nodes that changed.
    #[must_use]
    pub fn changed(&self) -> usize {
        self.nodes.iter().filter(|node| node.reason.is_none()).count()
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed() == 0
    }

    /// Adds what became of node `id`.
    pub(crate) fn node(&mut self, graph: &Graph, id: NodeId, reason: Option<String>) {
        let node = &graph[id];
        self.nodes.push(NodeOutcome {
            node: node.label(graph).to_owned(),
            op_type: node.op_type.clone(),
            reason,
        });
    }
}

/// Σ(w − ŵ)² / Σw², 0 when both sums are 0.
///
/// # Panics
/// When there are not as many numbers as restored ones.
#[must_use]
pub fn nmse(numbers: &[f32], restored: &[f32]) -> f64 {
    assert_eq!(numbers.len(), restored.len(), "every number is restored");
    let square = |x: f64| x * x;
    let pairs = numbers.iter().zip(restored);
    let error: f64 = pairs.map(|(&w, &r)| square(f64::from(w) - f64::from(r))).sum();
    let power: f64 = numbers.iter().map(|&w| square(f64::from(w))).sum();
    if error == 0.0 { 0.0 } else { error / power }
}

#[cfg(test)]
mod tests {
    use super::nmse;

    #[test]
    fn the_error_is_relative_to_the_power() {
        assert_eq!(nmse(&[3.0, 4.0], &[3.0, 3.0]), 1.0 / 25.0);
        assert_eq!(nmse(&[0.0], &[0.0]), 0.0);
        assert_eq!(nmse(&[], &[]), 0.0);
    }
}
