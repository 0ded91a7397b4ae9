//! The arguments of `lapidary verify`.
use super::Gates;
use crate::commands::Data;
use clap::Args;
use std::path::PathBuf;

/// `lapidary verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The original.
    #[arg(value_name = "A.onnx")]
    pub(crate) original: PathBuf,
    /// The model to compare with it.
    #[arg(value_name = "B.onnx")]
    pub(crate) changed: PathBuf,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Largest difference, relative to the largest magnitude of an output. Default 1e-5, unless
    /// another gate is given.
    #[arg(long, value_name = "REL")]
    pub(crate) tolerance: Option<f64>,
    /// Compare every value both models compute under one name, not only the outputs.
    #[arg(long)]
    pub(crate) layers: bool,
    #[command(flatten)]
    pub(crate) gates: Gates,
}
