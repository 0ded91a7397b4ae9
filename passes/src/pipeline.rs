//! Which passes run, in which order.
use crate::Pass;
use crate::eliminate::{
    EliminateCommonSubexpressions, EliminateConsecutiveCasts, EliminateConsecutiveReshapes,
    EliminateConsecutiveTransposes, EliminateConstantIf, EliminateConstantLoop, EliminateDeadNodes,
    EliminateDropout, EliminateDuplicateInitializers, EliminateIdempotent, EliminateIdentity,
    EliminateInvolutions, EliminateNopArithmetic, EliminateNopCast, EliminateNopExpand,
    EliminateNopPad, EliminateNopPool, EliminateNopReshape, EliminateNopResize, EliminateNopSlice,
    EliminateNopTranspose, EliminateSingleInput, EliminateSingleSplit, EliminateUnusedOutputs,
    EliminateUnusedSubgraphValues, EliminateZeroBias, EliminateZeroInitialState,
};
use crate::fold::{
    FoldCastLike, FoldConstantNodes, FoldConstants, FoldKnownElements, FoldReshapeShape,
    FoldSequenceAt,
};
use crate::fuse::{
    FuseAffineBatchNormalization, FuseAffineConv, FuseAffineConvTranspose, FuseAffineGemm,
    FuseAffineMatMul, FuseConsecutiveAffine, FuseConsecutiveClip, FuseConsecutiveConv,
    FuseConsecutiveGemm, FuseConsecutiveMatMul, FuseConvAdd, FuseConvBatchNormalization,
    FuseConvMul, FuseConvTransposeAdd, FuseConvTransposeBatchNormalization, FuseConvTransposeMul,
    FuseDistantScale, FuseGelu, FuseGemmAdd, FuseGemmBatchNormalization, FuseGemmMul,
    FuseHardSigmoid, FuseHardSwish, FuseInstanceNormalization, FuseLayerNormalization,
    FuseMatMulAdd, FuseMatMulBatchNormalization, FuseMatMulMul, FuseMish, FuseNormalizationAffine,
    FusePadAveragePool, FusePadConv, FuseReshapeGemmReshape, FuseRmsNormalization, FuseSoftmax,
    FuseSoftplus, FuseTransposeGemm, FuseTransposeMatMul,
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
    &EliminateUnusedSubgraphValues {},
    &EliminateConstantIf {},
    &EliminateConstantLoop {},
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
    &EliminateZeroBias {},
    &EliminateZeroInitialState {},
    &FoldConstants {},
    // Fusions read weights that folding may just have computed.
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
    // What can be folded into the operator before it stays with that one.
    &FuseAffineConv {},
    &FuseAffineConvTranspose {},
    &FuseAffineGemm {},
    &FuseAffineMatMul {},
    &FuseAffineBatchNormalization {},
    &FuseNormalizationAffine {},
    &FuseReshapeGemmReshape {},
    &FuseTransposeGemm {},
    &FuseTransposeMatMul {},
    &FuseDistantScale {},
    &FuseConsecutiveAffine {},
    &FuseConsecutiveConv {},
    &FuseConsecutiveGemm {},
    &FuseConsecutiveMatMul {},
    &FusePadConv {},
    &FusePadAveragePool {},
    &FuseConsecutiveClip {},
    // Operators that exporters write as arithmetic. A bound is one Clip by now, and what has a scale
    // per channel is no normalization of a layer.
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

/// The part of [`OPTIMIZE`] that fuses nothing: it computes constants and removes what computes
/// nothing. Weights keep their values, which is what pruning ranks channels by.
pub fn clean() -> Vec<&'static dyn Pass> {
    let fuses = |pass: &&&dyn Pass| pass.info().name.starts_with("fuse-");
    OPTIMIZE.iter().filter(|pass| !fuses(pass)).copied().collect()
}
