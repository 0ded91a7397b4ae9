//! Folds what is computed from constants into constants.
mod cast_like;
mod constant_nodes;
mod constants;
mod known_elements;
mod region;
mod reshape_shape;
mod sequence_at;

pub use cast_like::FoldCastLike;
pub use constant_nodes::FoldConstantNodes;
pub use constants::FoldConstants;
pub use known_elements::FoldKnownElements;
pub use reshape_shape::FoldReshapeShape;
pub use sequence_at::FoldSequenceAt;

use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[
    &FoldConstantNodes {},
    &FoldKnownElements {},
    &FoldCastLike {},
    &FoldReshapeShape {},
    &FoldSequenceAt {},
    &FoldConstants {},
];
