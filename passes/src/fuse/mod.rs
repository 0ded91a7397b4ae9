//! Fuses neighbouring nodes into one.
use crate::Pass;

mod activation;
mod affine;
mod attention;
mod attention_site;
mod batch_normalization_conv;
mod bounds;
mod consecutive_clip;
mod conv_activation;
mod conv_add;
mod conv_batch_normalization;
mod conv_mul;
mod conv_transpose_add;
mod conv_transpose_batch_normalization;
mod conv_transpose_mul;
mod depth_to_space;
mod gemm_add;
mod gemm_batch_normalization;
mod gemm_mul;
mod linear;
mod mat_mul_add;
mod mat_mul_batch_normalization;
mod normalization;
mod pad_average_pool;
mod pad_conv;
mod padding;
mod power;
mod product;
mod reduce_l2;
mod region;
mod runtime;
mod scalar;
pub mod unit;
mod weights;

pub use activation::{FuseGelu, FuseHardSigmoid, FuseHardSwish, FuseMish, FuseSoftplus, FuseSwish};
pub use attention::FuseAttention;
pub use batch_normalization_conv::FuseBatchNormalizationConv;
pub use consecutive_clip::FuseConsecutiveClip;
pub use conv_activation::FuseConvActivation;
pub use conv_add::FuseConvAdd;
pub use conv_batch_normalization::FuseConvBatchNormalization;
pub use conv_mul::FuseConvMul;
pub use conv_transpose_add::FuseConvTransposeAdd;
pub use conv_transpose_batch_normalization::FuseConvTransposeBatchNormalization;
pub use conv_transpose_mul::FuseConvTransposeMul;
pub use depth_to_space::FuseDepthToSpace;
pub use gemm_add::FuseGemmAdd;
pub use gemm_batch_normalization::FuseGemmBatchNormalization;
pub use gemm_mul::FuseGemmMul;
pub use mat_mul_add::FuseMatMulAdd;
pub use mat_mul_batch_normalization::FuseMatMulBatchNormalization;
pub use normalization::{
    FuseGroupNormalization, FuseInstanceNormalization, FuseLayerNormalization, FuseLogSoftmax,
    FuseLpNormalization, FuseRmsNormalization, FuseSoftmax,
};
pub use pad_average_pool::FusePadAveragePool;
pub use pad_conv::FusePadConv;
pub use reduce_l2::FuseReduceL2;
pub use runtime::{
    FuseBiasGelu, FuseFastGelu, FuseMultiHeadAttention, FuseQuickGelu, FuseScaledMatMul,
    FuseSkipLayerNormalization, FuseSkipRmsNormalization,
};

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
