//! The arguments of `lapidary compress`.
use super::{Gates, Input, Output};
use crate::commands::Data;
use clap::{Args, ValueEnum};
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
    /// Remove this fraction of channels.
    #[arg(long, value_name = "FRACTION")]
    pub(crate) prune: Option<f64>,
    /// Quantize to this type.
    #[arg(long, value_enum)]
    pub(crate) quantize: Option<QuantizeTo>,
    #[command(flatten)]
    pub(crate) gates: Gates,
}

/// Types of quantized weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuantizeTo {
    /// 8 bits: uint8 activations, int8 weights.
    Int8,
}
