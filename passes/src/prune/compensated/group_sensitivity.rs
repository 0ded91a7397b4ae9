//! What every group of coupled channels costs at the outputs when a share of it goes, and what it saves.
use super::allocate::{Curve, Elements, after, allocate};
use super::network::Network;
use super::schedule::{elements, most, scores};
use super::sensitivity::{Outcome, Trials, curve};
use super::{FITTED, MEASURED, Options, Progress, PruneError, Target, affordable, macs, spread};
use crate::macs::node_macs;
use crate::prune::analysis::{Analysis, Group};
use crate::prune::plan::ChannelPlan;
use crate::prune::resources::{Ledger, Resource};
use crate::prune::select::Extents;
use crate::prune::sequence::Sequence;
use crate::samples::batches::Batches;
use lapidary_exec::Inputs;
use lapidary_ir::Model;
use std::collections::BTreeSet;

/// Halvings of the share that is looked for when a loss is given.
const HALVINGS: usize = 8;

/// What is measured, and what is made of it.
#[derive(Debug, Clone)]
pub struct SensitivityOptions {
    /// The shares of every group that go, each above 0 and below 1.
    pub ratios: Vec<f64>,
    /// Whether products that read fewer channels make up for it, from the moments of what they multiply.
    pub compensate: bool,
    /// The classes of the samples, one for each.
    pub labels: Option<Vec<i64>>,
    /// What the recipe is for.
    pub goal: PruningGoal,
}

impl Default for SensitivityOptions {
    fn default() -> Self {
        Self {
            ratios: super::sensitivity::SHARES.to_vec(),
            compensate: true,
            labels: None,
            goal: PruningGoal::default(),
        }
    }
}

/// What a recipe is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PruningGoal {
    /// A share of a resource, for the least loss.
    Share(Target),
    /// As few multiply-accumulates as a loss allows.
    Loss(f64),
}

impl Default for PruningGoal {
    fn default() -> Self {
        Self::Loss(0.01)
    }
}

/// Shares of what the whole model costs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Shares {
    /// Of the multiply-accumulates.
    pub macs: f64,
    /// Of the parameters.
    pub parameters: f64,
    /// Of the bytes.
    pub bytes: f64,
}

/// What a group costs when some of its channels go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The share that was to go.
    pub ratio: f64,
    /// Channels that went.
    pub removed: usize,
    /// What the outputs lose: mean relative entropy of classes, or relative squared error.
    pub loss: f64,
    /// The share of samples whose label is the largest output; only with labels.
    pub accuracy: Option<f64>,
    /// What goes of the model.
    pub saved: Shares,
}

/// A group of coupled channels.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSensitivity {
    /// The nodes that make the channels.
    pub name: String,
    /// The number of channels.
    pub size: usize,
    /// How many of them have to stay.
    pub held: usize,
    /// Why channels have to stay, and how many.
    pub pins: Vec<(String, usize)>,
    /// By ratio, as they were asked for; those that can't be reached are missing.
    pub points: Vec<Point>,
}

impl GroupSensitivity {
    /// The sum of the losses.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.points.iter().map(|point| point.loss).sum()
    }
}

/// How much of every group goes, and what that leads to before products are fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct PruningRecipe {
    /// The channels that go.
    pub plan: ChannelPlan,
    /// What the outputs lose.
    pub loss: f64,
    /// The share of samples whose label is the largest output; only with labels.
    pub accuracy: Option<f64>,
    /// What stays of the model.
    pub left: Shares,
}

/// The groups of a model, the one that costs most first.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivities {
    /// Samples that losses are measured on.
    pub samples: usize,
    /// The accuracy of the model itself; only with labels.
    pub accuracy: Option<f64>,
    /// The groups.
    pub groups: Vec<GroupSensitivity>,
    /// What to prune; none if the goal is out of reach.
    pub recipe: Option<PruningRecipe>,
}

/// Measures what every group costs, alone, on samples. The normalizations of the model are folded into its products
/// and its types inferred.
///
/// # Errors
/// When the runtime can't run the model.
pub fn sensitivities(
    model: &Model,
    samples: &Inputs,
    options: &Options,
    settings: &SensitivityOptions,
    progress: Progress<'_>,
) -> Result<Sensitivities, PruneError> {
    let analysis = Analysis::with(&model.graph, options.attention);
    let all = Batches::new(&model.graph, samples)?;
    let cost = macs(&model.graph);
    let products = model.graph.nodes().filter(|(_, node)| node_macs(&model.graph, node).is_some());
    let fitted_on = spread(&all, affordable(cost, products.count(), FITTED));
    let network = Network::new(model, &analysis, &fitted_on, progress)?;
    let limits = options.all_limits(&model.graph, &analysis);
    let known = options.scores.as_ref();
    let scores = scores(&network, &fitted_on, &options.ranking, &limits, known, progress)?;
    let sequence = |(index, group): (usize, &Group)| {
        let most = most(options, &limits[index], group.size, group.size);
        let scores = scores[index].as_ref().filter(|_| most > 0 && !group.removable.is_empty());
        let sequence = |scores: &Vec<f64>| options.sequence(&analysis, group, scores, most);
        scores.map_or_else(Sequence::default, sequence)
    };
    let sequences: Vec<Sequence> = analysis.groups.iter().enumerate().map(sequence).collect();
    let trials_each = settings.ratios.len();
    let steps = sequences.iter().filter(|sequence| !sequence.steps.is_empty()).count();
    let count = affordable(cost, steps * trials_each, MEASURED).min(all.count());
    let measured_on = spread(&all, count);
    let labels = settings.labels.as_ref().map(|labels| spread_labels(labels, &all, count));
    let trials = Trials::new(&network, &measured_on).with_labels(labels);
    let counts: Vec<Vec<usize>> = analysis
        .groups
        .iter()
        .zip(&sequences)
        .map(|(group, sequence)| steps_of(group, sequence, &settings.ratios))
        .collect();
    let asked: Vec<BTreeSet<usize>> =
        counts.iter().map(|counts| counts.iter().copied().collect()).collect();
    let measured = trials.measure(&sequences, &asked, settings.compensate, progress)?;
    let ledgers = Ledgers::new(model, &analysis);
    let mut groups = Vec::with_capacity(analysis.groups.len());
    for (index, group) in analysis.groups.iter().enumerate() {
        let (sequence, found) = (&sequences[index], &measured[index]);
        let point = |(&ratio, &steps): (&f64, &usize)| {
            let (_, outcome) = found.iter().find(|(count, _)| *count == steps)?;
            let removed = sequence.first(steps);
            let channels: Vec<usize> =
                removed.iter().map(|&number| group.channels[number]).collect();
            Some(Point {
                ratio,
                removed: removed.len(),
                loss: outcome.loss,
                accuracy: outcome.accuracy,
                saved: ledgers.saved(&analysis, &channels),
            })
        };
        groups.push(GroupSensitivity {
            name: group.name.clone(),
            size: group.size,
            held: group.size - group.removable.len(),
            pins: group.pins.clone(),
            points: settings.ratios.iter().zip(&counts[index]).filter_map(point).collect(),
        });
    }
    groups.sort_by(|a, b| b.loss().total_cmp(&a.loss()));
    let curves: Vec<Curve> = measured.iter().map(|points| curve(points)).collect();
    let search = Search {
        network: &network,
        trials: &trials,
        sequences: &sequences,
        curves: &curves,
        ledgers: &ledgers,
        compensate: settings.compensate,
        progress,
    };
    let recipe = search.recipe(settings.goal)?;
    let accuracy = match &settings.labels {
        Some(_) => trials.outcome(model)?.accuracy,
        None => None,
    };
    Ok(Sensitivities { samples: count, accuracy, groups, recipe })
}

/// The labels of the samples that [`spread`] takes.
fn spread_labels(labels: &[i64], samples: &Batches<'_>, count: usize) -> Vec<i64> {
    let all = samples.count();
    (0..count).filter_map(|index| labels.get(index * all / count.max(1)).copied()).collect()
}

/// For every ratio the most steps that take no more than that share of the group; 0 where a step takes more.
fn steps_of(group: &Group, sequence: &Sequence, ratios: &[f64]) -> Vec<usize> {
    let taken: Vec<usize> = sequence
        .steps
        .iter()
        .scan(0, |sum, step| {
            *sum += step.len();
            Some(*sum)
        })
        .collect();
    let most = |ratio: &f64| {
        let wanted = (ratio * group.size as f64).round() as usize;
        taken.iter().filter(|&&taken| taken <= wanted).count()
    };
    // A ratio that no channels are left for tells nothing that the one before does not.
    let mut counts: Vec<usize> = ratios.iter().map(most).collect();
    let mut seen = BTreeSet::new();
    counts.iter_mut().for_each(|count| {
        if !seen.insert(*count) {
            *count = 0;
        }
    });
    counts
}

/// The costs of a model in all resources.
struct Ledgers {
    extents: Extents,
    all: [(Ledger, f64); 3],
}

impl Ledgers {
    fn new(model: &Model, analysis: &Analysis) -> Self {
        let all = [Resource::Macs, Resource::Parameters, Resource::Bytes].map(|resource| {
            let ledger = Ledger::of(model, analysis, resource);
            let total = ledger.total(&ledger.extents(&analysis.extents));
            (ledger, total)
        });
        Self { extents: analysis.extents.clone(), all }
    }

    /// What goes with channels of the analysis.
    fn saved(&self, analysis: &Analysis, channels: &[usize]) -> Shares {
        let share = |(ledger, total): &(Ledger, f64)| {
            let gone = ledger.elements(analysis, channels);
            ledger.saved(&ledger.extents(&self.extents), &gone) / total.max(1.0)
        };
        let [macs, parameters, bytes] = self.all.each_ref().map(share);
        Shares { macs, parameters, bytes }
    }

    /// What stays after the first steps of every group.
    fn left(&self, analysis: &Analysis, sequences: &[Sequence], taken: &[usize]) -> Shares {
        let share = |(ledger, total): &(Ledger, f64)| {
            let groups = elements(analysis, ledger, sequences);
            let extents = after(&ledger.extents(&self.extents), &groups, taken);
            ledger.total(&extents) / total.max(1.0)
        };
        let [macs, parameters, bytes] = self.all.each_ref().map(share);
        Shares { macs, parameters, bytes }
    }

    fn of(&self, resource: Resource) -> Result<&(Ledger, f64), PruneError> {
        Ok(&self.all[match resource {
            Resource::Macs => 0,
            Resource::Parameters => 1,
            Resource::Bytes => 2,
            Resource::Latency => return Err(PruneError::Unmeasured),
        }])
    }
}

/// Looks for numbers of steps.
struct Search<'a> {
    network: &'a Network<'a>,
    trials: &'a Trials<'a>,
    sequences: &'a [Sequence],
    curves: &'a [Curve],
    ledgers: &'a Ledgers,
    compensate: bool,
    progress: Progress<'a>,
}

impl Search<'_> {
    fn recipe(&self, goal: PruningGoal) -> Result<Option<PruningRecipe>, PruneError> {
        match goal {
            PruningGoal::Share(Target { resource, share }) => {
                let recipe = self.at(resource, share)?;
                let Shares { macs, parameters, bytes } = recipe.left;
                let reached = match resource {
                    Resource::Latency => return Err(PruneError::Unmeasured),
                    Resource::Macs => macs,
                    Resource::Parameters => parameters,
                    Resource::Bytes => bytes,
                };
                Ok((reached <= share * (1.0 + 1e-9)).then_some(recipe))
            }
            PruningGoal::Loss(most) => self.under(most).map(Some),
        }
    }

    /// The recipe with the fewest multiply-accumulates that loses at most so much, by halving the share.
    fn under(&self, most: f64) -> Result<PruningRecipe, PruneError> {
        let (mut low, mut high) = (0.0, 1.0);
        let mut best = self.at(Resource::Macs, 1.0)?;
        for halving in 0..HALVINGS {
            (self.progress)("recipe", halving, HALVINGS);
            let share = 0.5 * (low + high);
            let found = self.at(Resource::Macs, share)?;
            if found.loss <= most {
                (best, high) = (found, share);
            } else {
                low = share;
            }
        }
        Ok(best)
    }

    /// The recipe for a share of a resource, or for as little as there can be.
    fn at(&self, resource: Resource, share: f64) -> Result<PruningRecipe, PruneError> {
        let (ledger, total) = self.ledgers.of(resource)?;
        let analysis = self.network.analysis;
        let groups: Vec<Elements> = elements(analysis, ledger, self.sequences);
        let extents = ledger.extents(&self.ledgers.extents);
        let taken = allocate(ledger, &extents, &groups, self.curves, share * total);
        let lists: Vec<(usize, Vec<usize>)> = (0..taken.len())
            .filter(|&group| taken[group] > 0)
            .map(|group| (group, self.sequences[group].first(taken[group])))
            .collect();
        let outcome = self.outcome(&lists)?;
        Ok(PruningRecipe {
            plan: analysis.plan_removing(&lists)?,
            loss: outcome.loss,
            accuracy: outcome.accuracy,
            left: self.ledgers.left(analysis, self.sequences, &taken),
        })
    }

    fn outcome(&self, lists: &[(usize, Vec<usize>)]) -> Result<Outcome, PruneError> {
        let (mut model, plan) = self.network.cut(lists)?;
        if self.compensate {
            self.network.compensate(&mut model, &plan)?;
        }
        self.trials.outcome(&model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;
    use lapidary_ir::Tensor;

    /// Of the four hidden channels the second is twice the first, and the last one weighs nothing.
    fn network() -> Model {
        model(
            "g (float[N,3] x) => (float[N,2] y)
            <float[3,4] w = {1, 2, 0, 0.1, 0, 0, 1, 0, 0, 0, 0, 0.1}, float[4,2] v = {1, 0, 1, 0, 0, 1, 0, 0.01}>
            { h = MatMul(x, w) y = MatMul(h, v) }",
        )
    }

    fn samples() -> Inputs {
        let number = |index: usize| ((index * 37 + index / 3 * 11) % 23) as f32 / 11.0 - 1.0;
        let numbers: Vec<f32> = (0..40 * 3).map(number).collect();
        Inputs::from([("x".to_owned(), Tensor::new(&[40, 3], &numbers))])
    }

    fn measure(settings: &SensitivityOptions) -> Sensitivities {
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let found = sensitivities(&network(), &samples(), &Options::default(), settings, &quiet);
        found.expect("it runs")
    }

    #[test]
    fn what_is_made_up_for_costs_nothing() {
        let ratios = vec![0.25, 0.5, 0.75];
        let found = measure(&SensitivityOptions { ratios, ..SensitivityOptions::default() });
        assert_eq!((found.samples, found.groups.len(), found.accuracy), (40, 2, None));
        let held = &found.groups[1];
        assert_eq!((held.held, held.size, held.points.len()), (2, 2, 0));
        let group = &found.groups[0];
        assert_eq!((group.size, group.held), (4, 0));
        let removed: Vec<usize> = group.points.iter().map(|point| point.removed).collect();
        assert_eq!(removed, [1, 2, 3]);
        assert!(group.points[1].loss < 1e-4 && group.points[2].loss > 1e-2, "{:?}", group.points);
        // 3 · 4 + 4 · 2 multiplications, of which a channel takes 5.
        assert!((group.points[1].saved.macs - 0.5).abs() < 1e-12);
        assert!((group.points[1].saved.parameters - 0.5).abs() < 1e-12);
        assert!(group.points[1].saved.bytes > 0.0 && group.points[1].saved.bytes < 0.5);
    }

    #[test]
    fn without_compensation_more_is_lost() {
        let ratios = vec![0.5];
        let with = SensitivityOptions { ratios, ..SensitivityOptions::default() };
        let raw = SensitivityOptions { compensate: false, ..with.clone() };
        let (with, raw) = (measure(&with).groups.remove(0), measure(&raw).groups.remove(0));
        assert!(raw.points[0].loss > 10.0 * with.points[0].loss, "{raw:?} {with:?}");
    }

    #[test]
    fn a_recipe_stays_under_its_loss() {
        let goal = PruningGoal::Loss(1e-3);
        let recipe = measure(&SensitivityOptions { goal, ..SensitivityOptions::default() }).recipe;
        let recipe = recipe.expect("nothing can always go");
        assert!(recipe.loss <= 1e-3 && recipe.left.macs <= 0.5, "{recipe:?}");
        assert_eq!(recipe.plan.groups[0].removed.len(), 2);
        let goal = PruningGoal::Share(Target { resource: Resource::Macs, share: 0.75 });
        let recipe = measure(&SensitivityOptions { goal, ..SensitivityOptions::default() }).recipe;
        assert_eq!(recipe.expect("it is in reach").plan.groups[0].removed.len(), 1);
        let goal = PruningGoal::Share(Target { resource: Resource::Macs, share: 0.1 });
        assert!(
            measure(&SensitivityOptions { goal, ..SensitivityOptions::default() }).recipe.is_none()
        );
    }

    #[test]
    fn labels_tell_the_accuracy() {
        let labels = Some(vec![0; 40]);
        let found = measure(&SensitivityOptions { labels, ..SensitivityOptions::default() });
        let accuracy = found.accuracy.expect("there are labels");
        assert!(accuracy > 0.2 && accuracy < 0.8, "{accuracy}");
        assert!(found.groups[0].points.iter().all(|point| point.accuracy.is_some()));
    }

    #[test]
    fn ratios_without_channels_are_left_out() {
        let ratios = vec![0.1, 0.25, 0.3, 0.99];
        let found = measure(&SensitivityOptions { ratios, ..SensitivityOptions::default() });
        let ratios: Vec<f64> = found.groups[0].points.iter().map(|point| point.ratio).collect();
        // One channel of four at 0.25 and 0.3; one has to stay.
        assert_eq!(ratios, [0.25, 0.99]);
    }
}
