//! Which channels go in a round.
//!
//! Of N rounds the r-th leaves s^(r/N) of the resource, or of the channels, where s is the share asked for. Channels are
//! ranked on the network the round before left; the cut and what makes up for it start from the original.
use super::allocate::{self, Curve, Elements, allocate};
use super::network::Network;
use super::sensitivity::{self, Trials};
use super::zeros::Live;
use super::{MEASURED, Options, Progress, PruneError, affordable, macs, spread};
use crate::prune::amounts::{Chooser, Demand, Limit, Scope, Target, classes};
use crate::prune::analysis::{Analysis, Group};
use crate::prune::carry::{carry_limits, carry_scores};
use crate::prune::importance::weight_scores;
use crate::prune::latency::Try;
use crate::prune::plan::{ChannelPlan, PlanError};
use crate::prune::ranking::{Importance, Ranking};
use crate::prune::resources::{Ledger, Resource};
use crate::prune::select;
use crate::prune::sequence::Sequence;
use crate::samples::batches::Batches;
use lapidary_ir::Model;
use rayon::prelude::*;

/// Channels by number of the group.
type Lists = Vec<(usize, Vec<usize>)>;

/// Measured plans that are followed by another one at most when they take longer than predicted.
const RETRIES: usize = 3;

/// How much less is asked for then than what would be right by the last measurement.
const MARGIN: f64 = 0.98;

/// What goes, and the measured plans it took to find that.
pub(super) struct Chosen {
    pub(super) lists: Lists,
    pub(super) tries: Vec<Try>,
}

/// One of several rounds.
pub(super) struct Part<'a> {
    pub(super) round: usize,
    pub(super) rounds: usize,
    pub(super) demand: &'a Demand<'a>,
    /// What the original costs.
    pub(super) cost: f64,
    pub(super) resource: Resource,
    pub(super) options: &'a Options,
}

/// What is known of the groups of a network before a round.
struct State {
    /// Channels at the start.
    whole: Vec<usize>,
    limits: Vec<Limit>,
    scores: Option<Vec<Option<Vec<f64>>>>,
}

impl Part<'_> {
    /// Channels of the original.
    pub(super) fn first(
        &self,
        network: &Network<'_>,
        all: &Batches<'_>,
        limits: &[Limit],
        progress: Progress<'_>,
    ) -> Result<Chosen, PruneError> {
        let whole = network.analysis.groups.iter().map(|group| group.size).collect();
        let limits = limits.iter().map(|limit| self.scheduled(limit)).collect();
        let state = State { whole, limits, scores: self.options.scores.clone() };
        self.choose(network, all, &state, progress)
    }

    /// More channels, of what the rounds before left of the original.
    pub(super) fn next(
        &self,
        cut: &Model,
        (original, plan): (&Analysis, &ChannelPlan),
        (all, fitted_on): (&Batches<'_>, &Batches<'_>),
        limits: &[Limit],
        progress: Progress<'_>,
    ) -> Result<Chosen, PruneError> {
        let analysis = Analysis::with(&cut.graph, self.options.attention);
        let network = Network::new(cut, &analysis, fitted_on, progress)?;
        let places = analysis.places_in(original, Some(plan));
        let size = |places: &Vec<Option<(usize, usize)>>| {
            let group = places.iter().flatten().next().map(|&(group, _)| group);
            group.map_or(places.len(), |group| original.groups[group].size)
        };
        let given = |limit: &Limit| match limit {
            Limit::Removed(_) => Limit::Whole,
            other => self.scheduled(other),
        };
        let limits: Vec<Limit> = limits.iter().map(given).collect();
        let scores = self.options.scores.as_ref();
        let state = State {
            whole: places.iter().map(size).collect(),
            limits: carry_limits(&places, &limits),
            scores: scores.map(|scores| carry_scores(&places, scores)),
        };
        let chosen = self.choose(&network, all, &state, progress)?;
        let mut lists = Lists::new();
        for (group, channels) in chosen.lists {
            for place in channels.into_iter().filter_map(|channel| places[group][channel]) {
                match lists.iter_mut().find(|(group, _)| *group == place.0) {
                    Some((_, own)) => own.push(place.1),
                    None => lists.push((place.0, vec![place.1])),
                }
            }
        }
        Ok(Chosen { lists, tries: chosen.tries })
    }

    /// 1 − (1 − s)^(r/N).
    fn share_gone(&self, ratio: f64) -> f64 {
        1.0 - (1.0 - ratio).max(0.0).powf(self.done())
    }

    fn done(&self) -> f64 {
        self.round as f64 / self.rounds as f64
    }

    fn scheduled(&self, limit: &Limit) -> Limit {
        match limit {
            Limit::Ratio(ratio) => Limit::Ratio(self.share_gone(*ratio)),
            other => other.clone(),
        }
    }

    fn choose(
        &self,
        network: &Network<'_>,
        all: &Batches<'_>,
        state: &State,
        progress: Progress<'_>,
    ) -> Result<Chosen, PruneError> {
        let Options { scope, ranking, .. } = self.options;
        let demand = match *self.demand {
            Demand::Target(target) => {
                Demand::Target(Target { share: target.share.powf(self.done()), ..target })
            }
            Demand::Ratio(ratio) => Demand::Ratio(self.share_gone(ratio)),
            Demand::PerGroup(count) => {
                Demand::PerGroup((count as f64 * self.done()).ceil() as usize)
            }
            listed @ Demand::Channels(_) => listed,
        };
        let ranks_all = matches!(scope, Scope::Global | Scope::Isomorphic);
        if ranks_all && ranking.importance == Importance::Obs {
            return Err(PruneError::Incomparable(ranking.importance));
        }
        let scores = self.scores(network, all, state, progress)?;
        match demand {
            Demand::Target(target) if *scope == Scope::Measured => {
                self.measured(network, all, state, &scores, &target, progress)
            }
            demand => self.ranked(network, state, &scores, &demand),
        }
    }

    fn scores(
        &self,
        network: &Network<'_>,
        all: &Batches<'_>,
        state: &State,
        progress: Progress<'_>,
    ) -> Result<Vec<Option<Vec<f64>>>, PruneError> {
        let known = state.scores.as_ref();
        scores(network, all, &self.options.ranking, &state.limits, known, progress)
    }

    /// By ranking channels alone.
    fn ranked(
        &self,
        network: &Network<'_>,
        state: &State,
        scores: &[Option<Vec<f64>>],
        demand: &Demand<'_>,
    ) -> Result<Chosen, PruneError> {
        let (graph, analysis, options) = (&network.model.graph, network.analysis, self.options);
        let chooser = Chooser {
            analysis,
            scores,
            limits: &state.limits,
            classes: classes(graph, analysis, options.scope),
            local: matches!(options.scope, Scope::Local | Scope::Measured),
            whole: &state.whole,
            minimum: options.min_channels.max(1),
            max_ratio: options.max_ratio,
            round_to: options.round_to,
        };
        let ledger = options.ledger(network.model, analysis, self.resource)?;
        let share = if let Demand::Target(target) = demand { target.share } else { 1.0 };
        self.met(network, share, |share| {
            let choices = chooser.choose(demand, &ledger, share * self.cost).map_err(|least| {
                PruneError::OutOfReach { share, resource: self.resource, least: least / self.cost }
            })?;
            let lists = choices.into_iter().map(|choice| choice.removed).enumerate();
            let lists: Lists = lists.filter(|(_, removed)| !removed.is_empty()).collect();
            let mut extents = ledger.extents(&analysis.extents);
            allocate::shift(&mut extents, &elements_of(analysis, &ledger, &lists)?, false);
            Ok((lists, ledger.total(&extents) / self.cost))
        })
    }

    /// What `choose` finds for a share, with the share it predicts. If latency is measured it has to be as small for the
    /// model that is cut; where it is not, what is asked for shrinks by what is too much of it:
    ///
    /// s ← s · asked / measured.
    fn met(
        &self,
        network: &Network<'_>,
        asked: f64,
        choose: impl Fn(f64) -> Result<(Lists, f64), PruneError>,
    ) -> Result<Chosen, PruneError> {
        let mut tries: Vec<Try> = Vec::new();
        let mut share = asked;
        let (mut lists, mut predicted) = choose(share)?;
        let latency = self.options.latency.as_ref();
        let Some(latency) = latency.filter(|_| self.resource == Resource::Latency) else {
            return Ok(Chosen { lists, tries });
        };
        loop {
            let measured = (latency.measure)(&network.cut(&lists)?.0)?;
            tries.push(Try { predicted, measured });
            if measured <= asked {
                return Ok(Chosen { lists, tries });
            }
            share *= MARGIN * asked / measured;
            let least = tries.iter().map(|own| own.measured).fold(f64::INFINITY, f64::min);
            let slower = PruneError::Slower { share: asked, least, tries: tries.len() };
            if tries.len() > RETRIES {
                return Err(slower);
            }
            (lists, predicted) = match choose(share) {
                Err(PruneError::OutOfReach { .. }) => return Err(slower),
                other => other?,
            };
        }
    }

    /// By what the outputs lose.
    fn measured(
        &self,
        network: &Network<'_>,
        all: &Batches<'_>,
        state: &State,
        scores: &[Option<Vec<f64>>],
        target: &Target,
        progress: Progress<'_>,
    ) -> Result<Chosen, PruneError> {
        let (model, analysis, options) = (network.model, network.analysis, self.options);
        let ledger = options.ledger(model, analysis, self.resource)?;
        let mut sequences: Vec<Sequence> = analysis
            .groups
            .iter()
            .enumerate()
            .map(|(index, group)| match &scores[index] {
                Some(scores) => {
                    let most = most(options, &state.limits[index], state.whole[index], group.size);
                    options.sequence(analysis, group, scores, most)
                }
                None => Sequence::default(),
            })
            .collect();
        let lists = given(analysis, &mut sequences, &state.limits, Some(&state.whole), options);
        let mut extents = ledger.extents(&analysis.extents);
        allocate::shift(&mut extents, &elements_of(analysis, &ledger, &lists)?, false);
        let groups = elements(analysis, &ledger, &sequences);
        let steps = sequences.iter().filter(|sequence| !sequence.steps.is_empty()).count();
        let runs = steps * sensitivity::SHARES.len();
        let measured_on = spread(all, affordable(macs(&model.graph), runs, MEASURED));
        let curves = Trials::new(network, &measured_on).curves(&sequences, progress)?;
        let left = network.left_behind(&sequences)?;
        let scaled = curves.iter().zip(&left).map(|(curve, left)| curve.scaled(*left));
        let curves: Vec<Curve> = scaled.collect();
        self.met(network, target.share, |share| {
            let taken = allocate(&ledger, &extents, &groups, &curves, share * self.cost);
            let left = ledger.total(&allocate::after(&extents, &groups, &taken)) / self.cost;
            check(left, &Target { share, ..*target })?;
            let chosen = sequences.iter().zip(&taken).enumerate();
            let chosen = chosen.map(|(group, (sequence, &steps))| (group, sequence.first(steps)));
            let chosen = chosen.filter(|(_, channels)| !channels.is_empty());
            Ok((lists.iter().cloned().chain(chosen).collect(), left))
        })
    }
}

/// How important every channel is, by group and number, as far as it is known.
pub(super) fn scores(
    network: &Network<'_>,
    all: &Batches<'_>,
    ranking: &Ranking,
    limits: &[Limit],
    known: Option<&Vec<Option<Vec<f64>>>>,
    progress: Progress<'_>,
) -> Result<Vec<Option<Vec<f64>>>, PruneError> {
    let analysis = network.analysis;
    if !ranking.importance.needs_samples() {
        return match known {
            Some(scores) => Ok(scores.clone()),
            None => Ok(weight_scores(&network.model.graph, analysis, ranking, None)?),
        };
    }
    progress("order", 0, analysis.groups.len());
    let live = match ranking.importance {
        Importance::Apoz => network.live_shares(all)?,
        _ => Live::new(),
    };
    let score = |(index, group): (usize, &Group)| {
        let fixed = group.removable.is_empty() || limits[index] == Limit::Whole;
        if fixed { vec![0.0; group.size] } else { network.scores(index, ranking, &live) }
    };
    Ok(analysis.groups.par_iter().enumerate().map(score).map(Some).collect())
}

/// Whether a target can be met at all.
pub(super) fn reachable(
    analysis: &Analysis,
    ledger: &Ledger,
    limits: &[Limit],
    target: &Target,
    options: &Options,
) -> Result<(), PruneError> {
    let in_any_order = |(group, limit): (&Group, &Limit)| {
        let most = most(options, limit, group.size, group.size);
        options.sequence(analysis, group, &vec![0.0; group.size], most)
    };
    let mut sequences: Vec<Sequence> =
        analysis.groups.iter().zip(limits).map(in_any_order).collect();
    let lists = given(analysis, &mut sequences, limits, None, options);
    let whole = ledger.extents(&analysis.extents);
    let mut extents = whole.clone();
    allocate::shift(&mut extents, &elements_of(analysis, ledger, &lists)?, false);
    let all: Vec<usize> = sequences.iter().map(|sequence| sequence.steps.len()).collect();
    let groups = elements(analysis, ledger, &sequences);
    let least = ledger.total(&allocate::after(&extents, &groups, &all)) / ledger.total(&whole);
    check(least, target)
}

fn check(left: f64, target: &Target) -> Result<(), PruneError> {
    let Target { share, resource } = *target;
    let fits = left <= share * (1.0 + 1e-9);
    if fits { Ok(()) } else { Err(PruneError::OutOfReach { share, resource, least: left }) }
}

/// Channels of a group that may go at most, of `whole` of which `size` are left.
pub(super) fn most(options: &Options, limit: &Limit, whole: usize, size: usize) -> usize {
    if *limit == Limit::Whole {
        return 0;
    }
    let share = (options.max_ratio.clamp(0.0, 1.0) * whole as f64 + 1e-9) as usize;
    share.saturating_sub(whole - size.min(whole))
}

/// Takes what is said of groups out of their sequences.
fn given(
    analysis: &Analysis,
    sequences: &mut [Sequence],
    limits: &[Limit],
    whole: Option<&[usize]>,
    options: &Options,
) -> Lists {
    let mut lists = Lists::new();
    for (index, (sequence, limit)) in sequences.iter_mut().zip(limits).enumerate() {
        let channels = match limit {
            Limit::Free | Limit::Whole => continue,
            Limit::Removed(channels) => channels.clone(),
            Limit::Ratio(ratio) => {
                let size = analysis.groups[index].size;
                let whole = whole.map_or(size, |whole| whole[index]);
                let all = select::to_remove(whole, options.min_channels.max(1), *ratio);
                let count = all.saturating_sub(whole - size.min(whole));
                let steps = 0..=sequence.steps.len();
                let fits = |steps: &usize| sequence.first(*steps).len() <= count;
                sequence.first(steps.rev().find(fits).unwrap_or(0))
            }
        };
        *sequence = Sequence::default();
        if !channels.is_empty() {
            lists.push((index, channels));
        }
    }
    lists
}

/// What channels take off the axes of a ledger.
pub(super) fn elements_of(
    analysis: &Analysis,
    ledger: &Ledger,
    lists: &[(usize, Vec<usize>)],
) -> Result<Vec<(usize, usize)>, PlanError> {
    let mut own = Vec::new();
    for (index, channels) in lists {
        let unknown = |channel| PlanError::Unknown { group: *index, channel };
        let group = analysis.groups.get(*index).ok_or(unknown(0))?;
        for &channel in channels {
            own.push(*group.channels.get(channel).ok_or(unknown(channel))?);
        }
    }
    Ok(ledger.elements(analysis, &own))
}

/// What the steps of every group take off the axes.
pub(super) fn elements(
    analysis: &Analysis,
    ledger: &Ledger,
    sequences: &[Sequence],
) -> Vec<Elements> {
    let of_group = |(group, sequence): (&Group, &Sequence)| {
        let of_step = |step: &Vec<usize>| {
            let channels: Vec<usize> = step.iter().map(|&number| group.channels[number]).collect();
            ledger.elements(analysis, &channels)
        };
        sequence.steps.iter().map(of_step).collect()
    };
    analysis.groups.iter().zip(sequences).map(of_group).collect()
}
