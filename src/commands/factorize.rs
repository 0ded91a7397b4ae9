//! `lapidary factorize`
use super::{Data, open};
use crate::cli::{Gates, Input};
use crate::render::{self, Progress, Road};
use clap::{Args, ValueEnum};
use lapidary::passes::factorize::{ConvSplit, FactorizeOptions, RankRule};
use lapidary::passes::quantize::NodeSelector;
use lapidary::{Error, Reference};
use std::path::PathBuf;

/// `lapidary factorize`
#[derive(Debug, Args)]
pub(crate) struct Factorize {
    #[command(flatten)]
    input: Input,
    /// The file to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,
    #[command(flatten)]
    ranks: Ranks,
    /// What kernels of more than one place become.
    #[arg(long, value_enum, default_value = "svd")]
    conv: Conv,
    /// Leave these nodes alone: names, op:TYPE for operators, re:PATTERN for names that match.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    exclude: Vec<NodeSelector>,
    #[command(flatten)]
    gates: Gates,
    /// Factorize the model as it is, without optimizing it before.
    #[arg(long)]
    no_optimize: bool,
    /// Show every node that was left alone and why.
    #[arg(long)]
    explain: bool,
}

/// How ranks are chosen; by default --energy 0.99.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Ranks {
    /// Keep this share of the energy of every matrix: of its squared singular values, with --data of what it
    /// computes. The default, with 0.99.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    energy: Option<f64>,
    /// Give every matrix this rank.
    #[arg(long, value_name = "N", value_parser = rank)]
    rank: Option<usize>,
    /// Give every matrix this share of its full rank.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    rank_ratio: Option<f64>,
    /// Keep the singular values above the noise, as empirical variational Bayes estimates it.
    #[arg(long)]
    evbmf: bool,
    /// Keep this share of the parameters of all matrices together, where they lose least.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    parameters: Option<f64>,
    /// Keep this share of the multiply-accumulates of all matrices together, where they lose least.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    macs: Option<f64>,
}

/// What kernels of more than one place become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Conv {
    /// The kernel to a few channels and a pointwise one.
    Svd,
    /// A kernel along the first axis and one along the second.
    Spatial,
    /// A pointwise kernel, a smaller kernel, a pointwise one.
    Tucker,
}

/// A number above 0, at most 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|&share| share > 0.0 && share <= 1.0);
    share.ok_or_else(|| format!("`{text}` is no share above 0 and of at most 1"))
}

fn rank(text: &str) -> Result<usize, String> {
    let rank = text.parse().ok().filter(|&rank| rank > 0);
    rank.ok_or_else(|| format!("`{text}` is no rank of at least 1"))
}

impl Ranks {
    fn rule(&self) -> RankRule {
        let Self { energy, rank, rank_ratio, evbmf, parameters, macs } = *self;
        let bayes = evbmf.then_some(RankRule::Evbmf);
        energy
            .map(RankRule::Energy)
            .or(rank.map(RankRule::Rank))
            .or(rank_ratio.map(RankRule::Ratio))
            .or(bayes)
            .or(parameters.map(RankRule::Parameters))
            .or(macs.map(RankRule::Macs))
            .unwrap_or_default()
    }
}

pub(crate) fn run(options: &Factorize, json: bool) -> Result<(), Error> {
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let data = options.data.read(&original)?;
    let test = options.data.read_test(&original, options.test.as_deref())?;
    let reference = test.clone().or_else(|| data.clone());
    if reference.is_none() && options.gates.any() {
        return Err(Error::Usage {
            problem: "a gate needs samples".to_owned(),
            help: "give them with --data FILE.npz or --test FILE.npz".to_owned(),
        });
    }
    let reference = reference.map(|samples| Reference::new(&original, samples)).transpose()?;
    let mut road = Road::new("factorize", &original, reference.as_ref());
    let mut model = original;
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
        road.step("optimize", &model)?;
    }
    let settings = FactorizeOptions {
        rank: options.ranks.rule(),
        conv: match options.conv {
            Conv::Svd => ConvSplit::Svd,
            Conv::Spatial => ConvSplit::Spatial,
            Conv::Tucker => ConvSplit::Tucker,
        },
        exclude: options.exclude.clone(),
    };
    let factorized = {
        let _factorizing = Progress::start("factorizing".to_owned());
        lapidary::factorize(&mut model, data.as_ref(), test.as_ref(), &settings)?
    };
    let evaluation = road.step("factorize", &model)?;
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    lapidary::save(&model, &options.output)?;
    road.factorization(&factorized, options.explain);
    render::road(&road, json);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn rule(options: &str) -> Option<RankRule> {
        let line = format!("lapidary factorize m.onnx -o f.onnx {options}");
        match Cli::try_parse_from(line.split_whitespace()).ok()?.command {
            Command::Factorize(options) => Some(options.ranks.rule()),
            _ => None,
        }
    }

    #[test]
    fn ranks_are_chosen_in_one_way() {
        assert_eq!(rule(""), Some(RankRule::Energy(0.99)));
        assert_eq!(rule("--energy 0.9"), Some(RankRule::Energy(0.9)));
        assert_eq!(rule("--rank 8"), Some(RankRule::Rank(8)));
        assert_eq!(rule("--rank-ratio 0.25"), Some(RankRule::Ratio(0.25)));
        assert_eq!(rule("--evbmf"), Some(RankRule::Evbmf));
        assert_eq!(rule("--parameters 0.6"), Some(RankRule::Parameters(0.6)));
        assert_eq!(rule("--macs 0.5"), Some(RankRule::Macs(0.5)));
        for wrong in ["--rank 8 --evbmf", "--energy 1.5", "--rank 0", "--parameters 0"] {
            assert_eq!(rule(wrong), None, "{wrong}");
        }
    }
}
