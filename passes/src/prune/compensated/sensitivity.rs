//! What the outputs lose when channels of one group go and its readers make up for it.
use super::allocate::Curve;
use super::divergence::Divergence;
use super::network::Network;
use super::top_one::Hits;
use super::watch::{needed, watch};
use super::{Progress, PruneError};
use crate::prune::sequence::Sequence;
use crate::samples::batches::Batches;
use lapidary_exec::{ExecError, Inputs, Outputs, RunOptions, Runner};
use lapidary_ir::{Boundary, ElemType, Graph, Model, NodeId, Tensor, ValueId};
use rayon::prelude::*;
use rustc_hash::FxHashSet;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The shares of the channels of a group that are tried.
pub(super) const SHARES: [f64; 7] = [0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9];

/// Bytes of values that are kept at once, unless one group needs more.
const MOST_BYTES: u64 = 768 << 20;

/// The samples that trials run on, with what the original computes.
pub(super) struct Trials<'a> {
    network: &'a Network<'a>,
    samples: &'a Batches<'a>,
    spans: Vec<(usize, Range<usize>)>,
    /// The classes of the samples, if they are known.
    labels: Option<Vec<i64>>,
}

/// How far outputs are from those of the original.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// The divergence.
    pub(super) loss: f64,
    /// The share of samples whose label is the largest output; only with labels.
    pub(super) accuracy: Option<f64>,
}

/// Values of one batch, by name.
pub(super) type Values = BTreeMap<String, Tensor>;

impl<'a> Trials<'a> {
    pub(super) fn new(network: &'a Network<'a>, samples: &'a Batches<'a>) -> Self {
        let mut spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
        // The last batch may be smaller, which takes a plan of its own for next to nothing.
        let first = spans.first().map_or(0, |(_, span)| span.len());
        if spans.len() > 1 {
            spans.retain(|(_, span)| span.len() == first);
        }
        Self { network, samples, spans, labels: None }
    }

    /// Also counts samples whose label is the largest output; a label for each sample.
    pub(super) fn with_labels(self, labels: Option<Vec<i64>>) -> Self {
        Self { labels, ..self }
    }

    /// For every group, the loss after some numbers of steps.
    pub(super) fn curves(
        &self,
        sequences: &[Sequence],
        progress: Progress<'_>,
    ) -> Result<Vec<Curve>, PruneError> {
        let counts = |sequence: &Sequence| {
            let steps = sequence.steps.len();
            let shares = SHARES.map(|share| (share * steps as f64).round() as usize);
            shares.into_iter().chain([steps]).collect()
        };
        let counts: Vec<BTreeSet<usize>> = sequences.iter().map(counts).collect();
        let measured = self.measure(sequences, &counts, true, progress)?;
        Ok(measured.iter().map(|points| curve(points)).collect())
    }

    /// For every group, what comes out after the given numbers of its steps, ascending; no steps are left out.
    pub(super) fn measure(
        &self,
        sequences: &[Sequence],
        counts: &[BTreeSet<usize>],
        compensated: bool,
        progress: Progress<'_>,
    ) -> Result<Vec<Vec<(usize, Outcome)>>, PruneError> {
        let mut found = vec![Vec::new(); sequences.len()];
        let of_group = |(group, counts): (usize, &BTreeSet<usize>)| {
            let some = counts.iter().filter(|&&count| count > 0);
            some.map(|&count| (group, count)).collect::<Vec<_>>()
        };
        let trials: Vec<(usize, usize)> = counts.iter().enumerate().flat_map(of_group).collect();
        let done = AtomicUsize::new(0);
        for part in self.parts(sequences)? {
            let values = self.values(&part.kept)?;
            let own: Vec<(usize, usize)> =
                trials.iter().copied().filter(|(group, _)| part.groups.contains(group)).collect();
            let run = |&(group, steps): &(usize, usize)| {
                let lists = [(group, sequences[group].first(steps))];
                let outcome = self.outcome_of(&lists, compensated, &values)?;
                progress("sensitivity", done.fetch_add(1, Ordering::Relaxed) + 1, trials.len());
                Ok::<_, PruneError>((group, steps, outcome))
            };
            let outcomes: Vec<_> = own.par_iter().map(run).collect::<Result<_, _>>()?;
            for (group, steps, outcome) in outcomes {
                found[group].push((steps, outcome));
            }
        }
        Ok(found)
    }

    /// What comes out when channels go and, if wanted, their readers make up for it from their moments alone.
    fn outcome_of(
        &self,
        lists: &[(usize, Vec<usize>)],
        compensated: bool,
        values: &[Values],
    ) -> Result<Outcome, PruneError> {
        let (mut model, plan) = self.network.cut(lists)?;
        if compensated {
            self.network.compensate(&mut model, &plan)?;
        }
        Ok(self.behind(&model, &self.network.affected(&plan), values)?)
    }

    /// What comes out of a model that differs from the original in the affected nodes alone, from values of
    /// the original.
    pub(super) fn behind(
        &self,
        model: &Model,
        affected: &FxHashSet<NodeId>,
        values: &[Values],
    ) -> Result<Outcome, ExecError> {
        self.run(&self.suffix(model, affected), values)
    }

    /// The loss of a whole model in place of the original.
    pub(super) fn loss(&self, model: &Model) -> Result<f64, PruneError> {
        Ok(self.outcome(model)?.loss)
    }

    /// What comes out of a whole model in place of the original.
    pub(super) fn outcome(&self, model: &Model) -> Result<Outcome, PruneError> {
        Ok(self.run(model, &self.values(&BTreeSet::new())?)?)
    }

    /// What comes out of a model that has inputs or values of the original for inputs.
    pub(super) fn run(&self, model: &Model, values: &[Values]) -> Result<Outcome, ExecError> {
        let runner = Runner::new(model, &RunOptions::default())?;
        let names: Vec<&str> = outputs(&model.graph).collect();
        let compare = |((_, span), values): (&(usize, Range<usize>), &Values)| {
            let mut inputs: Inputs = self.samples.at(span.clone())?;
            inputs.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
            let found = runner.run(&needed(&model.graph, inputs))?;
            let expected = |name: &&str| Some(((*name).to_owned(), values.get(*name)?.clone()));
            let expected: Outputs = names.iter().filter_map(expected).collect();
            let found = found.into_iter().filter(|(name, _)| values.contains_key(name)).collect();
            let (mut divergence, mut hits) = (Divergence::default(), Hits::default());
            divergence.add(&expected, &found);
            if let Some(labels) = self.labels.as_ref().and_then(|all| all.get(span.clone())) {
                hits.add(&found, labels);
            }
            Ok((divergence, hits))
        };
        let parts: Vec<(Divergence, Hits)> =
            self.spans.par_iter().zip(values).map(compare).collect::<Result<_, ExecError>>()?;
        let (mut sum, mut hits) = (Divergence::default(), Hits::default());
        for (divergence, more) in &parts {
            sum.merge(divergence);
            hits.merge(more);
        }
        Ok(Outcome { loss: sum.value(), accuracy: hits.share() })
    }

    /// What is behind the affected nodes of a changed model, from values that did not change.
    fn suffix(&self, model: &Model, affected: &FxHashSet<NodeId>) -> Model {
        let graph = &self.network.model.graph;
        let kept = boundary(graph, affected);
        let changed =
            |value: &ValueId| graph.producer(*value).is_some_and(|node| affected.contains(&node));
        let ends: Vec<ValueId> = graph.outputs().iter().copied().filter(changed).collect();
        let stands = |value: ValueId| {
            kept.contains(&value).then(|| Boundary::Input(graph.ty(value).clone()))
        };
        model.extract_between(&ends, &stands)
    }

    /// What the original computes for some values and its outputs, batch by batch.
    pub(super) fn values(&self, kept: &BTreeSet<ValueId>) -> Result<Vec<Values>, ExecError> {
        let graph = &self.network.model.graph;
        let wanted: BTreeSet<ValueId> = kept.iter().chain(graph.outputs()).copied().collect();
        let wanted: Vec<ValueId> = wanted.into_iter().collect();
        watch(
            self.network.model,
            self.samples,
            &self.spans,
            &wanted,
            |values: &mut Values, _, shown| {
                let dims: Vec<i64> = shown.dims.iter().map(|&dim| dim as i64).collect();
                values.insert(shown.name.to_owned(), Tensor::new(&dims, shown.data));
            },
            Values::new,
        )
    }

    /// Groups whose trials need no more values at once than there is room for.
    fn parts(&self, sequences: &[Sequence]) -> Result<Vec<Part>, PruneError> {
        let graph = &self.network.model.graph;
        let bytes = |value: ValueId| self.samples.bytes(graph, value).unwrap_or(0);
        let mut parts: Vec<Part> = Vec::new();
        let mut room = 0;
        for (group, sequence) in sequences.iter().enumerate() {
            if sequence.steps.is_empty() {
                continue;
            }
            let plan = self.network.analysis.plan_removing(&[(group, sequence.first(1))])?;
            let kept = boundary(graph, &self.network.affected(&plan));
            let more: u64 = kept.iter().map(|&value| bytes(value)).sum();
            match parts.last_mut().filter(|_| more <= room) {
                Some(part) => {
                    part.groups.push(group);
                    part.kept.extend(kept);
                    room -= more;
                }
                None => {
                    parts.push(Part { groups: vec![group], kept });
                    room = MOST_BYTES.saturating_sub(more);
                }
            }
        }
        Ok(parts)
    }
}

/// The losses as a curve.
pub(super) fn curve(points: &[(usize, Outcome)]) -> Curve {
    let mut curve = Curve::default();
    points.iter().for_each(|(steps, outcome)| curve.push(*steps, outcome.loss));
    curve
}

/// Groups that are tried together.
struct Part {
    groups: Vec<usize>,
    kept: BTreeSet<ValueId>,
}

fn outputs(graph: &Graph) -> impl Iterator<Item = &str> {
    graph.outputs().iter().map(|&value| graph.value(value).name())
}

/// The numbers that affected nodes read and that others compute.
pub(super) fn boundary(graph: &Graph, affected: &FxHashSet<NodeId>) -> BTreeSet<ValueId> {
    let mut kept = BTreeSet::new();
    for (id, node) in graph.nodes() {
        if !affected.contains(&id) {
            continue;
        }
        for &value in node.inputs().iter().flatten().chain(node.captured()) {
            let made = graph.producer(value);
            let known = graph.value(value);
            let float = known.elem_type() == Some(ElemType::FLOAT) && known.shape().is_some();
            if float
                && made.is_some_and(|made| !affected.contains(&made) && !graph[made].is("Constant"))
            {
                kept.insert(value);
            }
        }
    }
    kept
}
