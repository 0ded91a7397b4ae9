//! Folds what is computed from constants into constants.
use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[];
