//! Removes channels such that those that stay make up for them, without training.
//!
//! 1. Moments of what products multiply, on samples without labels.
//! 2. The order in which the channels of each group go: Optimal Brain Surgeon on groups, over all readers.
//! 3. What the outputs lose when channels of one group go and its readers make up for it.
//! 4. How many go of each group: least loss for what is saved, until the target is met.
//! 5. The cut; weights from the moments; then every product fitted to what it gave in the original.
//!
//! The parts are those of `He` et al. 2017 (least squares for pruned inputs), `ZipLM` and OSSCAR (2023, 2024: structured
//! Optimal Brain Surgeon).
use super::analysis::{Analysis, Group, Member};
use super::apply::ApplyError;
use super::plan::{ChannelPlan, PlanError};
use super::relations::Role;
use super::resources::{Ledger, Resource};
use super::rounding::Rounding;
use super::sequence::Sequence;
use crate::macs::node_macs;
use crate::quantize::NodeSelector;
use crate::samples::batches::Batches;
use lapidary_exec::{ExecError, Inputs};
use lapidary_ir::{Graph, Model};
use rayon::prelude::*;

mod allocate;
mod budgets;
mod divergence;
mod fit;
mod importance;
mod least_squares;
mod moments;
mod network;
mod obs;
mod products;
mod refit;
mod renormalize;
mod sensitivity;
mod watch;

use allocate::{Elements, allocate};
pub use importance::{Importance, UnknownImportance};
use network::Network;
pub use renormalize::{prune_by_way_of, renormalized};
use sensitivity::Trials;

/// Samples that moments are taken from and products are fitted on, at least and at most.
const FITTED: (usize, usize) = (128, 512);

/// Samples that losses are measured on, at least and at most.
const MEASURED: (usize, usize) = (32, 256);

/// Multiply-accumulates that fitting or measuring may take; for more there are fewer samples.
const MOST_MACS: f64 = 1e12;

/// Is told what is done, how many of it are done, and how many there are.
pub type Progress<'a> = &'a (dyn Fn(&'static str, usize, usize) + Sync);

/// How much is to be left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Of what.
    pub resource: Resource,
    /// The share that may stay, above 0 and at most 1.
    pub share: f64,
}

/// What channels go first, and which stay whatever they cost.
#[derive(Debug, Clone)]
pub struct Options {
    /// The order in which channels go.
    pub importance: Importance,
    /// Channels every axis keeps at least; 0 counts as 1.
    pub min_channels: usize,
    /// The share of a group that goes at most.
    pub max_ratio: f64,
    /// What numbers of channels groups keep that lose some.
    pub round_to: Rounding,
    /// Channels that these nodes make stay.
    pub ignore: Vec<NodeSelector>,
}

impl Default for Options {
    fn default() -> Self {
        let importance = Importance::default();
        let round_to = Rounding::default();
        Self { importance, min_channels: 1, max_ratio: 1.0, round_to, ignore: Vec::new() }
    }
}

impl Options {
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

    /// Channels of a group that may go at most.
    fn most(&self, graph: &Graph, group: &Group) -> usize {
        let makes = |member: &&Member| member.role == Role::Producer;
        let mut makers = group
            .members
            .iter()
            .filter(makes)
            .flat_map(|member| graph.consumers(member.place.value));
        let ignored =
            makers.any(|node| self.ignore.iter().any(|chosen| chosen.selects(graph, node)));
        let share = if ignored { 0.0 } else { self.max_ratio.clamp(0.0, 1.0) };
        (share * group.size as f64 + 1e-9) as usize
    }
}

/// Why a model can't be pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The runtime can't run it.
    #[error(transparent)]
    Execute(#[from] ExecError),
    /// A choice of channels is at fault.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A cut is at fault.
    #[error(transparent)]
    Apply(#[from] ApplyError),
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
    /// The share of the resource that stays.
    pub share: f64,
}

/// Prunes a model whose normalizations are folded into its products to a share of a resource. Types must have
/// been inferred.
///
/// # Errors
/// When the runtime can't run it, or the target is out of reach; the model is then unchanged.
pub fn prune_compensated(
    model: &mut Model,
    samples: &Inputs,
    target: &Target,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Pruned, PruneError> {
    let analysis = Analysis::of(&model.graph);
    let ledger = Ledger::of(model, &analysis, target.resource);
    let extents = ledger.extents(&analysis.extents);
    let whole = ledger.total(&extents);
    let out_of_reach = |groups: &[Elements], taken: &[usize]| {
        let least = ledger.total(&allocate::after(&extents, groups, taken)) / whole;
        let Target { share, resource } = *target;
        let out = least > share * (1.0 + 1e-9);
        if out { Err(PruneError::OutOfReach { share, resource, least }) } else { Ok(least) }
    };
    let any_order = |group: &Group| {
        let most = options.most(&model.graph, group);
        options.sequence(&analysis, group, &vec![0.0; group.size], most)
    };
    let sequences: Vec<Sequence> = analysis.groups.iter().map(any_order).collect();
    let all_steps: Vec<usize> = sequences.iter().map(|sequence| sequence.steps.len()).collect();
    out_of_reach(&elements(&analysis, &ledger, &sequences), &all_steps)?;
    let all = Batches::new(&model.graph, samples)?;
    let macs = macs(&model.graph);
    let products = model.graph.nodes().filter(|(_, node)| node_macs(&model.graph, node).is_some());
    let fitted_on = spread(&all, affordable(macs, products.count(), FITTED));
    let network = Network::new(model, &analysis, &fitted_on, progress)?;
    progress("order", 0, analysis.groups.len());
    let sequence = |(index, group): (usize, &Group)| {
        let most = options.most(&model.graph, group);
        if most == 0 || group.removable.is_empty() {
            return Sequence::default();
        }
        let scores = network.scores(index, options.importance);
        options.sequence(&analysis, group, &scores, most)
    };
    let sequences: Vec<Sequence> = analysis.groups.par_iter().enumerate().map(sequence).collect();
    let groups: Vec<Elements> = elements(&analysis, &ledger, &sequences);
    let steps = sequences.iter().filter(|sequence| !sequence.steps.is_empty()).count();
    let count = affordable(macs, steps * sensitivity::SHARES.len(), MEASURED);
    let measured_on = spread(&all, count);
    let trials = Trials::new(&network, &measured_on);
    let curves = trials.curves(&sequences, progress)?;
    let taken = allocate(&ledger, &extents, &groups, &curves, target.share * whole);
    let share = out_of_reach(&groups, &taken)?;
    let lists: Vec<(usize, Vec<usize>)> = sequences
        .iter()
        .zip(&taken)
        .enumerate()
        .map(|(group, (sequence, &steps))| (group, sequence.first(steps)))
        .filter(|(_, channels)| !channels.is_empty())
        .collect();
    let (mut pruned, plan) = network.cut(&lists)?;
    let mut losses = vec![("cut", trials.loss(&pruned)?)];
    network.compensate(&mut pruned, &plan)?;
    losses.push(("moments", trials.loss(&pruned)?));
    let fitted = refit::refit(&network, &plan, &mut pruned, &fitted_on, progress)?;
    losses.push(("fit", trials.loss(&pruned)?));
    *model = pruned;
    Ok(Pruned { plan, losses, fitted, share })
}

/// What the steps of every group take off the axes.
fn elements(analysis: &Analysis, ledger: &Ledger, sequences: &[Sequence]) -> Vec<Elements> {
    let of_group = |(group, sequence): (&Group, &Sequence)| {
        let of_step = |step: &Vec<usize>| {
            let channels: Vec<usize> = step.iter().map(|&number| group.channels[number]).collect();
            ledger.elements(analysis, &channels)
        };
        sequence.steps.iter().map(of_step).collect()
    };
    analysis.groups.iter().zip(sequences).map(of_group).collect()
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
        let target = Target { resource: Resource::Macs, share };
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let pruned = prune_compensated(&mut model, &samples(), &target, options, &quiet)?;
        Ok((model, pruned))
    }

    /// Channels go one by one.
    fn singly() -> Options {
        Options { round_to: Rounding::To(1), ..Options::default() }
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
