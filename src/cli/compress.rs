//! The arguments of `lapidary compress`.
use super::{Gates, Input, Output, share};
use crate::commands::Data;
use clap::{Args, ValueEnum};
use lapidary::Amount;
use lapidary::passes::prune::{Resource, Target};
use std::path::PathBuf;

/// `lapidary compress`
#[derive(Debug, Args)]
pub(crate) struct Compress {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "PATH")]
    pub(crate) test: Option<PathBuf>,
    /// Remove this fraction of the channels of every group, and let those that stay make up for it on the samples of
    /// --data. `lapidary prune` has all there is to choose.
    #[arg(long, value_name = "FRACTION")]
    pub(crate) prune: Option<f64>,
    /// Remove channels until this share of the multiply-accumulates is left, those that the outputs lose least without,
    /// and let those that stay make up for it.
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "prune")]
    pub(crate) macs: Option<f64>,
    /// Quantize to this type.
    #[arg(long, value_enum)]
    pub(crate) quantize: Option<QuantizeTo>,
    #[command(flatten)]
    pub(crate) gates: Gates,
}

impl Compress {
    /// How many channels go, if any do.
    pub(crate) fn amount(&self) -> Option<Amount> {
        let target = self.macs.map(|share| Target { resource: Resource::Macs, share });
        target.map(Amount::Target).or(self.prune.map(Amount::Ratio))
    }
}

/// Types of quantized weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuantizeTo {
    /// 8 bits: uint8 activations, int8 weights.
    Int8,
}
