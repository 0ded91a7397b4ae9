//! Quantizes weights and activations.
use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[];
