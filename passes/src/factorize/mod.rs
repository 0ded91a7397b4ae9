//! Replaces matrices by products of thin ones.
//!
//! A site is a constant matrix W, K inputs times N outputs, and the nodes that multiply with it. What is thin is
//! chosen for least squares:
//!
//! | split | of | into |
//! | --- | --- | --- |
//! | matrix | MatMul, Gemm, Conv | (K × r) and (r × N): two products, or the kernel to r channels and a pointwise Conv |
//! | spatial | Conv of two axes | a kernel (k × 1) to r channels and one (1 × k) |
//! | Tucker | Conv | a pointwise Conv to a channels, the kernel from a to b channels, a pointwise Conv |
//!
//! On samples the first split is optimal for what the product computes instead of for the weights, and the bias
//! takes over the mean of what is lost. Statistics, ranks and rewriting are apart: `moments` sees samples,
//! `rank` and `budget` see curves of cost and loss, `emit` sees factors.
mod bias;
mod budget;
mod curve;
mod decomposition;
mod emit;
mod evbmf;
mod factors;
mod low_rank;
mod measure;
mod moments;
mod rank;
mod rows;
mod site;
mod spectrum;
#[cfg(test)]
mod tests;
mod tucker;

pub use curve::Rank;
pub use low_rank::{
    ConvSplit, Factorization, FactorizeError, FactorizeLowRank, FactorizeOptions, Factorized,
    LeftAlone, Norm,
};
pub use rank::RankRule;

use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[&FactorizeLowRank { options: FactorizeOptions::DEFAULT }];
