//! Fits every product of a pruned network to what it gave in the original, one after another.
//!
//! Each reads what the products before it, fitted already, make of the samples; so it also makes up for their
//! errors. Two products whose results are added and nothing else are fitted as one, to the sum.
use super::fit::Fit;
use super::network::Network;
use super::products::{Bias, Form, Product};
use super::watch::{quota, results, watch, windows};
use super::{Progress, PruneError};
use crate::prune::plan::ChannelPlan;
use crate::samples::batches::Batches;
use lapidary_exec::Observation;
use lapidary_ir::{Graph, Model, NodeId, Patch, ValueId};
use ndarray::{Array1, Array2, Axis, concatenate, s};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::ops::Range;

/// Bytes of targets that are kept at once, unless one unit needs more.
const MOST_BYTES: usize = 768 << 20;

/// Products that are fitted as one.
struct Unit {
    products: Vec<Product>,
    /// What they give together.
    target: ValueId,
    /// The limits of the activation behind it.
    limits: Option<(f32, f32)>,
    /// The channels of the original that are left.
    channels: Vec<usize>,
    quota: usize,
}

/// Fits the products of `model`, which is the network with the plan carried out. Returns how many were.
pub(super) fn refit(
    network: &Network<'_>,
    plan: &ChannelPlan,
    model: &mut Model,
    samples: &Batches<'_>,
    progress: Progress<'_>,
) -> Result<usize, PruneError> {
    let spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
    let units = units(network, plan, model, spans.len());
    let mut fitted = 0;
    let mut start = 0;
    while start < units.len() {
        let mut bytes = 0;
        let more = |unit: &&Unit| {
            bytes += unit.channels.len() * unit.quota * spans.len() * 4;
            bytes <= MOST_BYTES
        };
        let count = units[start..].iter().take_while(more).count().max(1);
        let part = &units[start..start + count];
        let targets = targets(network.model, part, samples, &spans)?;
        for (index, (unit, targets)) in part.iter().zip(targets).enumerate() {
            progress("refit", start + index, units.len());
            let inputs = inputs(model, unit, samples, &spans)?;
            let Some((inputs, targets)) = inputs.zip(targets) else { continue };
            let Some(patch) = fit(&model.graph, unit, inputs, &targets) else { continue };
            model.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
            fitted += unit.products.len();
        }
        start += count;
    }
    Ok(fitted)
}

/// What is fitted, in topological order: the products that read anything that changed.
fn units(network: &Network<'_>, plan: &ChannelPlan, model: &Model, batches: usize) -> Vec<Unit> {
    let graph = &network.model.graph;
    let affected = network.affected(plan);
    let changed = |value: ValueId| graph.producer(value).is_some_and(|id| affected.contains(&id));
    let present: FxHashMap<NodeId, Product> =
        Product::of(&model.graph).into_iter().map(|product| (product.node, product)).collect();
    let mut units: Vec<Unit> = Vec::new();
    let mut first_of: FxHashMap<NodeId, usize> = FxHashMap::default();
    for product in &network.products {
        let Some(own) = present.get(&product.node) else { continue };
        let sum = sum_of_two(network, product);
        if let Some((id, _)) = sum
            && let Some(&unit) = first_of.get(&id)
        {
            units[unit].products.push(own.clone());
            continue;
        }
        if !changed(product.input) && sum.is_none() {
            continue;
        }
        let Some(outputs) = product.outputs(graph) else { continue };
        let kept = product.output_axis(graph).and_then(|axis| plan.kept(axis));
        let channels = kept.map_or_else(|| (0..outputs).collect(), <[_]>::to_vec);
        let target = sum.map_or(product.output, |(_, value)| value);
        let limits = limits(graph, target);
        if let Some((id, _)) = sum {
            first_of.insert(id, units.len());
        }
        units.push(Unit { products: vec![own.clone()], target, limits, channels, quota: 0 });
    }
    // A sum is fitted where its last product is, when both inputs are final.
    let place = |unit: &Unit| {
        let last = unit.products.last().map(|product| product.node);
        network.products.iter().position(|product| Some(product.node) == last)
    };
    units.sort_by_key(place);
    units.retain(|unit| unit.products.iter().any(|product| changed(product.input)));
    for unit in &mut units {
        let sizes = unit.products.iter().filter_map(|product| {
            let rows = product.rows(&model.graph)?;
            Some(rows.ncols())
        });
        unit.quota = quota(sizes.sum(), batches);
    }
    units
}

/// The addition of a dense product's result and that of another one, if both are used for nothing else.
fn sum_of_two(network: &Network<'_>, product: &Product) -> Option<(NodeId, ValueId)> {
    let graph = &network.model.graph;
    let reader = graph.only_use(product.output)?.node;
    let node = &graph[reader];
    let [Some(left), Some(right)] = *node.inputs() else { return None };
    let other = if left == product.output { right } else { left };
    let dense = |product: &Product| {
        product.groups == 1 && product.form == Form::Conv && product.bias != Bias::Nowhere
    };
    let partner = network.products.iter().find(|known| known.output == other)?;
    let same = graph.value(other).shape() == graph.value(product.output).shape();
    let both = node.is("Add") && left != right && same && graph.only_use(other).is_some();
    (both && dense(product) && dense(partner)).then_some((reader, node.output(0)?))
}

/// The limits of the Relu or Clip that is all a value is used for.
fn limits(graph: &Graph, value: ValueId) -> Option<(f32, f32)> {
    let id = graph.only_use(value)?.node;
    let node = &graph[id];
    match node.op_type.as_str() {
        "Relu" if node.is_standard() => Some((0.0, f32::INFINITY)),
        "Clip" if node.is_standard() => {
            let limit = |slot: usize, name: &str, none: f32| match node.input(slot) {
                Some(_) => graph.constant_input(id, slot)?.as_f32(),
                None => Some(node.float(name).unwrap_or(none)),
            };
            Some((limit(1, "min", f32::NEG_INFINITY)?, limit(2, "max", f32::INFINITY)?))
        }
        _ => None,
    }
}

/// What every unit gives in the original, a row per position; none if it was not shown.
fn targets(
    model: &Model,
    units: &[Unit],
    samples: &Batches<'_>,
    spans: &[(usize, Range<usize>)],
) -> Result<Vec<Option<Array2<f32>>>, PruneError> {
    let graph = &model.graph;
    let values: Vec<ValueId> = units.iter().map(|unit| unit.target).collect();
    let show = |rows: &mut Vec<Option<Array2<f32>>>, batch: usize, shown: &Observation<'_>| {
        for (rows, unit) in rows.iter_mut().zip(units) {
            if graph.value(unit.target).name() == shown.name {
                *rows = results(unit.products[0].form, &unit.channels, shown, unit.quota, batch);
            }
        }
    };
    let shown = watch(model, samples, spans, &values, show, || vec![None; units.len()])?;
    Ok((0..units.len()).map(|unit| stacked(shown.iter().map(|rows| rows[unit].as_ref()))).collect())
}

/// What the products of a unit multiply at the same positions, side by side.
fn inputs(
    model: &Model,
    unit: &Unit,
    samples: &Batches<'_>,
    spans: &[(usize, Range<usize>)],
) -> Result<Option<Array2<f32>>, PruneError> {
    let graph = &model.graph;
    let values: Vec<ValueId> = unit.products.iter().map(|product| product.input).collect();
    let show = |rows: &mut Vec<Option<Array2<f32>>>, batch: usize, shown: &Observation<'_>| {
        for (rows, product) in rows.iter_mut().zip(&unit.products) {
            if graph.value(product.input).name() == shown.name {
                *rows = windows(graph, product, shown, unit.quota, batch);
            }
        }
    };
    let shown = watch(model, samples, spans, &values, show, || vec![None; values.len()])?;
    let columns =
        (0..values.len()).map(|product| stacked(shown.iter().map(|rows| rows[product].as_ref())));
    let Some(mut columns) = columns.collect::<Option<Vec<_>>>() else { return Ok(None) };
    if columns.len() == 1 {
        return Ok(columns.pop());
    }
    let views: Vec<_> = columns.iter().map(|part| part.view()).collect();
    Ok(concatenate(Axis(1), &views).ok())
}

fn stacked<'a>(parts: impl Iterator<Item = Option<&'a Array2<f32>>>) -> Option<Array2<f32>> {
    let parts: Vec<_> = parts.map(|part| part.map(|part| part.view())).collect::<Option<_>>()?;
    concatenate(Axis(0), &parts).ok()
}

/// The new weights of a unit.
fn fit(graph: &Graph, unit: &Unit, inputs: Array2<f32>, targets: &Array2<f32>) -> Option<Patch> {
    let rows: Vec<Array2<f64>> =
        unit.products.iter().map(|product| product.rows(graph)).collect::<Option<_>>()?;
    let offsets: Vec<Array1<f64>> = unit
        .products
        .iter()
        .map(|product| product.offsets(graph).map(Array1::from))
        .collect::<Option<_>>()?;
    let views: Vec<_> = rows.iter().map(|part| part.view()).collect();
    let first = unit.products.first()?;
    let groups = usize::try_from(graph[first.node].int("group").unwrap_or(1)).ok()?.max(1);
    let before = offsets.iter().fold(Array1::<f64>::zeros(targets.ncols()), |sum, part| sum + part);
    let whole = Fit {
        weights: concatenate(Axis(1), &views).ok()?,
        offsets: before.clone(),
        centred: first.has_bias(),
        limits: unit.limits,
    };
    let fitted = solve_groups(whole, groups, inputs, targets)?;
    let mut patch = Patch::default();
    let mut column = 0;
    for (index, (product, own)) in unit.products.iter().zip(&rows).enumerate() {
        let weights = fitted.weights.slice(s![.., column..column + own.ncols()]).to_owned();
        column += own.ncols();
        // The first product carries what the bias of all changes by.
        let change =
            if index == 0 { &fitted.offsets - &before } else { Array1::zeros(before.len()) };
        let bias = &offsets[index] + &change;
        product.install(graph, &mut patch, &weights, &bias.to_vec());
    }
    Some(patch)
}

/// Solves for every group of a convolution by itself.
fn solve_groups(
    mut whole: Fit,
    groups: usize,
    inputs: Array2<f32>,
    targets: &Array2<f32>,
) -> Option<Fit> {
    if groups == 1 {
        return whole.solve(inputs, targets.view()).then_some(whole);
    }
    let outputs = whole.weights.nrows().checked_div(groups)?;
    let size = whole.weights.ncols();
    if inputs.ncols() != size * groups || targets.ncols() != outputs * groups {
        return None;
    }
    let solve = |group: usize| {
        let own = s![group * outputs..(group + 1) * outputs, ..];
        let columns = s![.., group * size..(group + 1) * size];
        let results = s![.., group * outputs..(group + 1) * outputs];
        let mut part = Fit {
            weights: whole.weights.slice(own).to_owned(),
            offsets: whole.offsets.slice(s![group * outputs..(group + 1) * outputs]).to_owned(),
            ..whole.clone()
        };
        let solved = part.solve(inputs.slice(columns).to_owned(), targets.slice(results));
        solved.then_some(part)
    };
    let parts: Vec<Option<Fit>> = (0..groups).into_par_iter().map(solve).collect();
    for (group, part) in parts.into_iter().enumerate() {
        let Some(part) = part else { continue };
        let rows = group * outputs..(group + 1) * outputs;
        whole.weights.slice_mut(s![rows.clone(), ..]).assign(&part.weights);
        whole.offsets.slice_mut(s![rows]).assign(&part.offsets);
    }
    Some(whole)
}
