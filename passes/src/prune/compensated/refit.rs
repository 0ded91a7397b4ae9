//! Fits every product of a pruned network to what it gave in the original, one after another.
//!
//! Each reads what the products before it, fitted already, make of the samples; so it also makes up for their
//! errors. Two products whose results are added and nothing else are fitted as one, to the sum.
use super::fit::Fit;
use super::front::Front;
use super::network::Network;
use super::watch::{quota, results, watch, windows};
use super::{Progress, PruneError};
use crate::prune::plan::ChannelPlan;
use crate::prune::products::{Bias, Form, Product};
use crate::samples::batches::Batches;
use lapidary_exec::Observation;
use lapidary_ir::{Graph, Model, NodeId, Patch, ValueId};
use ndarray::{Array1, Array2, Axis, concatenate, s};
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;

/// Bytes of targets that are kept at once, unless one unit needs more.
const MOST_BYTES: usize = 768 << 20;

/// Products that are fitted as one.
struct Unit {
    products: Vec<Product>,
    /// What they give together: a sum of values of the original, each with its sign.
    target: Vec<(ValueId, f32)>,
    /// The limits of the activation behind it.
    limits: Option<(f32, f32)>,
    /// The channels of the original that are left.
    channels: Vec<usize>,
    quota: usize,
}

impl Unit {
    /// What its products multiply.
    fn inputs(&self) -> impl Iterator<Item = ValueId> {
        self.products.iter().map(|product| product.input)
    }
}

/// What products before something that is gone are to give in its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replacement {
    /// The value that is read now.
    pub(super) given: ValueId,
    /// The value of the original that was read.
    pub(super) wanted: ValueId,
}

/// What of the original is different in a model.
pub(super) struct Changes<'a> {
    pub(super) plan: &'a ChannelPlan,
    /// The nodes that compute something else, of both.
    pub(super) affected: &'a FxHashSet<NodeId>,
    pub(super) replacements: &'a [Replacement],
}

/// Fits the products of `model`, which is the network with the plan carried out. Returns how many were.
pub(super) fn refit(
    network: &Network<'_>,
    plan: &ChannelPlan,
    model: &mut Model,
    samples: &Batches<'_>,
    progress: Progress<'_>,
) -> Result<usize, PruneError> {
    let affected = network.affected(plan);
    let changes = Changes { plan, affected: &affected, replacements: &[] };
    refit_changed(network, &changes, model, samples, progress)
}

/// Fits the products of `model`, which is the network with some changes. Returns how many were.
pub(super) fn refit_changed(
    network: &Network<'_>,
    changes: &Changes<'_>,
    model: &mut Model,
    samples: &Batches<'_>,
    progress: Progress<'_>,
) -> Result<usize, PruneError> {
    let spans: Vec<(usize, Range<usize>)> = samples.spans().enumerate().collect();
    let units = units(network, changes, model, spans.len());
    let read = units.iter().map(|unit| unit.inputs().collect()).collect();
    let mut front = Front::new(&model.graph, read, samples, &spans);
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
            let inputs = inputs(model, unit, &mut front)?;
            let Some((inputs, targets)) = inputs.zip(targets) else { continue };
            let Some(patch) = fit(&model.graph, unit, inputs, &targets) else { continue };
            model.graph.apply(patch).map_err(|error| PruneError::Apply(error.into()))?;
            fitted += unit.products.len();
        }
        start += count;
    }
    Ok(fitted)
}

/// What is fitted, in topological order: the products that read anything that changed, and those that replace
/// something.
fn units(network: &Network<'_>, changes: &Changes<'_>, model: &Model, batches: usize) -> Vec<Unit> {
    let graph = &network.model.graph;
    let Changes { plan, affected, replacements } = *changes;
    let changed = |value: ValueId| graph.producer(value).is_some_and(|id| affected.contains(&id));
    let present: FxHashMap<NodeId, Product> =
        Product::of(&model.graph).into_iter().map(|product| (product.node, product)).collect();
    let mut units: Vec<Unit> = Vec::new();
    let mut replacing: FxHashSet<NodeId> = FxHashSet::default();
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
        let target = sum.map_or(product.output, |(_, value)| value);
        let replaced = replacements.iter().find_map(|replacement| {
            let way = way(graph, target, replacement)?;
            replacing.insert(product.node);
            Some(way)
        });
        if !changed(product.input) && sum.is_none() && replaced.is_none() {
            continue;
        }
        let Some(outputs) = product.outputs(graph) else { continue };
        let kept = product.output_axis(graph).and_then(|axis| plan.kept(axis));
        let channels = kept.map_or_else(|| (0..outputs).collect(), <[_]>::to_vec);
        let target = replaced.unwrap_or_else(|| vec![(target, 1.0)]);
        let limits = if let [(target, _)] = *target { limits(graph, target) } else { None };
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
    units.retain(|unit| {
        let fits = |product: &Product| changed(product.input) || replacing.contains(&product.node);
        unit.products.iter().any(fits)
    });
    for unit in &mut units {
        let sizes = unit.products.iter().filter_map(|product| {
            let rows = product.rows(&model.graph)?;
            Some(rows.ncols())
        });
        unit.quota = quota(sizes.sum(), batches);
    }
    units
}

/// What a result has to be for `given` to be what is wanted: that itself; or, where `given` is the sum of the result
/// and a value that stays, the result as it was with the difference.
fn way(graph: &Graph, result: ValueId, replacement: &Replacement) -> Option<Vec<(ValueId, f32)>> {
    let Replacement { given, wanted } = *replacement;
    if result == given {
        return Some(vec![(wanted, 1.0)]);
    }
    let sum = &graph[graph.producer(given)?];
    let is_part = sum.is("Add") && sum.inputs().contains(&Some(result));
    let same = graph.value(result).shape() == graph.value(given).shape();
    (is_part && same && graph.only_use(result).is_some())
        .then(|| vec![(result, 1.0), (wanted, 1.0), (given, -1.0)])
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
pub(super) fn limits(graph: &Graph, value: ValueId) -> Option<(f32, f32)> {
    limits_at(graph, graph.only_use(value)?.node)
}

/// The limits of a Relu or Clip.
pub(super) fn limits_at(graph: &Graph, id: NodeId) -> Option<(f32, f32)> {
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
    let mut values: Vec<ValueId> =
        units.iter().flat_map(|unit| &unit.target).map(|&(value, _)| value).collect();
    values.sort_unstable();
    values.dedup();
    let show = |rows: &mut Vec<Option<Shown>>, batch: usize, shown: &Observation<'_>| {
        for (rows, unit) in rows.iter_mut().zip(units) {
            let own = unit.target.iter();
            let own = own.filter(|(value, _)| graph.value(*value).name() == shown.name);
            for (_, sign) in own {
                let form = unit.products[0].form;
                let Some(found) = results(form, &unit.channels, shown, unit.quota, batch) else {
                    continue;
                };
                match rows {
                    Some((sum, _)) if sum.dim() != found.dim() => {}
                    Some((sum, parts)) => {
                        sum.scaled_add(*sign, &found);
                        *parts += 1;
                    }
                    None => *rows = Some((found * *sign, 1)),
                }
            }
        }
    };
    let shown = watch(model, samples, spans, &values, show, || vec![None; units.len()])?;
    let of_unit = |index: usize| {
        let complete =
            |(sum, parts): &'_ Shown| (*parts == units[index].target.len()).then_some(sum.clone());
        let parts: Option<Vec<Array2<f32>>> =
            shown.iter().map(|rows| rows[index].as_ref().and_then(complete)).collect();
        let parts = parts?;
        stacked(parts.iter().map(Some))
    };
    Ok((0..units.len()).map(of_unit).collect())
}

/// Rows of a sum, and how many values were added.
type Shown = (Array2<f32>, usize);

/// What the products of a unit multiply at the same positions, side by side.
fn inputs(
    model: &Model,
    unit: &Unit,
    front: &mut Front<'_>,
) -> Result<Option<Array2<f32>>, PruneError> {
    let graph = &model.graph;
    let count = unit.products.len();
    let show = |rows: &mut Vec<Option<Array2<f32>>>, batch: usize, shown: &Observation<'_>| {
        for (rows, product) in rows.iter_mut().zip(&unit.products) {
            if graph.value(product.input).name() == shown.name {
                *rows = windows(graph, product, shown, unit.quota, batch);
            }
        }
    };
    let shown = front.next(model, show, || vec![None; count])?;
    let columns =
        (0..count).map(|product| stacked(shown.iter().map(|rows| rows[product].as_ref())));
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
