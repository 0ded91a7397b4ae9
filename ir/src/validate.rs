//! The invariants of a graph, executable, numbered as in the [crate documentation](crate).
use crate::{Graph, Model, Node, Port, Use};

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
