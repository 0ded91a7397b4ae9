//! The command line.
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Makes ONNX models smaller and faster, and proves that they still do their job.
#[derive(Debug, Parser)]
#[command(name = "lapidary", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print the report as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Worker threads; results do not depend on it.
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Remove, fold and fuse what a model computes needlessly.
    Optimize(Optimize),
    /// Store weights and compute activations in 8 bits, calibrated on data.
    Quantize(Quantize),
    /// Remove the least important channels of a network, physically.
    Prune(Prune),
    /// Walk the whole road: optimize, prune, quantize, prove, write.
    Compress(Compress),
    /// Compare what two models compute.
    Verify(Verify),
    /// Describe a model.
    Inspect(Inspect),
    /// List the passes, or explain one.
    Passes(Passes),
}

/// How a model file is read.
#[derive(Debug, Args)]
pub struct Input {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub model: PathBuf,
    /// Drop fields that are newer than this version instead of refusing the file.
    #[arg(long)]
    pub allow_unknown_fields: bool,
    /// Also allow external data in this folder.
    #[arg(long, value_name = "DIR")]
    pub external_root: Vec<PathBuf>,
}

/// Where the result goes.
#[derive(Debug, Args)]
pub struct Output {
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// The samples to work with.
#[derive(Debug, Args)]
pub struct Data {
    /// Samples: .npz with an array per input and labels under `y`, or .npy for a single input.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Use only the first N samples.
    #[arg(long, value_name = "N")]
    pub samples: Option<usize>,
}

/// How the result is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyMode {
    /// Validate the graph, execute nothing.
    Off,
    /// Execute both models and compare every output.
    Full,
}

/// `lapidary optimize`
#[derive(Debug, Args)]
pub struct Optimize {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub data: Data,
    /// Execute the result; without --data on seeded random inputs.
    #[arg(long, value_enum, default_value = "full")]
    pub verify: VerifyMode,
    /// Do not execute models larger than this many megabytes.
    #[arg(long, value_name = "MB", default_value_t = 256)]
    pub verify_limit: u64,
    /// Run only these passes, once each, in this order.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Do not run these passes.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// Also run these opt-in passes, such as fuse-conv-activation.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub also: Vec<String>,
    /// Validate the graph after every pass.
    #[arg(long)]
    pub verify_each: bool,
    /// Megabytes folding may add to the model.
    #[arg(long, value_name = "MB", default_value_t = 4)]
    pub growth: u64,
    /// Show for every pass what it left alone and why.
    #[arg(long)]
    pub explain: bool,
}

/// `lapidary quantize`
#[derive(Debug, Args)]
pub struct Quantize {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    #[command(flatten)]
    pub gates: Gates,
    /// Leave these nodes in float.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Quantize the model as it is, without optimizing it before.
    #[arg(long)]
    pub no_optimize: bool,
    /// Show which nodes stay in float and why.
    #[arg(long)]
    pub explain: bool,
}

/// `lapidary prune`
#[derive(Debug, Args)]
pub struct Prune {
    #[command(flatten)]
    pub input: Input,
    /// The file to write.
    #[arg(short, long, value_name = "FILE", required_unless_present = "plan")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub pruning: Pruning,
    #[command(flatten)]
    pub gates: Gates,
    /// Print the groups of coupled channels and what can't be pruned and why; write nothing.
    #[arg(long)]
    pub plan: bool,
    /// Prune the model as it is, without optimizing it before.
    #[arg(long)]
    pub no_optimize: bool,
}

/// How channels are chosen.
#[derive(Debug, Args)]
pub struct Pruning {
    /// Fraction of channels to remove from every group.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.3)]
    pub ratio: f64,
    /// The importance of a channel.
    #[arg(long, value_enum, default_value = "l2")]
    pub norm: Norm,
    /// Keep a multiple of this many channels.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub round_to: usize,
}

/// The norm that ranks channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Square root of the sum of squares.
    L2,
}

/// What the result must reach, or nothing is written and the exit code is 1.
#[derive(Debug, Args)]
pub struct Gates {
    /// Smallest signal-to-noise ratio of every output against the original, in dB.
    #[arg(long, value_name = "DB")]
    pub min_sqnr: Option<f64>,
    /// Largest loss of accuracy, in percentage points; needs labels.
    #[arg(long, value_name = "POINTS")]
    pub max_drop: Option<f64>,
}

/// `lapidary compress`
#[derive(Debug, Args)]
pub struct Compress {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// Remove this fraction of channels.
    #[arg(long, value_name = "FRACTION")]
    pub prune: Option<f64>,
    /// Quantize to this type.
    #[arg(long, value_enum)]
    pub quantize: Option<QuantizeTo>,
    #[command(flatten)]
    pub gates: Gates,
}

/// Types of quantized weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum QuantizeTo {
    /// 8 bits: uint8 activations, int8 weights.
    Int8,
}

/// `lapidary verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// The original.
    #[arg(value_name = "A.onnx")]
    pub original: PathBuf,
    /// The model to compare with it.
    #[arg(value_name = "B.onnx")]
    pub changed: PathBuf,
    #[command(flatten)]
    pub data: Data,
    /// Largest difference, relative to the largest magnitude of an output. Default 1e-5, unless
    /// another gate is given.
    #[arg(long, value_name = "REL")]
    pub tolerance: Option<f64>,
    #[command(flatten)]
    pub gates: Gates,
}

/// `lapidary inspect`
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    pub input: Input,
    /// Print the whole graph as ONNX text.
    #[arg(long)]
    pub text: bool,
}

/// `lapidary passes`
#[derive(Debug, Args)]
pub struct Passes {
    /// The pass to explain.
    pub name: Option<String>,
}
