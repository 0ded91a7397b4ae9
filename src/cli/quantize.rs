//! The arguments of `lapidary quantize`.
use super::{Gates, Input, Integers, Output};
use crate::commands::{Data, Float, Light, Search};
use clap::Args;
use lapidary::passes::quantize::RangeMethod;
use std::path::PathBuf;

/// `lapidary quantize`
#[derive(Debug, Args)]
pub(crate) struct Quantize {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "PATH")]
    pub(crate) test: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) gates: Gates,
    #[command(flatten)]
    pub(crate) integers: Integers,
    /// Statistics that `lapidary calibrate` made from this model, instead of samples.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) calib: Option<PathBuf>,
    /// How ranges are chosen: auto (the least error at the products that read a value), min-max, moving-average, mean-min-max, percentile[:P], entropy,
    /// mse[:P], mean-std[:K], aciq.
    #[arg(long, value_name = "METHOD", default_value_t = RangeMethod::DEFAULT)]
    pub(crate) method: RangeMethod,
    /// Quantize the model as it is, without optimizing it before.
    #[arg(long)]
    pub(crate) no_optimize: bool,
    /// Take observed ranges and the nearest integers, without looking for better ones.
    #[arg(long)]
    pub(crate) no_refine: bool,
    /// Show which nodes stay in float and why.
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) float: Float,
    #[command(flatten)]
    pub(crate) search: Search,
    #[command(flatten)]
    pub(crate) light: Light,
}
