//! The arguments of `lapidary prune`.
use super::{Gates, Input};
use crate::commands::Data;
use clap::{Args, ValueEnum};
use lapidary::passes::prune::compensated::Importance;
use lapidary::passes::quantize::NodeSelector;
use std::path::PathBuf;

/// `lapidary prune`
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The file to write.
    #[arg(short, long, value_name = "FILE", required_unless_present = "plan")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "PATH")]
    pub(crate) test: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) budget: Budget,
    #[command(flatten)]
    pub(crate) pruning: Pruning,
    #[command(flatten)]
    pub(crate) gates: Gates,
    /// Write which channels stay: by group, for --keep, and by initializer of the model, to cut the parameters in the
    /// framework it comes from.
    #[arg(long, value_name = "FILE.json", conflicts_with = "plan")]
    pub(crate) write_keep: Option<PathBuf>,
    /// Print the groups of coupled channels and what can't be pruned and why; write nothing.
    #[arg(long)]
    pub(crate) plan: bool,
    /// Prune the model as it is, without optimizing it before.
    #[arg(long)]
    pub(crate) no_optimize: bool,
}

/// How much stays. Where most can go for the least loss, most goes; with --data the channels that stay make up for
/// the others.
#[derive(Debug, Args)]
pub(crate) struct Budget {
    /// Keep this share of the multiply-accumulates.
    #[arg(long, group = "target", value_name = "SHARE", value_parser = share)]
    pub(crate) macs: Option<f64>,
    /// Keep this share of the parameters.
    #[arg(long, group = "target", value_name = "SHARE", value_parser = share)]
    pub(crate) parameters: Option<f64>,
    /// Keep this share of the bytes.
    #[arg(long, group = "target", value_name = "SHARE", value_parser = share)]
    pub(crate) bytes: Option<f64>,
    /// Which channels of a group go first, when there is a target: obs, wanda, activation, fpgm, l1, l2, random.
    #[arg(long, requires = "target", value_name = "NAME", default_value_t)]
    pub(crate) importance: Importance,
    /// When there is a target, keep the channels these nodes make: names, op:TYPE for operators, re:PATTERN for
    /// names that match.
    #[arg(long, requires = "target", value_name = "NODE", value_delimiter = ',')]
    pub(crate) ignore: Vec<NodeSelector>,
    /// Channels every axis keeps at least, when there is a target.
    #[arg(long, requires = "target", value_name = "N", default_value_t = 1)]
    pub(crate) min_channels: usize,
    /// The fraction of a group that goes at most, when there is a target.
    #[arg(long, requires = "target", value_name = "FRACTION", default_value_t = 1.0)]
    pub(crate) max_ratio: f64,
}

/// A share above 0 and at most 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.trim().parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| format!("`{text}` is no share: above 0 and at most 1 is expected"))
}

/// How channels are chosen.
#[derive(Debug, Args)]
pub(crate) struct Pruning {
    /// Keep the channels a file names and no others of their groups: {"groups": [{"name": NAME, "keep": [0, 2]}]}, with
    /// names and numbers as --plan --json shows them. Other groups stay whole.
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["target", "ratio", "norm", "round_to"])]
    pub(crate) keep: Option<PathBuf>,
    /// Remove this fraction of every group, by the norm of weights; without a target 0.3.
    #[arg(long, value_name = "FRACTION", conflicts_with = "target")]
    pub(crate) ratio: Option<f64>,
    /// The importance of a channel.
    #[arg(long, value_enum, default_value = "l2", conflicts_with = "target")]
    pub(crate) norm: Norm,
    /// Keep a multiple of this many channels, as kernels for blocks of 8 or 16 want it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) round_to: usize,
}

/// The norm that ranks channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Square root of the sum of squares.
    L2,
}
