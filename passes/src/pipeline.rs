//! Which passes run, in which order.
use crate::Pass;
use crate::eliminate::{
    EliminateBroadcastExpand, EliminateCommonSubexpressions, EliminateConsecutiveCasts,
    EliminateConsecutiveReshapes, EliminateConsecutiveTransposes, EliminateDeadNodes,
    EliminateDropout, EliminateDuplicateInitializers, EliminateIdempotent, EliminateIdentity,
    EliminateInvolutions, EliminateNopArithmetic, EliminateNopCast, EliminateNopExpand,
    EliminateNopPad, EliminateNopPool, EliminateNopReshape, EliminateNopResize, EliminateNopSlice,
    EliminateNopTranspose, EliminateSingleInput, EliminateSingleSplit, EliminateTransposes,
    EliminateUnusedOutputs, EliminateZeroInitialState,
};
use crate::fold::{
    FoldCastLike, FoldConstantNodes, FoldConstantSlice, FoldConstants, FoldExpandShape,
    FoldGatherNd, FoldKnownElements, FoldReshapeShape, FoldSequenceAt, FoldShapeSource,
    FoldShapeVector,
};
use crate::fuse::{
    FuseBatchNormalizationConv, FuseConsecutiveClip, FuseConsecutiveConcats, FuseConsecutiveSlices,
    FuseConvAdd, FuseConvBatchNormalization, FuseConvMul, FuseConvTransposeAdd,
    FuseConvTransposeBatchNormalization, FuseConvTransposeMul, FuseExpandReshape, FuseGemmAdd,
    FuseGemmBatchNormalization, FuseGemmMul, FuseMatMulAdd, FuseMatMulBatchNormalization,
    FuseNotWhere, FusePadAveragePool, FusePadConv, FuseRangeGather, FuseReduceSqueeze, FuseShuffle,
    FuseSliceSqueeze, FuseSlices, FuseSlicesConcat, FuseSplitReshape, FuseSplitSqueeze,
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
    &FoldExpandShape {},
    // What no constant can say is computed from as few shapes as possible.
    &FoldShapeVector {},
    &FoldShapeSource {},
    &FoldGatherNd {},
    &FoldConstantSlice {},
    &FoldSequenceAt {},
    &EliminateIdentity {},
    &EliminateDropout {},
    &EliminateNopCast {},
    &EliminateNopReshape {},
    &EliminateNopTranspose {},
    &EliminateNopPad {},
    &EliminateNopSlice {},
    &EliminateNopExpand {},
    &EliminateBroadcastExpand {},
    &EliminateNopResize {},
    &EliminateNopPool {},
    &EliminateNopArithmetic {},
    &EliminateSingleInput {},
    &EliminateSingleSplit {},
    &EliminateIdempotent {},
    &EliminateInvolutions {},
    &EliminateConsecutiveTransposes {},
    &EliminateTransposes {},
    &EliminateConsecutiveReshapes {},
    &EliminateConsecutiveCasts {},
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
    &FuseConsecutiveSlices {},
    // One element of an axis is gathered; only what is left after that is split.
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
