//! The passes: eliminate, fold, fuse, quantize, prune, factorize, sparsify, convert.
//!
//! A [`Rule`] rewrites around one node; a [`Pass`] transforms a whole model. Each stands in the
//! file its name says: `fuse-conv-batch-normalization` in `fuse/conv_batch_normalization.rs`.
//! [`passes`] lists them all, [`pipeline`] puts them in order, [`driver`] runs them.
mod context;
#[cfg(test)]
mod conventions;
pub mod convert;
pub mod driver;
pub mod eliminate;
pub mod factorize;
pub mod fold;
pub mod fuse;
pub mod guard;
mod linear_algebra;
pub mod macs;
mod pass;
pub mod pipeline;
pub mod prune;
pub mod quantize;
#[cfg(test)]
mod quantized_tests;
mod samples;
mod slices;
pub mod sparsify;
#[cfg(test)]
mod testing;

pub use context::{Context, GrowthBudget, Record, Reverted};
pub use pass::{Accuracy, OrSkip, Pass, PassError, PassInfo, Rule, Skip, require};

/// Every pass, in documentation order.
pub fn passes() -> impl Iterator<Item = &'static dyn Pass> {
    let (clean, lossy) = (
        [eliminate::PASSES, fold::PASSES, fuse::PASSES],
        [quantize::PASSES, prune::PASSES, factorize::PASSES, sparsify::PASSES],
    );
    let verbs = clean.into_iter().chain(lossy).chain([convert::PASSES]);
    verbs.flatten().copied()
}

/// The pass of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Pass> {
    passes().find(|pass| pass.info().name == name)
}
