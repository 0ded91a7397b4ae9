//! Which passes run, in which order.
use crate::Pass;

/// Makes a model smaller and faster without changing what it computes. Runs to a fixpoint.
pub const OPTIMIZE: &[&dyn Pass] = &[];
