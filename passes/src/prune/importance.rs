//! How important each channel is as far as weights tell.
//!
//! Along the axis of a weight that makes channels, a channel has the norm of its slice, divided by
//! the mean of these norms, so that layers of different magnitude count alike. A channel made by
//! several weights has the sum. Integers count as the numbers they stand for.
use super::analysis::{Analysis, Group};
use super::elements::Axis;
use super::propagate::constant;
use super::ranking::{Importance, Part, Ranking};
use crate::samples::sampling::hash;
use crate::slices::position;
use lapidary_exec::Inputs;
use lapidary_ir::schema::{QuantizedSlots, integer_operator};
use lapidary_ir::{Graph, Tensor, ValueId};
use rustc_hash::FxHashMap;

/// How a slice of a weight is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Norm {
    /// The sum of magnitudes.
    L1,
    /// The root of the sum of squares.
    #[default]
    L2,
}

impl Norm {
    /// The norm of every slice of `tensor` along `axis`; none when it holds no numbers.
    #[must_use]
    pub fn of_slices(self, tensor: &Tensor, axis: usize) -> Option<Vec<f64>> {
        let extent = usize::try_from(*tensor.dims().get(axis)?).ok()?;
        let numbers = tensor.to_f32().or_else(|| {
            #[expect(clippy::cast_precision_loss, reason = "a norm is a rough measure")]
            Some(tensor.to_i64()?.into_iter().map(|value| value as f32).collect())
        })?;
        let inner: usize = tensor.dims()[axis + 1..].iter().map(|&dim| dim as usize).product();
        let mut sums = vec![0.0; extent];
        for (index, run) in numbers.chunks(inner.max(1)).enumerate() {
            let sum = &mut sums[index % extent];
            for &value in run {
                let value = f64::from(value);
                *sum += if self == Self::L1 { value.abs() } else { value * value };
            }
        }
        if self == Self::L2 {
            sums.iter_mut().for_each(|sum| *sum = sum.sqrt());
        }
        Some(sums)
    }
}

/// Why channels can't be ranked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// Only running the model tells.
    #[error("the importance `{0}` needs samples")]
    NeedsSamples(Importance),
    /// There are no gradients.
    #[error("the importance `{0}` needs gradients")]
    NeedsGradients(Importance),
    /// Weights have no gradients.
    #[error("there are no gradients of {}", names.join(", "))]
    NoGradient {
        /// The names of the initializers.
        names: Vec<String>,
    },
    /// A gradient has other dimensions than its weight.
    #[error("the gradient of `{name}` has dimensions {found:?}, expected {expected:?}")]
    GradientDims {
        /// The name of the initializer.
        name: String,
        /// Those of the gradient.
        found: Vec<i64>,
        /// Those of the weight.
        expected: Vec<i64>,
    },
    /// No normalization tells a scale.
    #[error("the model has no BatchNormalization with constant scales behind what makes channels")]
    NoNormalization,
}

/// The importance of every channel by the weights that make it, by group and number within the group.
#[must_use]
pub fn importance(graph: &Graph, analysis: &Analysis, norm: Norm) -> Vec<Vec<f64>> {
    let importance = if norm == Norm::L1 { Importance::L1 } else { Importance::L2 };
    let ranking = Ranking { importance, ..Ranking::default() };
    let scores = weight_scores(graph, analysis, &ranking, None).unwrap_or_default();
    let whole = |(scores, group): (Option<Vec<f64>>, &Group)| {
        scores.unwrap_or_else(|| vec![0.0; group.size])
    };
    scores.into_iter().zip(&analysis.groups).map(whole).collect()
}

/// The importance of every channel as far as weights, and their `gradients` by the names of initializers, tell, by
/// group and number within the group; none of a group of which they tell nothing.
///
/// # Errors
/// When the importance needs samples, or gradients that are not there, or normalizations.
pub fn weight_scores(
    graph: &Graph,
    analysis: &Analysis,
    ranking: &Ranking,
    gradients: Option<&Inputs>,
) -> Result<Vec<Option<Vec<f64>>>, ScoreError> {
    let kind = ranking.importance;
    let of_slices = |measure: &dyn Fn(&Source<'_>) -> Option<Vec<f64>>| -> Vec<Vec<Part>> {
        let of_group = |group| makers(graph, analysis, group, measure);
        analysis.groups.iter().map(of_group).collect()
    };
    let norm = |norm: Norm| {
        of_slices(&|source| {
            let mut norms = norm.of_slices(source.tensor, source.axis)?;
            if let Some(steps) = &source.steps {
                norms.iter_mut().zip(steps).for_each(|(norm, step)| *norm *= f64::from(step.abs()));
            }
            Some(norms)
        })
    };
    let parts = match kind {
        Importance::Obs | Importance::Wanda | Importance::Activation | Importance::Apoz => {
            return Err(ScoreError::NeedsSamples(kind));
        }
        Importance::Random => {
            let random = |(index, group): (usize, &Group)| {
                let of_group = hash(ranking.seed ^ hash(index as u64));
                let number = |channel: usize| hash(of_group ^ channel as u64) as f64;
                Some((0..group.size).map(number).collect())
            };
            return Ok(analysis.groups.iter().enumerate().map(random).collect());
        }
        Importance::L1 => norm(Norm::L1),
        Importance::L2 => norm(Norm::L2),
        Importance::Lamp => {
            let mut parts = norm(Norm::L2);
            let numbers = parts.iter_mut().flatten().flatten().flatten();
            numbers.for_each(|norm| *norm *= *norm);
            parts
        }
        Importance::Fpgm => of_slices(&|source| distances(source.tensor, source.axis)),
        Importance::BnScale => scales(graph, analysis)?,
        Importance::Taylor | Importance::Fisher => {
            let gradients = gradients.ok_or(ScoreError::NeedsGradients(kind))?;
            check(graph, analysis, gradients, kind)?;
            of_slices(&|source| {
                let name = graph.value(source.value).name();
                sensitivities(source.tensor, gradients.get(name)?, source.axis, kind)
            })
        }
    };
    let combined = |(parts, group): (Vec<Part>, &Group)| {
        let scores = (!parts.is_empty()).then(|| ranking.combine(group.size, &parts))?;
        Some(if kind == Importance::Lamp { lamp(&scores) } else { scores })
    };
    Ok(parts.into_iter().zip(&analysis.groups).map(combined).collect())
}

/// The data of a weight that makes channels.
struct Source<'a> {
    value: ValueId,
    tensor: &'a Tensor,
    axis: usize,
    /// The distance of neighbouring numbers in each slice, if they are integers of several scales.
    steps: Option<Vec<f32>>,
}

/// What every weight that makes channels of a group says of them; a channel that is several slices has their sum.
fn makers(
    graph: &Graph,
    analysis: &Analysis,
    group: &Group,
    measure: &dyn Fn(&Source<'_>) -> Option<Vec<f64>>,
) -> Vec<Part> {
    let numbers = numbers(group);
    let mut parts = Vec::new();
    for place in &group.producers {
        let Some(source) = analysis.source_axis(graph, *place) else { continue };
        let Some(tensor) = constant(graph, source.value) else { continue };
        let steps = steps(graph, place.value, source);
        let source = Source { value: source.value, tensor: &tensor, axis: source.axis, steps };
        let Some(measured) = measure(&source) else { continue };
        parts.push(by_number(group, &numbers, &analysis.owners[place], &measured));
    }
    parts
}

/// Numbers of the elements of an axis, by channel.
fn by_number(
    group: &Group,
    numbers: &FxHashMap<usize, usize>,
    owners: &[usize],
    measured: &[f64],
) -> Part {
    let mut part: Part = vec![None; group.size];
    for (owner, measured) in owners.iter().zip(measured) {
        if let Some(&number) = numbers.get(owner) {
            *part[number].get_or_insert(0.0) += measured;
        }
    }
    part
}

/// The numbers of the channels of a group.
pub(crate) fn numbers(group: &Group) -> FxHashMap<usize, usize> {
    group.channels.iter().enumerate().map(|(number, &channel)| (channel, number)).collect()
}

/// s_c / Σ s over the channels that are at least as important.
fn lamp(scores: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(b.cmp(&a)));
    let mut shares = vec![0.0; scores.len()];
    let mut sum = 0.0;
    for channel in order {
        sum += scores[channel];
        shares[channel] = if sum > 0.0 { scores[channel] / sum } else { 0.0 };
    }
    shares
}

/// Σ_j ‖w_i − w_j‖ over the slices of a tensor.
fn distances(tensor: &Tensor, axis: usize) -> Option<Vec<f64>> {
    let extent = usize::try_from(*tensor.dims().get(axis)?).ok()?;
    let slice = |index: usize| tensor.gather_axis(axis, &[index])?.to_f32();
    let slices: Vec<Vec<f32>> = (0..extent).map(slice).collect::<Option<_>>()?;
    let distance = |a: &[f32], b: &[f32]| {
        let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let sum = |own: &Vec<f32>| slices.iter().map(|other| distance(own, other)).sum();
    Some(slices.iter().map(sum).collect())
}

/// |γ| of every `BatchNormalization` along channels of a group.
fn scales(graph: &Graph, analysis: &Analysis) -> Result<Vec<Vec<Part>>, ScoreError> {
    let mut parts: Vec<Vec<Part>> = vec![Vec::new(); analysis.groups.len()];
    let numbers: Vec<FxHashMap<usize, usize>> = analysis.groups.iter().map(numbers).collect();
    for id in graph.topological_order() {
        let node = &graph[id];
        let (true, Some(scale)) = (node.is("BatchNormalization"), node.input(1)) else { continue };
        let tensor = constant(graph, scale).and_then(|tensor| tensor.to_f32());
        let owners = analysis.owners.get(&Axis::new(scale, 0));
        let (Some(gamma), Some(owners)) = (tensor, owners) else { continue };
        let gamma: Vec<f64> = gamma.into_iter().map(|gamma| f64::from(gamma.abs())).collect();
        for ((group, numbers), parts) in analysis.groups.iter().zip(&numbers).zip(&mut parts) {
            if owners.iter().any(|owner| numbers.contains_key(owner)) {
                parts.push(by_number(group, numbers, owners, &gamma));
            }
        }
    }
    if parts.iter().all(Vec::is_empty) { Err(ScoreError::NoNormalization) } else { Ok(parts) }
}

/// Whether the weights that make channels which can go have gradients of their dimensions; with a first axis of samples
/// for Fisher information.
fn check(
    graph: &Graph,
    analysis: &Analysis,
    gradients: &Inputs,
    kind: Importance,
) -> Result<(), ScoreError> {
    let mut names = Vec::new();
    for group in analysis.groups.iter().filter(|group| !group.removable.is_empty()) {
        for place in &group.producers {
            let Some(source) = analysis.source_axis(graph, *place) else { continue };
            let Some(tensor) = constant(graph, source.value) else { continue };
            let name = graph.value(source.value).name();
            let Some(gradient) = gradients.get(name) else {
                names.push(name.to_owned());
                continue;
            };
            let (found, expected) = (gradient.dims(), tensor.dims());
            let stacked = kind == Importance::Fisher
                && found.len() == expected.len() + 1
                && &found[1..] == expected;
            if (found != expected && !stacked) || gradient.to_f32().is_none() {
                let (found, expected) = (found.to_vec(), expected.to_vec());
                return Err(ScoreError::GradientDims { name: name.to_owned(), found, expected });
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { Ok(()) } else { Err(ScoreError::NoGradient { names }) }
}

/// |Σ g·w| of every slice, or the mean of (Σ g·w)² over samples.
fn sensitivities(
    weight: &Tensor,
    gradient: &Tensor,
    axis: usize,
    kind: Importance,
) -> Option<Vec<f64>> {
    let (weights, gradients) = (weight.to_f32()?, gradient.to_f32()?);
    let extent = usize::try_from(*weight.dims().get(axis)?).ok()?;
    let inner: usize = weight.dims()[axis + 1..].iter().map(|&dim| dim as usize).product();
    let mut sensitivities = vec![0.0; extent];
    let samples = gradients.len() / weights.len().max(1);
    for sample in gradients.chunks(weights.len().max(1)) {
        let mut sums = vec![0.0; extent];
        for (at, (weight, gradient)) in weights.iter().zip(sample).enumerate() {
            sums[at / inner.max(1) % extent] += f64::from(*weight) * f64::from(*gradient);
        }
        for (total, sum) in sensitivities.iter_mut().zip(sums) {
            *total += if kind == Importance::Fisher { sum * sum } else { sum.abs() };
        }
    }
    sensitivities.iter_mut().for_each(|total| *total /= samples.max(1) as f64);
    Some(sensitivities)
}

/// The distance of neighbouring numbers in each slice of constant integers that `weight` is restored from; none where it is
/// the same for all.
fn steps(graph: &Graph, mut weight: ValueId, source: Axis) -> Option<Vec<f32>> {
    if weight == source.value {
        return steps_next_to(graph, source);
    }
    while weight != source.value {
        let node = &graph[graph.producer(weight)?];
        weight = node.input(0)?;
        if node.is("DequantizeLinear") && weight == source.value {
            let scales = constant(graph, node.input(1)?)?.to_f32()?;
            let rank = graph.value(weight).shape()?.len();
            let axis = position(node.int("axis").unwrap_or(1), rank)?;
            let blocks = node.int("block_size").unwrap_or(0) != 0;
            return (axis == source.axis && !blocks && scales.len() > 1).then_some(scales);
        }
    }
    None
}

/// The same for integers that an operator reads as they are, with their scales next to them.
fn steps_next_to(graph: &Graph, weight: Axis) -> Option<Vec<f32>> {
    let node = &graph[graph.consumers(weight.value).next()?];
    let operator = integer_operator(node)?;
    let mut operands = operator.operands_of(node).enumerate();
    let read = |slots: &QuantizedSlots| node.input(slots.integers) == Some(weight.value);
    let (place, slots) = operands.find(|(_, slots)| read(slots))?;
    let rank = graph.value(weight.value).shape()?.len();
    let scales = constant(graph, node.input(slots.scale)?)?.to_f32()?;
    let along = operator.scale_axis(node, place, rank) == Some(weight.axis);
    (along && scales.len() > 1).then_some(scales)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    /// The scores of the channels of the first of two convolutions.
    fn scores(weights: &str, restored: &str) -> Vec<f64> {
        let source = format!(
            "g (float[1,1,4,4] x) => (float[1,1,4,4] y)
            <{weights}, float[1,2,1,1] v = {{1, 1}}>
            {{ {restored} a = Conv(x, w) r = Relu(a) y = Conv(r, v) }}"
        );
        let model = model(&source);
        let analysis = Analysis::of(&model.graph);
        importance(&model.graph, &analysis, Norm::L2).remove(0)
    }

    #[test]
    fn integers_count_in_steps_of_their_scales() {
        let float = scores("float[2,1,1,1] w = {3, -1}", "");
        assert_eq!(float, [1.5, 0.5]);
        let integers = "int8[2,1,1,1] q = {100, -100}, float[2] s = {0.03, 0.01}";
        let found = scores(integers, "w = DequantizeLinear <axis = 0> (q, s)");
        let near = found.iter().zip(&float).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{found:?}");
        let one = "int8[2,1,1,1] q = {3, -1}, float s = {0.5}";
        assert_eq!(scores(one, "w = DequantizeLinear(q, s)"), float);
    }

    /// Two convolutions h = W x with a normalization, of three channels each, and a reader.
    const NETWORK: &str = "g (float[1,2,2,2] x) => (float[1,1,2,2] y)
        <float[3,2,1,1] w = {3, 4, 0, 1, 6, -8}, float[3] s = {-2, 1, 0.5}, float[3] h, float[3] m,
         float[3] v = {1, 1, 1}, float[3,3,1,1] u = {1, 0, 0, 0, 2, 0, 0, 0, 3}, float[1,3,1,1] r>
        {
            a = Conv(x, w)
            n = BatchNormalization(a, s, h, m, v)
            b = Conv(n, u)
            y = Conv(b, r)
        }";

    fn ranked(
        importance: Importance,
        gradients: Option<&Inputs>,
    ) -> Result<Vec<Option<Vec<f64>>>, ScoreError> {
        let model = model(NETWORK);
        let analysis = Analysis::of(&model.graph);
        let normalization = crate::prune::Normalization::None;
        let ranking = Ranking { importance, normalization, ..Ranking::default() };
        weight_scores(&model.graph, &analysis, &ranking, gradients)
    }

    #[test]
    fn scores_are_those_of_their_definitions() {
        let first = |importance| ranked(importance, None).expect("weights tell")[0].clone();
        assert_eq!(first(Importance::L1), Some(vec![7.0, 1.0, 14.0]));
        assert_eq!(first(Importance::L2), Some(vec![5.0, 1.0, 10.0]));
        let lamp = first(Importance::Lamp).expect("it has weights");
        let expected = [25.0 / 125.0, 1.0 / 126.0, 1.0];
        assert!(lamp.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{lamp:?}");
        let apart = [18f64.sqrt(), 153f64.sqrt(), 117f64.sqrt()];
        let sums = [apart[0] + apart[1], apart[0] + apart[2], apart[1] + apart[2]];
        let fpgm = first(Importance::Fpgm).expect("it has weights");
        assert!(fpgm.iter().zip(sums).all(|(a, b)| (a - b).abs() < 1e-5), "{fpgm:?}");
        let random = first(Importance::Random).expect("it needs nothing");
        let seeded = |seed: u64| {
            let model = model(NETWORK);
            let analysis = Analysis::of(&model.graph);
            let importance = Importance::Random;
            let ranking = Ranking { importance, seed, ..Ranking::default() };
            let scores = weight_scores(&model.graph, &analysis, &ranking, None);
            scores.expect("it needs nothing")[0].clone().expect("it needs nothing")
        };
        assert_ne!(random[0], random[1]);
        assert_eq!(seeded(0), random);
        assert_eq!(seeded(7), seeded(7));
        assert_ne!(seeded(7), random);
        assert_eq!(first(Importance::BnScale), Some(vec![2.0, 1.0, 0.5]));
        assert_eq!(ranked(Importance::BnScale, None).expect("there is one")[1], None);
        let refused = ranked(Importance::Wanda, None);
        assert_eq!(refused, Err(ScoreError::NeedsSamples(Importance::Wanda)));
    }

    #[test]
    fn gradients_are_multiplied_with_their_weights() {
        let tensor = |dims: &[i64], numbers: &[f32]| Tensor::new(dims, numbers);
        let u = ("u".to_owned(), tensor(&[3, 3, 1, 1], &[1.0; 9]));
        let w = |dims: &[i64], numbers: &[f32]| ("w".to_owned(), tensor(dims, numbers));
        // Σ g·w of two samples: (3 − 4, 0 + 2, 6 + 0), (0 + 4, 0 − 1, 0 − 8).
        let two = [1.0, -1.0, 5.0, 2.0, 1.0, 0.0, 0.0, 1.0, 5.0, -1.0, 0.0, 1.0];
        let one = Inputs::from([w(&[3, 2, 1, 1], &two[..6]), u.clone()]);
        let found = ranked(Importance::Taylor, Some(&one)).expect("there are gradients");
        assert_eq!(found[0], Some(vec![1.0, 2.0, 6.0]));
        assert_eq!(found[1], Some(vec![1.0, 2.0, 3.0]));
        let found = ranked(Importance::Fisher, Some(&one)).expect("there are gradients");
        assert_eq!(found[0], Some(vec![1.0, 4.0, 36.0]));
        let stacked = Inputs::from([w(&[2, 3, 2, 1, 1], &two), u]);
        let found = ranked(Importance::Fisher, Some(&stacked)).expect("there are gradients");
        assert_eq!(found[0], Some(vec![8.5, 2.5, 50.0]));
        let refused = ranked(Importance::Taylor, Some(&stacked));
        assert!(matches!(refused, Err(ScoreError::GradientDims { .. })), "{refused:?}");
        let none = ranked(Importance::Taylor, Some(&Inputs::new()));
        let names = vec!["u".to_owned(), "w".to_owned()];
        assert_eq!(none, Err(ScoreError::NoGradient { names }));
    }

    #[test]
    fn integers_of_an_operator_on_integers_count_in_steps_of_the_scales_next_to_them() {
        let model = model(
            "g (uint8[1,1,4,4] x) => (uint8[1,1,4,4] y)
            <float t = {0.1}, uint8 u = {128}, int8[2,1,1,1] w = {100, -100}, float[2] s = {0.03, 0.01},
             int8[2] z = {0, 0}, int8[1,2,1,1] v = {1, 1}, int8 n = {0}>
            { a = QLinearConv(x, t, u, w, s, z, t, u) y = QLinearConv(a, t, u, v, t, n, t, u) }",
        );
        let analysis = Analysis::of(&model.graph);
        let found = importance(&model.graph, &analysis, Norm::L2).remove(0);
        assert!((found[0] - 1.5).abs() < 1e-6 && (found[1] - 0.5).abs() < 1e-6, "{found:?}");
    }
}
