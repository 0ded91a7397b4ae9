//! Runs the model and gathers the moments of its products.
use super::batches::Batches;
use super::layer::{Layer, kernel};
use super::moments::{BLOCK, Form, Moments};
use super::sampling::positions;
use super::windows::Windows;
use lapidary_exec::{ExecError, Observation, RunOptions, Runner};
use lapidary_ir::Model;
use ndarray::{Array2, s};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Rows of a product over all samples, per number in a row; and at least and at most.
const ROWS_PER_NUMBER: usize = 32;
const LEAST_ROWS: usize = 2_048;
const MOST_ROWS: usize = 10_000;

/// Runs at most: more samples would not change what is found.
const MOST_RUNS: usize = 2_048;

/// The moments of every layer, from running the model on samples.
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn moments(
    model: &Model,
    samples: &Batches<'_>,
    layers: &[Layer],
) -> Result<Vec<Moments>, ExecError> {
    let sums: Vec<Mutex<Moments>> =
        layers.iter().map(|layer| Mutex::new(Moments::new(form(layer)))).collect();
    let add = |layer: usize, rows: Rows| {
        let mut codes = rows.inputs;
        codes.mapv_inplace(|number| layers[layer].code(number));
        let mut sum = sums[layer].lock().unwrap_or_else(PoisonError::into_inner);
        for start in (0..codes.nrows()).step_by(BLOCK) {
            let block = start..codes.nrows().min(start + BLOCK);
            sum.add(codes.slice(s![block.clone(), ..]), rows.outputs.slice(s![block, ..]));
        }
    };
    let rows = |layer: &Layer| (ROWS_PER_NUMBER * layer.size).clamp(LEAST_ROWS, MOST_ROWS);
    let source = Source { model, samples, most_runs: MOST_RUNS };
    visit(source, layers, &[], rows, add, |_, _, _| {})?;
    Ok(sums
        .into_iter()
        .map(|sum| sum.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect())
}

fn form(layer: &Layer) -> Form {
    let unit = f64::from(layer.reach) / f64::from(1u32 << 30);
    let Layer { groups, size, outputs, zone, .. } = *layer;
    Form { groups, size, outputs, zone, unit }
}

/// What is run.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) model: &'a Model,
    pub(super) samples: &'a Batches<'a>,
    /// Runs at most, spread over all samples.
    pub(super) most_runs: usize,
}

/// Some of the rows a product multiplies in one run, and its results for them.
pub(super) struct Rows {
    /// The number of the run.
    pub(super) batch: usize,
    /// Per row the numbers of all groups.
    pub(super) inputs: Array2<f32>,
    /// Per row the results of all output channels, before any activation.
    pub(super) outputs: Array2<f32>,
}

/// Shows rows of every layer, `count(layer)` in all, and whole values, with the numbers of the run and of all
/// runs; from all threads in any order. Which rows are shown does not depend on the number of threads.
pub(super) fn visit(
    source: Source<'_>,
    layers: &[Layer],
    values: &[&str],
    count: impl Fn(&Layer) -> usize + Sync,
    show_rows: impl Fn(usize, Rows) + Sync,
    show_value: impl Fn(usize, usize, &Observation<'_>) + Sync,
) -> Result<(), ExecError> {
    let Source { model, samples, most_runs } = source;
    let graph = &model.graph;
    let runner = Runner::new(model, &RunOptions::default())?;
    let names = layers.iter().flat_map(|layer| [layer.input.as_str(), layer.output.as_str()]);
    let observer = runner.observer(names.chain(values.iter().copied()))?;
    let spans: Vec<_> = samples.spans().collect();
    let stride = spans.len().div_ceil(most_runs);
    let spans: Vec<_> = spans.into_iter().step_by(stride).collect();
    let mut readers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut makers: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        readers.entry(&layer.input).or_default().push(index);
        makers.insert(&layer.output, index);
    }
    let read = |layer: &Layer, batch: usize, shown: &Observation<'_>| {
        let windows = layer.windows(&graph[layer.node], &kernel(graph, layer.node), shown.dims)?;
        let quota = count(layer).div_ceil(spans.len());
        let chosen = positions(windows.positions(), quota, batch as u64);
        let mut inputs = Array2::zeros((chosen.len(), windows.width()));
        for (&position, mut row) in chosen.iter().zip(inputs.rows_mut()) {
            let row = row.as_slice_mut()?;
            windows.read(shown.data, position, row, |number| number);
        }
        Some((windows, chosen, inputs))
    };
    spans.par_iter().enumerate().try_for_each(|(batch, span)| {
        let mut waiting: BTreeMap<usize, (Windows, Vec<usize>, Array2<f32>)> = BTreeMap::new();
        let mut show = |shown: Observation<'_>| {
            show_value(batch, spans.len(), &shown);
            for &index in readers.get(shown.name).into_iter().flatten() {
                if let Some(found) = read(&layers[index], batch, &shown) {
                    waiting.insert(index, found);
                }
            }
            let Some(&index) = makers.get(shown.name) else { return };
            let Some((windows, chosen, inputs)) = waiting.remove(&index) else { return };
            let channels = layers[index].outputs;
            if shown.data.len() != windows.positions() * channels {
                return;
            }
            let mut outputs = Array2::zeros((chosen.len(), channels));
            for (&position, mut row) in chosen.iter().zip(outputs.rows_mut()) {
                if let Some(row) = row.as_slice_mut() {
                    windows.read_output(shown.data, position, row);
                }
            }
            show_rows(index, Rows { batch, inputs, outputs });
        };
        observer.observe(&samples.at(span.clone())?, &mut show)?;
        Ok(())
    })
}
