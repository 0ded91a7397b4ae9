//! The arguments of `lapidary optimize`.
use super::{Input, Output};
use crate::commands::Data;
use clap::{Args, ValueEnum};

/// `lapidary optimize`
#[derive(Debug, Args)]
pub(crate) struct Optimize {
    #[command(flatten)]
    pub(crate) input: Input,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Raise the model to this version of ONNX's operators before anything else.
    #[arg(long, value_name = "N")]
    pub(crate) opset: Option<i64>,
    /// Replace calls of the functions of the model by their bodies.
    #[arg(long)]
    pub(crate) inline: bool,
    /// How the result is checked; without --data on seeded random numbers. Default fast, with
    /// --data full.
    #[arg(long, value_enum)]
    pub(crate) verify: Option<VerifyMode>,
    /// When the check fails, find the rewrite at fault and write the smallest model it spoils
    /// beside the output, as <output>.guilty.onnx.
    #[arg(long)]
    pub(crate) bisect: bool,
    /// Do not execute models, or changed parts of them, larger than this many megabytes.
    #[arg(long, value_name = "MB", default_value_t = 256)]
    pub(crate) verify_limit: u64,
    /// The runtime to write for; `onnxruntime` uses operators no other runtime has.
    #[arg(long, value_enum, default_value = "portable")]
    pub(crate) target: Target,
    /// Run only these passes, once each, in this order; `none` rewrites nothing.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Do not run these passes.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,
    /// Also run these opt-in passes, such as fuse-conv-activation.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) also: Vec<String>,
    /// Validate the graph after every pass.
    #[arg(long)]
    pub(crate) verify_each: bool,
    /// Megabytes the file may become larger by, for folding constants. By default it never does.
    #[arg(long, value_name = "MB", default_value_t = 0)]
    pub(crate) growth: u64,
    /// Show for every pass what it left alone and why.
    #[arg(long)]
    pub(crate) explain: bool,
}

/// How the result is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyMode {
    /// Validate the graph, execute nothing.
    Off,
    /// Execute what was changed, piece by piece; what was left alone is the same by construction.
    Fast,
    /// Execute both models and compare every output.
    Full,
}

/// What the result has to run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Any runtime: operators of ONNX's own domain.
    Portable,
    /// ONNX Runtime: its own operators too.
    Onnxruntime,
}
