//! A model with what is asked for, by the groups in which channels have their names and numbers.
use super::options::{Amount, PruneOptions, check, unscored, usage};
use super::prune_base;
use crate::Error;
use lapidary_ir::Model;
use lapidary_passes::prune::compensated::Options;
use lapidary_passes::prune::{
    Analysis, ChannelPlan, Demand, Importance, Limit, Ranking, Resource, Rounding, Scope, Target,
    weight_scores,
};

/// Channels by number of the group.
pub(super) type Lists = Vec<(usize, Vec<usize>)>;

/// Less than this share of a resource is found in two rounds. For a residual network the divergence is 2 % less then at 0.35,
/// and 4 % more at 0.42; on samples that are made up it is more at both.
const FAR: f64 = 0.4;

/// What is asked for, of the groups of the model in the form in which they have their names.
pub(super) struct Request<'a> {
    pub(super) options: &'a PruneOptions,
    pub(super) base: Model,
    pub(super) analysis: Analysis,
    pub(super) limits: Vec<Limit>,
    /// The importance of every channel, where samples do not tell.
    pub(super) scores: Option<Vec<Option<Vec<f64>>>>,
    pub(super) ranking: Ranking,
    pub(super) scope: Scope,
    /// Whether all that goes is listed.
    pub(super) listed: bool,
    /// Whether what stays makes up for what goes, on samples that are given or made up.
    pub(super) made_up_for: bool,
    has_samples: bool,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        model: &Model,
        options: &'a PruneOptions,
        has_samples: bool,
    ) -> Result<Self, Error> {
        let target = matches!(options.amount, Amount::Target(_));
        let made_up_for = has_samples || target;
        let importance = options.importance.unwrap_or(match made_up_for {
            true => Importance::Obs,
            false => Importance::L2,
        });
        let scope = options.scope.unwrap_or(if target { Scope::Measured } else { Scope::Local });
        check(options, importance, scope, made_up_for)?;
        let base = prune_base(model, options.optimize)?;
        let analysis = Analysis::with(&base.graph, options.attention);
        let limits = Limit::of(&base.graph, &analysis, &options.ignore, &options.ratios);
        let mut limits = limits.map_err(|error| {
            usage(error.to_string(), "`lapidary prune MODEL --plan` shows the nodes of every group")
        })?;
        let removed = analysis.removed_by(&options.keep).map_err(Error::Keep)?;
        for keep in &options.keep {
            let named = analysis.groups.iter().position(|group| group.name == keep.name);
            named.into_iter().for_each(|group| limits[group] = Limit::Whole);
        }
        for (group, channels) in removed {
            limits[group] = Limit::Removed(channels);
        }
        let PruneOptions { reduction, normalization, .. } = *options;
        let seed = options.seed.unwrap_or_default();
        let ranking = Ranking { importance, reduction, normalization, seed };
        let listed = options.amount == Amount::Ratio(0.0)
            && !limits.iter().any(|limit| matches!(limit, Limit::Ratio(_)));
        let scores = if importance.needs_samples() || listed {
            None
        } else {
            let gradients = options.gradients.as_ref();
            Some(weight_scores(&base.graph, &analysis, &ranking, gradients).map_err(unscored)?)
        };
        Ok(Self {
            options,
            base,
            analysis,
            limits,
            scores,
            ranking,
            scope,
            listed,
            made_up_for,
            has_samples,
        })
    }

    /// The options for a graph of the model with these groups.
    pub(super) fn for_groups(&self, own: &Analysis) -> Options {
        let PruneOptions { min_channels, max_ratio, round_to, attention, amount, .. } =
            *self.options;
        let single = if let Amount::Target(_) = amount { Rounding::Auto } else { Rounding::To(1) };
        Options {
            ranking: self.ranking,
            scores: self.scores.as_ref().map(|scores| own.scores_from(&self.analysis, scores)),
            scope: self.scope,
            min_channels,
            max_ratio,
            round_to: round_to.unwrap_or(single),
            attention,
            limits: own.limits_from(&self.analysis, &self.limits),
            rounds: self.rounds(),
            ..Options::default()
        }
    }

    /// Rounds in which channels go: unless it is said, two for a target that is far.
    fn rounds(&self) -> usize {
        let far = match self.options.amount {
            Amount::Target(Target { resource, share }) => {
                resource != Resource::Latency && share < FAR
            }
            _ => false,
        };
        let twice = far && self.has_samples && self.scope == Scope::Measured;
        self.options.rounds.unwrap_or(if twice { 2 } else { 1 })
    }

    /// The channels that go when all of them are listed, of a graph of the model with these groups.
    pub(super) fn listed(&self, own: &Analysis) -> Result<Option<Lists>, Error> {
        if !self.listed {
            return Ok(None);
        }
        let plan = self.analysis.plan_removing(&self.lists());
        let plan = plan.map_err(|error| Error::Prune(error.into()))?;
        Ok(Some(own.carried(&plan, &self.analysis).map_err(Error::Carry)?))
    }

    pub(super) fn lists(&self) -> Lists {
        let list = |(group, limit): (usize, &Limit)| match limit {
            Limit::Removed(channels) => Some((group, channels.clone())),
            _ => None,
        };
        self.limits.iter().enumerate().filter_map(list).collect()
    }

    /// What goes when nothing makes up for it.
    pub(super) fn plan(&self) -> Result<ChannelPlan, Error> {
        let lists = self.lists();
        let demand = match self.options.amount {
            _ if self.listed => Demand::Channels(&lists),
            Amount::Ratio(ratio) => Demand::Ratio(ratio),
            Amount::PerGroup(count) => Demand::PerGroup(count),
            Amount::Target(target) => Demand::Target(target),
        };
        let options = Options {
            limits: self.limits.clone(),
            scores: None,
            ..self.for_groups(&self.analysis)
        };
        let scores = self.scores.as_deref().unwrap_or_default();
        let plan = self.analysis.choose(&self.base, scores, &demand, &options);
        plan.map_err(Error::Prune)
    }
}
