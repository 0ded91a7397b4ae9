//! Prunes on made-up samples as if they were like those the model was trained on.
//!
//! A `BatchNormalization` tells mean and variance of what it normalized in training. Made-up samples have others;
//! but with theirs in place of the stored ones its results have the mean and variance they had in training, and so
//! does whatever reads them. That model is pruned. Folded into a product, the statistics are a factor and a summand
//! of every output channel,
//!
//! W = s ∘ V, b = s ∘ c + t
//!
//! for the products (W, b) of the original and (V, c) of the other; the same s and t take the products of the pruned
//! one back.
use super::front::Front;
use super::{Demand, Options, Progress, PruneError, Pruned, prune_compensated, spread};
use crate::prune::products::Product;
use crate::prune::propagate::constant;
use crate::samples::batches::Batches;
use lapidary_exec::{Inputs, Observation};
use lapidary_ir::{Graph, Model, NodeId, Patch, Tensor, ValueId};
use ndarray::Axis;
use std::ops::Range;

/// Samples whose statistics are taken.
const SAMPLES: usize = 64;

/// How much of the square of a row may be left when it is a multiple of another.
const TOLERANCE: f64 = 1e-6;

/// The model with the mean and the variance on `samples` in every `BatchNormalization`, one after another. Types must
/// have been inferred.
///
/// # Errors
/// When the runtime can't run it.
pub fn renormalized(model: &Model, samples: &Inputs) -> Result<Model, PruneError> {
    let mut model = model.clone();
    let all = Batches::new(&model.graph, samples)?;
    let samples = spread(&all, SAMPLES);
    let spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
    let normalizations: Vec<Normalization> = model
        .graph
        .topological_order()
        .into_iter()
        .filter_map(|id| Normalization::of(&model, id))
        .collect();
    let read = normalizations.iter().map(|own| vec![own.input]).collect();
    let mut front = Front::new(&model.graph, read, &samples, &spans);
    for Normalization { node, channels, .. } in normalizations {
        let show = |sums: &mut Sums, _: usize, shown: &Observation<'_>| sums.add(shown, channels);
        let parts = front.next(&model, show, || Sums::new(channels))?;
        let Some((mean, variance)) = Sums::moments(parts) else { continue };
        let patch = statistics(&model.graph, node, &mean, &variance);
        model.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
    }
    Ok(model)
}

/// A `BatchNormalization` with constant statistics.
struct Normalization {
    node: NodeId,
    input: ValueId,
    channels: usize,
}

impl Normalization {
    fn of(model: &Model, id: NodeId) -> Option<Self> {
        let (graph, node) = (&model.graph, &model.graph[id]);
        let stored = |slot: usize| constant(graph, node.input(slot)?);
        let (mean, _) = stored(3).zip(stored(4))?;
        let own = Self { node: id, input: node.input(0)?, channels: mean.len() };
        node.is("BatchNormalization").then_some(own)
    }
}

/// Gives a normalization a mean and a variance.
fn statistics(graph: &Graph, id: NodeId, mean: &[f32], variance: &[f32]) -> Patch {
    let mut patch = Patch::default();
    for (slot, numbers) in [(3, mean), (4, variance)] {
        let name = graph[id].input(slot).map_or("", |value| graph.value(value).name());
        let tensor = patch.initializer(name, Tensor::vector(numbers));
        patch.set_input(id, slot, Some(tensor));
    }
    patch
}

/// Sums over the positions of a value, by channel.
struct Sums {
    count: f64,
    sums: Vec<(f64, f64)>,
}

impl Sums {
    fn new(channels: usize) -> Self {
        Self { count: 0.0, sums: vec![(0.0, 0.0); channels] }
    }

    fn add(&mut self, shown: &Observation<'_>, channels: usize) {
        if shown.dims.get(1) != Some(&channels) {
            return;
        }
        let area: usize = shown.dims[2..].iter().product();
        for (index, plane) in shown.data.chunks(area.max(1)).enumerate() {
            let (sum, squares) = &mut self.sums[index % channels];
            *sum += plane.iter().map(|&number| f64::from(number)).sum::<f64>();
            *squares += plane.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>();
        }
        self.count += (shown.data.len() / channels.max(1)) as f64;
    }

    /// Mean and variance of all parts.
    fn moments(parts: Vec<Self>) -> Option<(Vec<f32>, Vec<f32>)> {
        let count: f64 = parts.iter().map(|part| part.count).sum();
        let channels = parts.first()?.sums.len();
        let moment = |channel: usize| {
            let sum: f64 = parts.iter().map(|part| part.sums[channel].0).sum();
            let squares: f64 = parts.iter().map(|part| part.sums[channel].1).sum();
            let mean = sum / count;
            (mean as f32, (squares / count - mean * mean).max(1e-8) as f32)
        };
        (count > 0.0).then(|| (0..channels).map(moment).unzip())
    }
}

/// Prunes `model` by way of `other`, the same with other statistics, both with their normalizations folded. None when
/// they do not differ by factors and summands of output channels alone.
///
/// # Errors
/// Those of [`prune_compensated`].
pub fn prune_by_way_of(
    model: &mut Model,
    mut other: Model,
    samples: &Inputs,
    demand: &Demand<'_>,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Option<Pruned>, PruneError> {
    let Some(changes) = changes(&model.graph, &other.graph) else { return Ok(None) };
    let products = Product::of(&other.graph);
    let axes: Vec<_> = products.iter().map(|product| product.output_axis(&other.graph)).collect();
    let pruned = prune_compensated(&mut other, samples, demand, options, progress)?;
    let graph = &other.graph;
    let present = Product::of(graph);
    let mut patch = Patch::default();
    for ((product, axis), change) in products.iter().zip(axes).zip(changes) {
        let own = present.iter().find(|present| present.node == product.node);
        let (Some(own), Some(axis)) = (own, axis) else { return Ok(None) };
        let (Some(mut rows), Some(mut offsets)) = (own.rows(graph), own.offsets(graph)) else {
            return Ok(None);
        };
        let kept = pruned.plan.kept(axis);
        let kept = kept.map_or_else(|| (0..offsets.len()).collect(), <[_]>::to_vec);
        for (row, &channel) in kept.iter().enumerate() {
            let (factor, summand) = change[channel];
            rows.row_mut(row).mapv_inplace(|number| factor * number);
            offsets[row] = factor * offsets[row] + summand;
        }
        own.install(graph, &mut patch, &rows, &offsets);
    }
    other.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
    *model = other;
    Ok(Some(pruned))
}

/// For every product of `other` and every output channel the factor and the summand that give the one of `model`.
fn changes(model: &Graph, other: &Graph) -> Option<Vec<Vec<(f64, f64)>>> {
    let normalized = |graph: &Graph| graph.nodes().any(|(_, node)| node.is("BatchNormalization"));
    if normalized(model) || normalized(other) {
        return None;
    }
    let originals = Product::of(model);
    let change = |product: &Product| {
        let name = other.value(product.output).name();
        let original = originals.iter().find(|own| model.value(own.output).name() == name)?;
        let (wanted, given) = (original.rows(model)?, product.rows(other)?);
        if wanted.dim() != given.dim() {
            return None;
        }
        let offsets = original.offsets(model)?.into_iter().zip(product.offsets(other)?);
        let rows = wanted.axis_iter(Axis(0)).zip(given.axis_iter(Axis(0)));
        let mut changes = Vec::new();
        for ((wanted, given), (b, c)) in rows.zip(offsets) {
            let (cross, square) = (wanted.dot(&given), given.dot(&given));
            let factor = if square > 0.0 { cross / square } else { 1.0 };
            let left = &wanted - &(factor * &given);
            if left.dot(&left) > TOLERANCE * wanted.dot(&wanted) {
                return None;
            }
            changes.push((factor, b - factor * c));
        }
        Some(changes)
    };
    Product::of(other).iter().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver;
    use crate::fuse::FuseConvBatchNormalization;
    use crate::prune::Resource;
    use crate::prune::Target;
    use crate::testing::model;
    use crate::{Context, Pass};
    use std::collections::BTreeMap;

    fn network() -> Model {
        model(
            "g (float[N,2,4,4] x) => (float[N,2,4,4] y)
            <float[4,2,1,1] w = {1, 2, -1, 1, 0.5, 1, 2, -1}, float[4] s = {1, 2, 1, 0.5}, float[4] h = {0, 1, 0.5, -1},
             float[4] m = {3, -1, 0, 2}, float[4] v = {4, 1, 9, 0.25}, float[2,4,1,1] u = {1, 2, 3, 4, -1, 1, 0, 2}>
            {
                a = Conv(x, w)
                n = BatchNormalization(a, s, h, m, v)
                r = Relu(n)
                y = Conv(r, u)
            }",
        )
    }

    fn samples() -> Inputs {
        let numbers: Vec<f32> = (0..8 * 32).map(|at| ((at * 37) % 23) as f32 / 5.0).collect();
        BTreeMap::from([("x".to_owned(), Tensor::new(&[8, 2, 4, 4], &numbers))])
    }

    fn folded(mut model: Model) -> Model {
        let passes: [&dyn Pass; 1] = [&FuseConvBatchNormalization {}];
        driver::run(&passes, &mut model, &mut Context::default()).expect("it folds");
        model
    }

    #[test]
    fn normalizations_get_the_statistics_of_the_samples() {
        let found = renormalized(&network(), &samples()).expect("it runs");
        let node = found.graph.nodes().find(|(_, node)| node.is("BatchNormalization"));
        let node = node.expect("it stays").1;
        let stored = |slot| constant(&found.graph, node.input(slot).expect("given"));
        let mean = stored(3).expect("constant").to_f32().expect("floats");
        let x = samples()["x"].to_f32().expect("floats");
        // The first channel is x₀ + 2 x₁.
        let number =
            |at: usize| f64::from(x[at / 16 * 32 + at % 16] + 2.0 * x[at / 16 * 32 + 16 + at % 16]);
        let expected = (0..128).map(number).sum::<f64>() / 128.0;
        assert!((f64::from(mean[0]) - expected).abs() < 1e-4);
        let squares = (0..128).map(|at| number(at).powi(2)).sum::<f64>() / 128.0;
        let variance = stored(4).expect("constant").to_f32().expect("floats")[0];
        assert!((f64::from(variance) - (squares - expected * expected)).abs() < 1e-3);
    }

    #[test]
    fn without_a_cut_the_way_back_leads_to_the_original() {
        let original = folded(network());
        let other = folded(renormalized(&network(), &samples()).expect("it runs"));
        let mut model = original.clone();
        let demand = Demand::Target(Target { resource: Resource::Macs, share: 1.0 });
        let quiet = |_: &'static str, _: usize, _: usize| {};
        let options = Options::default();
        let way = prune_by_way_of(&mut model, other, &samples(), &demand, &options, &quiet);
        assert!(way.expect("it runs").is_some());
        for (product, known) in Product::of(&model.graph).iter().zip(Product::of(&original.graph)) {
            let difference = product.rows(&model.graph).expect("constant")
                - known.rows(&original.graph).expect("constant");
            assert!(difference.iter().all(|error| error.abs() < 1e-5), "{difference}");
            let offsets = product.offsets(&model.graph).expect("constant");
            let known = known.offsets(&original.graph).expect("constant");
            assert!(offsets.iter().zip(&known).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }

    #[test]
    fn normalizations_that_stay_are_no_factors_of_products() {
        let other = renormalized(&network(), &samples()).expect("it runs");
        assert!(changes(&network().graph, &other.graph).is_none());
        let factors = changes(&folded(network()).graph, &folded(other).graph);
        assert_eq!(factors.expect("they are factors")[1], [(1.0, 0.0), (1.0, 0.0)]);
    }
}
