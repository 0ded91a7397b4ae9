//! A network whose channels are to go: what its products multiply, and how they make up for what goes.
use super::moments::{Moments, ridge};
use super::watch::{quota, watch, windows};
use super::{Progress, PruneError};
use crate::linear_algebra::cholesky::Cholesky;
use crate::prune::analysis::Analysis;
use crate::prune::plan::ChannelPlan;
use crate::prune::products::Product;
use crate::prune::sequence::Sequence;
use crate::samples::batches::Batches;
use lapidary_ir::{Model, NodeId, Patch};
use ndarray::{Array1, Array2, Axis};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;

/// Numbers in a window at most, for a product whose second moments are taken.
const MOST_NUMBERS: usize = 6_144;

/// What is left of a loss, relative to one at the very end, when it is made at the very beginning and every product behind
/// is fitted: with n of the N products behind, ½^(n/N). Measured on a residual and an inverted residual network, where
/// parts of ¼ and 1 give outputs farther from the original.
const LEFT_BEHIND: f64 = 0.5;

/// Batches whose rows are kept until they are summed up.
const WAVE: usize = 8;

/// A network with what is known of its products.
pub(super) struct Network<'a> {
    pub(super) model: &'a Model,
    pub(super) analysis: &'a Analysis,
    pub(super) products: Vec<Product>,
    /// Moments of the products that read channels that can go.
    pub(super) moments: Vec<Option<Moments>>,
}

impl<'a> Network<'a> {
    /// Runs the model on all samples.
    pub(super) fn new(
        model: &'a Model,
        analysis: &'a Analysis,
        samples: &Batches<'_>,
        progress: Progress<'_>,
    ) -> Result<Self, PruneError> {
        let mut network = Self::unobserved(model, analysis);
        let sizes: Vec<Option<usize>> =
            network.products.iter().map(|product| network.size_if_read(product)).collect();
        network.moments = sizes.iter().map(|size| size.map(Moments::new)).collect();
        let mut readers: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        let mut values = Vec::new();
        for (index, product) in network.products.iter().enumerate() {
            if sizes[index].is_some() {
                readers.entry(model.graph.value(product.input).name()).or_default().push(index);
                values.push(product.input);
            }
        }
        if values.is_empty() {
            return Ok(network);
        }
        let spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
        let products = &network.products;
        let mut sums = std::mem::take(&mut network.moments);
        for (wave, part) in spans.chunks(WAVE).enumerate() {
            progress("statistics", wave * WAVE, spans.len());
            let shown = watch(
                model,
                samples,
                part,
                &values,
                |rows: &mut FxHashMap<usize, Array2<f32>>, batch, shown| {
                    for &index in readers.get(shown.name).into_iter().flatten() {
                        let quota = quota(sizes[index].unwrap_or(0), spans.len());
                        let found = windows(&model.graph, &products[index], shown, quota, batch);
                        if let Some(found) = found {
                            rows.insert(index, found);
                        }
                    }
                },
                FxHashMap::default,
            )?;
            sums.par_iter_mut().enumerate().for_each(|(index, sum)| {
                let Some(sum) = sum else { return };
                let found = shown.iter().filter_map(|rows| rows.get(&index));
                found.for_each(|rows| sum.add(rows.view()));
            });
        }
        network.moments = sums;
        Ok(network)
    }

    /// A network of which no moments are known.
    pub(super) fn unobserved(model: &'a Model, analysis: &'a Analysis) -> Self {
        let products = Product::of(&model.graph);
        let moments = vec![None; products.len()];
        Self { model, analysis, products, moments }
    }

    /// K, for a dense product that reads channels that can go.
    fn size_if_read(&self, product: &Product) -> Option<usize> {
        let axis = product.input_axis(&self.model.graph)?;
        let owners = self.analysis.owners.get(&axis)?;
        let can_go = owners.iter().any(|&owner| self.analysis.channels[owner].removable);
        let size = owners.len() * product.taps;
        (can_go && product.groups == 1 && size <= MOST_NUMBERS).then_some(size)
    }

    /// The network without some channels, its weights as they were.
    pub(super) fn cut(
        &self,
        lists: &[(usize, Vec<usize>)],
    ) -> Result<(Model, ChannelPlan), PruneError> {
        let plan = self.analysis.plan_removing(lists)?;
        let mut model = self.model.clone();
        plan.apply(&mut model)?;
        Ok((model, plan))
    }

    /// Gives every product that reads fewer channels the weights and the bias that give what it gave before as
    /// nearly as possible, from its moments G and its mean m:
    ///
    /// W′ = W_P + W_R G_RP (G_PP + λ I)⁻¹, b′ = b + W m − W′ m_P
    ///
    /// for columns P that stay and R that go: the least squares solution pulled towards W_P.
    pub(super) fn compensate(
        &self,
        model: &mut Model,
        plan: &ChannelPlan,
    ) -> Result<(), PruneError> {
        let graph = &self.model.graph;
        let solve = |index: usize| {
            let (product, moments) = (&self.products[index], &self.moments[index]);
            let kept = plan.kept(product.input_axis(graph)?)?;
            let (rows, offsets) = symmetric(
                &product.rows(graph)?,
                &product.offsets(graph)?,
                moments.as_ref()?,
                &columns(kept, product.taps),
                product.has_bias(),
            )?;
            let outputs = plan.kept(product.output_axis(graph)?);
            let outputs = outputs.map_or_else(|| (0..rows.nrows()).collect(), <[_]>::to_vec);
            let offsets: Vec<f64> = outputs.iter().map(|&output| offsets[output]).collect();
            Some((product, rows.select(Axis(0), &outputs), offsets))
        };
        let solved: Vec<_> = (0..self.products.len()).into_par_iter().filter_map(solve).collect();
        let mut patch = Patch::default();
        for (product, rows, offsets) in solved {
            product.install(&model.graph, &mut patch, &rows, &offsets);
        }
        model.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
        Ok(())
    }

    /// The part of what is lost when channels of a group go that is left when all products behind are fitted; see
    /// [`LEFT_BEHIND`].
    pub(super) fn left_behind(&self, sequences: &[Sequence]) -> Result<Vec<f64>, PruneError> {
        let all = self.products.len().max(1) as f64;
        let part = |(group, sequence): (usize, &Sequence)| {
            if sequence.steps.is_empty() {
                return Ok(1.0);
            }
            let plan = self.analysis.plan_removing(&[(group, sequence.first(1))])?;
            let affected = self.affected(&plan);
            let behind = self.products.iter().filter(|product| affected.contains(&product.node));
            Ok(LEFT_BEHIND.powf(behind.count() as f64 / all))
        };
        sequences.iter().enumerate().map(part).collect()
    }

    /// The nodes that compute something else when a plan is carried out.
    pub(super) fn affected(&self, plan: &ChannelPlan) -> FxHashSet<NodeId> {
        let graph = &self.model.graph;
        let shorter: FxHashSet<_> = plan.axes.iter().map(|axis| axis.place.value).collect();
        let mut affected = FxHashSet::default();
        for id in graph.topological_order() {
            let node = &graph[id];
            let computes = node.outputs().iter().flatten().any(|value| shorter.contains(value));
            let mut reads = node.inputs().iter().flatten().chain(node.captured());
            let made = |value| graph.producer(value).is_some_and(|made| affected.contains(&made));
            if computes || reads.any(|&value| made(value)) {
                affected.insert(id);
            }
        }
        affected
    }
}

/// The columns of channels.
fn columns(channels: &[usize], taps: usize) -> Vec<usize> {
    channels.iter().flat_map(|&channel| channel * taps..(channel + 1) * taps).collect()
}

/// The weights of the columns that stay and the bias; see [`Network::compensate`].
fn symmetric(
    weights: &Array2<f64>,
    offsets: &[f64],
    moments: &Moments,
    stay: &[usize],
    centred: bool,
) -> Option<(Array2<f64>, Array1<f64>)> {
    let gram = moments.gram(centred);
    let mut is_kept = vec![false; gram.nrows()];
    stay.iter().for_each(|&column| is_kept[column] = true);
    let gone: Vec<usize> = (0..gram.nrows()).filter(|&column| !is_kept[column]).collect();
    let mut inner = gram.select(Axis(0), stay).select(Axis(1), stay);
    let ridge = ridge(&gram);
    inner.diag_mut().mapv_inplace(|number| number + ridge);
    let cross = gram.select(Axis(0), &gone).select(Axis(1), stay);
    let mut rows = weights.select(Axis(1), &gone).dot(&cross);
    Cholesky::new(inner)?.solve_rows(&mut rows);
    rows += &weights.select(Axis(1), stay);
    let mut offsets = Array1::from(offsets.to_vec());
    if centred {
        let mean = moments.mean();
        offsets = offsets + weights.dot(&mean) - rows.dot(&mean.select(Axis(0), stay));
    }
    Some((rows, offsets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_goes_is_made_up_for_by_what_is_like_it() {
        // The second number is twice the first plus one, the third has nothing to do with them.
        let rows: Array2<f32> =
            array![[1.0, 3.0, 1.0], [2.0, 5.0, -1.0], [3.0, 7.0, -1.0], [4.0, 9.0, 1.0]];
        let mut moments = Moments::new(3);
        moments.add(rows.view());
        let weights = array![[1.0, 1.0, 5.0]];
        let found = symmetric(&weights, &[0.25], &moments, &[0, 2], true);
        let (rows, offsets) = found.expect("the matrix is positive definite");
        assert!((rows[(0, 0)] - 3.0).abs() < 1e-2, "{rows}");
        assert!((rows[(0, 1)] - 5.0).abs() < 1e-2);
        assert!((offsets[0] - 1.25).abs() < 2e-2);
    }

    #[test]
    fn without_a_bias_the_mean_is_made_up_for_by_weights() {
        let rows: Array2<f32> = array![[1.0, 4.0], [1.0, 4.0]];
        let mut moments = Moments::new(2);
        moments.add(rows.view());
        let found = symmetric(&array![[1.0, 1.0]], &[0.0], &moments, &[0], false);
        let (rows, offsets) = found.expect("the matrix is positive definite");
        assert!((rows[(0, 0)] - 5.0).abs() < 0.05);
        assert_eq!(offsets[0], 0.0);
    }
}
