//! Which passes run, in which order.
use crate::{Pass, eliminate, fold};

/// Makes a model smaller and faster without changing what it computes. Runs to a fixpoint.
pub const OPTIMIZE: &[&dyn Pass] = &[
    &fold::FoldConstantNodes {},
    &eliminate::EliminateIdentity {},
    &eliminate::EliminateDropout {},
    &eliminate::EliminateNopCast {},
    // Behind the cast that does nothing: the others become ordinary casts.
    &fold::FoldCastLike {},
    &fold::FoldKnownElements {},
    &eliminate::EliminateNopReshape {},
    &eliminate::EliminateNopTranspose {},
    &eliminate::EliminateNopPad {},
    &eliminate::EliminateNopSlice {},
    &eliminate::EliminateNopExpand {},
    &eliminate::EliminateNopResize {},
    &eliminate::EliminateNopPool {},
    &eliminate::EliminateNopArithmetic {},
    &eliminate::EliminateSingleInput {},
    &eliminate::EliminateSingleSplit {},
    &eliminate::EliminateIdempotent {},
    &eliminate::EliminateInvolutions {},
    &eliminate::EliminateConsecutiveTransposes {},
    &eliminate::EliminateConsecutiveReshapes {},
    &eliminate::EliminateConsecutiveCasts {},
    &eliminate::EliminateZeroInitialState {},
    &eliminate::EliminateUnusedOutputs {},
    &fold::FoldReshapeShape {},
    &fold::FoldSequenceAt {},
    &fold::FoldConstants {},
    &eliminate::EliminateDeadNodes {},
    // Equal inputs first: they make equal nodes.
    &eliminate::EliminateDuplicateInitializers {},
    &eliminate::EliminateCommonSubexpressions {},
];
