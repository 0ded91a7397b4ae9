//! Fuses neighbouring nodes into one.
use crate::Pass;
use crate::eliminate::integers;
use crate::slices::position;
use lapidary_ir::{Graph, NodeId};

mod affine;
mod batch_normalization_conv;
mod bounds;
mod consecutive_clip;
mod consecutive_concats;
mod consecutive_slices;
mod conv_activation;
mod conv_add;
mod conv_batch_normalization;
mod conv_mul;
mod conv_transpose_add;
mod conv_transpose_batch_normalization;
mod conv_transpose_mul;
mod expand_reshape;
mod gemm_add;
mod gemm_batch_normalization;
mod gemm_mul;
mod linear;
mod mat_mul_add;
mod mat_mul_batch_normalization;
mod not_where;
mod pad_average_pool;
mod pad_conv;
mod padding;
mod range_gather;
mod reduce_squeeze;
mod shuffle;
mod slice_squeeze;
mod slices;
mod slices_concat;
mod split_reshape;
mod split_squeeze;
pub mod unit;
mod weights;

pub use batch_normalization_conv::FuseBatchNormalizationConv;
pub use consecutive_clip::FuseConsecutiveClip;
pub use consecutive_concats::FuseConsecutiveConcats;
pub use consecutive_slices::FuseConsecutiveSlices;
pub use conv_activation::FuseConvActivation;
pub use conv_add::FuseConvAdd;
pub use conv_batch_normalization::FuseConvBatchNormalization;
pub use conv_mul::FuseConvMul;
pub use conv_transpose_add::FuseConvTransposeAdd;
pub use conv_transpose_batch_normalization::FuseConvTransposeBatchNormalization;
pub use conv_transpose_mul::FuseConvTransposeMul;
pub use expand_reshape::FuseExpandReshape;
pub use gemm_add::FuseGemmAdd;
pub use gemm_batch_normalization::FuseGemmBatchNormalization;
pub use gemm_mul::FuseGemmMul;
pub use mat_mul_add::FuseMatMulAdd;
pub use mat_mul_batch_normalization::FuseMatMulBatchNormalization;
pub use not_where::FuseNotWhere;
pub use pad_average_pool::FusePadAveragePool;
pub use pad_conv::FusePadConv;
pub use range_gather::FuseRangeGather;
pub use reduce_squeeze::FuseReduceSqueeze;
pub use shuffle::FuseShuffle;
pub use slice_squeeze::FuseSliceSqueeze;
pub use slices::FuseSlices;
pub use slices_concat::FuseSlicesConcat;
pub use split_reshape::FuseSplitReshape;
pub use split_squeeze::FuseSplitSqueeze;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[
    &FuseConvBatchNormalization {},
    &FuseConvTransposeBatchNormalization {},
    &FuseGemmBatchNormalization {},
    &FuseMatMulBatchNormalization {},
    &FuseBatchNormalizationConv {},
    &FuseConvAdd {},
    &FuseConvMul {},
    &FuseConvTransposeAdd {},
    &FuseConvTransposeMul {},
    &FuseGemmAdd {},
    &FuseGemmMul {},
    &FuseMatMulAdd {},
    &FusePadConv {},
    &FusePadAveragePool {},
    &FuseConsecutiveClip {},
    &FuseConsecutiveSlices {},
    &FuseSliceSqueeze {},
    &FuseSplitSqueeze {},
    &FuseSlices {},
    &FuseSlicesConcat {},
    &FuseConsecutiveConcats {},
    &FuseRangeGather {},
    &FuseExpandReshape {},
    &FuseShuffle {},
    &FuseSplitReshape {},
    &FuseNotWhere {},
    &FuseReduceSqueeze {},
    &FuseConvActivation {},
];

/// The axis a `Squeeze` takes away, if it is a single one.
fn squeezed_axis(graph: &Graph, squeeze: NodeId) -> Option<usize> {
    let rank = graph.ty(graph[squeeze].input(0)?).rank()?;
    match integers(graph, squeeze, 1, "axes")?.as_slice() {
        &[axis] => position(axis, rank),
        _ => None,
    }
}
