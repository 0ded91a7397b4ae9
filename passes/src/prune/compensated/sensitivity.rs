//! What the outputs lose when channels of one group go and its readers make up for it.
use super::allocate::Curve;
use super::divergence::Divergence;
use super::network::Network;
use super::watch::{needed, watch};
use super::{Progress, PruneError};
use crate::macs::{product, sample_shape};
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
}

/// Values of one batch, by name.
type Values = BTreeMap<String, Tensor>;

impl<'a> Trials<'a> {
    pub(super) fn new(network: &'a Network<'a>, samples: &'a Batches<'a>) -> Self {
        let mut spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
        // The last batch may be smaller, which takes a plan of its own for next to nothing.
        let first = spans.first().map_or(0, |(_, span)| span.len());
        if spans.len() > 1 {
            spans.retain(|(_, span)| span.len() == first);
        }
        Self { network, samples, spans }
    }

    /// For every group, the loss after some numbers of steps.
    pub(super) fn curves(
        &self,
        sequences: &[Sequence],
        progress: Progress<'_>,
    ) -> Result<Vec<Curve>, PruneError> {
        let mut curves = vec![Curve::default(); sequences.len()];
        let mut trials: Vec<(usize, usize)> = Vec::new();
        for (group, sequence) in sequences.iter().enumerate() {
            let steps = sequence.steps.len();
            let shares = SHARES.map(|share| (share * steps as f64).round() as usize);
            let counts: BTreeSet<usize> = shares.into_iter().chain([steps]).collect();
            trials
                .extend(counts.into_iter().filter(|&count| count > 0).map(|count| (group, count)));
        }
        let done = AtomicUsize::new(0);
        for part in self.parts(sequences)? {
            let values = self.values(&part.kept)?;
            let own: Vec<(usize, usize)> =
                trials.iter().copied().filter(|(group, _)| part.groups.contains(group)).collect();
            let run = |&(group, steps): &(usize, usize)| {
                let lists = [(group, sequences[group].first(steps))];
                let loss = self.loss_of(&lists, &values)?;
                progress("sensitivity", done.fetch_add(1, Ordering::Relaxed) + 1, trials.len());
                Ok::<_, PruneError>((group, steps, loss))
            };
            let losses: Vec<_> = own.par_iter().map(run).collect::<Result<_, _>>()?;
            for (group, steps, loss) in losses {
                curves[group].push(steps, loss);
            }
        }
        Ok(curves)
    }

    /// The loss when channels go and their readers make up for it from their moments alone.
    fn loss_of(&self, lists: &[(usize, Vec<usize>)], values: &[Values]) -> Result<f64, PruneError> {
        let (mut model, plan) = self.network.cut(lists)?;
        self.network.compensate(&mut model, &plan)?;
        let affected = self.network.affected(&plan);
        let suffix = self.suffix(&model, &affected);
        Ok(self.run(&suffix, values)?)
    }

    /// The loss of a whole model in place of the original.
    pub(super) fn loss(&self, model: &Model) -> Result<f64, PruneError> {
        Ok(self.run(model, &self.values(&BTreeSet::new())?)?)
    }

    fn run(&self, model: &Model, values: &[Values]) -> Result<f64, ExecError> {
        let runner = Runner::new(model, &RunOptions::default())?;
        let names: Vec<&str> = outputs(&model.graph).collect();
        let compare = |((_, span), values): (&(usize, Range<usize>), &Values)| {
            let mut inputs: Inputs = self.samples.at(span.clone())?;
            inputs.extend(values.iter().map(|(name, value)| (name.clone(), value.clone())));
            let found = runner.run(&needed(&model.graph, inputs))?;
            let expected = |name: &&str| Some(((*name).to_owned(), values.get(*name)?.clone()));
            let expected: Outputs = names.iter().filter_map(expected).collect();
            let found = found.into_iter().filter(|(name, _)| values.contains_key(name)).collect();
            let mut divergence = Divergence::default();
            divergence.add(&expected, &found);
            Ok(divergence)
        };
        let parts: Vec<Divergence> =
            self.spans.par_iter().zip(values).map(compare).collect::<Result<_, ExecError>>()?;
        let mut sum = Divergence::default();
        parts.iter().for_each(|part| sum.merge(part));
        Ok(sum.value())
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
    fn values(&self, kept: &BTreeSet<ValueId>) -> Result<Vec<Values>, ExecError> {
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
        let samples: usize = self.spans.iter().map(|(_, span)| span.len()).sum();
        let bytes = |value: ValueId| {
            let numbers = sample_shape(graph, value).and_then(|shape| product(&shape)).unwrap_or(0);
            numbers * samples as u64 * 4
        };
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

/// Groups that are tried together.
struct Part {
    groups: Vec<usize>,
    kept: BTreeSet<ValueId>,
}

fn outputs(graph: &Graph) -> impl Iterator<Item = &str> {
    graph.outputs().iter().map(|&value| graph.value(value).name())
}

/// The numbers that affected nodes read and that others compute.
fn boundary(graph: &Graph, affected: &FxHashSet<NodeId>) -> BTreeSet<ValueId> {
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
