//! Which passes run, in which order.
use crate::Pass;
use crate::eliminate::{
    EliminateCommonSubexpressions, EliminateConsecutiveCasts, EliminateConsecutiveReshapes,
    EliminateConsecutiveTransposes, EliminateDeadNodes, EliminateDropout,
    EliminateDuplicateInitializers, EliminateEinsum, EliminateIdempotent, EliminateIdentity,
    EliminateInvolutions, EliminateNopArithmetic, EliminateNopCast, EliminateNopExpand,
    EliminateNopPad, EliminateNopPool, EliminateNopReshape, EliminateNopResize, EliminateNopSlice,
    EliminateNopTranspose, EliminateSingleInput, EliminateSingleSplit, EliminateUnusedOutputs,
    EliminateZeroInitialState,
};
use crate::fold::{
    FoldCastLike, FoldConstantNodes, FoldConstants, FoldKnownElements, FoldReshapeShape,
    FoldSequenceAt,
};
use crate::fuse::{
    FuseBatchNormalizationConv, FuseBiasGelu, FuseConsecutiveClip, FuseConvActivation, FuseConvAdd,
    FuseConvBatchNormalization, FuseConvMul, FuseConvTransposeAdd,
    FuseConvTransposeBatchNormalization, FuseConvTransposeMul, FuseDepthToSpace, FuseFastGelu,
    FuseGelu, FuseGemmAdd, FuseGemmBatchNormalization, FuseGemmMul, FuseHardSigmoid, FuseHardSwish,
    FuseInstanceNormalization, FuseLayerNormalization, FuseMatMulAdd, FuseMatMulBatchNormalization,
    FuseMish, FuseMultiHeadAttention, FusePadAveragePool, FusePadConv, FuseQuickGelu, FuseReduceL2,
    FuseRmsNormalization, FuseScaledMatMul, FuseSkipLayerNormalization, FuseSkipRmsNormalization,
    FuseSoftmax, FuseSoftplus,
};

/// Makes a model smaller and faster without changing what it computes. Runs to a fixpoint;
/// neighbouring rules run together.
pub const OPTIMIZE: &[&dyn Pass] = &[
    // What nobody reads must not cost time, nor keep other values in use.
    &EliminateDeadNodes {},
    &EliminateUnusedOutputs {},
    // Constants become initializers first: the rules after this look for initializers.
    &FoldConstantNodes {},
    &FoldKnownElements {},
    &FoldCastLike {},
    &FoldReshapeShape {},
    &FoldSequenceAt {},
    &EliminateIdentity {},
    &EliminateDropout {},
    &EliminateNopCast {},
    &EliminateNopReshape {},
    &EliminateNopTranspose {},
    &EliminateNopPad {},
    &EliminateNopSlice {},
    &EliminateNopExpand {},
    &EliminateNopResize {},
    &EliminateNopPool {},
    &EliminateNopArithmetic {},
    &EliminateSingleInput {},
    &EliminateSingleSplit {},
    &EliminateIdempotent {},
    &EliminateInvolutions {},
    &EliminateConsecutiveTransposes {},
    &EliminateConsecutiveReshapes {},
    &EliminateConsecutiveCasts {},
    // Products of matrices are what fusions look for.
    &EliminateEinsum {},
    &EliminateZeroInitialState {},
    &FoldConstants {},
    // Fusions read weights that folding may just have computed.
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
    // Operators that exporters write as arithmetic. A bound is one Clip by now, and what has a scale
    // per channel is no normalization of a layer.
    &FuseDepthToSpace {},
    &FuseReduceL2 {},
    &FuseGelu {},
    &FuseHardSigmoid {},
    &FuseHardSwish {},
    &FuseSoftplus {},
    &FuseMish {},
    &FuseInstanceNormalization {},
    &FuseLayerNormalization {},
    &FuseRmsNormalization {},
    &FuseSoftmax {},
    // Sharing comes last: a shared weight can't be fused into one of its readers alone.
    &EliminateDuplicateInitializers {},
    &EliminateCommonSubexpressions {},
];

/// Rewrites an optimized model into operators that ONNX Runtime alone has.
pub const ONNXRUNTIME: &[&dyn Pass] = &[
    // Before something claims its factors and transpositions; layers then share their masks.
    &FuseMultiHeadAttention {},
    &EliminateDuplicateInitializers {},
    &EliminateCommonSubexpressions {},
    &FuseScaledMatMul {},
    // A bias belongs to the activation before a sum can claim it.
    &FuseBiasGelu {},
    &FuseFastGelu {},
    &FuseQuickGelu {},
    &FuseSkipLayerNormalization {},
    &FuseSkipRmsNormalization {},
    &FuseConvActivation {},
];

/// The part of [`OPTIMIZE`] that fuses nothing: it computes constants and removes what computes
/// nothing. Weights keep their values, which is what pruning ranks channels by.
pub fn clean() -> Vec<&'static dyn Pass> {
    let fuses = |pass: &&&dyn Pass| pass.info().name.starts_with("fuse-");
    OPTIMIZE.iter().filter(|pass| !fuses(pass)).copied().collect()
}
