//! Removes channels such that those that stay make up for them, without training.
//!
//! 1. Moments of what products multiply, on samples without labels.
//! 2. The order in which the channels of each group go: Optimal Brain Surgeon on groups, over all readers; when it is
//!    known how many go, exchanges with those that stay.
//! 3. What the outputs lose when channels of one group go and its readers make up for it.
//! 4. How many go of each group: least loss for what is saved, until the target is met.
//! 5. The cut; weights from the moments; then every product fitted to what it gave in the original.
//!
//! The parts are those of `He` et al. 2017 (least squares for pruned inputs), `ZipLM` and OSSCAR (2023, 2024: structured
//! Optimal Brain Surgeon).
pub use super::amounts::Target;
use super::amounts::{Demand, Limit, Scope, makes};
use super::analysis::{Analysis, Group};
use super::apply::ApplyError;
use super::heads::Grain;
use super::importance::ScoreError;
use super::latency::{Latency, StopwatchError, Try};
use super::plan::{ChannelPlan, PlanError};
use super::ranking::{Importance, Ranking};
use super::resources::{Ledger, Resource};
use super::rounding::Rounding;
use super::sequence::Sequence;
use crate::macs::node_macs;
use crate::quantize::NodeSelector;
use crate::samples::batches::Batches;
use lapidary_exec::{ExecError, Inputs};
use lapidary_ir::{Graph, Model};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

mod allocate;
mod blocks;
mod budgets;
mod divergence;
mod fit;
mod front;
mod group_sensitivity;
mod importance;
mod moments;
mod network;
mod obs;
mod reader;
mod refit;
mod renormalize;
mod schedule;
mod sensitivity;
mod swaps;
mod top_one;
mod watch;
mod zeros;

pub use blocks::{
    Adaptor, Block, BlockChoice, BlockError, DroppedBlock, DroppedBlocks, NoBlock, drop_blocks,
    residual_blocks,
};
pub use group_sensitivity::{
    GroupSensitivity, Point, PruningGoal, PruningRecipe, Sensitivities, SensitivityOptions, Shares,
    sensitivities,
};
use network::Network;
pub use renormalize::{prune_by_way_of, renormalized};
use schedule::Part;
use sensitivity::Trials;

/// Samples that moments are taken from and products are fitted on, at least and at most.
const FITTED: (usize, usize) = (128, 512);

/// Samples that losses are measured on, at least and at most.
const MEASURED: (usize, usize) = (32, 256);

/// Multiply-accumulates that fitting or measuring may take; for more there are fewer samples.
const MOST_MACS: f64 = 1e12;

/// Is told what is done, how many of it are done, and how many there are.
pub type Progress<'a> = &'a (dyn Fn(&'static str, usize, usize) + Sync);

/// What channels go first, and which stay whatever they cost.
#[derive(Debug, Clone)]
pub struct Options {
    /// The order in which channels go.
    pub ranking: Ranking,
    /// What is known of the importance of channels, by group and number, where samples do not tell; without it weights
    /// of the model do.
    pub scores: Option<Vec<Option<Vec<f64>>>>,
    /// Which channels are ranked together.
    pub scope: Scope,
    /// Channels every axis keeps at least; 0 counts as 1.
    pub min_channels: usize,
    /// The share of a group that goes at most.
    pub max_ratio: f64,
    /// What numbers of channels groups keep that lose some.
    pub round_to: Rounding,
    /// Channels that these nodes make stay.
    pub ignore: Vec<NodeSelector>,
    /// What a channel of an attention is.
    pub attention: Grain,
    /// What is said of every group; nothing if there is nothing.
    pub limits: Vec<Limit>,
    /// Rounds in which channels go; importance is computed again after each. 0 counts as 1.
    pub rounds: usize,
    /// What products take, for a target of latency.
    pub latency: Option<Arc<Latency>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ranking: Ranking::default(),
            scores: None,
            scope: Scope::default(),
            min_channels: 1,
            max_ratio: 1.0,
            round_to: Rounding::default(),
            ignore: Vec::new(),
            attention: Grain::default(),
            limits: Vec::new(),
            rounds: 1,
            latency: None,
        }
    }
}

impl Options {
    /// What a model costs by the extents of its axes.
    pub(super) fn ledger(
        &self,
        model: &Model,
        analysis: &Analysis,
        resource: Resource,
    ) -> Result<Ledger, PruneError> {
        match (&self.latency, resource) {
            (Some(own), Resource::Latency) => {
                Ok(Ledger::of_times(&model.graph, analysis, &own.times))
            }
            (None, Resource::Latency) => Err(PruneError::Unmeasured),
            _ => Ok(Ledger::of(model, analysis, resource)),
        }
    }

    /// The order in which the channels of a group go.
    fn sequence(
        &self,
        analysis: &Analysis,
        group: &Group,
        scores: &[f64],
        most: usize,
    ) -> Sequence {
        let minimum = self.min_channels.max(1);
        let multiple = self.round_to.multiple(analysis, group);
        Sequence::new(analysis, group, scores, minimum, most).rounded(group.size, multiple)
    }

    /// What is said of every group.
    pub(super) fn all_limits(&self, graph: &Graph, analysis: &Analysis) -> Vec<Limit> {
        let mut limits = self.limits.clone();
        limits.resize(analysis.groups.len(), Limit::Free);
        for (group, limit) in analysis.groups.iter().zip(&mut limits) {
            if self.ignore.iter().any(|chosen| makes(graph, group, chosen)) {
                *limit = Limit::Whole;
            }
        }
        limits
    }
}

/// Why a model can't be pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The runtime can't run it.
    #[error(transparent)]
    Execute(#[from] ExecError),
    /// It is not known how long it takes.
    #[error(transparent)]
    Time(#[from] StopwatchError),
    /// A choice of channels is at fault.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A cut is at fault.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Channels can't be ranked.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// The importance ranks the channels of a group, and says nothing about those of others.
    #[error("the importance `{0}` does not compare channels of different groups")]
    Incomparable(Importance),
    /// Not enough can go.
    #[error(
        "{share:.3} of the {resource} can't be reached: {least:.3} stay when all channels go that can"
    )]
    OutOfReach {
        /// What was asked for.
        share: f64,
        /// Of what.
        resource: Resource,
        /// What can be reached.
        least: f64,
    },
    /// The times of products predict less than the pruned model takes.
    #[error(
        "{share:.3} of the latency can't be reached: measured, {least:.3} stay of the best of {tries} models"
    )]
    Slower {
        /// What was asked for.
        share: f64,
        /// The least that was measured.
        least: f64,
        /// Models that were measured.
        tries: usize,
    },
    /// A target of latency needs the times of products.
    #[error("nobody measured what the products of the model take")]
    Unmeasured,
}

/// What was pruned, and what it costs.
#[derive(Debug, Clone)]
pub struct Pruned {
    /// The channels that went.
    pub plan: ChannelPlan,
    /// What each step left of the outputs: the cut alone, weights from moments, weights fitted. Mean relative
    /// entropy of the classes on samples, or relative squared error.
    pub losses: Vec<(&'static str, f64)>,
    /// Products that were fitted.
    pub fitted: usize,
    /// The rounds in which channels went.
    pub rounds: Vec<Round>,
    /// The share of the resource that stays; without a target of the multiply-accumulates. Of latency as it is predicted.
    pub share: f64,
    /// For a target of latency the plans that were tried, the last one was taken.
    pub tries: Vec<Try>,
}

/// What a round left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Channels that are gone.
    pub removed: usize,
    /// The share of the resource that stays.
    pub share: f64,
    /// The distance of the outputs from those of the original.
    pub loss: f64,
}

/// Prunes a model whose normalizations are folded into its products. Types must have been inferred.
///
/// # Errors
/// When the runtime can't run it, the target is out of reach, or channels that are listed can't go; the model is then
/// unchanged.
pub fn prune_compensated(
    model: &mut Model,
    samples: &Inputs,
    demand: &Demand<'_>,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Pruned, PruneError> {
    let (pruned, report) = pruned(model, samples, demand, options, progress)?;
    *model = pruned;
    Ok(report)
}

fn pruned(
    model: &Model,
    samples: &Inputs,
    demand: &Demand<'_>,
    options: &Options,
    progress: Progress<'_>,
) -> Result<(Model, Pruned), PruneError> {
    let analysis = Analysis::with(&model.graph, options.attention);
    let resource = match demand {
        Demand::Target(target) => target.resource,
        _ => Resource::Macs,
    };
    let ledger = options.ledger(model, &analysis, resource)?;
    let cost = ledger.total(&ledger.extents(&analysis.extents));
    let limits = options.all_limits(&model.graph, &analysis);
    if let Demand::Target(target) = demand {
        schedule::reachable(&analysis, &ledger, &limits, target, options)?;
    }
    let all = Batches::new(&model.graph, samples)?;
    let fitted_on = fitted_on(model, &all);
    let network = Network::new(model, &analysis, &fitted_on, progress)?;
    let measured_on = spread(&all, affordable(macs(&model.graph), 1, MEASURED));
    let trials = Trials::new(&network, &measured_on);
    let finish = |lists: &[(usize, Vec<usize>)]| {
        let mut extents = ledger.extents(&analysis.extents);
        let gone = schedule::elements_of(&analysis, &ledger, lists)?;
        allocate::shift(&mut extents, &gone, false);
        let share = ledger.total(&extents) / cost.max(1.0);
        finish(&network, &trials, lists, &fitted_on, share, progress)
    };
    if let Demand::Channels(lists) = demand {
        return finish(lists);
    }
    let rounds = options.rounds.max(1);
    let mut lists: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut told: Vec<Round> = Vec::new();
    let mut tries = Vec::new();
    let mut last: Option<(Model, Pruned)> = None;
    for round in 1..=rounds {
        let part = Part { round, rounds, demand, cost, resource, options };
        let chosen = match &last {
            None => part.first(&network, &all, &limits, progress)?,
            Some((cut, before)) => {
                let on = (&all, &fitted_on);
                part.next(cut, (&analysis, &before.plan), on, &limits, progress)?
            }
        };
        tries.extend(chosen.tries);
        for (group, channels) in chosen.lists {
            lists.entry(group).or_default().extend(channels);
        }
        lists.values_mut().for_each(|channels| channels.sort_unstable());
        if options.ranking.importance == Importance::Obs {
            progress("swaps", round - 1, rounds);
            let free = |group: &usize| !matches!(limits[*group], Limit::Removed(_));
            lists.par_iter_mut().filter(|(group, _)| free(group)).for_each(|(&group, channels)| {
                *channels = network.exchanged(group, std::mem::take(channels));
            });
        }
        let chosen: Vec<(usize, Vec<usize>)> = lists.clone().into_iter().collect();
        let (model, report) = finish(&chosen)?;
        let removed = report.plan.groups.iter().map(|group| group.removed.len()).sum();
        let loss = report.losses.last().map_or(0.0, |&(_, loss)| loss);
        told.push(Round { removed, share: report.share, loss });
        last = Some((model, report));
    }
    let Some((model, report)) = last else { return finish(&[]) };
    Ok((model, Pruned { rounds: told, tries, ..report }))
}

/// Cuts, and lets what stays make up for it.
fn finish(
    network: &Network<'_>,
    trials: &Trials<'_>,
    lists: &[(usize, Vec<usize>)],
    fitted_on: &Batches<'_>,
    share: f64,
    progress: Progress<'_>,
) -> Result<(Model, Pruned), PruneError> {
    let (mut pruned, plan) = network.cut(lists)?;
    let mut losses = vec![("cut", trials.loss(&pruned)?)];
    network.compensate(&mut pruned, &plan)?;
    losses.push(("moments", trials.loss(&pruned)?));
    let fitted = refit::refit(network, &plan, &mut pruned, fitted_on, progress)?;
    losses.push(("fit", trials.loss(&pruned)?));
    Ok((pruned, Pruned { plan, losses, fitted, rounds: Vec::new(), share, tries: Vec::new() }))
}

/// The samples that products are fitted on.
fn fitted_on<'a>(model: &Model, all: &Batches<'a>) -> Batches<'a> {
    let graph = &model.graph;
    let products = graph.nodes().filter(|(_, node)| node_macs(graph, node).is_some());
    spread(all, affordable(macs(graph), products.count(), FITTED))
}

/// Multiply-accumulates of all products for one sample.
fn macs(graph: &Graph) -> f64 {
    graph.nodes().filter_map(|(_, node)| node_macs(graph, node)).map(|macs| macs as f64).sum()
}

/// The samples with which `runs` of half a network each take no more than [`MOST_MACS`], within bounds.
fn affordable(macs: f64, runs: usize, (least, most): (usize, usize)) -> usize {
    let each = 0.5 * macs * runs as f64;
    ((MOST_MACS / each.max(1.0)) as usize).clamp(least, most)
}

/// At most `count` samples, spread over all.
fn spread<'a>(samples: &Batches<'a>, count: usize) -> Batches<'a> {
    let all = samples.count();
    let count = count.min(all);
    let numbers: Vec<usize> = (0..count).map(|index| index * all / count.max(1)).collect();
    samples.select(&numbers)
}

#[cfg(test)]
mod tests;
