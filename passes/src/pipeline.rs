//! Which passes run, in which order.
use crate::Pass;
use crate::eliminate::{
    EliminateBroadcastExpand, EliminateCommonSubexpressions, EliminateConsecutiveCasts,
    EliminateConsecutiveQuantizations, EliminateConsecutiveReshapes,
    EliminateConsecutiveTransposes, EliminateConstantIf, EliminateConstantLoop, EliminateDeadNodes,
    EliminateDropout, EliminateDuplicateInitializers, EliminateEinsum, EliminateIdempotent,
    EliminateIdentity, EliminateInvolutions, EliminateNopArithmetic, EliminateNopCast,
    EliminateNopExpand, EliminateNopPad, EliminateNopPool, EliminateNopReshape, EliminateNopResize,
    EliminateNopSlice, EliminateNopTranspose, EliminateSingleInput, EliminateSingleSplit,
    EliminateTransposes, EliminateUnusedFunctions, EliminateUnusedOutputs,
    EliminateUnusedSubgraphValues, EliminateZeroBias, EliminateZeroInitialState,
};
use crate::fold::{
    FoldCastLike, FoldConstantNodes, FoldConstantSlice, FoldConstants, FoldExpandShape,
    FoldGatherNd, FoldKnownElements, FoldQuantizedConstant, FoldReshapeShape, FoldScalarScale,
    FoldSequenceAt, FoldShapeSource, FoldShapeVector,
};
use crate::fuse::{
    FuseAffineBatchNormalization, FuseAffineConv, FuseAffineConvTranspose, FuseAffineGemm,
    FuseAffineMatMul, FuseBiasGelu, FuseConsecutiveAffine, FuseConsecutiveClip,
    FuseConsecutiveConcats, FuseConsecutiveConv, FuseConsecutiveGemm, FuseConsecutiveMatMul,
    FuseConsecutiveSlices, FuseConvActivation, FuseConvAdd, FuseConvBatchNormalization,
    FuseConvMul, FuseConvTransposeAdd, FuseConvTransposeBatchNormalization, FuseConvTransposeMul,
    FuseDepthToSpace, FuseDistantScale, FuseExpandReshape, FuseFastGelu, FuseGelu, FuseGemmAdd,
    FuseGemmBatchNormalization, FuseGemmMul, FuseHardSigmoid, FuseHardSwish,
    FuseInstanceNormalization, FuseLayerNormalization, FuseMatMulAdd, FuseMatMulBatchNormalization,
    FuseMatMulMul, FuseMish, FuseMultiHeadAttention, FuseNormalizationAffine, FuseNotWhere,
    FusePadAveragePool, FusePadConv, FuseQuickGelu, FuseRangeGather, FuseReduceL2,
    FuseReduceSqueeze, FuseReshapeGemmReshape, FuseRmsNormalization, FuseScaledMatMul, FuseShuffle,
    FuseSkipLayerNormalization, FuseSkipRmsNormalization, FuseSliceSqueeze, FuseSlices,
    FuseSlicesConcat, FuseSoftmax, FuseSoftplus, FuseSplitReshape, FuseSplitSqueeze,
    FuseTransposeGemm, FuseTransposeMatMul,
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
    &EliminateConsecutiveQuantizations {},
    &EliminateZeroBias {},
    // Products of matrices are what fusions look for.
    &EliminateEinsum {},
    &EliminateZeroInitialState {},
    // Weights of quantization-aware training are integers before anything looks for floats.
    &FoldScalarScale {},
    &FoldQuantizedConstant {},
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
    // Any pass before may have removed the last call.
    &EliminateUnusedFunctions {},
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
/// nothing. Weights keep their values, which is what pruning ranks channels by, and equal ones are not shared.
pub fn clean() -> Vec<&'static dyn Pass> {
    let fuses = |pass: &&dyn Pass| pass.info().name.starts_with("fuse-");
    unshared().into_iter().filter(|pass| !fuses(pass)).collect()
}

/// [`OPTIMIZE`] without sharing equal initializers: channels along one that several nodes read can only go together.
pub fn unshared() -> Vec<&'static dyn Pass> {
    let shares = |pass: &&&dyn Pass| pass.info().name == EliminateDuplicateInitializers::INFO.name;
    OPTIMIZE.iter().filter(|pass| !shares(pass)).copied().collect()
}
