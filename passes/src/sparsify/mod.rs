//! Sets weights of products to zero: single ones, in a pattern, or in blocks.
//!
//! | method | what goes first | what stays |
//! | --- | --- | --- |
//! | magnitude | small \|w\| | as it is |
//! | random | by a hash of a seed | as it is |
//! | wanda | small \|w\| ‖x‖₂, within a row | as it is |
//! | sparsegpt | small w² / \[H⁻¹\]ⱼⱼ | makes up for what went |
//!
//! x are the numbers a weight multiplies on samples, H = E\[x xᵀ\]. [`sparsify`] does it, [`sparsity`] finds zeros.
mod allocate;
mod census;
mod collect;
mod compensate;
mod error;
mod hessian;
mod layer;
mod layout;
mod mask;
mod masks;
mod moments;
mod options;
mod pattern;
mod polish;
mod scores;
mod solve;
#[cfg(test)]
mod tests;
mod weights;

pub use census::{WeightSparsity, sparsity};
pub use error::SparsifyError;
pub use options::{Method, Scope, SparsifyOptions};
pub use pattern::{InvalidPattern, Pattern};
pub use solve::{SparseWeight, Sparsified, sparsify};
pub use weights::SparsifyWeights;

use crate::Pass;

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[&SparsifyWeights { options: SparsifyOptions::DEFAULT }];
