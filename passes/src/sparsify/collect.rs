//! Runs the model and sums what products multiply.
use super::layer::Layer;
use super::moments::Moments;
use crate::samples::batches::Batches;
use crate::samples::sampling::positions;
use crate::samples::windows::Windows;
use lapidary_exec::{ExecError, Observation, RunOptions, Runner};
use lapidary_ir::{Graph, Model, NodeId};
use ndarray::Array2;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows of a product over all samples, per number in a row; and at least and at most.
const ROWS_PER_NUMBER: usize = 32;
const LEAST_ROWS: usize = 2_048;
const MOST_ROWS: usize = 10_000;

/// Runs at most: more samples would not change what is found.
const MOST_RUNS: usize = 2_048;

/// Runs whose rows are kept before they are added, whatever the number of threads.
const WAVE: usize = 8;

/// The moments of every layer, from running the model on samples: the same for any number of threads.
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn moments(
    model: &Model,
    samples: &Batches<'_>,
    layers: &[&Layer],
    products: bool,
) -> Result<Vec<Moments>, ExecError> {
    let graph = &model.graph;
    let runner = Runner::new(model, &RunOptions::default())?;
    let mut readers: BTreeMap<&str, Vec<(usize, NodeId)>> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        for &reader in &layer.readers {
            let Some(input) = graph[reader].input(0) else { continue };
            readers.entry(graph.value(input).name()).or_default().push((index, reader));
        }
    }
    let observer = runner.observer(readers.keys().copied())?;
    let spans: Vec<_> = samples.spans().collect();
    let spans: Vec<_> = spans.iter().step_by(spans.len().div_ceil(MOST_RUNS).max(1)).collect();
    let mut moments: Vec<Moments> = layers
        .iter()
        .map(|layer| Moments::new(layer.layout.groups, layer.layout.size(), products))
        .collect();
    for (wave, runs) in spans.chunks(WAVE).enumerate() {
        let run = |(number, span): (usize, &&std::ops::Range<usize>)| {
            let mut found: Vec<(usize, Array2<f32>)> = Vec::new();
            observer.observe(&samples.at((*span).clone())?, &mut |shown| {
                for &(index, reader) in readers.get(shown.name).into_iter().flatten() {
                    let quota = quota(layers[index]).div_ceil(spans.len());
                    let seed = (wave * WAVE + number) as u64;
                    found.extend(
                        rows(graph, layers[index], reader, &shown, quota, seed)
                            .map(|rows| (index, rows)),
                    );
                }
            })?;
            Ok(found)
        };
        let found: Result<Vec<_>, ExecError> = runs.par_iter().enumerate().map(run).collect();
        let found: Vec<(usize, Array2<f32>)> = found?.into_iter().flatten().collect();
        moments.par_iter_mut().enumerate().for_each(|(index, moments)| {
            let own = found.iter().filter(|(layer, _)| *layer == index);
            own.for_each(|(_, rows)| moments.add(rows.view()));
        });
    }
    Ok(moments)
}

fn quota(layer: &Layer) -> usize {
    let rows = (ROWS_PER_NUMBER * layer.layout.size()).clamp(LEAST_ROWS, MOST_ROWS);
    rows.div_ceil(layer.readers.len().max(1))
}

/// Some of the rows a reader multiplies in one run; none if its input is not as the operator wants it.
fn rows(
    graph: &Graph,
    layer: &Layer,
    reader: NodeId,
    shown: &Observation<'_>,
    count: usize,
    seed: u64,
) -> Option<Array2<f32>> {
    let node = &graph[reader];
    let windows = match node.op_type.as_str() {
        "Conv" => {
            let weights = graph.constant(layer.value)?;
            Windows::conv(node, weights.dims().get(2..)?, shown.dims)?
        }
        _ => Windows::rows(shown.dims)?,
    };
    if windows.width() != layer.layout.groups * layer.layout.size() {
        return None;
    }
    let chosen = positions(windows.positions(), count, seed);
    let mut rows = Array2::zeros((chosen.len(), windows.width()));
    for (&position, mut row) in chosen.iter().zip(rows.rows_mut()) {
        windows.read(shown.data, position, row.as_slice_mut()?, |number| number);
    }
    Some(rows)
}
