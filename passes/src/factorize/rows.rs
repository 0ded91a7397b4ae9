//! Runs the model on samples and shows the rows that sites multiply.
use super::site::{Form, Site, activation_slot, reads_columns};
use crate::samples::batches::Batches;
use crate::samples::sampling::positions;
use crate::samples::windows::Windows;
use lapidary_exec::{ExecError, Observation, RunOptions, Runner};
use lapidary_ir::{Graph, Model, NodeId};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows of a site over all samples, per number in a row; and at least and at most.
const ROWS_PER_NUMBER: usize = 32;
const LEAST_ROWS: usize = 8_192;
const MOST_ROWS: usize = 65_536;

/// Rows that are multiplied at once.
const BLOCK: usize = 1_024;

/// Bytes of the states of runs that are not added up yet.
const WAITING: usize = 1 << 29;

/// Runs at the same time at most.
const MOST_RUNS: usize = 16;

/// Shows a state of every site and run some of the rows of the run, and hands the states over in the order of the
/// runs. So sums do not depend on the number of threads.
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn gather<S: Send>(
    model: &Model,
    samples: &Batches<'_>,
    sites: &[Site],
    start: impl Fn(usize) -> S + Sync,
    state_bytes: usize,
    show: impl Fn(usize, &mut S, ArrayView2<'_, f32>) + Sync,
    mut add: impl FnMut(usize, S),
) -> Result<(), ExecError> {
    let graph = &model.graph;
    let mut readers: BTreeMap<&str, Vec<(usize, NodeId)>> = BTreeMap::new();
    for (index, site) in sites.iter().enumerate() {
        for &node in &site.nodes {
            let Some(input) = graph[node].input(activation_slot(site.form)) else { continue };
            readers.entry(graph.value(input).name()).or_default().push((index, node));
        }
    }
    let runner = Runner::new(model, &RunOptions::default())?;
    let observer = runner.observer(readers.keys().copied())?;
    let spans: Vec<_> = samples.spans().enumerate().collect();
    let at_once = (WAITING / state_bytes.max(1)).clamp(1, MOST_RUNS);
    for runs in spans.chunks(at_once) {
        let states = runs.par_iter().map(|(run, span)| {
            let mut states: Vec<S> = (0..sites.len()).map(&start).collect();
            observer.observe(&samples.at(span.clone())?, &mut |shown| {
                for &(index, node) in readers.get(shown.name).into_iter().flatten() {
                    let site = &sites[index];
                    let count = quota(site, spans.len());
                    let state = &mut states[index];
                    each_block(graph, site, node, &shown, count, *run, |rows| {
                        show(index, state, rows);
                    });
                }
            })?;
            Ok::<_, ExecError>(states)
        });
        for states in states.collect::<Result<Vec<_>, _>>()? {
            states.into_iter().enumerate().for_each(|(index, state)| add(index, state));
        }
    }
    Ok(())
}

/// Rows of a site in each of some runs.
fn quota(site: &Site, runs: usize) -> usize {
    (ROWS_PER_NUMBER * site.inputs()).clamp(LEAST_ROWS, MOST_ROWS).div_ceil(runs.max(1))
}

/// Shows `count` rows of what a node reads, or all if there are fewer, block by block.
fn each_block(
    graph: &Graph,
    site: &Site,
    node: NodeId,
    shown: &Observation<'_>,
    count: usize,
    run: usize,
    mut show: impl FnMut(ArrayView2<'_, f32>),
) {
    let Some(windows) = windows(graph, site, node, shown.dims) else { return };
    let chosen = positions(windows.positions(), count, run as u64);
    let mut rows = Array2::zeros((chosen.len().min(BLOCK), windows.width()));
    for block in chosen.chunks(BLOCK) {
        for (&position, mut row) in block.iter().zip(rows.rows_mut()) {
            if let Some(row) = row.as_slice_mut() {
                windows.read(shown.data, position, row, |number| number);
            }
        }
        show(rows.slice(ndarray::s![..block.len(), ..]));
    }
}

/// Where a node finds the K numbers it multiplies in an input of these dimensions.
fn windows(graph: &Graph, site: &Site, node: NodeId, dims: &[usize]) -> Option<Windows> {
    let node = &graph[node];
    let windows = if site.form == Form::Conv {
        let kernel: Vec<i64> = site.kernel().iter().map(|&size| size as i64).collect();
        Windows::conv(node, &kernel, dims)
    } else if reads_columns(node, site.form) {
        // Columns are the places of an image with a channel per row.
        let (outer, &[rows, columns]) = dims.split_last_chunk::<2>()?;
        Windows::conv(node, &[1], &[outer.iter().product(), rows, columns])
    } else {
        Windows::rows(dims)
    };
    windows.filter(|windows| windows.width() == site.inputs())
}
