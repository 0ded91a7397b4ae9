//! `lapidary prune`
use super::{blocks, open};
use crate::cli::{Amounts, Choice, Norm, Normalize, Prune, Rank, Reduce};
use crate::render::{self, Progress, Road};
use lapidary::ir::Model;
use lapidary::passes::prune::{
    Analysis, Importance, Normalization, Reduction, Resource, Scope, Target,
};
use lapidary::{Amount, Error, PruneOptions, Reference};

/// The ratio when nothing else is said.
const RATIO: f64 = 0.3;

pub(crate) fn run(options: &Prune, json: bool) -> Result<(), Error> {
    let mut settings = settings(options)?;
    let opened = open(&options.input)?;
    let mut original = opened.model;
    original.graph.infer();
    if options.plan && options.blocks.blocks.is_some() {
        render::block_plan(&lapidary::find_blocks(&original)?, json);
        return Ok(());
    }
    if options.plan {
        return plan(options, &settings, &original, json);
    }
    let (data, test) = options.data.read_if_given(&original, options.test.as_deref(), "prune")?;
    let reference = test.map(|test| Reference::new(&original, test)).transpose()?;
    if reference.is_none() && options.gates.any() {
        return Err(Error::Usage {
            problem: "a gate needs samples".to_owned(),
            help: "give them with --data FILE.npz".to_owned(),
        });
    }
    let mut road = Road::new("prune", &original, reference.as_ref());
    if settings.optimize {
        let mut optimized = original.clone();
        lapidary::optimize(&mut optimized)?;
        road.step("optimize", &optimized)?;
    }
    let mut model = original.clone();
    let mut channels = true;
    if let Some(choice) = &options.blocks.blocks {
        road.blocks(&blocks::drop(&mut model, data.as_ref(), choice)?);
        road.step("blocks", &model)?;
        channels = options.amounts.any();
        if let Amount::Target(target) = settings.amount {
            let rest = blocks::rest(&target, &original, &model);
            channels &= rest.is_some();
            settings.amount = Amount::Target(rest.unwrap_or(target));
        }
    }
    let cut = if channels {
        let progress = Progress::steps();
        let show = |what, done, all| progress.show(what, done, all);
        Some(lapidary::prune_by(&mut model, data.as_ref(), &settings, &show)?)
    } else {
        None
    };
    if let Some(cut) = &cut {
        road.passes(&cut.records);
        road.pruned(cut, &settings, data.is_some());
    }
    let evaluation = road.step("prune", &model)?;
    if let (Some(reference), Some(evaluation)) = (&reference, &evaluation) {
        options.gates.check(reference, evaluation)?;
    }
    if let Some(output) = &options.output {
        lapidary::save(&model, output)?;
    }
    if let (Some(path), Some(cut)) = (&options.write_keep, &cut) {
        let plan = cut.plan.as_ref().map_err(|error| Error::Carry(error.clone()))?;
        lapidary::write_keep(path, &original, &cut.base, plan)?;
    }
    render::road(&road, json);
    Ok(())
}

/// Shows the groups, and what would go if that is said.
fn plan(
    options: &Prune,
    settings: &PruneOptions,
    original: &Model,
    json: bool,
) -> Result<(), Error> {
    let base = lapidary::prune_base(original, settings.optimize)?;
    let chosen = if options.amounts.any() {
        let data = options.data.read(original)?;
        let progress = Progress::steps();
        let show = |what, done, all| progress.show(what, done, all);
        Some(lapidary::prune_plan(original, data.as_ref(), settings, &show)?)
    } else {
        None
    };
    let analysis = Analysis::with(&base.graph, settings.attention);
    render::prune_plan(&analysis, &base.graph, chosen.as_ref(), json);
    Ok(())
}

/// The options of the library; those without effect are refused.
fn settings(options: &Prune) -> Result<PruneOptions, Error> {
    let (amounts, choice) = (&options.amounts, &options.choice);
    let given = choice.given().join(", ");
    let idle = |why: &str, help: &str| Error::Usage {
        problem: format!("{given} would have no effect: {why}"),
        help: help.to_owned(),
    };
    if options.plan && !amounts.any() && !given.is_empty() {
        let help = "say how much goes, for example with --ratio 0.5";
        return Err(idle("--plan shows the groups, and nothing goes", help));
    }
    if options.blocks.blocks.is_some() && !amounts.any() && !given.is_empty() {
        let help = "say how many channels go as well, for example with --macs 0.5";
        return Err(idle("--blocks removes blocks, and no channels go", help));
    }
    let listed = amounts.keep.is_some() && !amounts.of_all() && amounts.layer_ratio.is_empty();
    if listed && !given.is_empty() {
        let help =
            "leave it out, or say how much goes of other groups, for example with --ratio 0.5";
        return Err(idle("--keep says already which channels go", help));
    }
    let samples = options.data.data.is_some() || amounts.target().is_some();
    let importance = choice.importance();
    let unweighted = match importance {
        Some(importance) => matches!(importance, Importance::Obs | Importance::Random),
        None => samples,
    };
    if unweighted && (choice.reduction.is_some() || choice.normalize.is_some()) {
        return Err(Error::Usage {
            problem: "obs and random do not put together what weights say".to_owned(),
            help: "leave out --reduction and --normalize, or take another --importance".to_owned(),
        });
    }
    let keep = amounts.keep.as_deref().map(lapidary::read_keep).transpose()?;
    let gradients = choice.gradients.as_deref().map(lapidary::read_gradients).transpose()?;
    let default = PruneOptions::default();
    Ok(PruneOptions {
        amount: amounts.amount(),
        keep: keep.unwrap_or_default(),
        ratios: amounts.layer_ratio.clone(),
        ignore: choice.ignore.clone(),
        mean_replacement: !options.no_mean_replacement,
        importance,
        seed: choice.seed,
        reduction: choice.reduction(),
        normalization: choice.normalization(),
        scope: choice.scope(),
        min_channels: choice.min_channels.unwrap_or(default.min_channels),
        max_ratio: choice.max_ratio.unwrap_or(default.max_ratio),
        round_to: choice.round_to,
        attention: options.attention.grain(),
        rounds: choice.steps.map(usize::from),
        runtime: amounts.runtime.clone().unwrap_or_default(),
        gradients,
        optimize: !options.no_optimize,
    })
}

impl Amounts {
    /// What is to be left, if that is said.
    fn target(&self) -> Option<Target> {
        let Self { macs, parameters, bytes, latency, .. } = self;
        let shares = [
            (Resource::Macs, macs),
            (Resource::Parameters, parameters),
            (Resource::Bytes, bytes),
            (Resource::Latency, latency),
        ];
        shares.into_iter().find_map(|(resource, share)| Some(Target { resource, share: (*share)? }))
    }

    /// How much goes of groups of which nothing else is said: nothing when it is said of others only.
    fn amount(&self) -> Amount {
        let some = self.keep.is_some() || !self.layer_ratio.is_empty();
        let default = if some { 0.0 } else { RATIO };
        self.target()
            .map(Amount::Target)
            .or(self.amount.map(Amount::PerGroup))
            .unwrap_or(Amount::Ratio(self.ratio.unwrap_or(default)))
    }
}

impl Choice {
    fn importance(&self) -> Option<Importance> {
        self.importance.or(self.norm.map(|norm| match norm {
            Norm::L1 => Importance::L1,
            Norm::L2 => Importance::L2,
        }))
    }

    fn reduction(&self) -> Reduction {
        match self.reduction {
            Some(Reduce::Sum) | None => Reduction::Sum,
            Some(Reduce::Mean) => Reduction::Mean,
            Some(Reduce::Max) => Reduction::Max,
        }
    }

    fn normalization(&self) -> Normalization {
        match self.normalize {
            Some(Normalize::Mean) | None => Normalization::Mean,
            Some(Normalize::Max) => Normalization::Max,
            Some(Normalize::None) => Normalization::None,
        }
    }

    fn scope(&self) -> Option<Scope> {
        self.scope.map(|scope| match scope {
            Rank::Local => Scope::Local,
            Rank::Global => Scope::Global,
            Rank::Isomorphic => Scope::Isomorphic,
            Rank::Measured => Scope::Measured,
        })
    }
}
