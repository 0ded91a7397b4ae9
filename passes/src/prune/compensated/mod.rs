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
mod group_sensitivity;
mod importance;
mod moments;
mod network;
mod obs;
mod products;
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
mod tests {
    use super::*;
    use crate::prune::Norm;
    use crate::prune::{Selection, importance};
    use crate::quantize::testing::model;
    use lapidary_ir::{Patch, Tensor};

    const NETWORK: &str = "
        g (float[N,3,6,6] x) => (float[N,4] y)
        <float[8,3,3,3] w0, float[8] b0, float[10,8,3,3] w1, float[8,10,1,1] w2,
         float[8,1,3,3] w3, float[12,8,1,1] w4, float[12,8,1,1] w5, float[4,12] w6>
        {
            s = Conv<pads = [1, 1, 1, 1]>(x, w0, b0)
            r = Relu(s)
            a = Conv<pads = [1, 1, 1, 1]>(r, w1)
            c = Relu(a)
            d = Conv(c, w2)
            t = Add(r, d)
            e = Conv<group = 8, pads = [1, 1, 1, 1]>(t, w3)
            f = Relu(e)
            h = Conv(f, w4)
            k = Conv(t, w5)
            m = Add(h, k)
            n = Relu(m)
            p = GlobalAveragePool(n)
            q = Flatten(p)
            y = Gemm<transB = 1>(q, w6)
        }";

    /// Numbers from −1 to 1.
    fn noise(mut state: u32) -> impl FnMut() -> f32 {
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        }
    }

    /// The network with weights around 0.
    fn network() -> Model {
        let mut model = model(NETWORK);
        let mut patch = Patch::default();
        for (seed, (value, tensor)) in model.graph.initializers().enumerate() {
            let per_output = tensor.len() as f32 / tensor.dims()[0] as f32;
            let mut number = noise(seed as u32);
            let numbers: Vec<f32> =
                (0..tensor.len()).map(|_| 2.0 * number() / per_output.sqrt()).collect();
            patch.set_tensor(value, Tensor::new(tensor.dims(), &numbers));
        }
        model.graph.apply(patch).expect("the patch applies");
        model
    }

    /// Images with a colour each, and noise.
    fn samples() -> Inputs {
        let (mut colour, mut pixel) = (noise(77), noise(78));
        let plane = |_| {
            let colour = 2.0 * colour();
            std::iter::repeat_with(|| colour + pixel()).take(36).collect::<Vec<f32>>()
        };
        let numbers: Vec<f32> = (0..24 * 3).flat_map(plane).collect();
        Inputs::from([("x".to_owned(), Tensor::new(&[24, 3, 6, 6], &numbers))])
    }

    fn prune(share: f64, options: &Options) -> Result<(Model, Pruned), PruneError> {
        let mut model = network();
        let demand = Demand::Target(Target { resource: Resource::Macs, share });
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let pruned = prune_compensated(&mut model, &samples(), &demand, options, &quiet)?;
        Ok((model, pruned))
    }

    /// Channels go one by one.
    fn singly() -> Options {
        Options { round_to: Rounding::To(1), ..Options::default() }
    }

    #[test]
    fn listed_channels_go_and_others_make_up_for_them() {
        let original = network();
        let (_, chosen) = prune(0.6, &Options::default()).expect("it can go");
        let groups = chosen.plan.groups.iter().map(|group| group.removed.clone()).enumerate();
        let lists: Vec<(usize, Vec<usize>)> = groups.collect();
        let mut model = original.clone();
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let demand = Demand::Channels(&lists);
        let options = Options::default();
        let listed = prune_compensated(&mut model, &samples(), &demand, &options, &quiet);
        let listed = listed.expect("they can go");
        assert_eq!(listed.plan, chosen.plan);
        assert!(listed.losses[2].1 < listed.losses[0].1, "{:?}", listed.losses);
        assert!((listed.share - chosen.share).abs() < 1e-12);
        assert!((macs(&model.graph) / macs(&original.graph) - listed.share).abs() < 1e-12);
        let classifier = [(chosen.plan.groups.len() - 1, vec![0])];
        let demand = Demand::Channels(&classifier);
        let refused = prune_compensated(&mut model, &samples(), &demand, &options, &quiet);
        assert!(matches!(refused, Err(PruneError::Plan(_))));
    }

    #[test]
    fn rounds_lead_to_the_same_share() {
        let options = Options { rounds: 3, ..singly() };
        let (model, pruned) = prune(0.5, &options).expect("half can go");
        let shares: Vec<f64> = pruned.rounds.iter().map(|round| round.share).collect();
        for (share, wanted) in shares.iter().zip([0.7937, 0.62996, 0.5]) {
            assert!(*share <= wanted + 1e-3 && *share > wanted - 0.08, "{shares:?}");
        }
        assert_eq!(pruned.share, shares[2]);
        let share = macs(&model.graph) / macs(&network().graph);
        assert!((share - pruned.share).abs() < 1e-12, "{share} {}", pruned.share);
        let last = pruned.losses[2].1;
        assert_eq!(pruned.rounds[2].loss, last);
        assert!(pruned.rounds[0].loss < last);
    }

    #[test]
    fn every_scope_and_importance_of_samples_makes_up_for_what_goes() {
        for (scope, importance) in [
            (Scope::Local, Importance::Obs),
            (Scope::Global, Importance::Wanda),
            (Scope::Isomorphic, Importance::Apoz),
            (Scope::Global, Importance::Lamp),
        ] {
            let ranking = Ranking { importance, ..Ranking::default() };
            let (_, pruned) = prune(0.6, &Options { scope, ranking, ..singly() })
                .unwrap_or_else(|error| panic!("{scope:?} {importance}: {error}"));
            assert!(pruned.share <= 0.6 && pruned.share > 0.53, "{scope:?}: {}", pruned.share);
            assert!(pruned.losses[2].1 < pruned.losses[0].1);
        }
        let incomparable = Options { scope: Scope::Global, ..singly() };
        let error = prune(0.6, &incomparable).expect_err("ranks are of a group");
        assert!(matches!(error, PruneError::Incomparable(Importance::Obs)));
    }

    #[test]
    fn a_share_of_the_channels_goes_in_rounds_too() {
        for rounds in [1, 2] {
            let mut model = network();
            let quiet = |_: &'static str, _: usize, _: usize| {};
            let options = Options { scope: Scope::Local, rounds, ..singly() };
            let demand = Demand::Ratio(0.5);
            let pruned = prune_compensated(&mut model, &samples(), &demand, &options, &quiet);
            let pruned = pruned.expect("half can go");
            for group in pruned.plan.groups.iter().filter(|group| group.name != "y") {
                assert_eq!(group.removed.len(), group.size / 2, "{}", group.name);
            }
            assert_eq!(pruned.rounds.len(), rounds);
        }
    }

    #[test]
    fn every_step_brings_the_outputs_closer() {
        let (model, pruned) = prune(0.5, &singly()).expect("half can go");
        let losses: Vec<f64> = pruned.losses.iter().map(|(_, loss)| *loss).collect();
        assert!(losses[1] < 0.5 * losses[0] && losses[2] < losses[1], "{losses:?}");
        assert!(pruned.share <= 0.5 && pruned.share > 0.48, "{}", pruned.share);
        let share = macs(&model.graph) / macs(&network().graph);
        assert!((share - pruned.share).abs() < 1e-12, "{share} {}", pruned.share);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let run = || prune(0.6, &Options::default()).expect("it can go").0.encode();
            pool.expect("threads start").install(run)
        };
        assert!(with(1) == with(3));
    }

    #[test]
    fn large_networks_run_on_fewer_samples() {
        assert_eq!(affordable(21e6, 16, FITTED), 512);
        assert_eq!(affordable(300e6, 53, FITTED), 128);
        assert_eq!(affordable(300e6, 100, MEASURED), 66);
    }

    #[test]
    fn limits_hold() {
        let options = Options { min_channels: 7, max_ratio: 0.25, ..singly() };
        let error = prune(0.3, &options).expect_err("too much is held");
        assert!(error.to_string().contains("can't be reached"), "{error}");
        let (_, pruned) = prune(0.75, &options).expect("a quarter can go");
        for group in &pruned.plan.groups {
            let kept = group.size - group.removed.len();
            assert!(kept >= 7.min(group.size) && 4 * group.removed.len() <= group.size);
        }
    }

    /// A target of latency, where every model takes as long as its multiply-accumulates and a hundred; `seen` tells what share
    /// of the time is measured for the share that should be.
    fn prune_by_count(share: f64, seen: fn(f64) -> f64) -> Result<Pruned, PruneError> {
        use crate::prune::ProductTimes;
        use crate::prune::latency::testing::{Counting, counted};
        use std::time::Duration;
        let mut model = network();
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let whole = counted(&model);
        let (round_to, watch) = (Rounding::To(1), Counting::default());
        let mut sized = model.clone();
        let dims = lapidary_ir::FixedDims {
            inputs: vec![(Some("x".to_owned()), vec![1, 3, 6, 6])],
            ..lapidary_ir::FixedDims::default()
        };
        sized.fix_dims(&dims).expect("it has this input");
        let limit = Duration::from_secs(1);
        let times = ProductTimes::measure(&sized, whole, round_to, &watch, limit, &quiet);
        let measure = move |cut: &Model| Ok(seen(counted(cut) / whole));
        let latency = Some(Arc::new(Latency { times, measure: Box::new(measure) }));
        let options = Options { latency, ..singly() };
        let demand = Demand::Target(Target { resource: Resource::Latency, share });
        prune_compensated(&mut model, &samples(), &demand, &options, &quiet)
    }

    #[test]
    fn latency_is_met_by_what_is_measured() {
        let exact = prune_by_count(0.6, |share| 0.9 * share).expect("it can be met");
        assert_eq!(exact.tries.len(), 1);
        let only = exact.tries[0];
        assert!(only.predicted <= 0.6 && only.predicted > 0.5, "{only:?}");
        assert!((only.predicted - exact.share).abs() < 1e-9);
        let slower = prune_by_count(0.6, |share| 1.25 * share).expect("it can be met");
        let (first, last) = (slower.tries[0], slower.tries[slower.tries.len() - 1]);
        assert!(slower.tries.len() > 1 && first.measured > 0.6, "{:?}", slower.tries);
        assert!(last.measured <= 0.6 && last.predicted < first.predicted, "{:?}", slower.tries);
        assert!((last.predicted - slower.share).abs() < 1e-9);
    }

    #[test]
    fn latency_that_is_never_met_is_an_error() {
        let error = prune_by_count(0.6, |_| 0.61).expect_err("nothing helps");
        assert!(matches!(error, PruneError::Slower { tries: 4, .. }), "{error}");
        // So little is asked for then that it is out of reach.
        let error = prune_by_count(0.6, |share| 90.0 * share).expect_err("it takes too long");
        assert!(matches!(error, PruneError::Slower { tries: 1, .. }), "{error}");
        let mut model = network();
        let demand = Demand::Target(Target { resource: Resource::Latency, share: 0.5 });
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let error = prune_compensated(&mut model, &samples(), &demand, &singly(), &quiet);
        assert!(matches!(error, Err(PruneError::Unmeasured)));
    }

    #[test]
    fn groups_are_rounded() {
        let options = Options { round_to: Rounding::To(4), ..Options::default() };
        let (_, pruned) = prune(0.7, &options).expect("there are multiples");
        assert!(pruned.plan.groups.iter().any(|group| !group.removed.is_empty()));
        for group in pruned.plan.groups.iter().filter(|group| !group.removed.is_empty()) {
            assert!((group.size - group.removed.len()).is_multiple_of(4), "{}", group.name);
        }
    }

    #[test]
    fn ignored_nodes_keep_their_channels() {
        let ignore = vec!["op:Gemm".parse().expect("valid"), "a".parse().expect("valid")];
        let options = Options { ignore, ..Options::default() };
        let (_, pruned) = prune(0.7, &options).expect("others can go");
        let lost = |name: &str| {
            let group = pruned.plan.groups.iter().find(|group| group.name == name);
            group.expect("there is such a group").removed.len()
        };
        assert_eq!(lost("a"), 0);
        assert!(pruned.plan.groups.iter().any(|group| !group.removed.is_empty()));
    }

    #[test]
    fn channels_chosen_by_loss_beat_those_of_the_smallest_norm() {
        let original = network();
        let (_, pruned) = prune(0.5, &Options::default()).expect("half can go");
        let analysis = Analysis::of(&original.graph);
        let scores = importance(&original.graph, &analysis, Norm::L2);
        let selection = Selection { ratio: 0.3, min_channels: 1, round_to: Rounding::To(1) };
        let mut uniform = original.clone();
        analysis.plan(&scores, &selection).apply(&mut uniform).expect("the plan applies");
        let samples = samples();
        let batches = Batches::new(&original.graph, &samples).expect("there are samples");
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let network = Network::new(&original, &analysis, &batches, &quiet).expect("it runs");
        let loss = Trials::new(&network, &batches).loss(&uniform).expect("it runs");
        assert!(pruned.losses[2].1 < 0.5 * loss, "{} {loss}", pruned.losses[2].1);
    }
}
