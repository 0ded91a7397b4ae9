//! Ranges of activations, chosen by what their quantization does to the products that read them.
use super::super::calibration::Calibration;
use super::super::format::IntegerFormat;
use super::super::placement::{Support, support};
use super::super::plan::QuantizationPlan;
use super::super::range::{Parameters, Range};
use super::super::target::Target;
use super::batches::Batches;
use super::collect::{Rows, Source, visit};
use super::layer::Layer;
use super::moments::CUT_OFF;
use super::sampling::positions;
use lapidary_exec::ExecError;
use lapidary_ir::{Graph, Model};
use ndarray::{Array2, Axis, concatenate, s};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Numbers of a value, and the batch they are from.
type Numbered = (usize, Vec<f32>);

/// Rows of a product, over all samples.
const MOST_ROWS: usize = 500;
const LEAST_ROWS: usize = 40;
/// Runs from which rows are taken.
const MOST_RUNS: usize = 40;
/// Multiplications for one range and product.
const PRODUCTS: usize = 4_000_000;
/// Numbers in the rows of a product.
const NUMBERS: usize = 150_000;
/// Numbers of a value, over all samples.
const PLAIN: usize = 10_000;
/// Ends of a range are moved in by this part of it, and then once by half of that.
const STEP: f32 = 0.08;
/// Steps without gain after which an end stays.
const PATIENCE: usize = 2;
/// Ends are moved in to this part of a range at most.
const LEAST: f32 = 0.4;

/// √γ: what is cut off counts as if it were so many times as far. Of 1, 3 and 20, γ = 20 lost least on a residual
/// network.
const CUT_OFF_FACTOR: f32 = 4.472_136;

/// Someone who reads a value as integers.
enum Reading {
    /// A product, by what it does with the error of its rows.
    Product {
        layer: usize,
        inputs: Array2<f32>,
        /// What the error of a result counts.
        weights: Array2<f32>,
        energy: f64,
    },
    /// Another operator, for which all errors are alike.
    Plain { numbers: Vec<f32>, energy: f64 },
}

/// The calibration with the range of every quantized value for which the products that read it change least:
///
/// argmin over ranges of Σ over readers of ‖W · (x − Q(x))‖² / ‖W · x‖².
///
/// # Errors
/// When the runtime can't run the model.
pub(super) fn choose(
    model: &Model,
    samples: &Batches<'_>,
    plan: &QuantizationPlan,
    calibration: &Calibration,
    layers: &[Layer],
    format: IntegerFormat,
) -> Result<Calibration, ExecError> {
    let readings = readings(model, samples, plan, layers)?;
    let chosen: Vec<(&str, Range)> = readings
        .par_iter()
        .filter_map(|(name, readings)| {
            let range = calibration.range(name)?;
            Some((
                name.as_str(),
                narrowed(range, format, &|parameters| error(readings, layers, parameters))?,
            ))
        })
        .collect();
    let mut calibration = calibration.clone();
    for (name, range) in chosen {
        calibration.set(name, range);
    }
    Ok(calibration)
}

/// The range within `range` with the least error.
fn narrowed(
    range: Range,
    format: IntegerFormat,
    error: &dyn Fn(Parameters) -> f64,
) -> Option<Range> {
    let cost = |range: Range| range.parameters(format).map_or(f64::INFINITY, error);
    let mut best = (cost(range), range);
    let whole = range;
    let ends: [fn(Range, f32) -> Range; 2] = [
        |range, ratio| Range { max: range.max * ratio, ..range },
        |range, ratio| Range { min: range.min * ratio, ..range },
    ];
    for (end, move_in) in ends.into_iter().enumerate() {
        if (end == 0 && whole.max <= 0.0) || (end == 1 && whole.min >= 0.0) {
            continue;
        }
        let fixed = best.1;
        let mut ratio = 1.0;
        let mut worse = 0usize;
        let mut chosen = 1.0;
        while ratio > LEAST && worse < PATIENCE {
            ratio -= STEP;
            let candidate = move_in(fixed, ratio);
            let found = cost(candidate);
            worse += 1;
            if found < best.0 {
                (best, worse, chosen) = ((found, candidate), 0, ratio);
            }
        }
        for ratio in [chosen - STEP / 2.0, chosen + STEP / 2.0].into_iter().filter(|&r| r < 1.0) {
            let candidate = move_in(fixed, ratio);
            let found = cost(candidate);
            if found < best.0 {
                best = (found, candidate);
            }
        }
    }
    (best.1 != whole).then_some(best.1)
}

/// The relative mean square error at the readers of a value.
fn error(readings: &[Reading], layers: &[Layer], parameters: Parameters) -> f64 {
    let one = |reading: &Reading| match reading {
        Reading::Plain { numbers, energy } => {
            numbers.iter().map(|&number| square(lost(number, parameters))).sum::<f64>() / energy
        }
        Reading::Product { layer, inputs, weights, energy } => {
            let lost = inputs.mapv(|number| lost(number, parameters));
            product_error(&layers[*layer], &lost, weights) / energy
        }
    };
    readings.iter().map(one).sum()
}

/// Σ over rows and output channels of the weighted square of W · e.
fn product_error(layer: &Layer, lost: &Array2<f32>, weights: &Array2<f32>) -> f64 {
    let (size, per_group) = (layer.size, layer.outputs / layer.groups);
    let group = |group: usize| {
        let errors = lost.slice(s![.., group * size..(group + 1) * size]);
        let channels = group * per_group..(group + 1) * per_group;
        let rows = channels.clone().flat_map(|channel| layer.row(channel)).copied().collect();
        let Ok(matrix) = Array2::from_shape_vec((per_group, size), rows) else { return 0.0 };
        let results = errors.dot(&matrix.t());
        let weights = weights.slice(s![.., channels]);
        results.iter().zip(weights).map(|(&error, &weight)| square(error) * f64::from(weight)).sum()
    };
    (0..layer.groups).map(group).sum::<f64>()
}

/// x − Q(x), where x is cut off √γ times as much.
///
/// Rounding errors of neighbouring numbers are independent and cancel in the sums behind them; what is cut off
/// has one sign and adds up. The weight γ makes up for that, as in the ranges of TensorFlow's quantizers.
fn lost(number: f32, parameters: Parameters) -> f32 {
    let Parameters { scale, zero_point, elem_type } = parameters;
    let place = number / scale + zero_point as f32;
    let within = place.clamp(elem_type.min() as f32, elem_type.max() as f32);
    // Adding 1.5 · 2²³ rounds to the nearest integer.
    let code = (within + 12_582_912.0) - 12_582_912.0;
    let rounded = within - code;
    (rounded + CUT_OFF_FACTOR * (place - within)) * scale
}

fn square(number: f32) -> f64 {
    f64::from(number) * f64::from(number)
}

/// Who reads the values that have parameters of their own, with samples of what is read.
fn readings(
    model: &Model,
    samples: &Batches<'_>,
    plan: &QuantizationPlan,
    layers: &[Layer],
) -> Result<BTreeMap<String, Vec<Reading>>, ExecError> {
    let graph = &model.graph;
    let origins: BTreeMap<&str, &str> = plan
        .values
        .iter()
        .map(|value| (value.name.as_str(), value.shares.as_deref().unwrap_or(&value.name)))
        .collect();
    let plain: Vec<&str> =
        origins.keys().copied().filter(|name| is_plain(graph, name, plan.target)).collect();
    let mut rows: Vec<Mutex<Vec<Rows>>> = Vec::new();
    rows.resize_with(layers.len(), Mutex::default);
    let numbers: BTreeMap<&str, Mutex<Vec<Numbered>>> =
        plain.iter().map(|&name| (name, Mutex::default())).collect();
    let count = |layer: &Layer| {
        let least = (PRODUCTS / (layer.size * layer.outputs)).max(LEAST_ROWS);
        least.min(NUMBERS / (layer.size * layer.groups)).clamp(LEAST_ROWS, MOST_ROWS)
    };
    let keep = |layer: usize, found: Rows| {
        rows[layer].lock().unwrap_or_else(PoisonError::into_inner).push(found);
    };
    let source = Source { model, samples, most_runs: MOST_RUNS };
    visit(source, layers, &plain, count, keep, |batch, batches, shown| {
        let Some(numbers) = numbers.get(shown.name) else { return };
        let chosen = positions(shown.data.len(), PLAIN.div_ceil(batches), batch as u64);
        let found = chosen.into_iter().map(|at| shown.data[at]).collect();
        numbers.lock().unwrap_or_else(PoisonError::into_inner).push((batch, found));
    })?;
    let mut readings: BTreeMap<String, Vec<Reading>> = BTreeMap::new();
    let mut add = |name: &str, reading: Reading| {
        if let Some(&origin) = origins.get(name) {
            readings.entry(origin.to_owned()).or_default().push(reading);
        }
    };
    for (index, rows) in rows.into_iter().enumerate() {
        let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = product(index, &layers[index], rows) {
            add(&layers[index].input, reading);
        }
    }
    for (name, numbers) in numbers {
        let mut numbers = numbers.into_inner().unwrap_or_else(PoisonError::into_inner);
        numbers.sort_by_key(|(batch, _)| *batch);
        let numbers: Vec<f32> = numbers.into_iter().flat_map(|(_, numbers)| numbers).collect();
        let energy = numbers.iter().map(|&number| square(number)).sum::<f64>();
        if energy > 0.0 {
            add(name, Reading::Plain { numbers, energy });
        }
    }
    Ok(readings)
}

/// Whether an operator that is no product computes with a value.
fn is_plain(graph: &Graph, name: &str, target: Target) -> bool {
    let computes = |reader| {
        !matches!(
            support(graph, reader, target),
            Support::Product(_) | Support::Movement | Support::Limits(_)
        )
    };
    graph.find(name).is_some_and(|id| graph.consumers(id).any(computes))
}

fn product(index: usize, layer: &Layer, mut rows: Vec<Rows>) -> Option<Reading> {
    rows.sort_by_key(|rows| rows.batch);
    let inputs: Vec<_> = rows.iter().map(|rows| rows.inputs.view()).collect();
    let outputs: Vec<_> = rows.iter().map(|rows| rows.outputs.view()).collect();
    let inputs = concatenate(Axis(0), &inputs).ok()?;
    let outputs = concatenate(Axis(0), &outputs).ok()?;
    let (low, high) = layer.zone.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
    let weight = |result: f32| if (low..=high).contains(&result) { 1.0 } else { CUT_OFF as f32 };
    let weights = outputs.mapv(weight);
    let energy = |(&result, &weight): (&f32, &f32)| square(result) * f64::from(weight);
    let energy: f64 = outputs.iter().zip(&weights).map(energy).sum();
    (energy > 0.0).then_some(Reading::Product { layer: index, inputs, weights, energy })
}

#[cfg(test)]
mod tests {
    use super::super::super::format::IntegerType;
    use super::*;

    /// Numbers evenly spread over 0 to 1, on no lattice.
    fn spread(count: u16) -> Vec<f32> {
        (0..count).map(|at| (f32::from(at) * 0.618_034).fract()).collect()
    }

    #[test]
    fn an_outlier_is_cut_off_where_that_costs_least() {
        let format = IntegerFormat::asymmetric(IntegerType::Uint4);
        let with = |outlier: f32| {
            let numbers: Vec<f32> = spread(20_000).into_iter().chain([outlier]).collect();
            let readings = [Reading::Plain { numbers, energy: 1.0 }];
            let range = Range { min: 0.0, max: outlier };
            narrowed(range, format, &|parameters| error(&readings, &[], parameters))
        };
        assert_eq!(with(1.0), None);
        // The derivative of N m²/(12 · 15²) + γ (1.6 − m)² is 0 at 1.17.
        let narrow = with(1.6).expect("rounding costs more than one number that is cut off");
        assert!((1.05..1.3).contains(&narrow.max), "{narrow:?}");
    }

    #[test]
    fn both_ends_are_moved() {
        let numbers: Vec<f32> = spread(20_000).iter().map(|number| 2.0 * number - 1.0).collect();
        let readings = [Reading::Plain { numbers, energy: 1.0 }];
        let range = Range { min: -2.0, max: 1.5 };
        let found = narrowed(range, IntegerFormat::UINT8, &|p| error(&readings, &[], p));
        let found = found.expect("almost half of the range is empty");
        assert!((-1.1..-0.95).contains(&found.min), "{found:?}");
        assert!((0.95..1.1).contains(&found.max), "{found:?}");
    }
}
