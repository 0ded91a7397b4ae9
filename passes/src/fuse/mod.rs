//! Fuses neighbouring nodes into one.
use crate::Pass;
use crate::eliminate::integers;
use crate::slices::position;
use lapidary_ir::{Graph, NodeId};

mod activation;
pub(crate) mod affine;
mod affine_batch_normalization;
mod affine_conv;
mod affine_conv_transpose;
mod affine_gemm;
mod affine_mat_mul;
mod attention;
mod attention_site;
pub(crate) mod bounds;
mod chain;
mod consecutive_affine;
mod consecutive_clip;
mod consecutive_concats;
mod consecutive_conv;
mod consecutive_gemm;
mod consecutive_mat_mul;
mod consecutive_slices;
mod conv_activation;
mod conv_add;
mod conv_batch_normalization;
mod conv_mul;
mod conv_transpose_add;
mod conv_transpose_batch_normalization;
mod conv_transpose_mul;
mod depth_to_space;
mod distant_scale;
mod expand_reshape;
mod gemm_add;
mod gemm_batch_normalization;
mod gemm_mul;
mod linear;
mod linear_pair;
mod mat_mul_add;
mod mat_mul_batch_normalization;
mod mat_mul_mul;
mod normalization;
mod normalization_affine;
mod not_where;
mod pad_average_pool;
mod pad_conv;
mod padding;
mod power;
mod preceding;
mod product;
mod range_gather;
mod reduce_l2;
mod reduce_squeeze;
mod region;
mod reshape_gemm_reshape;
mod runtime;
mod scalar;
mod shuffle;
mod slice_squeeze;
mod slices;
mod slices_concat;
mod split_reshape;
mod split_squeeze;
mod transpose_gemm;
mod transpose_mat_mul;
pub mod unit;
mod upstream;
pub(crate) mod weights;
mod wiring;

pub use activation::{FuseGelu, FuseHardSigmoid, FuseHardSwish, FuseMish, FuseSoftplus, FuseSwish};
pub use affine_batch_normalization::FuseAffineBatchNormalization;
pub use affine_conv::FuseAffineConv;
pub use affine_conv_transpose::FuseAffineConvTranspose;
pub use affine_gemm::FuseAffineGemm;
pub use affine_mat_mul::FuseAffineMatMul;
pub use attention::FuseAttention;
pub use consecutive_affine::FuseConsecutiveAffine;
pub use consecutive_clip::FuseConsecutiveClip;
pub use consecutive_concats::FuseConsecutiveConcats;
pub use consecutive_conv::FuseConsecutiveConv;
pub use consecutive_gemm::FuseConsecutiveGemm;
pub use consecutive_mat_mul::FuseConsecutiveMatMul;
pub use consecutive_slices::FuseConsecutiveSlices;
pub use conv_activation::FuseConvActivation;
pub use conv_add::FuseConvAdd;
pub use conv_batch_normalization::FuseConvBatchNormalization;
pub use conv_mul::FuseConvMul;
pub use conv_transpose_add::FuseConvTransposeAdd;
pub use conv_transpose_batch_normalization::FuseConvTransposeBatchNormalization;
pub use conv_transpose_mul::FuseConvTransposeMul;
pub use depth_to_space::FuseDepthToSpace;
pub use distant_scale::FuseDistantScale;
pub use expand_reshape::FuseExpandReshape;
pub use gemm_add::FuseGemmAdd;
pub use gemm_batch_normalization::FuseGemmBatchNormalization;
pub use gemm_mul::FuseGemmMul;
pub use mat_mul_add::FuseMatMulAdd;
pub use mat_mul_batch_normalization::FuseMatMulBatchNormalization;
pub use mat_mul_mul::FuseMatMulMul;
pub use normalization::{
    FuseGroupNormalization, FuseInstanceNormalization, FuseLayerNormalization, FuseLogSoftmax,
    FuseLpNormalization, FuseRmsNormalization, FuseSoftmax,
};
pub use normalization_affine::FuseNormalizationAffine;
pub use not_where::FuseNotWhere;
pub use pad_average_pool::FusePadAveragePool;
pub use pad_conv::FusePadConv;
pub use range_gather::FuseRangeGather;
pub use reduce_l2::FuseReduceL2;
pub use reduce_squeeze::FuseReduceSqueeze;
pub use reshape_gemm_reshape::FuseReshapeGemmReshape;
pub use runtime::{
    FuseBiasGelu, FuseFastGelu, FuseMultiHeadAttention, FuseQuickGelu, FuseScaledMatMul,
    FuseSkipLayerNormalization, FuseSkipRmsNormalization,
};
pub use shuffle::FuseShuffle;
pub use slice_squeeze::FuseSliceSqueeze;
pub use slices::FuseSlices;
pub use slices_concat::FuseSlicesConcat;
pub use split_reshape::FuseSplitReshape;
pub use split_squeeze::FuseSplitSqueeze;
pub use transpose_gemm::FuseTransposeGemm;
pub use transpose_mat_mul::FuseTransposeMatMul;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[
    &FuseConvBatchNormalization {},
    &FuseConvTransposeBatchNormalization {},
    &FuseGemmBatchNormalization {},
    &FuseMatMulBatchNormalization {},
    &FuseConvAdd {},
    &FuseConvMul {},
    &FuseConvTransposeAdd {},
    &FuseConvTransposeMul {},
    &FuseGemmAdd {},
    &FuseGemmMul {},
    &FuseMatMulAdd {},
    &FuseMatMulMul {},
    &FuseAffineConv {},
    &FuseAffineConvTranspose {},
    &FuseAffineGemm {},
    &FuseAffineMatMul {},
    &FuseAffineBatchNormalization {},
    &FuseNormalizationAffine {},
    &FuseConsecutiveAffine {},
    &FuseConsecutiveConv {},
    &FuseConsecutiveGemm {},
    &FuseConsecutiveMatMul {},
    &FuseDistantScale {},
    &FuseReshapeGemmReshape {},
    &FuseTransposeGemm {},
    &FuseTransposeMatMul {},
    &FusePadConv {},
    &FusePadAveragePool {},
    &FuseConsecutiveClip {},
    &FuseDepthToSpace {},
    &FuseReduceL2 {},
    &FuseGelu {},
    &FuseHardSigmoid {},
    &FuseHardSwish {},
    &FuseSoftplus {},
    &FuseMish {},
    &FuseSwish {},
    &FuseInstanceNormalization {},
    &FuseLayerNormalization {},
    &FuseRmsNormalization {},
    &FuseGroupNormalization {},
    &FuseLpNormalization {},
    &FuseSoftmax {},
    &FuseLogSoftmax {},
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
    &FuseAttention {},
    &FuseConvActivation {},
    &FuseMultiHeadAttention {},
    &FuseScaledMatMul {},
    &FuseBiasGelu {},
    &FuseFastGelu {},
    &FuseQuickGelu {},
    &FuseSkipLayerNormalization {},
    &FuseSkipRmsNormalization {},
];

/// The axis a `Squeeze` takes away, if it is a single one.
fn squeezed_axis(graph: &Graph, squeeze: NodeId) -> Option<usize> {
    let rank = graph.ty(graph[squeeze].input(0)?).rank()?;
    match integers(graph, squeeze, 1, "axes")?.as_slice() {
        &[axis] => position(axis, rank),
        _ => None,
    }
}
