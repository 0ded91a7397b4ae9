//! Folds what is computed from constants into constants.
mod cast_like;
mod constant_nodes;
mod constant_slice;
mod constants;
mod expand_shape;
mod gather_nd;
mod known_elements;
mod quantized_constant;
mod region;
mod reshape_shape;
mod scalar_scale;
mod sequence_at;
mod shape_source;
mod shape_vector;

pub use cast_like::FoldCastLike;
pub use constant_nodes::FoldConstantNodes;
pub use constant_slice::FoldConstantSlice;
pub use constants::FoldConstants;
pub use expand_shape::FoldExpandShape;
pub use gather_nd::FoldGatherNd;
pub use known_elements::FoldKnownElements;
pub use quantized_constant::FoldQuantizedConstant;
pub use reshape_shape::FoldReshapeShape;
pub use scalar_scale::FoldScalarScale;
pub use sequence_at::FoldSequenceAt;
pub use shape_source::FoldShapeSource;
pub use shape_vector::FoldShapeVector;

use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[
    &FoldConstantNodes {},
    &FoldKnownElements {},
    &FoldCastLike {},
    &FoldReshapeShape {},
    &FoldExpandShape {},
    &FoldShapeVector {},
    &FoldShapeSource {},
    &FoldGatherNd {},
    &FoldConstantSlice {},
    &FoldSequenceAt {},
    &FoldScalarScale {},
    &FoldQuantizedConstant {},
    &FoldConstants {},
];
