//! Fuses neighbouring nodes into one.
use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[];
