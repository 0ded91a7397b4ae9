//! `lapidary sparsify`
use super::{Data, open};
use crate::cli::{Gates, Input, Output};
use crate::render::{self, Progress, Road, Sparsity};
use clap::{Args, ValueEnum};
use lapidary::ir::Model;
use lapidary::passes::quantize::NodeSelector;
use lapidary::passes::sparsify::{Method, Pattern, Scope, SparsifyOptions};
use lapidary::{Error, Reference, WeightBytes};
use std::path::PathBuf;

/// The largest share of zeros in a weight, unless more than that is asked for.
const MOST_PER_LAYER: f64 = 0.95;

/// `lapidary sparsify`
#[derive(Debug, Args)]
pub(crate) struct Sparsify {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    data: Data,
    /// Samples to measure the result on; by default those of --data.
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    gates: Gates,
    /// Change the model as it is, without optimizing it before.
    #[arg(long)]
    no_optimize: bool,
}

/// Which weights go.
#[derive(Debug, Args)]
struct Choice {
    /// What goes first. Default sparsegpt with --data, else magnitude.
    #[arg(long, value_enum)]
    method: Option<By>,
    /// The share of zeros. Default 0.5; N:M patterns have their own.
    #[arg(long, value_name = "FRACTION")]
    sparsity: Option<f64>,
    /// What goes together: unstructured, N:M (at most N of M weights along the input channels stay) such as 2:4, or
    /// block:RxC of R output and C input channels such as block:4x1.
    #[arg(long, value_name = "PATTERN", default_value_t = Pattern::Unstructured)]
    pattern: Pattern,
    /// One threshold over all weights, or the same share in every one. Default global, but local for N:M patterns and
    /// --method random.
    #[arg(long, value_enum)]
    scope: Option<Spread>,
    /// With --scope global, the largest share of zeros in a weight. Default 0.95, and half way to 1 for more zeros than
    /// 0.9 of all.
    #[arg(long, value_name = "FRACTION")]
    max_per_layer: Option<f64>,
    /// Masks instead: .npz with an array for each weight to make sparse, by the name of its initializer, that is not 0
    /// where a number stays. With --method sparsegpt what stays makes up for the rest.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sparsity", "pattern", "scope", "max_per_layer", "seed"])]
    masks: Option<PathBuf>,
    /// The seed of --method random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Leave the weights of these nodes: names, op:TYPE for operators, re:PATTERN for names that match.
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    exclude: Vec<NodeSelector>,
    /// Leave the first and the last convolution or product.
    #[arg(long)]
    keep_first_last: bool,
    /// Leave weights of fewer numbers.
    #[arg(long, value_name = "N", default_value_t = 256)]
    min_weights: usize,
}

/// What goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The smallest magnitudes.
    Magnitude,
    /// Any, by a seed.
    Random,
    /// The smallest magnitudes times the norm of what they multiply, within an output channel; needs --data.
    Wanda,
    /// What changes results least; what stays makes up for it; needs --data.
    Sparsegpt,
}

/// How the share of zeros is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spread {
    /// The same in every weight.
    Local,
    /// One threshold, for scores relative to what is left of each weight.
    Global,
}

pub(crate) fn run(options: &Sparsify, json: bool) -> Result<(), Error> {
    let settings = options.choice.settings(options.data.data.is_some())?;
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    let test = options.test.as_deref();
    let (data, test) = options.data.read_if_given(&original, test, "sparsify")?;
    let reference = test.map(|test| Reference::new(&original, test)).transpose()?;
    if reference.is_none() && options.gates.any() {
        return Err(Error::Usage {
            problem: "a gate needs samples".to_owned(),
            help: "give them with --test FILE.npz".to_owned(),
        });
    }
    let mut road = Road::new("sparsify", &original, reference.as_ref());
    let mut model = original.clone();
    if !options.no_optimize {
        lapidary::optimize(&mut model)?;
        road.step("optimize", &model)?;
    }
    let before = weight_bytes(&model)?;
    let working = Progress::start("making weights sparse".to_owned());
    let done = lapidary::sparsify(&mut model, data.as_ref(), &settings)?;
    drop(working);
    let evaluation = road.step("sparsify", &model)?;
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    let pattern = match settings.masks {
        Some(_) => "masks".to_owned(),
        None => settings.pattern.to_string(),
    };
    let how = (settings.method.name(), pattern);
    road.sparsity(Sparsity::new(how, &done, (before, weight_bytes(&model)?)));
    lapidary::save(&model, &options.output.output)?;
    render::road(&road, json);
    Ok(())
}

fn weight_bytes(model: &Model) -> Result<WeightBytes, Error> {
    WeightBytes::of(model).map_err(|source| Error::Compress { source })
}

impl Choice {
    /// The options of the library.
    fn settings(&self, has_samples: bool) -> Result<SparsifyOptions, Error> {
        let method = match (self.method, &self.masks) {
            (Some(By::Random | By::Wanda), Some(_)) => {
                return Err(Error::Usage {
                    problem: "masks say already which weights go".to_owned(),
                    help: "leave out --method, or take sparsegpt, with which what stays makes up for the rest".to_owned(),
                });
            }
            (Some(By::Magnitude), _) | (None, Some(_)) => Method::Magnitude,
            (Some(By::Random), _) => Method::Random,
            (Some(By::Wanda), _) => Method::Wanda,
            (Some(By::Sparsegpt), _) => Method::SparseGpt,
            (None, None) if has_samples => Method::SparseGpt,
            (None, None) => Method::Magnitude,
        };
        if let (Pattern::GroupWise { .. }, Some(_)) = (self.pattern, self.sparsity) {
            return Err(Error::Usage {
                problem: format!("the pattern {} has its own share of zeros", self.pattern),
                help: "leave out --sparsity".to_owned(),
            });
        }
        let masks = self.masks.as_deref().map(lapidary::read_masks).transpose()?;
        let sparsity = self.sparsity.unwrap_or(SparsifyOptions::DEFAULT.sparsity);
        Ok(SparsifyOptions {
            method,
            pattern: self.pattern,
            sparsity,
            scope: self.scope(method, sparsity),
            seed: self.seed,
            masks,
            exclude: self.exclude.clone(),
            keep_first_last: self.keep_first_last,
            min_weights: self.min_weights,
        })
    }

    /// How the share of zeros is spread. Weights differ in how many of them are idle, by several times in networks with
    /// depthwise convolutions; a mask, a pattern with a share of its own and chance have no threshold.
    fn scope(&self, method: Method, sparsity: f64) -> Scope {
        let own_share = matches!(self.pattern, Pattern::GroupWise { .. }) || self.masks.is_some();
        let spread = match self.scope {
            Some(spread) => spread,
            None if own_share || method == Method::Random => Spread::Local,
            None => Spread::Global,
        };
        let most = self.max_per_layer.unwrap_or(MOST_PER_LAYER.max((1.0 + sparsity) / 2.0));
        match spread {
            Spread::Local => Scope::Local,
            Spread::Global => Scope::Global { most },
        }
    }
}
