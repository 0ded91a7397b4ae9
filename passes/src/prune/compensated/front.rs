//! Values of a model that changes from front to back.
//!
//! Whoever fits one product after another asks for what each reads, when all before it are final. What was asked for
//! before is kept for as long as something asked for later is computed from it, if there is room; so every node runs
//! about once, not once for each product behind it.
use super::watch::needed;
use crate::samples::batches::Batches;
use lapidary_exec::{ExecError, Inputs, Observation, Observer, RunOptions, Runner};
use lapidary_ir::{Boundary, ElemType, Graph, Model, Tensor, ValueId};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of values that are kept at once.
const MOST_BYTES: u64 = 768 << 20;

/// Values by what they are.
type Values = BTreeMap<ValueId, Tensor>;

/// Values that are asked for in an order, batch by batch.
pub(super) struct Front<'a> {
    samples: &'a Batches<'a>,
    spans: &'a [(usize, Range<usize>)],
    asked: std::vec::IntoIter<Vec<ValueId>>,
    step: usize,
    /// The last step that is computed from a value.
    last: FxHashMap<ValueId, usize>,
    /// What is kept of every batch.
    kept: Vec<Values>,
    /// The bytes that take.
    bytes: FxHashMap<ValueId, u64>,
}

impl<'a> Front<'a> {
    /// Will be asked for these values in this order, of models that are `graph` but for their constants.
    pub(super) fn new(
        graph: &Graph,
        mut asked: Vec<Vec<ValueId>>,
        samples: &'a Batches<'a>,
        spans: &'a [(usize, Range<usize>)],
    ) -> Self {
        let mut last = FxHashMap::default();
        for values in &mut asked {
            values.sort_unstable();
            values.dedup();
        }
        for (step, values) in asked.iter().enumerate() {
            let read = sources(graph, values, &last);
            last.extend(read.into_iter().map(|value| (value, step)));
            values.iter().for_each(|&value| {
                last.insert(value, step);
            });
        }
        let (kept, bytes) = (vec![Values::new(); spans.len()], FxHashMap::default());
        Self { samples, spans, asked: asked.into_iter(), step: 0, last, kept, bytes }
    }

    /// Shows the next values, of a model in which nothing will change that they are computed from: from several threads,
    /// a state of its own for every batch. What none of them needs is not computed.
    ///
    /// # Errors
    /// When the runtime can't run the model.
    pub(super) fn next<T: Send>(
        &mut self,
        model: &Model,
        show: impl Fn(&mut T, usize, &Observation<'_>) + Sync,
        start: impl Fn() -> T + Sync,
    ) -> Result<Vec<T>, ExecError> {
        let values = self.asked.next().unwrap_or_default();
        let computed = self.computed(model, &values)?;
        let keep = self.kept_later(&model.graph, &values);
        let run = |((batch, span), known): (&(usize, Range<usize>), &Values)| {
            let inputs = self.samples.at(span.clone())?;
            let mut state = start();
            let mut new = Values::new();
            let mut shown = |id: ValueId, observed: &Observation<'_>| {
                if keep.contains(&id) {
                    let dims: Vec<i64> = observed.dims.iter().map(|&dim| dim as i64).collect();
                    new.insert(id, Tensor::new(&dims, observed.data));
                }
                show(&mut state, *batch, observed);
            };
            for &value in &values {
                let name = model.graph.value(value).name();
                let Some(tensor) = known.get(&value).or_else(|| inputs.get(name)) else { continue };
                observe(name, tensor, &mut |observed| shown(value, observed));
            }
            if let Some((part, observer)) = &computed {
                let kept = known.iter().map(|(&value, tensor)| (value, tensor.clone()));
                let named =
                    kept.map(|(id, tensor)| (model.graph.value(id).name().to_owned(), tensor));
                let inputs: Inputs = inputs.into_iter().chain(named).collect();
                observer.observe(&needed(part, inputs), &mut |observed| {
                    if let Some(id) = model.graph.find(observed.name) {
                        shown(id, &observed);
                    }
                })?;
            }
            Ok((state, new))
        };
        let parts = self.spans.par_iter().zip(&self.kept).map(run);
        let parts: Vec<(T, Values)> = parts.collect::<Result<_, ExecError>>()?;
        let later = |value: &ValueId| self.last.get(value).is_some_and(|&last| last > self.step);
        let mut states = Vec::with_capacity(parts.len());
        for (known, (state, new)) in self.kept.iter_mut().zip(parts) {
            known.extend(new);
            known.retain(|value, _| later(value));
            states.push(state);
        }
        self.bytes.retain(|value, _| later(value));
        self.step += 1;
        Ok(states)
    }

    /// What computes those of the values that are not known.
    fn computed(
        &self,
        model: &Model,
        values: &[ValueId],
    ) -> Result<Option<(Graph, Observer)>, ExecError> {
        let graph = &model.graph;
        let known = |value: &ValueId| self.bytes.contains_key(value);
        let unknown = |value: &&ValueId| !known(value) && graph.producer(**value).is_some();
        let wanted: Vec<ValueId> = values.iter().filter(unknown).copied().collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let stands =
            |value: ValueId| known(&value).then(|| Boundary::Input(graph.ty(value).clone()));
        let part = model.extract_between(&wanted, &stands);
        let runner = Runner::new(&part, &RunOptions::default())?;
        let observer = runner.observer(wanted.iter().map(|&value| graph.value(value).name()))?;
        Ok(Some((part.graph, observer)))
    }

    /// Those of the values that later ones are computed from and for which there is room.
    fn kept_later(&mut self, graph: &Graph, values: &[ValueId]) -> FxHashSet<ValueId> {
        let mut keep = FxHashSet::default();
        for &value in values {
            let float = graph.value(value).elem_type() == Some(ElemType::FLOAT);
            let later = self.last.get(&value).is_some_and(|&last| last > self.step);
            let known = self.bytes.contains_key(&value);
            if !float || !later || known || graph.producer(value).is_none() {
                continue;
            }
            let Some(bytes) = self.samples.bytes(graph, value) else { continue };
            if self.bytes.values().sum::<u64>().saturating_add(bytes) <= MOST_BYTES {
                self.bytes.insert(value, bytes);
                keep.insert(value);
            }
        }
        keep
    }
}

/// Shows a tensor of floating-point numbers.
fn observe(name: &str, tensor: &Tensor, show: &mut dyn FnMut(&Observation<'_>)) {
    let float = [ElemType::FLOAT, ElemType::FLOAT16, ElemType::DOUBLE];
    let data = float.contains(&tensor.elem_type()).then(|| tensor.to_f32()).flatten();
    let Some(data) = data else { return };
    let dims: Vec<usize> = tensor.dims().iter().map(|&dim| dim as usize).collect();
    show(&Observation { name, dims: &dims, data: &data });
}

/// Those of `known` that values are computed from, without what only others of them are.
fn sources(
    graph: &Graph,
    values: &[ValueId],
    known: &FxHashMap<ValueId, usize>,
) -> FxHashSet<ValueId> {
    let mut found = FxHashSet::default();
    let mut seen = FxHashSet::default();
    let mut waiting = values.to_vec();
    while let Some(value) = waiting.pop() {
        if known.contains_key(&value) {
            found.insert(value);
            continue;
        }
        let Some(made) = graph.producer(value).filter(|made| seen.insert(*made)) else { continue };
        let node = &graph[made];
        waiting.extend(node.inputs().iter().flatten().chain(node.captured()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;
    use lapidary_ir::Patch;

    const SOURCE: &str = "
        g (float[N,2] x) => (float[N,2] y)
        <float[2,2] a = {1, 2, 3, 4}, float[2,2] b = {0.5, 0, 0, 2}, float[2,2] c = {1, 1, -1, 1}>
        {
            h = MatMul(x, a)
            r = Relu(h)
            i = MatMul(r, b)
            s = Add(r, i)
            j = MatMul(s, c)
            t = Add(s, j)
            y = MatMul(t, a)
        }";

    type Shown = Vec<(String, Vec<f32>)>;

    fn samples() -> Inputs {
        let numbers: Vec<f32> = (0..40).map(|number| (number * 7 % 11) as f32 - 5.0).collect();
        Inputs::from([("x".to_owned(), Tensor::new(&[20, 2], &numbers))])
    }

    fn show(shown: &mut Shown, _: usize, own: &Observation<'_>) {
        shown.push((own.name.to_owned(), own.data.to_vec()));
    }

    #[test]
    fn values_are_those_of_the_model_as_it_is_when_they_are_asked_for() {
        let mut model = model(SOURCE);
        let samples = samples();
        let batches = Batches::new(&model.graph, &samples).expect("there are samples");
        let spans: Vec<_> = batches.spans().enumerate().collect();
        let value = |name: &str| model.graph.find(name).expect("it is there");
        let asked: Vec<Vec<ValueId>> = [vec!["x"], vec!["r"], vec!["s", "r"], vec!["t"]]
            .map(|names| names.into_iter().map(value).collect())
            .into();
        let mut front = Front::new(&model.graph, asked.clone(), &batches, &spans);
        let mut kept = Vec::new();
        for values in asked {
            let found = front.next(&model, show, Shown::new).expect("it runs");
            let expected =
                super::super::watch::watch(&model, &batches, &spans, &values, show, Shown::new);
            for (found, expected) in found.into_iter().zip(expected.expect("it runs")) {
                let (found, expected): (BTreeMap<_, _>, BTreeMap<_, _>) =
                    (found.into_iter().collect(), expected.into_iter().collect());
                assert_eq!(found.len(), values.len());
                assert_eq!(found, expected);
            }
            kept.push(front.bytes.len());
            assert!(front.kept.iter().all(|kept| kept.len() == front.bytes.len()));
            // What was asked for already is computed from the constants there were.
            let mut patch = Patch::default();
            let reader = model
                .graph
                .nodes()
                .find(|(_, node)| node.inputs().contains(&values.first().copied()));
            let (id, _) = reader.expect("every value has a reader");
            if model.graph.constant_input(id, 1).is_some() {
                let tensor =
                    patch.initializer("w", Tensor::new(&[2, 2], &[2.0f32, -1.0, 0.0, 1.0]));
                patch.set_input(id, 1, Some(tensor));
                model.graph.apply(patch).expect("it fits");
            }
        }
        // r until s is computed, s until t is; x is an input.
        assert_eq!(kept, [0, 1, 1, 0]);
    }

    #[test]
    fn what_has_no_room_is_computed_again() {
        let model = model(SOURCE);
        let samples = samples();
        let batches = Batches::new(&model.graph, &samples).expect("there are samples");
        let spans: Vec<_> = batches.spans().enumerate().collect();
        let asked: Vec<Vec<ValueId>> =
            ["r", "s", "t"].map(|name| vec![model.graph.find(name).expect("it is there")]).into();
        let mut front = Front::new(&model.graph, asked.clone(), &batches, &spans);
        front.bytes.insert(asked[2][0], MOST_BYTES);
        for values in &asked[..2] {
            let found = front.next(&model, show, Shown::new).expect("it runs");
            let expected =
                super::super::watch::watch(&model, &batches, &spans, values, show, Shown::new);
            assert_eq!(found, expected.expect("it runs"));
            assert!(front.kept.iter().all(BTreeMap::is_empty));
        }
    }
}
