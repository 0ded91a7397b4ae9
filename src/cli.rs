//! The command line.
mod blocks;
mod calibrate;
mod compress;
mod diff;
mod gates;
mod input;
mod inspect;
mod integers;
mod optimize;
mod passes;
mod prune;
mod quantize;
mod shapes;
mod verify;

pub(crate) use blocks::BlockArgs;
pub(crate) use calibrate::Calibrate;
pub(crate) use compress::{Compress, QuantizeTo};
pub(crate) use diff::Diff;
pub(crate) use gates::Gates;
pub(crate) use input::{Input, Output, Reading};
pub(crate) use inspect::Inspect;
pub(crate) use integers::{ActivationType, BiasType, Integers, WeightType};
pub(crate) use optimize::{Optimize, Target, VerifyMode};
pub(crate) use passes::Passes;
pub(crate) use prune::{Amounts, Attention, Choice, Norm, Normalize, Prune, Rank, Reduce, share};
pub(crate) use quantize::Quantize;
pub(crate) use shapes::Shapes;
pub(crate) use verify::Verify;

use crate::commands::{Convert, Factorize, Sensitivity, Sparsify};
use clap::{Parser, Subcommand};

/// Makes ONNX models smaller and faster, and proves that they still do their job.
#[derive(Debug, Parser)]
#[command(name = "lapidary", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print the report as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Worker threads; results do not depend on it.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remove, fold and fuse what a model computes needlessly.
    Optimize(Optimize),
    /// Run a model on samples and keep statistics of its values, for `quantize --calib`.
    Calibrate(Calibrate),
    /// Store weights and compute activations in 8 bits, calibrated on data.
    Quantize(Quantize),
    /// Rank convolutions and products by what they lose on integers.
    Sensitivity(Sensitivity),
    /// Compute in floating-point numbers of 16 bits.
    Convert(Convert),
    /// Remove the least important channels of a network, physically.
    Prune(Prune),
    /// Replace the matrices of a network by products of thin ones.
    Factorize(Factorize),
    /// Set weights to zero: single ones, two of four, or blocks.
    Sparsify(Sparsify),
    /// Walk the whole road: optimize, prune, quantize, prove, write.
    Compress(Compress),
    /// Compare what two models compute.
    Verify(Verify),
    /// Show what two models have different.
    Diff(Diff),
    /// Describe a model, or calibration statistics.
    Inspect(Inspect),
    /// List the passes, or explain one.
    Passes(Passes),
}
