//! New weights, scales and biases for the products of a plan.
use super::super::plan::{BiasQuantization, QuantizationPlan, Reader};
use super::layer::Layer;
use super::moments::Moments;
use super::rounding::{CodeRange, Objective};
use rayon::prelude::*;

/// The damping of a matrix known from many more rows than it has.
const DAMPING: f64 = 0.01;

/// What is solved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknowns {
    /// Whether biases are `int32`; otherwise they stay in floating point.
    pub(super) integer_bias: bool,
    /// Integers and scales are chosen for the products; otherwise they are the nearest ones.
    pub(super) codes: bool,
    /// Biases make up for what quantization adds to the mean of the results.
    pub(super) bias: bool,
}

/// A product with integers for weights.
struct Solution {
    codes: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

/// The plan with integers, scales and biases solved for.
pub(super) fn solve(
    plan: &QuantizationPlan,
    layers: &[Layer],
    moments: &[Moments],
    unknowns: Unknowns,
) -> QuantizationPlan {
    let mut plan = plan.clone();
    for (layer, moments) in layers.iter().zip(moments) {
        let weights = &plan.weights[layer.index];
        let range = CodeRange::new(weights.format);
        let solution = solution(layer, moments, range, &weights.scales, unknowns);
        write(&mut plan, layer, solution, unknowns);
    }
    plan
}

/// The plan with other biases for some products, and the nearest integers for weights.
pub(super) fn with_biases(
    plan: &QuantizationPlan,
    biases: Vec<(&Layer, Vec<f32>)>,
    integer_bias: bool,
) -> QuantizationPlan {
    let mut plan = plan.clone();
    for (layer, bias) in biases {
        let weights = &plan.weights[layer.index];
        let scales = weights.scales.clone();
        let codes = nearest(layer, &weights.scales, CodeRange::new(weights.format));
        let codes = codes.into_iter().map(|code| code as i8).collect();
        let unknowns = Unknowns { integer_bias, codes: false, bias: true };
        write(&mut plan, layer, Solution { codes, scales, bias }, unknowns);
    }
    plan
}

/// The integers nearest to the weights, row by row.
pub(super) fn nearest(layer: &Layer, scales: &[f32], range: CodeRange) -> Vec<f32> {
    let row = |channel: usize| {
        let scale = scales[channel % scales.len()];
        layer.row(channel).iter().map(move |weight| range.nearest(weight / scale))
    };
    (0..layer.outputs).flat_map(row).collect()
}

fn solution(
    layer: &Layer,
    moments: &Moments,
    range: CodeRange,
    scales: &[f32],
    unknowns: Unknowns,
) -> Solution {
    let Layer { groups, outputs, size, .. } = *layer;
    let per_group = outputs / groups;
    let centred = layer.takes_bias && unknowns.bias;
    // Integers chosen on fewer rows than they are would be the best for these rows alone.
    let codes = unknowns.codes && layer.free_scales && moments.rows >= 2 * size;
    let unknowns = Unknowns { codes, ..unknowns };
    let damping = |rows: f64| DAMPING.max(size as f64 / rows.max(1.0));
    let objective = |hessian: Vec<f32>, rows: f64| Objective::new(hessian, size, damping(rows));
    let shared: Vec<Objective> = match unknowns.codes && !moments.is_single() {
        true => (0..groups)
            .into_par_iter()
            .map(|group| objective(moments.shared(group, centred), moments.rows as f64))
            .collect(),
        false => Vec::new(),
    };
    let row = |channel: usize| {
        let weights = layer.row(channel);
        if !unknowns.codes {
            let scale = scales[channel % scales.len()];
            let code = |weight: &f32| range.nearest(weight / scale);
            return (weights.iter().map(code).collect(), scale);
        }
        let solve = |objective: &Objective| {
            let found = objective.round(weights, range, layer.least[channel]);
            (found.codes, found.scale)
        };
        match moments.single(channel, centred) {
            Some(own) => solve(&objective(own, moments.passing(channel))),
            None => solve(&shared[channel / per_group]),
        }
    };
    let rows: Vec<(Vec<f32>, f32)> = (0..outputs).into_par_iter().map(row).collect();
    let bias = |(channel, (codes, scale)): (usize, &(Vec<f32>, f32))| {
        if !unknowns.bias {
            return layer.bias[channel];
        }
        corrected(layer, moments, channel, codes, *scale)
    };
    Solution {
        bias: rows.iter().enumerate().map(bias).collect(),
        scales: rows.iter().map(|(_, scale)| *scale).collect(),
        codes: rows.iter().flat_map(|(codes, _)| codes).map(|&code| code as i8).collect(),
    }
}

/// The bias with which the mean of the results stays what it was:
///
/// b′ = E\[y\] − `s_x` `s_w` q · E\[x\],
///
/// x in steps of the input's quantization, y with the old bias.
fn corrected(layer: &Layer, moments: &Moments, channel: usize, codes: &[f32], scale: f32) -> f32 {
    let mean = moments.mean(channel);
    let product: f64 =
        codes.iter().zip(&mean.input).map(|(&code, mean)| f64::from(code) * mean).sum();
    (mean.output - f64::from(layer.scale) * f64::from(scale) * product) as f32
}

fn write(plan: &mut QuantizationPlan, layer: &Layer, solution: Solution, unknowns: Unknowns) {
    let weights = &mut plan.weights[layer.index];
    weights.codes = Some(layer.laid_out(&solution.codes));
    let scales = if weights.axis.is_some() { solution.scales } else { weights.scales.clone() };
    weights.scales.clone_from(&scales);
    let Some(reader) = weights.readers.first().map(|reader| Reader { slot: 2, ..reader.clone() })
    else {
        return;
    };
    let scales = match unknowns.integer_bias {
        true => scales.iter().map(|scale| layer.scale * scale).collect(),
        false => Vec::new(),
    };
    let values = unknowns.bias.then_some(solution.bias);
    match plan.biases.iter_mut().find(|bias| bias.reader == reader) {
        Some(bias) => {
            bias.scales = scales;
            bias.values = values;
        }
        None if layer.takes_bias && unknowns.bias => {
            let name = format!("{}_bias", plan.weights[layer.index].name);
            plan.biases.push(BiasQuantization { name, scales, values, reader });
        }
        None => {}
    }
}
