//! What removed channels gave on average, put into the biases of the products that read them.
//!
//! A product y_o = Σ_k Σ_t W\[o, k, t\] x_k,t + b_o, t over the taps of its window, loses channels k. With their means in their
//! place the bias becomes
//!
//! b'_o = b_o + Σ_k E\[x_k\] Σ_t p_t W\[o, k, t\],
//!
//! over the removed k of the group of o. E\[x_k\] is told by the weights alone, as [`Means`] follows it. Where x_k is a constant, p_t
//! is 1: that is exact away from the zeros a convolution reads around its input. Where it varies, p_t is the share of
//! positions at which tap t reads none of these zeros, so that the mean over all positions stays.
//!
//! Results then vary less than before, and functions behind the next normalization, which still divides by the deviation
//! there was in training, give less: layer by layer outputs would shrink. So the running variance v of a
//! `BatchNormalization` that alone reads the product becomes what is left of it, channels taken for independent:
//!
//! v'_o = v_o · Σ_k kept Σ_t W\[o, k, t\]² Var\[x_k\] / Σ_k Σ_t W\[o, k, t\]² Var\[x_k\],
//!
//! at least v_o / 4. Constants change nothing in it.
mod expectation;
mod law;
mod means;
#[cfg(test)]
mod tests;

use super::analysis::Analysis;
use super::apply::ApplyError;
use super::elements::Axis;
use super::plan::ChannelPlan;
use super::products::Product;
use super::propagate::constant;
use crate::fuse::weights;
use lapidary_ir::{Dim, Graph, Model, NodeId, Patch, Port, ValueId};
use law::Law;
use means::Means;
use std::collections::{BTreeMap, BTreeSet};

/// Why the mean of a channel is put in nowhere, where its reader is at fault.
const READER: &str = "what reads them is no Conv, Gemm or MatMul with constant weights in float32";

/// Why the mean of a channel is put in nowhere, where there is no reader.
const UNREAD: &str = "nothing reads them";

/// What is put into which biases, and what could not be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeanReplacement {
    /// The number of channels that go.
    pub removed: usize,
    /// Those of them whose mean all products that read them have in their biases.
    pub replaced: usize,
    /// The biases that change, in order of the graph.
    pub shifts: Vec<BiasShift>,
    /// The normalizations whose running variances change, in order of the graph.
    pub variances: Vec<VarianceScale>,
    /// Why channels are not replaced, in order of the graph.
    pub left: Vec<Unreplaced>,
}

/// What is added to the bias of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct BiasShift {
    /// The name of the node.
    pub name: String,
    /// One number for each output channel that stays.
    pub added: Vec<f64>,
    node: NodeId,
}

/// What the running variances of a `BatchNormalization` are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub struct VarianceScale {
    /// The name of the node.
    pub name: String,
    /// One number for each channel that stays.
    pub factors: Vec<f64>,
    node: NodeId,
}

/// Channels that are removed without anything in their place, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreplaced {
    /// Why.
    pub reason: String,
    /// The number of channels.
    pub channels: usize,
    /// The nodes at fault.
    pub nodes: Vec<String>,
}

/// A reason with the node it is about.
type Reason = (String, NodeId);

/// The least part of a variance that is left: outputs become at most twice as large.
const LEAST: f64 = 0.25;

/// What became of the removed channels, by their number in the analysis.
#[derive(Default)]
struct Fates {
    replaced: BTreeSet<usize>,
    left: BTreeMap<usize, Reason>,
}

impl MeanReplacement {
    /// What the products of `graph` get for what `plan` removes.
    #[must_use]
    pub fn of(graph: &Graph, analysis: &Analysis, plan: &ChannelPlan) -> Self {
        if plan.is_empty() {
            return Self::default();
        }
        let means = Means::of(graph, analysis);
        let mut fates = Fates::default();
        let (mut shifts, mut variances) = (Vec::new(), Vec::new());
        for id in graph.topological_order() {
            let product = Product::reading(graph, id);
            match product.filter(|product| !product.is_depthwise(graph)) {
                Some(product) => {
                    let site = Site { graph, analysis, plan, means: &means, product: &product };
                    shifts.extend(site.shift(&mut fates));
                    variances.extend(site.variances());
                }
                None => foreign(graph, analysis, plan, id, &mut fates),
            }
        }
        let (mut removed, mut replaced) = (0, 0);
        let mut left: Vec<Unreplaced> = Vec::new();
        for (group, planned) in analysis.groups.iter().zip(&plan.groups) {
            for &number in &planned.removed {
                removed += 1;
                let channel = group.channels[number];
                let (reason, node) = match fates.left.get(&channel) {
                    Some((reason, node)) => (reason.as_str(), Some(graph[*node].label(graph))),
                    None if fates.replaced.contains(&channel) => {
                        replaced += 1;
                        continue;
                    }
                    None => (UNREAD, None),
                };
                let at = left.iter().position(|known| known.reason == reason);
                let at = at.unwrap_or_else(|| {
                    let reason = reason.to_owned();
                    left.push(Unreplaced { reason, channels: 0, nodes: Vec::new() });
                    left.len() - 1
                });
                left[at].channels += 1;
                let new = node.filter(|node| !left[at].nodes.iter().any(|known| known == node));
                left[at].nodes.extend(new.map(str::to_owned));
            }
        }
        Self { removed, replaced, shifts, variances, left }
    }

    /// Adds to the biases of the model that has lost its channels. A product without a bias gets one, a `MatMul` an `Add`.
    ///
    /// # Errors
    /// When it is another model. It may be changed then.
    pub fn apply(&self, model: &mut Model) -> Result<(), ApplyError> {
        if self.shifts.is_empty() && self.variances.is_empty() {
            return Ok(());
        }
        let graph = &model.graph;
        let mut patch = Patch::default();
        for BiasShift { name, added, node } in &self.shifts {
            let product = graph.get_node(*node).and_then(|_| Product::reading(graph, *node));
            let rows = |product: &Product| product.offsets(graph).map(|offsets| offsets.len());
            match product.filter(|product| rows(product) == Some(added.len())) {
                Some(product) => product.shift(graph, &mut patch, added),
                None => return Err(ApplyError::Moments { node: name.clone() }),
            }
        }
        for VarianceScale { name, factors, node } in &self.variances {
            let scaled = scale_variances(graph, &mut patch, *node, factors);
            scaled.ok_or_else(|| ApplyError::Moments { node: name.clone() })?;
        }
        model.graph.apply(patch)?;
        model.graph.infer();
        let violations = model.validate();
        if violations.is_empty() { Ok(()) } else { Err(ApplyError::Invalid(violations)) }
    }
}

/// A product that may lose channels it reads.
struct Site<'a> {
    graph: &'a Graph,
    analysis: &'a Analysis,
    plan: &'a ChannelPlan,
    means: &'a Means<'a>,
    product: &'a Product,
}

impl Site<'_> {
    /// What its bias gets for the channels it loses.
    fn shift(&self, fates: &mut Fates) -> Option<BiasShift> {
        let Self { graph, analysis, plan, means, product } = *self;
        let axis = product.input_axis(graph)?;
        let gone = gone(plan, axis)?;
        let owners = analysis.owners.get(&axis)?;
        let laws = means.laws(axis)?;
        let mut lost = vec![Law::constant(0.0); owners.len()];
        for &element in &gone {
            match &laws[element] {
                Ok(law) => {
                    lost[element] = *law;
                    fates.replaced.insert(owners[element]);
                }
                Err(cause) => {
                    fates.leave(owners[element], || (cause.reason(graph), cause.node));
                }
            }
        }
        let rows = product.rows(graph)?;
        let shares = self.shares_inside().unwrap_or_else(|| vec![1.0; product.taps]);
        let of_row = |row: usize| {
            let weights = rows.row(row);
            let terms = weights.iter().enumerate().map(|(column, weight)| {
                let law = lost[product.input_channel(rows.dim(), row, column)];
                let share = if law.is_constant() { 1.0 } else { shares[column % product.taps] };
                weight * law.mean * share
            });
            terms.sum::<f64>()
        };
        let added: Vec<f64> = self.rows_that_stay(rows.nrows()).into_iter().map(of_row).collect();
        let name = graph[product.node].label(graph).to_owned();
        let shifts = added.iter().any(|&added| added != 0.0);
        shifts.then_some(BiasShift { name, added, node: product.node })
    }

    /// What the running variances of the normalization behind it are multiplied by. Nothing where a deviation is not known.
    fn variances(&self) -> Option<VarianceScale> {
        let Self { graph, plan, means, product, .. } = *self;
        let axis = product.input_axis(graph)?;
        let kept = plan.kept(axis)?;
        let reader = graph.only_use(product.output)?;
        let node = &graph[reader.node];
        if !node.is("BatchNormalization") || reader.port != Port::Input(0) {
            return None;
        }
        let deviations = means.laws(axis)?.iter().map(|law| law.ok()?.std);
        let variances: Vec<f64> =
            deviations.map(|std| Some(std?.powi(2))).collect::<Option<_>>()?;
        let mut stays = vec![false; variances.len()];
        kept.iter().for_each(|&element| stays[element] = true);
        let rows = product.rows(graph)?;
        let factor = |row: usize| {
            let (mut left, mut all) = (0.0, 0.0);
            for (column, weight) in rows.row(row).iter().enumerate() {
                let channel = product.input_channel(rows.dim(), row, column);
                let part = weight * weight * variances[channel];
                all += part;
                left += if stays[channel] { part } else { 0.0 };
            }
            if all > 0.0 { (left / all).max(LEAST) } else { 1.0 }
        };
        let factors: Vec<f64> = self.rows_that_stay(rows.nrows()).into_iter().map(factor).collect();
        let name = node.label(graph).to_owned();
        let scales = factors.iter().any(|&factor| factor != 1.0);
        scales.then_some(VarianceScale { name, factors, node: reader.node })
    }

    /// For every tap of a window the share of positions where it is inside, where sizes are known.
    fn shares_inside(&self) -> Option<Vec<f64>> {
        let shape = self.graph.value(self.product.input).shape()?.iter().enumerate();
        let size = |(axis, dim): (usize, &Dim)| match dim.value() {
            Some(size) => usize::try_from(size).ok(),
            // The shares are those of any number of samples.
            None => (axis == 0).then_some(1),
        };
        let dims: Vec<usize> = shape.map(size).collect::<Option<_>>()?;
        let shares = self.product.windows(self.graph, &dims)?.shares_inside();
        (shares.len() == self.product.taps).then_some(shares)
    }

    fn rows_that_stay(&self, rows: usize) -> Vec<usize> {
        let stay = self.product.output_axis(self.graph).and_then(|axis| self.plan.kept(axis));
        stay.map_or_else(|| (0..rows).collect(), <[_]>::to_vec)
    }
}

/// Multiplies the running variances of a normalization; other readers of the same ones keep them.
fn scale_variances(graph: &Graph, patch: &mut Patch, id: NodeId, factors: &[f64]) -> Option<()> {
    let slot = 4;
    let value = graph.get_node(id)?.input(slot)?;
    let tensor = graph.constant(value)?;
    let numbers = weights::values(tensor).filter(|numbers| numbers.len() == factors.len())?;
    let scaled: Vec<f64> = numbers.iter().zip(factors).map(|(v, factor)| v * factor).collect();
    let scaled = weights::tensor(tensor.elem_type(), tensor.dims(), &scaled).ok()?;
    let variances = graph.value(value);
    if variances.uses().len() == 1 && !variances.is_output() && !variances.is_pinned() {
        patch.set_tensor(value, scaled);
    } else {
        let copy = patch.initializer(variances.name(), scaled);
        patch.set_input(id, slot, Some(copy));
    }
    Some(())
}

/// Channels that end at a node which takes no means.
fn foreign(graph: &Graph, analysis: &Analysis, plan: &ChannelPlan, id: NodeId, fates: &mut Fates) {
    let node = &graph[id];
    if means::moves(graph, id).is_some() || node.is("Shape") || node.is("Size") {
        return;
    }
    let axes_of = |value: ValueId| {
        let rank = graph.value(value).shape().map_or(0, <[_]>::len);
        (0..rank).map(move |axis| Axis::new(value, axis))
    };
    let made = node.outputs().iter().copied().flatten().flat_map(axes_of);
    let carried: BTreeSet<usize> =
        made.filter_map(|axis| analysis.owners.get(&axis)).flatten().copied().collect();
    for (slot, input) in node.inputs().iter().enumerate() {
        let Some(input) = input.filter(|&input| constant(graph, input).is_none()) else { continue };
        for axis in axes_of(input) {
            let (Some(gone), Some(owners)) = (gone(plan, axis), analysis.owners.get(&axis)) else {
                continue;
            };
            let summed = sums_over(graph, id, slot, axis);
            let ends = |&&element: &&usize| summed || !carried.contains(&owners[element]);
            for &element in gone.iter().filter(ends) {
                fates.leave(owners[element], || (READER.to_owned(), id));
            }
        }
    }
}

/// Whether a product or a recurrence adds up over an axis of its input, whatever channels its results are tied to.
fn sums_over(graph: &Graph, id: NodeId, slot: usize, axis: Axis) -> bool {
    let node = &graph[id];
    let rank = graph.value(axis.value).shape().map_or(0, <[_]>::len);
    let transposed = |name: &str| node.int(name).unwrap_or(0) != 0;
    match (node.op_type.as_str(), slot) {
        ("Conv" | "ConvTranspose", 0) => {
            let channels = graph.value(axis.value).shape().and_then(|shape| shape.get(1)?.value());
            let groups = node.int("group").unwrap_or(1);
            axis.axis == 1 && (groups == 1 || channels != Some(groups))
        }
        ("MatMul", 0) => axis.axis + 1 == rank,
        ("MatMul", 1) => axis.axis + 2 == rank,
        ("Gemm", 0) => (axis.axis == 0) == transposed("transA"),
        ("Gemm", 1) => (axis.axis == 1) == transposed("transB"),
        ("GRU" | "LSTM" | "RNN", 0) => axis.axis + 1 == rank,
        _ => false,
    }
}

/// The elements of an axis that go, if some do.
fn gone(plan: &ChannelPlan, axis: Axis) -> Option<Vec<usize>> {
    let at = plan.axes.binary_search_by_key(&axis, |planned| planned.place).ok()?;
    let planned = &plan.axes[at];
    let mut stays = vec![false; planned.size];
    planned.keep.iter().for_each(|&element| stays[element] = true);
    Some((0..planned.size).filter(|&element| !stays[element]).collect())
}

impl Fates {
    /// The first reason holds.
    fn leave(&mut self, channel: usize, reason: impl FnOnce() -> Reason) {
        self.left.entry(channel).or_insert_with(reason);
    }
}
