//! The command line.
mod blocks;
mod prune;

pub(crate) use blocks::BlockArgs;
pub(crate) use prune::{Amounts, Choice, Norm, Normalize, Prune, Rank, Reduce};

use crate::commands::{Convert, Data, Factorize, Float, Light, Search, Sensitivity, Sparsify};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lapidary::passes::quantize::{NodeSelector, RangeMethod, Target as Runtime};
use std::path::PathBuf;

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

/// A model and how its file is read.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// The model.
    #[arg(value_name = "MODEL.onnx")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) reading: Reading,
}

/// How a model file is read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Drop fields that are newer than this version instead of refusing the file.
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,
    /// Also allow external data in this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) external_root: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) shapes: Shapes,
}

/// Sizes for dimensions the model leaves open.
#[derive(Debug, Args)]
pub(crate) struct Shapes {
    /// Fix the shape of an input, as in image:1,3,224,224; a single input needs no name. May be
    /// given several times.
    #[arg(
        long,
        value_name = "NAME:DIMS",
        value_parser = input_shape,
        aliases = ["input-shapes", "overwrite-input-shape"],
    )]
    pub(crate) input_shape: Vec<InputShape>,
    /// Fix a dimension the model names (a dim_param), everywhere. May be given several times.
    #[arg(long, value_name = "NAME=N", value_parser = fixed_dim)]
    pub(crate) dim: Vec<(String, i64)>,
}

/// The shape of an input, by name unless there is one input.
pub(crate) type InputShape = (Option<String>, std::sync::Arc<[i64]>);

/// `image:1,3,224,224`, also with `=`. Names may contain colons themselves.
fn input_shape(text: &str) -> Result<InputShape, String> {
    let (name, dims) = match text.rsplit_once([':', '=']) {
        Some((name, dims)) => (Some(name.to_owned()), dims),
        None => (None, text),
    };
    let sizes = dims.split(',').filter(|_| !dims.is_empty() || name.is_none());
    Ok((name.clone(), sizes.map(size).collect::<Result<_, _>>()?))
}

/// `batch=4`, also with `:`.
fn fixed_dim(text: &str) -> Result<(String, i64), String> {
    let (name, dim) = text.rsplit_once([':', '=']).ok_or("expected NAME=N")?;
    Ok((name.to_owned(), size(dim)?))
}

fn size(text: &str) -> Result<i64, String> {
    let size = text.trim().parse().ok().filter(|&size| size >= 0);
    size.ok_or_else(|| format!("`{text}` is no size of a dimension"))
}

/// Where the result goes.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
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

/// `lapidary calibrate`
#[derive(Debug, Args)]
pub(crate) struct Calibrate {
    /// The model.
    #[arg(value_name = "MODEL.onnx", required_unless_present = "merge")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) output: Output,
    /// Take only part I of N of the samples; the parts merged are the same as all at once.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub(crate) shard: Option<(usize, usize)>,
    /// Merge files of statistics of one model instead of running it.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["model", "data", "shard"])]
    pub(crate) merge: Vec<PathBuf>,
    /// Run the model as it is, without optimizing it before, for `quantize --no-optimize`.
    #[arg(long)]
    pub(crate) no_optimize: bool,
}

/// `2/8`.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    let shard = numbers.filter(|&(shard, shards)| shard >= 1 && shard <= shards);
    shard.ok_or_else(|| format!("`{text}` is no part such as 1/4 to 4/4"))
}

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

/// Which integers, and where.
#[derive(Debug, Args)]
pub(crate) struct Integers {
    /// Who executes the model: decides where QuantizeLinear and DequantizeLinear go and of which type they are. One of
    /// onnxruntime-x86, onnxruntime-arm, tensorrt, qnn, openvino, generic.
    #[arg(long, value_name = "TARGET", default_value_t)]
    pub(crate) target: Runtime,
    /// The type of activations; by default what the target wants.
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) activations: Option<ActivationType>,
    /// Quantize activations around 0.
    #[arg(long, overrides_with = "asymmetric")]
    pub(crate) symmetric: bool,
    /// Give activations any zero point.
    #[arg(long)]
    pub(crate) asymmetric: bool,
    /// The type of weights.
    #[arg(long, value_enum, value_name = "TYPE", default_value = "int8")]
    pub(crate) weights: WeightType,
    /// One scale for all output channels of a weight, instead of one for each.
    #[arg(long)]
    pub(crate) per_tensor: bool,
    /// Use 7 bits of int8 weights, for x86 processors without VNNI.
    #[arg(long)]
    pub(crate) reduce_range: bool,
    /// Make every scale a power of two.
    #[arg(long)]
    pub(crate) power_of_two: bool,
    /// How biases are stored; by default as the target wants them.
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) bias: Option<BiasType>,
    /// Leave these nodes in float: names, op:TYPE for operators, re:PATTERN for names that match.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub(crate) exclude: Vec<NodeSelector>,
    /// Also write a calibration cache for TensorRT's implicit quantization.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration_cache: Option<PathBuf>,
    /// Leave the first and the last convolution or product in float.
    #[arg(long)]
    pub(crate) keep_first_last: bool,
}

/// Types of activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActivationType {
    /// 0 to 255.
    Uint8,
    /// −128 to 127.
    Int8,
    /// 0 to 65535; needs opset 21.
    Uint16,
    /// −32768 to 32767; needs opset 21.
    Int16,
}

/// Types of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// −127 to 127.
    Int8,
    /// −7 to 7; needs opset 21.
    Int4,
}

/// Types of biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BiasType {
    /// In steps of the product of the scales of what is multiplied.
    Int32,
    /// As it is.
    Float,
}

/// What the result must reach, or nothing is written and the exit code is 1.
#[derive(Debug, Args)]
pub(crate) struct Gates {
    /// Smallest signal-to-noise ratio of every output against the original, in dB.
    #[arg(long, value_name = "DB")]
    pub(crate) min_sqnr: Option<f64>,
    /// Largest loss of accuracy, in percentage points; needs labels.
    #[arg(long, value_name = "POINTS")]
    pub(crate) max_drop: Option<f64>,
}

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

/// `lapidary diff`
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first model.
    #[arg(value_name = "A.onnx")]
    pub(crate) a: PathBuf,
    /// The second model.
    #[arg(value_name = "B.onnx")]
    pub(crate) b: PathBuf,
}

/// `lapidary inspect`
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Print the whole graph as ONNX text.
    #[arg(long)]
    pub(crate) text: bool,
    /// Print what is quantized, with which types and scales, and what will run on integers.
    #[arg(long)]
    pub(crate) quantization: bool,
    /// Who executes the quantized model.
    #[arg(long, value_name = "TARGET", default_value_t)]
    pub(crate) target: Runtime,
    /// The model before it was quantized: print the error of every layer against it.
    #[arg(long, value_name = "FLOAT.onnx", requires = "quantization")]
    pub(crate) original: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) data: Data,
    /// Of calibration statistics, show the ranges this method chooses.
    #[arg(long, value_name = "METHOD", default_value_t = RangeMethod::DEFAULT)]
    pub(crate) method: RangeMethod,
}

/// `lapidary passes`
#[derive(Debug, Args)]
pub(crate) struct Passes {
    /// The pass to explain.
    pub(crate) name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command, fixed_dim, input_shape, shard};
    use clap::Parser;

    #[test]
    fn a_shape_stands_behind_the_last_colon() {
        let parse = |text| input_shape(text).map(|(name, dims)| (name, dims.to_vec()));
        assert_eq!(parse("image:0:1,3,8"), Ok((Some("image:0".to_owned()), vec![1, 3, 8])));
        assert_eq!(parse("image=2"), Ok((Some("image".to_owned()), vec![2])));
        assert_eq!(parse("1,3"), Ok((None, vec![1, 3])));
        assert_eq!(parse("scalar:"), Ok((Some("scalar".to_owned()), vec![])));
        assert!(parse("").is_err() && parse("x:1,").is_err() && parse("x:-1").is_err());
    }

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!(shard("2/8"), Ok((2, 8)));
        for wrong in ["0/2", "3/2", "1", "a/b", "1/0"] {
            assert!(shard(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn statistics_are_calibrated_or_merged() {
        let parse = |text: &str| Cli::try_parse_from(text.split(' '));
        let merged = parse("lapidary calibrate --merge a b -o c").map(|cli| cli.command);
        let Ok(Command::Calibrate(merged)) = merged else { panic!("{merged:?}") };
        assert!(merged.model.is_none() && merged.merge.len() == 2);
        let run = parse("lapidary calibrate m.onnx --data d.npz --shard 1/2 --limit 3 -o c");
        let run = run.map(|cli| cli.command);
        let Ok(Command::Calibrate(run)) = run else { panic!("{run:?}") };
        assert!(run.model.is_some() && run.merge.is_empty());
        assert_eq!((run.shard, run.data.samples), (Some((1, 2)), Some(3)));
        assert!(parse("lapidary calibrate m.onnx --merge a b -o c").is_err());
        assert!(parse("lapidary calibrate --data d.npz -o c").is_err());
    }

    #[test]
    fn a_dimension_has_a_name_and_one_size() {
        assert_eq!(fixed_dim("past + 1=4"), Ok(("past + 1".to_owned(), 4)));
        assert!(fixed_dim("4").is_err() && fixed_dim("N=a").is_err());
    }
}
