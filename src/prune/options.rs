//! What is asked for of pruning, and what of it does not go together.
use crate::data::arrays;
use crate::{Error, Runtime};
use lapidary_exec::Inputs;
use lapidary_passes::prune::compensated::PruneError;
use lapidary_passes::prune::{
    Grain, Importance, Keep, Normalization, Reduction, Resource, Rounding, Scope, ScoreError,
    Target,
};
use lapidary_passes::quantize::NodeSelector;
use std::path::Path;

/// How much goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A share of the channels, from 0 to 1.
    Ratio(f64),
    /// So many channels of every group.
    PerGroup(usize),
    /// Channels until a share of a resource is left, counted from the model as it is given.
    Target(Target),
}

/// What goes, and how it is chosen.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// How much goes of groups of which nothing else is said.
    pub amount: Amount,
    /// Groups of which it is said what stays.
    pub keep: Vec<Keep>,
    /// The share that goes of the channels these nodes make; the last that selects a node holds.
    pub ratios: Vec<(NodeSelector, f64)>,
    /// Channels that these nodes make stay.
    pub ignore: Vec<NodeSelector>,
    /// Whether products get, where nothing else makes up for the channels they lose, what these gave on average, and the
    /// normalizations behind them the variance that is left, as far as weights tell.
    pub mean_replacement: bool,
    /// What makes channels important; by default `obs` where samples are read or made up, else `l2`.
    pub importance: Option<Importance>,
    /// What channels go by if the importance is random; 0 if it is not said.
    pub seed: Option<u64>,
    /// How several weights of a group count.
    pub reduction: Reduction,
    /// What makes weights comparable.
    pub normalization: Normalization,
    /// Which channels are ranked together; by default `measured` for a target, else `local`.
    pub scope: Option<Scope>,
    /// Channels every axis keeps at least; 0 counts as 1.
    pub min_channels: usize,
    /// The share of a group that goes at most.
    pub max_ratio: f64,
    /// What numbers of channels groups keep that lose some; by default any, for a target `auto`.
    pub round_to: Option<Rounding>,
    /// What a channel of an attention is.
    pub attention: Grain,
    /// Rounds in which channels go, at least one; by default one, and two where losses are measured on samples and less than
    /// 0.4 of a resource is to be left.
    pub rounds: Option<usize>,
    /// What a target of latency is measured in.
    pub runtime: Runtime,
    /// Gradients of the loss by the names of initializers, for importances that need them.
    pub gradients: Option<Inputs>,
    /// Whether the model is optimized before and after. What stays makes up for what goes only in optimized models.
    pub optimize: bool,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            amount: Amount::Ratio(0.3),
            keep: Vec::new(),
            ratios: Vec::new(),
            ignore: Vec::new(),
            mean_replacement: true,
            importance: None,
            seed: None,
            reduction: Reduction::default(),
            normalization: Normalization::default(),
            scope: None,
            min_channels: 1,
            max_ratio: 1.0,
            round_to: None,
            attention: Grain::default(),
            rounds: None,
            runtime: Runtime::default(),
            gradients: None,
            optimize: true,
        }
    }
}

/// Gradients for [`PruneOptions::gradients`] from an .npz file.
///
/// # Errors
/// When the file can't be read.
pub fn read_gradients(path: &Path) -> Result<Inputs, Error> {
    arrays::all(path).map_err(|source| Error::data(path, source))
}

pub(super) fn usage(problem: String, help: &str) -> Error {
    Error::Usage { problem, help: help.to_owned() }
}

/// Refuses what would have no effect.
pub(super) fn check(
    options: &PruneOptions,
    importance: Importance,
    scope: Scope,
    made_up_for: bool,
) -> Result<(), Error> {
    let target = matches!(options.amount, Amount::Target(_));
    let timed =
        matches!(options.amount, Amount::Target(Target { resource: Resource::Latency, .. }));
    if let Amount::Ratio(ratio) = options.amount
        && !(0.0..1.0).contains(&ratio)
    {
        return Err(usage(
            format!("the ratio is {ratio}, expected at least 0 and below 1"),
            "0.3 removes three channels of ten",
        ));
    }
    if made_up_for && !options.optimize {
        return Err(usage(
            "channels make up for others in the optimized model only".to_owned(),
            "leave out --no-optimize, or prune without --data and a target",
        ));
    }
    if made_up_for && !options.mean_replacement {
        return Err(usage(
            "means of lost channels are put into biases only where nothing else makes up for them; with samples or a target the \
             products are fitted"
                .to_owned(),
            "leave out --no-mean-replacement, or prune without --data and a target",
        ));
    }
    if options.seed.is_some() && importance != Importance::Random {
        return Err(usage(
            format!("the importance `{importance}` leaves nothing to chance"),
            "leave out --seed, or take --importance random",
        ));
    }
    if !made_up_for && importance.needs_samples() {
        return Err(unscored(ScoreError::NeedsSamples(importance)));
    }
    if !made_up_for && options.rounds > Some(1) {
        return Err(usage(
            "without samples nothing changes between rounds".to_owned(),
            "give samples with --data, or leave out --steps",
        ));
    }
    if timed && options.rounds > Some(1) {
        return Err(usage(
            "products are measured once, and a target of latency is met in one round".to_owned(),
            "leave out --steps, or give --macs",
        ));
    }
    if !timed && options.runtime != Runtime::default() {
        return Err(usage(
            "a runtime measures latency, and nothing is asked of it".to_owned(),
            "give --latency, or leave out --runtime",
        ));
    }
    if scope == Scope::Measured && !target {
        return Err(usage(
            "losses are measured to meet a target".to_owned(),
            "give --macs, --parameters, --bytes or --latency, or take --scope local, global or isomorphic",
        ));
    }
    if scope != Scope::Local && matches!(options.amount, Amount::PerGroup(_)) {
        return Err(usage(
            "the same number of channels of every group is no ranking over groups".to_owned(),
            "leave out --scope, or give --ratio",
        ));
    }
    if importance == Importance::Obs && matches!(scope, Scope::Global | Scope::Isomorphic) {
        return Err(usage(
            PruneError::Incomparable(importance).to_string(),
            "take --importance wanda, l2, lamp or another one, or --scope local or measured",
        ));
    }
    if options.gradients.is_some() && !importance.needs_gradients() {
        return Err(usage(
            format!("the importance `{importance}` does not look at gradients"),
            "give --importance taylor or fisher, or leave out --gradients",
        ));
    }
    Ok(())
}

pub(super) fn unscored(error: ScoreError) -> Error {
    let help = match error {
        ScoreError::NeedsSamples(_) => "give them with --data, or take --importance l2",
        ScoreError::NeedsGradients(_) => "give them with --gradients FILE.npz",
        ScoreError::NoGradient { .. } | ScoreError::GradientDims { .. } => {
            "the file has an array for every weight, by the name of its initializer and of its shape; for fisher also a stack \
             with one for every sample"
        }
        ScoreError::NoNormalization => {
            "take another importance, or a model that was exported with its normalizations"
        }
    };
    usage(error.to_string(), help)
}
