//! The arguments of `lapidary prune`.
use super::{BlockArgs, Gates, Input};
use crate::commands::Data;
use clap::{Args, ValueEnum};
use lapidary::Runtime;
use lapidary::passes::prune::{Grain, Importance, Rounding};
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
    pub(crate) blocks: BlockArgs,
    #[command(flatten)]
    pub(crate) amounts: Amounts,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) gates: Gates,
    /// What goes of an attention: whole heads, or places, the same rows of every head. Places lose less for what they save,
    /// heads leave the sizes kernels are made for.
    #[arg(long, value_enum, default_value = "heads")]
    pub(crate) attention: Attention,
    /// Write which channels stay: by group, for --keep, and by initializer of the model, to cut the parameters in the
    /// framework it comes from.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) write_keep: Option<PathBuf>,
    /// Print the groups of coupled channels, what can't be pruned and why, and what would go if that is said; write
    /// nothing.
    #[arg(long, conflicts_with_all = ["output", "write_keep"])]
    pub(crate) plan: bool,
    /// Leave biases and running variances as they are. Without --data and a target, products otherwise get in their biases
    /// what the channels they lose gave on average, and the normalizations behind them the variance that is left, as far as
    /// normalizations tell.
    #[arg(long, conflicts_with = "plan")]
    pub(crate) no_mean_replacement: bool,
    /// Prune the model as it is, without optimizing it before.
    #[arg(long)]
    pub(crate) no_optimize: bool,
}

/// How much goes; by default --ratio 0.3. With --data, and for a target, the channels that stay make up for the others.
#[derive(Debug, Args)]
pub(crate) struct Amounts {
    /// Keep this share of the multiply-accumulates.
    #[arg(long, group = "target", group = "amount_of_all", value_name = "SHARE", value_parser = share)]
    pub(crate) macs: Option<f64>,
    /// Keep this share of the parameters.
    #[arg(long, group = "target", group = "amount_of_all", value_name = "SHARE", value_parser = share)]
    pub(crate) parameters: Option<f64>,
    /// Keep this share of the bytes.
    #[arg(long, group = "target", group = "amount_of_all", value_name = "SHARE", value_parser = share)]
    pub(crate) bytes: Option<f64>,
    /// Keep this share of the time of one sample, measured on this machine in --runtime; other runtimes and machines may gain
    /// more or less. Products are measured one by one, up to 20 s, then the pruned model beside the original; what is asked
    /// for shrinks, up to three times, until that is as fast. Measured times differ from run to run, and so do results.
    #[arg(
        long, group = "target", group = "amount_of_all", value_name = "SHARE", value_parser = share,
        conflicts_with_all = ["blocks", "steps"]
    )]
    pub(crate) latency: Option<f64>,
    /// What --latency is measured in: tract, the runtime lapidary has built in, in one thread, or a command. It is split into
    /// words as a shell does, with quotes and without variables, and called with paths of ONNX files behind its own
    /// arguments; for each, in this order, it prints a line with the milliseconds of one run. `python lane/latency.py` is
    /// ONNX Runtime.
    #[arg(
        long, value_name = "COMMAND", requires = "latency",
        conflicts_with_all = ["macs", "parameters", "bytes", "ratio", "amount"]
    )]
    pub(crate) runtime: Option<Runtime>,
    /// Remove this fraction of the channels: of every group, or with --scope of all together.
    #[arg(long, group = "amount_of_all", value_name = "FRACTION")]
    pub(crate) ratio: Option<f64>,
    /// Remove this many channels of every group.
    #[arg(long, group = "amount_of_all", value_name = "N")]
    pub(crate) amount: Option<usize>,
    /// Remove this fraction of the channels these nodes make, whatever goes of the others: names, op:TYPE for operators,
    /// re:PATTERN for names that match. May be given several times; the last that selects a node holds.
    #[arg(long, value_name = "NODE=FRACTION", value_parser = layer_ratio)]
    pub(crate) layer_ratio: Vec<(NodeSelector, f64)>,
    /// Keep the channels a file names and no others of their groups: {"groups": [{"name": NAME, "keep": [0, 2]}]}, with
    /// names and numbers as --plan --json shows them. Other groups stay whole unless more is asked for.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) keep: Option<PathBuf>,
}

/// Which channels go.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// What makes channels important. With samples obs, wanda, activation, apoz; by weights l1, l2, fpgm, lamp, bn-scale; with
    /// --gradients taylor, fisher; random. Default obs where samples are read or made up, else l2.
    #[arg(long, value_name = "NAME")]
    pub(crate) importance: Option<Importance>,
    /// What channels go by with --importance random: the same number, the same channels. Default 0.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The same as --importance l1 and l2.
    #[arg(long, value_enum, conflicts_with = "importance")]
    pub(crate) norm: Option<Norm>,
    /// Gradients of the loss for taylor and fisher: .npz with an array for every weight, by the name of its initializer and
    /// of its shape; for fisher also with a first axis of samples.
    #[arg(long, value_name = "FILE.npz")]
    pub(crate) gradients: Option<PathBuf>,
    /// What several weights of a group say of a channel becomes their sum (the default), mean or maximum.
    #[arg(long, value_enum)]
    pub(crate) reduction: Option<Reduce>,
    /// What the numbers of a weight are divided by before: their mean (the default), their maximum, nothing.
    #[arg(long, value_enum)]
    pub(crate) normalize: Option<Normalize>,
    /// Which channels are ranked together. Default measured for a target, else local.
    #[arg(long, value_enum)]
    pub(crate) scope: Option<Rank>,
    /// Keep the channels these nodes make: names, op:TYPE for operators, re:PATTERN for names that match.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    pub(crate) ignore: Vec<NodeSelector>,
    /// Channels every axis keeps at least. Default 1.
    #[arg(long, value_name = "N")]
    pub(crate) min_channels: Option<usize>,
    /// The fraction of a group that goes at most. Default 1.
    #[arg(long, value_name = "FRACTION", value_parser = share)]
    pub(crate) max_ratio: Option<f64>,
    /// Keep a multiple of this many channels, as kernels that work on blocks want it. By default 1, and with a target auto: 8,
    /// less for narrow groups.
    #[arg(long, value_name = "N|auto")]
    pub(crate) round_to: Option<Rounding>,
    /// Remove the channels in this many rounds, and rank those that stay again after each; needs samples or a target.
    /// Default 1, and 2 for a target below 0.4 with --data.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) steps: Option<u16>,
}

impl Amounts {
    /// Whether it is said how much goes.
    pub(crate) fn any(&self) -> bool {
        self.of_all() || !self.layer_ratio.is_empty() || self.keep.is_some()
    }

    /// Whether it is said how much goes of groups of which nothing else is said.
    pub(crate) fn of_all(&self) -> bool {
        let Self { macs, parameters, bytes, latency, ratio, amount, .. } = self;
        [macs, parameters, bytes, latency, ratio].into_iter().any(Option::is_some)
            || amount.is_some()
    }
}

impl Choice {
    /// The options that say which channels go, if any is given.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let given = [
            ("--importance", self.importance.is_some()),
            ("--seed", self.seed.is_some()),
            ("--norm", self.norm.is_some()),
            ("--gradients", self.gradients.is_some()),
            ("--reduction", self.reduction.is_some()),
            ("--normalize", self.normalize.is_some()),
            ("--scope", self.scope.is_some()),
            ("--ignore", !self.ignore.is_empty()),
            ("--min-channels", self.min_channels.is_some()),
            ("--max-ratio", self.max_ratio.is_some()),
            ("--round-to", self.round_to.is_some()),
            ("--steps", self.steps.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}

/// A share above 0 and at most 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.trim().parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| format!("`{text}` is no share: above 0 and at most 1 is expected"))
}

/// `conv1=0.5`; names may contain equal signs.
fn layer_ratio(text: &str) -> Result<(NodeSelector, f64), String> {
    let (node, ratio) = text.rsplit_once('=').ok_or("expected NODE=FRACTION")?;
    let node = node.parse().map_err(|error| format!("{error}"))?;
    let ratio = ratio.trim().parse().ok().filter(|ratio| (0.0..1.0).contains(ratio));
    let wrong = || "the fraction is at least 0 and below 1".to_owned();
    Ok((node, ratio.ok_or_else(wrong)?))
}

/// What a channel of an attention is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attention {
    /// A head.
    Heads,
    /// The same row of every head.
    Places,
}

impl Attention {
    pub(crate) fn grain(self) -> Grain {
        match self {
            Self::Heads => Grain::Heads,
            Self::Places => Grain::Places,
        }
    }
}

/// The norm that ranks channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Norm {
    /// Sum of magnitudes.
    L1,
    /// Square root of the sum of squares.
    L2,
}

/// How several numbers become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reduce {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
}

/// What numbers are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Normalize {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// Nothing.
    None,
}

/// Which channels are ranked together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rank {
    /// Those of a group.
    Local,
    /// All.
    Global,
    /// Those of groups of the same structure.
    Isomorphic,
    /// Those of a group; of each goes what the outputs lose least by.
    Measured,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn parse(options: &str) -> Option<Prune> {
        let line = format!("lapidary prune m.onnx {options}");
        match Cli::try_parse_from(line.split_whitespace()).ok()?.command {
            Command::Prune(options) => Some(options),
            _ => None,
        }
    }

    #[test]
    fn one_amount_for_all_and_others_for_some() {
        let options =
            "-o p.onnx --macs 0.5 --layer-ratio a=b=0.25 --layer-ratio op:Conv=0 --keep k.json";
        let amounts = parse(options).expect("they go together").amounts;
        assert!(amounts.of_all() && amounts.any() && amounts.keep.is_some());
        let ratios: Vec<(String, f64)> =
            amounts.layer_ratio.iter().map(|(node, ratio)| (node.to_string(), *ratio)).collect();
        assert_eq!(ratios, [("a=b".to_owned(), 0.25), ("op:Conv".to_owned(), 0.0)]);
        for wrong in [
            "-o p --macs 0.5 --ratio 0.5",
            "-o p --amount 2 --ratio 0.5",
            "-o p --macs 0.5 --bytes 0.5",
            "-o p --macs 0.5 --latency 0.5",
            "-o p --latency 1.5",
            "-o p --latency 0.5 --steps 2",
            "-o p --latency 0.5 --blocks 1",
            "-o p --macs 0.5 --runtime tract",
            "-o p --latency 0.5 --runtime=",
            "-o p --layer-ratio a",
            "-o p --layer-ratio a=1",
            "-o p --norm l1 --importance l1",
            "-o p --steps 0",
            "-o p --plan",
            "--ratio 0.5",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn options_that_are_given_are_named() {
        let choice = |options: &str| parse(options).expect("it is valid").choice;
        assert!(choice("--plan").given().is_empty());
        let given = choice("--plan --norm l1 --ignore a,b --steps 3");
        assert_eq!(given.given(), ["--norm", "--ignore", "--steps"]);
    }
}
